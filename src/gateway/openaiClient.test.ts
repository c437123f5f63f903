import OpenAI, { APIError, APIUserAbortError } from "openai";
import { afterEach, expect, test } from "vitest";
import { fromHex } from "../core/bytes.ts";
import { settlementSchema } from "../protocol/completions.ts";
import { parseInput } from "../protocol/parse.ts";
import { startNode, type TestNode, type TestNodeOptions, testGrounding, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

const nodes: TestNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

async function start(setup: TestNodeOptions): Promise<TestNode> {
  const node = await startNode(setup);
  nodes.push(node);
  return node;
}

function client(node: TestNode, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: `${node.url}/v1`, apiKey: node.secret, maxRetries });
}

const ask = { model: testModel, messages: [{ role: "user" as const, content: "Say hello" }] };

test("chat: answers, charges exactly, and hands out a receipt with its promise", async () => {
  const engine = new ScriptedEngine(hello);
  const node = await start({ engines: { a: engine }, model: { grounding: testGrounding() } });
  const { data, response } = await client(node).chat.completions.create(ask).withResponse();
  expect(data).toMatchObject({
    object: "chat.completion",
    model: testModel,
    choices: [{ index: 0, message: { role: "assistant", content: "Hello, world!" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
  });
  expect(engine.requests[0]).toMatchObject({ model: "upstream-name", mode: "chat", maxTokens: 1024 });
  expect(engine.requests[0]?.passages[0]?.text).toBe("about Say hello");
  const settlement = parseInput(settlementSchema, Reflect.get(data, "openledger"));
  expect(settlement.ok).toBe(true);
  if (!settlement.ok) return;
  // cost: 9 × 1 + 4 × 2 + 50; royalty: 9 × 2 + 4 × 4 + 100
  expect(settlement.value.fee).toEqual({ cost: 67, royalty: 134, amount: 201 });
  expect(settlement.value.promise?.amount).toBe(201);
  expect(settlement.value).toMatchObject({
    operator: "a",
    why: "the only operator",
    partial: false,
    unattributed: 250_000,
  });
  expect(response.headers.get("openledger-receipt")).toBe(settlement.value.receipt);
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  const stored = await node.ledger.books.receipt(fromHex(settlement.value.receipt));
  expect(stored?.receipt.legs.reduce((sum, leg) => sum + leg.amount, 0)).toBe(201);
  expect(stored?.receipt.legs.find((leg) => leg.role === "contributor")?.weight).toBe(750_000);
  expect(node.ledger.accounts.balance(node.account)).toMatchObject({ spent: 201n, held: 0n });
  expect(node.ledger.holds.count()).toBe(0);
});

test("completions", async () => {
  const engine = new ScriptedEngine(hello);
  const node = await start({ engines: { a: engine } });
  const made = await client(node).completions.create({ model: testModel, prompt: "Hello", max_tokens: 7, stop: "\n" });
  expect(made).toMatchObject({
    object: "text_completion",
    choices: [{ text: "Hello, world!", finish_reason: "stop" }],
  });
  expect(engine.requests[0]).toMatchObject({ mode: "text", maxTokens: 7, stop: ["\n"] });
});

test("streams text as it comes, and ends with the promise on the finishing chunk", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  const chunks = [];
  for await (const chunk of await client(node).chat.completions.create({ ...ask, stream: true })) chunks.push(chunk);
  expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe("Hello, world!");
  expect(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage === undefined)).toBe(true);
  expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("stop");
  expect(Reflect.get(chunks.at(-1) ?? {}, "openledger")).toMatchObject({
    fee: { amount: 201 },
    promise: { amount: 201 },
  });
});

test("streams with usage: null on every chunk but the last, which has no choices", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  const options = { ...ask, stream: true, stream_options: { include_usage: true } } as const;
  const chunks = [];
  for await (const chunk of await client(node).chat.completions.create(options)) chunks.push(chunk);
  expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
  expect(chunks.at(-1)).toMatchObject({
    choices: [],
    usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
  });
  expect(Reflect.get(chunks.at(-1) ?? {}, "openledger")).toMatchObject({ promise: { amount: 201 } });
});

test("text completions stream too", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  let text = "";
  for await (const chunk of await client(node).completions.create({ model: testModel, prompt: "x", stream: true })) {
    text += chunk.choices[0]?.text ?? "";
  }
  expect(text).toBe("Hello, world!");
});

test("models", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  const { models } = client(node);
  expect((await models.list()).data.map((model) => model.id)).toEqual([testModel]);
  expect(await models.retrieve(testModel)).toMatchObject({ object: "model", owned_by: "npm-docs" });
  await expect(models.retrieve("nope")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
});

test("errors are OpenAI's own classes", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) }, funds: 10 });
  const create = (body: object) => client(node).chat.completions.create({ ...ask, ...body });
  await expect(create({ model: "nope" })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  await expect(create({ temperature: 9 })).rejects.toMatchObject({ status: 400, param: "temperature" });
  await expect(create({})).rejects.toMatchObject({
    status: 402,
    code: "insufficient_quota",
    type: "insufficient_quota",
  });
  const stranger = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: "ol_wrong", maxRetries: 0 });
  await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  expect(node.ledger.books.totals().receipts).toBe(0);
});

test("the client retries what the table calls retryable, after the time it was told", async () => {
  let failures = 2;
  const engine = new ScriptedEngine(() => (failures-- > 0 ? [{ fail: "upstream_failed" }] : hello));
  const node = await start({ engines: { a: engine } });
  const made = await client(node, 3).chat.completions.create(ask);
  expect(made.choices[0]?.message.content).toBe("Hello, world!");
  expect(engine.requests).toHaveLength(3);
  expect(node.ledger.books.totals()).toMatchObject({ receipts: 1, held: 0n });
});

test("the client does not retry an empty account", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) }, funds: 10 });
  await expect(client(node, 3).chat.completions.create(ask)).rejects.toMatchObject({ status: 402 });
  expect(node.log.filter((line) => line.message === "refused")).toHaveLength(1);
});

test("a failure in the middle of a stream reaches the client as an error, and what came is charged", async () => {
  const engine = new ScriptedEngine([{ say: "Hel" }, { fail: "upstream_failed" }]);
  const node = await start({ engines: { a: engine } });
  let text = "";
  const consume = async () => {
    for await (const chunk of await client(node).chat.completions.create({ ...ask, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
  };
  await expect(consume()).rejects.toBeInstanceOf(APIError);
  expect(text).toBe("Hel");
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  expect(stored?.receipt).toMatchObject({ flags: { partial: true }, usage: { tokensOut: 1 } });
});

test("abort: the engine is stopped and what was delivered is charged", async () => {
  const engine = new ScriptedEngine([{ say: "Hel" }, { hang: true }]);
  const node = await start({ engines: { a: engine } });
  const stream = await client(node).chat.completions.create({ ...ask, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Hel") stream.controller.abort();
  await expect.poll(() => node.ledger.books.recent({ limit: 1 })).toHaveLength(1);
  expect(engine.stopped).toBe(1);
  expect((await node.ledger.books.recent({ limit: 1 }))[0]?.receipt.flags.partial).toBe(true);
  expect(node.ledger.holds.count()).toBe(0);
});

test("abort before anything came: nothing is charged", async () => {
  const engine = new ScriptedEngine([{ hang: true }]);
  const node = await start({ engines: { a: engine } });
  const controller = new AbortController();
  const made = client(node).chat.completions.create(ask, { signal: controller.signal });
  await expect.poll(() => engine.requests.length).toBe(1);
  controller.abort();
  await expect(made).rejects.toBeInstanceOf(APIUserAbortError);
  await expect.poll(() => node.ledger.holds.count()).toBe(0);
  expect(engine.stopped).toBe(1);
  expect(node.ledger.books.totals().receipts).toBe(0);
});

import { request as httpRequest } from "node:http";
import { afterEach, expect, test } from "vitest";
import { until } from "../host/processes.ts";
import { startNode, type TestNode, type TestNodeOptions, testGrounding, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine, type Step } from "./testing/scriptedEngine.ts";

/** The rule of docs/rules/delivery.md, row by row: every execution ends in a posted receipt or in a released hold. */
const nodes: TestNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    await expect.poll(() => node.ledger.holds.count()).toBe(0);
    await node.stop();
    const { granted, debited, credited } = node.ledger.books.totals();
    expect(debited).toBe(credited);
    expect(debited <= granted).toBe(true);
  }
});

async function start(setup: TestNodeOptions): Promise<TestNode> {
  const node = await startNode(setup);
  nodes.push(node);
  return node;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function ask(
  node: TestNode,
  body: object = {},
  headers: Record<string, string> = {},
  secret = node.secret,
): Promise<Answer> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${secret}`, ...headers },
    body: JSON.stringify({ model: testModel, messages: [{ role: "user", content: "hi" }], ...body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const streamed = { stream: true };
const seen = (node: TestNode) => node.ledger.books.totals().receipts;

const rows: readonly (readonly [
  what: string,
  script: readonly Step[],
  body: object,
  status: number,
  receipts: number,
  partial: boolean,
])[] = [
  ["whole, streamed", hello, streamed, 200, 1, false],
  ["whole, not streamed", hello, {}, 200, 1, false],
  ["fails before the first byte, streamed", [{ fail: "upstream_failed" }], streamed, 502, 0, false],
  ["fails before the first byte, not streamed", [{ fail: "upstream_failed" }], {}, 502, 0, false],
  ["fails in the middle, streamed", [{ say: "a" }, { fail: "upstream_failed" }], streamed, 200, 1, true],
  ["fails in the middle, not streamed", [{ say: "a" }, { fail: "upstream_failed" }], {}, 502, 0, false],
  ["stops without an end, streamed", [{ say: "a" }], streamed, 200, 1, true],
  ["throws", [{ throws: "a bug" }], streamed, 502, 0, false],
  ["says it is invalid", [{ fail: "invalid_request" }], {}, 400, 0, false],
  ["first byte too late", [{ hang: true }], streamed, 504, 0, false],
  ["next part too late, streamed", [{ say: "a" }, { hang: true }], streamed, 200, 1, true],
  ["next part too late, not streamed", [{ say: "a" }, { hang: true }], {}, 504, 0, false],
  ["an empty answer", [{ end: "stop" }], {}, 200, 1, false],
];

test.each(rows)("%s", async (_, script, body, status, receipts, partial) => {
  const timeouts = { firstByteMs: 120, idleMs: 120 };
  const node = await start({
    engines: { a: new ScriptedEngine(script) },
    options: { timeouts },
    model: { grounding: testGrounding() },
  });
  const answer = await ask(node, body);
  expect(answer.status).toBe(status);
  expect(seen(node)).toBe(receipts);
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  if (receipts === 1) expect(stored?.receipt.flags.partial).toBe(partial);
  if (partial) expect(answer.text).toMatch(/"error":.*"openledger":.*"partial":true/);
});

test.each([
  ["streamed, before the first byte", streamed, [{ fail: "upstream_failed" }]],
  ["not streamed, in the middle", {}, [{ say: "lost" }, { fail: "upstream_timeout" }]],
] as const)("the next operator takes over: %s", async (_, body, script) => {
  const [cheap, dear] = [new ScriptedEngine(script), new ScriptedEngine(hello)];
  const cost = { inPerMillion: 9_000_000, outPerMillion: 9_000_000, perCall: 900 };
  const node = await start({ engines: { cheap, dear }, operators: { dear: { cost } } });
  const answer = await ask(node, body);
  expect(answer.text).toContain(`"operator":"dear"`);
  expect(answer.text).toContain("after cheap failed before the first byte");
  expect(answer.text).not.toContain("lost");
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  expect(stored?.receipt.fee.cost).toBe(9 * 9 + 4 * 9 + 900);
});

test("the receipt charges what was reported, and never more than was held", async () => {
  const engine = new ScriptedEngine([{ say: "x" }, { usage: [1_000_000, 1_000_000] }, { end: "stop" }]);
  const node = await start({ engines: { a: engine } });
  await ask(node, { max_tokens: 5 });
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  expect(stored?.receipt.usage.tokensOut).toBe(5);
  expect(stored?.receipt.usage.tokensIn).toBeLessThan(100);
});

test("an engine that ignores max_tokens is cut", async () => {
  const engine = new ScriptedEngine([...Array.from({ length: 50 }, (): Step => ({ say: "w " })), { hang: true }]);
  const node = await start({ engines: { a: engine } });
  const answer = await ask(node, { max_tokens: 3 });
  expect(answer.text).toContain(`"content":"w w w "`);
  expect(answer.text).toContain(`"finish_reason":"length"`);
});

test("max_tokens is cut to the room that is left, and a prompt without room is refused", async () => {
  const engine = new ScriptedEngine(hello);
  const node = await start({ engines: { a: engine }, model: { contextTokens: 60 } });
  await ask(node, { max_tokens: 5_000 });
  expect(engine.requests[0]?.maxTokens).toBe(60 - 8 - 1);
  const refused = await ask(node, { messages: [{ role: "user", content: "long ".repeat(100) }] });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain("context_length_exceeded");
});

test("attribution that breaks loses no receipt: all weight is unattributed", async () => {
  const attribute = async () => Promise.reject(new Error("index gone"));
  const node = await start({
    engines: { a: new ScriptedEngine(hello) },
    model: { grounding: testGrounding({ attribute }) },
  });
  expect((await ask(node)).status).toBe(200);
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  expect(stored?.receipt.unattributed).toBe(1_000_000);
  expect(node.log.some((line) => line.message.startsWith("attribution failed"))).toBe(true);
});

test("a receipt that cannot be posted releases the hold and says so", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  const journalled = node.ledger.books.size();
  node.breakStore();
  expect((await ask(node)).status).toBe(503);
  const answer = await ask(node, streamed);
  expect(answer.text).toContain(`"code":"store_unavailable"`);
  expect(node.ledger.books.size()).toBe(journalled);
});

test("the payer may forbid opening: then nothing is kept of the texts", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  await ask(node, {}, { "openledger-audit": "forbid" });
  const [stored] = await node.ledger.books.recent({ limit: 1 });
  expect(stored?.receipt.flags.unaudited).toBe(true);
  expect((await node.ledger.books.receipt(stored?.receipt.id ?? new Uint8Array()))?.opening).toBeUndefined();
});

test("a slow reader holds the engine back, and nothing is lost", async () => {
  const part = "x".repeat(20_000);
  const engine = new ScriptedEngine([...Array.from({ length: 400 }, (): Step => ({ say: part })), { end: "stop" }]);
  let given = 0;
  const counting = {
    complete: async function* (...args: Parameters<ScriptedEngine["complete"]>) {
      for await (const batch of engine.complete(...args)) {
        given += 1;
        yield batch;
      }
    },
  };
  const node = await start({ engines: { a: counting }, model: { contextTokens: 1_000_000 } });
  const text = await new Promise<string>((resolve, reject) => {
    const body = JSON.stringify({
      model: testModel,
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      max_tokens: 200_000,
    });
    const headers = { "content-type": "application/json", authorization: `Bearer ${node.secret}` };
    const sent = httpRequest(`${node.url}/v1/chat/completions`, { method: "POST", headers }, async (response) => {
      await new Promise((next) => setTimeout(next, 300));
      expect(given).toBeLessThan(350);
      let all = "";
      for await (const chunk of response) all += chunk;
      resolve(all);
    });
    sent.on("error", reject);
    sent.end(body);
  });
  expect(text.split(part).length - 1).toBe(400);
  expect(given).toBe(401);
});

test("idempotency: replayed for the same body, refused for another, 409 while it runs", async () => {
  const engine = new ScriptedEngine([{ hang: true }, ...hello]);
  const node = await start({ engines: { a: engine } });
  const key = { "idempotency-key": "order-1" };
  const asked = ask(node, {}, key);
  await runs(engine);
  const meanwhile = await ask(node, {}, key);
  engine.release();
  const first = await asked;
  expect(meanwhile.status).toBe(409);
  expect(meanwhile.headers.get("retry-after")).toBe("1");
  const again = await ask(node, {}, key);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again.text).toBe(first.text);
  expect((await ask(node, { temperature: 1 }, key)).status).toBe(422);
  expect(engine.requests).toHaveLength(1);
  expect(seen(node)).toBe(1);
});

test("idempotency: a stream is replayed as a stream, and a refused request leaves its key free", async () => {
  let isDown = true;
  const node = await start({
    engines: { a: new ScriptedEngine(() => (isDown ? [{ fail: "upstream_failed" }] : hello)) },
  });
  const key = { "idempotency-key": "order-2" };
  expect((await ask(node, streamed, key)).status).toBe(502);
  isDown = false;
  const first = await ask(node, streamed, key);
  const again = await ask(node, streamed, key);
  expect(again.text).toContain(`"content":"Hello, world!"`);
  expect(again.headers.get("openledger-receipt")).toBe(first.headers.get("openledger-receipt"));
  const promise = /"promise":\{.*?\}/;
  expect(promise.exec(again.text)?.[0]).toBe(promise.exec(first.text)?.[0]);
  expect(seen(node)).toBe(1);
});

test("waiting is bounded in number and in time, and both refusals say why", async () => {
  const engine = new ScriptedEngine([{ hang: true }, ...hello]);
  const admission = { waitingMax: 2, waitingPerAccountMax: 2, queueTimeoutMs: 100 };
  const node = await start({ engines: { a: engine }, operators: { a: { concurrency: 1 } }, options: { admission } });
  let refused = 0;
  const asked = Array.from({ length: 4 }, async () => {
    const answer = await ask(node);
    if (answer.status === 503) refused += 1;
    return answer;
  });
  expect(await until(() => refused === 3, 60_000)).toBe(true);
  engine.release();
  const answers = await Promise.all(asked);
  expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 503, 503, 503]);
  const codes = answers
    .map((answer) => /"code":"(queue_\w+)"/.exec(answer.text)?.[1])
    .filter(Boolean)
    .toSorted();
  expect(codes).toEqual(["queue_full", "queue_timeout", "queue_timeout"]);
  expect(engine.runningMost).toBe(1);
});

test("what waits is served when there is room, and the wait is told", async () => {
  const engine = new ScriptedEngine([{ pauseMs: 40 }, ...hello]);
  const node = await start({ engines: { a: engine }, operators: { a: { concurrency: 2 } } });
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(node)));
  expect(answers.every((answer) => answer.status === 200)).toBe(true);
  expect(engine.runningMost).toBe(2);
  const waits = answers.map((answer) => Number(/"queuedMs":(\d+)/.exec(answer.text)?.[1]));
  expect(Math.max(...waits)).toBeGreaterThan(60);
});

test("shutdown: new requests are refused, running ones finish", async () => {
  const engine = new ScriptedEngine([{ say: "a" }, { hang: true }, { say: "b" }, { end: "stop" }]);
  const node = await start({ engines: { a: engine } });
  const running = ask(node, streamed);
  await runs(engine);
  const drained = node.gateway.drain(60_000);
  engine.release();
  await drained;
  expect((await running).text).toContain(`"content":"b"`);
  await expect(ask(node)).rejects.toThrow();
  expect(seen(node)).toBe(1);
});

test("shutdown: what does not finish in time is cut and charged as far as it came", async () => {
  const engine = new ScriptedEngine([{ say: "a" }, { hang: true }]);
  const node = await start({ engines: { a: engine } });
  const running = ask(node, streamed);
  await runs(engine);
  await node.gateway.drain(50);
  expect((await running).text).toContain(`"code":"shutting_down"`);
  expect((await node.ledger.books.recent({ limit: 1 }))[0]?.receipt.flags.partial).toBe(true);
});

test("a key's limits show in its headers and refuse with a time to wait", async () => {
  const node = await start({ engines: { a: new ScriptedEngine(hello) } });
  const secret = await node.key({ limits: { requestsPerMinute: 1, tokensPerMinute: 5_000 } });
  const first = await ask(node, {}, {}, secret);
  expect(first.headers.get("x-ratelimit-limit-requests")).toBe("1");
  expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("0");
  const second = await ask(node, {}, {}, secret);
  expect(second.status).toBe(429);
  expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(50);
  expect(seen(node)).toBe(1);
});

/** Waits until the engine is at work on a request. */
async function runs(engine: ScriptedEngine): Promise<void> {
  expect(await until(() => engine.running > 0, 60_000)).toBe(true);
}

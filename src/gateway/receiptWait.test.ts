import OpenAI from "openai";
import { afterEach, expect, test } from "vitest";
import { settlementSchema } from "../protocol/completions.ts";
import type { AttributionInput } from "./ports.ts";
import { receiptWaitMs } from "./receiptWait.ts";
import { startNode, type TestNode, testGrounding, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine, type Step } from "./testing/scriptedEngine.ts";

/** An answer whose attribution takes long is sent without its receipt; what was delivered is posted all the same. */
let node: TestNode;
let letGo: () => void;
afterEach(async () => {
  letGo();
  await expect.poll(() => node.ledger.holds.count()).toBe(0);
  expect(node.gateway.floor.admission).toMatchObject({ inFlight: 0, unposted: 0 });
  await node.stop();
});

async function start({ receiptMs = 1, script = hello }: { receiptMs?: number; script?: readonly Step[] } = {}) {
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const attribute = async (input: AttributionInput) => {
    await gate;
    return testGrounding().attribute(input);
  };
  node = await startNode({
    engines: { a: new ScriptedEngine(script) },
    model: { grounding: testGrounding({ attribute }) },
    options: { timeouts: { receiptMs, idleMs: 100 } },
  });
}

async function ask(body: object = {}, more: Record<string, string> = {}, secret = node.secret) {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${secret}`, ...more },
    body: JSON.stringify({ model: testModel, messages: [{ role: "user", content: "hi" }], ...body }),
  });
  const text = await response.text();
  const objects = text.startsWith("{") ? [text] : text.split("\n\n").map((line) => line.replace("data: ", ""));
  const last = objects.findLast((one) => one.includes(`"openledger"`)) ?? "{}";
  return { status: response.status, text, receipt: response.headers.get("openledger-receipt"), ...settledIn(last) };
}

function settledIn(text: string) {
  const said: unknown = JSON.parse(text);
  const settlement = settlementSchema.safeParse(Reflect.get(Object(said), "openledger"));
  return { settlement: settlement.data };
}

const streamed = { stream: true };
const withUsage = { stream: true, stream_options: { include_usage: true } };
const receipts = () => node.ledger.books.totals().receipts;
const get = async (path: string) => {
  const response = await fetch(node.url + path);
  return { status: response.status, text: await response.text() };
};

test.each([
  ["not streamed", {}],
  ["streamed", streamed],
  ["streamed, with usage", withUsage],
])(
  "%s: the answer ends without waiting for its attribution, and its promise is where its receipt will be",
  async (_, body) => {
    await start();
    const answer = await ask(body);
    expect(answer.status).toBe(200);
    expect(answer.text).toContain("stop");
    if (body !== streamed) expect(answer.text).toMatch(/"(prompt_tokens)":\d+/);
    if ("stream" in body) expect(answer.text.endsWith("data: [DONE]\n\n")).toBe(true);
    const { settlement, receipt } = answer;
    expect(settlement).toMatchObject({ receipt, pending: true, operator: "a", partial: false });
    expect(settlement?.fee.amount).toBeGreaterThan(0);
    for (const unknown of ["credited", "unattributed", "promise"]) expect(settlement).not.toHaveProperty(unknown);
    expect(receipts()).toBe(0);
    for (const part of ["", "/promise", "/explanation"]) {
      const missing = await get(`/api/receipts/${receipt}${part}`);
      expect(missing.status).toBe(404);
      expect(missing.text).toContain("is not written yet");
    }
    letGo();
    await expect.poll(receipts).toBe(1);
    const promise: unknown = JSON.parse((await get(`/api/receipts/${receipt}/promise`)).text);
    expect(promise).toMatchObject({ receipt, amount: settlement?.fee.amount });
  },
);

test("whoever says how long they wait gets the receipt with the answer", async () => {
  await start();
  const asked = ask({}, { prefer: "respond-async, wait=60" });
  await expect.poll(() => node.gateway.floor.admission.unposted).toBe(1);
  letGo();
  const { settlement } = await asked;
  expect(settlement).toMatchObject({ unattributed: 250_000, promise: { amount: settlement?.fee.amount } });
  expect(settlement).not.toHaveProperty("pending");
});

test.each([
  [undefined, 700],
  ["wait=0", 0],
  ["wait=5", 5_000],
  [`return=minimal; foo="x", Wait = "7"`, 7_000],
  ["wait=900", 60_000],
  ["wait=-1", 700],
  ["wait=1.5", 700],
  ["await=3", 700],
  ["wait=soon", 700],
  ["", 700],
])("prefer %j waits %i ms", (prefer, ms) => {
  expect(receiptWaitMs(prefer, 700)).toBe(ms);
});

test("the openai client reads such answers as any other", async () => {
  await start();
  const client = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: node.secret, maxRetries: 0 });
  const order = { model: testModel, messages: [{ role: "user" as const, content: "hi" }] };
  const whole = await client.chat.completions.create(order);
  const stream = await client.chat.completions.create({ ...order, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toBe(whole.choices[0]?.message.content);
  expect(receipts()).toBe(0);
});

test("an answer that breaks off ends with its error at once", async () => {
  await start({ script: [{ say: "a" }, { fail: "upstream_failed" }] });
  const { text, settlement } = await ask(streamed);
  expect(text).toContain(`"error":`);
  expect(settlement).toMatchObject({ pending: true, partial: true });
  letGo();
  await expect.poll(receipts).toBe(1);
});

test("its idempotency key is in use until the receipt is written, and then gives the answer again with its promise", async () => {
  await start();
  const key = { "idempotency-key": "once" };
  const first = await ask({}, key);
  const again = await ask({}, key);
  expect([first.status, again.status]).toEqual([200, 409]);
  letGo();
  await expect.poll(async () => (await ask({}, key)).settlement?.promise?.receipt).toBe(first.receipt);
  expect(receipts()).toBe(1);
});

test("who has the answer is in flight no more", async () => {
  await start();
  const secret = await node.key({ limits: { inFlight: 1 } });
  expect((await ask({}, {}, secret)).status).toBe(200);
  expect((await ask(streamed, {}, secret)).status).toBe(200);
  expect(receipts()).toBe(0);
});

test("a node that goes down waits for receipts that no answer waits for", async () => {
  await start();
  await ask();
  await ask(streamed);
  let isDown = false;
  const drained = node.gateway.drain(60_000).then(() => {
    isDown = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(isDown).toBe(false);
  letGo();
  await drained;
  expect(receipts()).toBe(2);
});

test("a receipt that cannot be written after its answer is given up, and the log says so", async () => {
  await start();
  const { receipt } = await ask();
  node.breakStore();
  letGo();
  await expect.poll(() => node.ledger.holds.count()).toBe(0);
  expect(JSON.stringify(node.log)).toContain("a delivered answer could not be posted");
  expect((await get(`/api/receipts/${receipt}`)).text).toContain("there is no receipt");
});

import { afterEach, expect, test } from "vitest";
import { pressureSchema } from "../protocol/service.ts";
import type { ServedModel } from "./catalog.ts";
import type { AttributionInput } from "./ports.ts";
import { startNode, type TestNode, testGrounding, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

/** What runs behind an answer, its attribution and its receipt, is bounded by model and holds no operator's slot. */
const CONCURRENCY = 2;
const UNPOSTED_MAX = 2 * CONCURRENCY;

let node: TestNode;
let letGo: () => void;
afterEach(async () => {
  letGo();
  await expect.poll(() => node.ledger.holds.count()).toBe(0);
  expect(node.gateway.floor.admission).toMatchObject({ inFlight: 0, unposted: 0, waiting: 0 });
  await node.stop();
});

async function start(queueTimeoutMs = 60_000): Promise<{ readonly engine: ScriptedEngine }> {
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const { attribute } = testGrounding();
  const slow = async (input: AttributionInput) => {
    await gate;
    return attribute(input);
  };
  const engine = new ScriptedEngine(hello);
  node = await startNode({
    engines: { a: engine },
    operators: { a: { concurrency: CONCURRENCY, models: { [testModel]: "slow", quick: "quick", plain: "plain" } } },
    model: { grounding: testGrounding({ attribute: slow }) },
    options: { admission: { queueTimeoutMs } },
  });
  const served = node.gateway.catalog.find(testModel);
  if (!served.ok) throw new Error(served.error.message);
  const { grounding: _, ...plain } = served.value;
  const others: ServedModel[] = [
    { ...plain, name: "plain" },
    { ...plain, name: "quick", grounding: testGrounding() },
  ];
  for (const other of others) node.gateway.catalog.put(other);
  return { engine };
}

async function ask(model: string, body: object = {}): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${node.secret}` },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], ...body }),
  });
  return { status: response.status, text: await response.text() };
}

async function pressure() {
  return pressureSchema.parse(await (await fetch(`${node.url}/api/pressure`)).json());
}

const receipts = () => node.ledger.books.totals().receipts;

test("an attribution that does not end keeps no other model's answers waiting, and only so many of its own stand behind it", async () => {
  const { engine } = await start();
  const slow = Array.from({ length: 9 }, (_, i) => ask(testModel, { stream: i % 2 === 0 }));
  await expect.poll(pressure).toMatchObject({ unposted: UNPOSTED_MAX, inFlight: 0, waiting: 9 - UNPOSTED_MAX });
  for (const other of ["quick", "plain", "quick", "plain", "quick"]) expect((await ask(other)).status).toBe(200);
  expect(receipts()).toBe(5);
  expect(engine.requests.filter(({ model }) => model === "slow")).toHaveLength(UNPOSTED_MAX);
  expect(engine.runningMost).toBeLessThanOrEqual(CONCURRENCY);
  letGo();
  for (const { status } of await Promise.all(slow)) expect(status).toBe(200);
  expect(receipts()).toBe(14);
});

test("who waits too long behind a model's receipts is told so", async () => {
  await start(50);
  const slow = Array.from({ length: UNPOSTED_MAX }, () => ask(testModel));
  await expect.poll(() => node.gateway.floor.admission.unposted).toBe(UNPOSTED_MAX);
  const late = await ask(testModel);
  expect(late.status).toBe(503);
  expect(late.text).toContain(`the receipts of \\"${testModel}\\" did not come`);
  letGo();
  await Promise.all(slow);
});

test("a node that goes down waits for the receipts behind answers", async () => {
  await start();
  const slow = [ask(testModel), ask(testModel, { stream: true })];
  await expect.poll(() => node.gateway.floor.admission.unposted).toBe(2);
  const drained = node.gateway.drain(60_000);
  letGo();
  await drained;
  expect(receipts()).toBe(2);
  for (const { status } of await Promise.all(slow)) expect(status).toBe(200);
});

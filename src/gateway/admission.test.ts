import { expect, test } from "vitest";
import { Admission } from "./admission.ts";
import type { ServedModel } from "./catalog.ts";
import { OperatorTable } from "./operators.ts";
import { testGrounding, testId } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

const free = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
const world = {
  nowMs: () => 0,
  elapsedMs: () => 0,
  randomBytes: (size: number) => new Uint8Array(size),
  log: () => {},
};

function served(name: string): ServedModel {
  return {
    ...{ name, asset: testId(name), ownedBy: "o", createdMs: 0, contextTokens: 10, unit: "nano", royalty: free },
    grounding: testGrounding(),
  };
}

function open(operators: Readonly<Record<string, readonly string[]>>): {
  readonly admission: Admission;
  readonly admit: (name: string) => ReturnType<Admission["admit"]>;
} {
  const table = new OperatorTable();
  for (const [name, models] of Object.entries(operators))
    table.put({
      ...{ name, payee: testId(name), engine: new ScriptedEngine(hello), unit: "nano", cost: free, concurrency: 1 },
      models: Object.fromEntries(models.map((model) => [model, model])),
    });
  const bounds = { waitingMax: 8, waitingPerAccountMax: 8, queueTimeoutMs: 60_000 };
  const admission = new Admission(table, world, bounds);
  const candidate = {
    ...{ account: "a", rate: { nanoPerUsd: 1, source: "test" }, worst: { tokensIn: 1, tokensOut: 1, calls: 1 } },
    ...{ excluded: new Set<string>(), signal: new AbortController().signal },
  };
  return { admission, admit: (name) => admission.admit({ ...candidate, model: served(name) }) };
}

test("nobody waits for an operator that is free because others wait for another one", async () => {
  const { admission, admit } = open({ one: ["m"], two: ["n"] });
  await admit("m");
  const late = admit("m");
  await admit("n");
  expect(admission.pressure()).toMatchObject({ inFlight: 2, waiting: 1 });
  admission.turnAway();
  expect(await late).toMatchObject({ ok: false, error: { code: "shutting_down" } });
});

test("a slot that is free before its answer is posted counts on by model, and each of its ends counts once", async () => {
  const { admission, admit } = open({ one: ["m", "n"] });
  const slotOf = async (name: string) => {
    const slot = await admit(name);
    if (!slot.ok) throw new Error(slot.error.message);
    return slot.value;
  };
  const [first, second] = [await slotOf("m"), admit("m")];
  first.free("served", 1);
  first.free("served", 1);
  expect(admission).toMatchObject({ inFlight: 1, unposted: 1, waiting: 0 });
  const other = await second;
  if (other.ok) other.value.free("served", 1);
  expect(admission).toMatchObject({ inFlight: 0, unposted: 2 });
  const third = admit("m");
  expect(admission).toMatchObject({ inFlight: 0, waiting: 1 });
  (await slotOf("n")).finish("served", 1);
  expect(admission).toMatchObject({ inFlight: 0, unposted: 2, waiting: 1 });
  first.finish("served", 1);
  first.finish("served", 1);
  expect(admission).toMatchObject({ inFlight: 1, unposted: 1, waiting: 0 });
  const last = await third;
  if (last.ok) last.value.finish("served", 1);
  expect(admission).toMatchObject({ inFlight: 0, unposted: 1, waiting: 0 });
});

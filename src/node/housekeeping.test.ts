import { expect, test } from "vitest";
import { ok, type Refusal } from "../core/result.ts";
import { type HousekeepingParts, keepHouse } from "./housekeeping.ts";

const HOUR_MS = 3_600_000;

/** A node whose open epoch began at entry 10 and time 0. */
function node(at: {
  readonly nowMs: number;
  readonly newestSeq?: number;
  readonly epochMs: number;
  readonly fork?: Refusal;
}) {
  const done: string[] = [];
  const newest = at.newestSeq === undefined ? [] : [{ seq: at.newestSeq }];
  const note = (text: string) => () => {
    done.push(text);
    return Promise.resolve(ok(undefined));
  };
  const parts: HousekeepingParts = {
    ledger: {
      books: { size: () => 12, recent: () => Promise.resolve(newest) },
      epochs: { open: () => ({ epoch: 3, first: 10, sinceMs: 0 }) },
    },
    publisher: { published: { size: 9 }, publish: note("publish") },
    settlement: {
      watchDeposits: note("deposits"),
      advance: note("advance"),
      forked: () => at.fork,
      close: () => {
        done.push("close");
        return Promise.resolve(ok({ record: { epoch: 3 } }));
      },
    },
    business: { round: () => Promise.resolve(), watchClaims: async () => ok(undefined) },
    factory: { pump: () => undefined },
    workshop: { settleBindings: note("bindings") },
    contexts: { weighAll: note("contexts") },
    chain: { tend: note("chain") },
    ...{ epochMs: at.epochMs, nowMs: () => at.nowMs, say: (text: string) => done.push(text) },
    end: ({ message }) => done.push(`ends: ${message}`),
  };
  return { done, parts };
}

test.each([
  // age of the epoch, newest receipt, epoch length → closed
  { nowMs: HOUR_MS, newestSeq: 11, epochMs: HOUR_MS, closes: true, why: "old enough, with a receipt" },
  { nowMs: HOUR_MS - 1, newestSeq: 11, epochMs: HOUR_MS, closes: false, why: "too young" },
  {
    nowMs: HOUR_MS,
    newestSeq: 9,
    epochMs: HOUR_MS,
    closes: false,
    why: "its last receipt belongs to the epoch before",
  },
  { nowMs: HOUR_MS, epochMs: HOUR_MS, closes: false, why: "no receipt at all" },
  { nowMs: 9 * HOUR_MS, newestSeq: 11, epochMs: 0, closes: false, why: "closing is left to others" },
])("an epoch closes: $closes, $why", async ({ closes, ...at }) => {
  const { done, parts } = node(at);
  await keepHouse(parts);
  expect(done).toEqual([
    "publish",
    "chain",
    "deposits",
    ...(closes ? ["close", "epoch 3 is closed", "contexts"] : []),
    "advance",
    "bindings",
  ]);
});

test("a node that another with its keys has overtaken on the chain ends", async () => {
  const fork = { code: "conflict", message: "somebody else proposed epoch 3" } as const;
  const { done, parts } = node({ nowMs: 0, epochMs: 0, fork });
  await keepHouse(parts);
  expect(done.at(-1)).toBe("ends: somebody else proposed epoch 3");
});

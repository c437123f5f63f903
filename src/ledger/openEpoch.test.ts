import { expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { open, smallLedger } from "./testing/smallLedger.ts";

test("the first epoch is open since the journal began, the next since the one before was closed, over restarts too", async () => {
  const small = await smallLedger();
  const { store, world } = small;
  const beganMs = world.timeMs;
  expect(small.ledger.epochs.open()).toEqual({ epoch: 1, first: 0, sinceMs: beganMs });
  world.timeMs += 60_000;
  await small.ledger.close();
  const again = await open(store, world);
  expect(again.epochs.open()).toEqual({ epoch: 1, first: 0, sinceMs: beganMs });
  const { record } = unwrap(await again.epochs.closeEpoch({ registryBlock: 0 }));
  expect(again.epochs.open()).toEqual({ epoch: 2, first: record.end, sinceMs: world.timeMs });
});

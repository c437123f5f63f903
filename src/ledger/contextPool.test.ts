import { describe, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { EVIDENCE_TOTAL } from "../core/route.ts";
import {
  account,
  assets,
  draft,
  id32,
  parties,
  type SmallLedger,
  smallLedger,
  verified,
} from "./testing/smallLedger.ts";

/** Of this, 250 nano are the model's, whose owner owns the context too, and 100 the context's. */
const ROYALTY = 1_000;

describe("who made a datanet's context", () => {
  test("is its owner until what it changed was measured, and then the pool of those who made it, exactly", async () => {
    const small = await smallLedger();
    await execute(small);
    expect(await earned(small)).toEqual({ owner: 250 + 100, ann: 0, ben: 0 });
    unwrap(await small.ledger.assets.creditContext(assets.datanet, makers(3, 1)));
    await execute(small);
    await execute(small);
    const { owner, ann, ben } = await earned(small);
    expect([owner, ann + ben]).toEqual([3 * 250 + 100, 2 * 100]);
    expect(Math.abs(ann - 150)).toBeLessThanOrEqual(1);
    await verified(small);
  });

  test("is measured again: the same is the same pool, and others are paid from then on only", async () => {
    const small = await smallLedger();
    const first = unwrap(await small.ledger.assets.creditContext(assets.datanet, makers(3, 1)));
    expect(toHex(unwrap(await small.ledger.assets.creditContext(assets.datanet, makers(3, 1))))).toBe(toHex(first));
    await execute(small);
    unwrap(await small.ledger.assets.creditContext(assets.datanet, makers(0, 1)));
    await execute(small);
    const { ann, ben } = await earned(small);
    expect(ann + ben).toBe(200);
    expect(Math.abs(ann - 75)).toBeLessThanOrEqual(1);
    await verified(small);
  });

  test.each([
    ["an unknown datanet", id32(99), makers(1, 1)],
    ["a model", assets.model, makers(1, 1)],
    ["nobody", assets.datanet, []],
    ["half a weight", assets.datanet, makers(0.5, 1)],
    ["too much weight", assets.datanet, makers(2 ** 32, 1)],
  ])("%s is refused", async (_, datanet, shares) => {
    const small = await smallLedger();
    expect((await small.ledger.assets.creditContext(datanet, shares)).ok).toBe(false);
  });
});

function makers(ann: number, ben: number) {
  return [
    { payee: parties.ann, type: "party" as const, weight: ann },
    { payee: parties.ben, type: "party" as const, weight: ben },
  ].filter(({ weight }) => weight > 0);
}

async function execute(small: SmallLedger): Promise<void> {
  const { id } = await account(small, ROYALTY);
  const hold = unwrap(small.ledger.holds.place({ account: id, amount: ROYALTY }));
  const contributors = { shares: [], unattributed: EVIDENCE_TOTAL };
  unwrap(await small.ledger.books.post(draft(hold.id, 0, ROYALTY, { model: assets.model, contributors })));
}

/** Lifetime nano after the open epoch was closed, which splits the pools. */
async function earned(small: SmallLedger) {
  unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  const of = (payee: Uint8Array): number => Number(small.ledger.books.accrued(payee).lifetime);
  return { owner: of(parties.owner), ann: of(parties.ann), ben: of(parties.ben) };
}

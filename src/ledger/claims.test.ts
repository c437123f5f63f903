import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import type { ChainClaim } from "./chain.ts";
import { type ClaimStore, ClaimWatch, claimedEvent, type KnownClaim } from "./claims.ts";
import { id32, smallLedger } from "./testing/smallLedger.ts";

const claim = (block: number, index: number, more: Partial<ChainClaim> = {}): ChainClaim => ({
  ...{ payee: id32(1), account: id32(2).slice(12), epoch: 1, amount: 10n, cumulative: 10n, block, timeMs: block },
  ...{ transaction: `0x${block}`, reference: `1:0x${block}:${index}`, ...more },
});

/** As a database: what was kept stays, and a call that fails keeps nothing. */
function memory(failsAt: ReadonlySet<number> = new Set()) {
  const kept: KnownClaim[] = [];
  let [readUntil, calls]: [number | undefined, number] = [undefined, 0];
  const store: ClaimStore = {
    claimsReadUntil: async () => readUntil,
    claims: async () => kept,
    addClaims: async (claims, until) => {
      calls += 1;
      if (failsAt.has(calls)) throw new Error("killed");
      const fresh = claims.filter(({ reference }) => kept.every((one) => one.reference !== reference));
      kept.push(...fresh);
      readUntil = Math.max(readUntil ?? 0, until);
      return fresh.length;
    },
  };
  return { store, kept };
}

async function ledgerAt(registryBlock: number) {
  const small = await smallLedger();
  unwrap(await small.ledger.epochs.closeEpoch({ registryBlock }));
  return small.ledger;
}

test("every claim is kept once and in order, whenever the process ends and however far the chain is", async () => {
  const ledger = await ledgerAt(3);
  const step = fc.record({ blocks: fc.nat(12_000), claims: fc.nat(3), isKilled: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.integer({ min: 0, max: 2 }), async (steps, lagBlocks) => {
      const made: ChainClaim[] = [];
      const kills = new Set(steps.flatMap(({ isKilled }, i) => (isKilled ? [i + 1] : [])));
      const { store, kept } = memory(kills);
      let last = 3;
      const chain = {
        block: async () => last,
        claims: async (_ledger: Uint8Array, from: number, until: number) => {
          expect(until - from).toBeLessThan(5_000);
          return { ok: true as const, value: made.filter(({ block }) => block >= from && block <= until) };
        },
      };
      const round = async () => {
        const rate = () => ({ nanoPerUsd: 5, source: "test" });
        // A process that has just begun: all that it knows is in the store.
        await new ClaimWatch({ ledger, chain, store, lagBlocks, rate, nowMs: () => 9 }).round().catch(() => undefined);
      };
      for (const { blocks, claims } of steps) {
        last += blocks;
        for (let i = 0; i < claims && last > 3; i++) made.push(claim(last, made.length));
        await round();
        expect(kept.every(({ block }) => block <= last - lagBlocks)).toBe(true);
      }
      last += lagBlocks;
      for (let i = 0; i <= steps.length; i++) await round();
      expect(kept.map(({ reference }) => reference)).toEqual(made.map(({ reference }) => reference));
    }),
    { numRuns: 40 },
  );
});

test("nothing is read before there was an epoch on chain, and what fails is tried again", async () => {
  const { store, kept } = memory();
  const asked: number[][] = [];
  let isAway = false;
  const chain = {
    block: async () => 20,
    claims: async (_ledger: Uint8Array, from: number, until: number) => {
      asked.push([from, until]);
      if (isAway) return { ok: false as const, error: { code: "chain_unavailable" as const, message: "away" } };
      return { ok: true as const, value: [claim(12, 0)] };
    },
  };
  const parts = { chain, store, lagBlocks: 0, rate: () => ({ nanoPerUsd: 7, source: "test" }), nowMs: () => 30 };
  expect(await new ClaimWatch({ ...parts, ledger: await ledgerAt(0) }).round()).toEqual({ ok: true, value: 0 });
  expect(asked).toEqual([]);
  const ledger = await ledgerAt(12);
  isAway = true;
  expect((await new ClaimWatch({ ...parts, ledger }).round()).ok).toBe(false);
  isAway = false;
  expect(unwrap(await new ClaimWatch({ ...parts, ledger }).round())).toBe(1);
  expect(unwrap(await new ClaimWatch({ ...parts, ledger }).round())).toBe(0);
  expect(asked).toEqual([
    [12, 20],
    [12, 20],
  ]);
  expect(kept[0]?.rate).toEqual({ nanoPerUsd: 7, source: "test", atMs: 30 });
});

test("its event says what was paid, what the relay took, and at which rate", () => {
  const fee = { relayer: "0xa", nano: 3n, gasUsed: 9, gasPriceWei: 1n, microOpenPerEth: 2 };
  const rate = { nanoPerUsd: 5, source: "test", atMs: 0 };
  const { payee, account, amount, ...rest } = claim(4, 0);
  const known = { ...rest, payee: toHex(payee), account: toHex(account), nano: amount, rate };
  expect(claimedEvent(known)).toMatchObject({ nano: "10", fee: "0", paid: "10", nanoPerUsd: 5, rateSource: "test" });
  expect(claimedEvent({ ...known, fee })).toMatchObject({ nano: "10", fee: "3", paid: "7" });
});

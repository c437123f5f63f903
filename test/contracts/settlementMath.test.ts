import fc from "fast-check";
import { type Hex, parseAbi } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareBytes, toHex } from "../../src/core/bytes.ts";
import { unwrap } from "../../src/core/result.ts";
import {
  indexTotals,
  POSTING_LEAF_BYTES,
  packPostings,
  packTotals,
  runningTotals,
  TOTAL_LEAF_BYTES,
} from "../../src/core/settlement.ts";
import { SettlementTree } from "../../src/core/settlementTree.ts";
import { poolOffset, splitSystematic, stageOffset } from "../../src/core/split.ts";
import { type Bench, compileHarness, openBench } from "./harness.ts";

/** The same inputs through Solidity in a real EVM and through `src/core`: the same bits. */
const abi = parseAbi([
  "function splitOfStage(bytes32 ledger, uint64 seq, uint8 stage, int128 amount, uint256[] weights) pure returns (int128[])",
  "function splitOfPool(bytes32 ledger, uint64 epoch, bytes32 pool, int128 amount, uint256[] weights) pure returns (int128[])",
  "function verifyPayout(bytes32 root, uint64 count, uint64 index, bytes32 payee, uint128 cumulative, bytes32[] path) pure returns (bool)",
  "function verifyPosting(bytes32 root, uint64 count, uint64 index, bytes32 payee, uint64 seq, uint32 leg, int128 amount, uint128 cumulative, uint128 grandTotal, bytes32[] path) pure returns (bool)",
]);

let bench: Bench;
let address: Hex;
beforeAll(async () => {
  bench = await openBench();
  const harness = compileHarness("test/support/SettlementMath.sol", "SettlementMath");
  address = unwrap(await bench.sender.deploy(bench.account(0), harness.abi, harness.bytecode, []));
});
afterAll(() => bench.chain.stop());

const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const seq = fc.oneof(fc.nat(3), fc.maxSafeNat());
const amount = fc.oneof(fc.integer({ min: -5, max: 40 }), fc.maxSafeInteger());
const weights = fc
  .array(fc.oneof(fc.nat(3), fc.nat(60_000_000)), { minLength: 1, maxLength: 64 })
  .filter((some) => some.some((weight) => weight > 0));
const runs = { numRuns: 60 };

describe("splits", () => {
  test("a stage of a receipt", async () => {
    await fc.assert(
      fc.asyncProperty(id, seq, fc.nat(7), amount, weights, async (ledger, at, stage, size, some) => {
        const args = [toHex(ledger), BigInt(at), stage, BigInt(size), some.map(BigInt)] as const;
        const parts = await bench.sender.client.readContract({ address, abi, functionName: "splitOfStage", args });
        const total = some.reduce((sum, weight) => sum + weight, 0);
        expect(splitSystematic(size, some, stageOffset(ledger, at, stage, total)).map(BigInt)).toEqual(parts);
      }),
      runs,
    );
  });

  test("a pool at the close of an epoch", async () => {
    await fc.assert(
      fc.asyncProperty(id, seq, id, amount, weights, async (ledger, epoch, pool, size, some) => {
        const args = [toHex(ledger), BigInt(epoch), toHex(pool), BigInt(size), some.map(BigInt)] as const;
        const parts = await bench.sender.client.readContract({ address, abi, functionName: "splitOfPool", args });
        const total = some.reduce((sum, weight) => sum + weight, 0);
        expect(splitSystematic(size, some, poolOffset(ledger, epoch, pool, total)).map(BigInt)).toEqual(parts);
      }),
      runs,
    );
  });
});

describe("trees", () => {
  const parties = fc.uniqueArray(id, { minLength: 1, maxLength: 40, selector: toHex });

  test("a payout's proof, and no other payout's", async () => {
    const cumulative = fc.bigInt(1n, 2n ** 128n - 1n);
    await fc.assert(
      fc.asyncProperty(parties, cumulative, fc.nat(), async (some, lifetime, pick) => {
        const totals = some.toSorted(compareBytes).map((party) => ({ party, cumulative: lifetime }));
        const tree = SettlementTree.build(packTotals(indexTotals(totals), totals.length), TOTAL_LEAF_BYTES);
        const index = pick % totals.length;
        const verify = (at: number, nano: bigint) => {
          const path = tree.proof(index).map(toHex);
          const leaf = [BigInt(at), toHex(totals[index]!.party), nano] as const;
          const args = [toHex(tree.root), BigInt(totals.length), ...leaf, path] as const;
          return bench.sender.client.readContract({ address, abi, functionName: "verifyPayout", args });
        };
        expect(await verify(index, lifetime)).toBe(true);
        expect(await verify(index, lifetime - 1n)).toBe(false);
        expect(await verify(index + totals.length, lifetime)).toBe(false);
      }),
      runs,
    );
  });

  test("a posting's proof, signed amounts included", async () => {
    const posting = fc.record({ payee: id, seq, leg: fc.nat(2 ** 32 - 1), amount });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(posting, { minLength: 1, maxLength: 20, selector: ({ payee }) => toHex(payee) }),
        fc.nat(),
        async (some, pick) => {
          const sorted = some.toSorted((a, b) => compareBytes(a.payee, b.payee));
          // Lifetime totals large enough that a negative posting leaves them positive.
          const leaves = [...runningTotals(sorted, () => 2n ** 60n, 2n ** 70n)];
          const tree = SettlementTree.build(packPostings(leaves, leaves.length), POSTING_LEAF_BYTES);
          const leaf = leaves[pick % leaves.length]!;
          const verify = (shown: number) =>
            bench.sender.client.readContract({
              address,
              abi,
              functionName: "verifyPosting",
              args: [
                ...([toHex(tree.root), BigInt(leaves.length), BigInt(leaf.index), toHex(leaf.payee)] as const),
                ...([BigInt(leaf.seq), leaf.leg, BigInt(shown), leaf.cumulative, leaf.grandTotal] as const),
                tree.proof(leaf.index).map(toHex),
              ],
            });
          expect(await verify(leaf.amount)).toBe(true);
          expect(await verify(-leaf.amount - 1)).toBe(false);
        },
      ),
      runs,
    );
  });
});

import { execFileSync } from "node:child_process";
import type { Hex } from "viem";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployContracts, readArtifact } from "../../src/chain/deploy.ts";
import { readEpoch } from "../../src/chain/epochLog.ts";
import { compareBytes, fromHex, padAddress, toHex } from "../../src/core/bytes.ts";
import { checkpointDigest, signDigest } from "../../src/core/eip712.ts";
import { defaultPolicyBps, type FeePolicy, policyHash } from "../../src/core/policy.ts";
import { unwrap } from "../../src/core/result.ts";
import { indexTotals, packTotals, TOTAL_LEAF_BYTES } from "../../src/core/settlement.ts";
import { SettlementTree } from "../../src/core/settlementTree.ts";
import type { ContractAddresses } from "../../src/ledger/chain.ts";
import { type Bench, openBench } from "./harness.ts";

/** One loop over a real chain: deposit, propose, finalise, claim, withdraw; trees, hashes and signatures from `src/core`. */
const NANO = 1_000_000_000n;
const BOND_NANO = 1_000n;
const periods = { epochSeconds: 60, windowSeconds: 600, thawSeconds: 1_000, noticeSeconds: 300, expirySeconds: 3_600 };
const payeeBytes = (byte: number) => new Uint8Array(32).fill(byte, 12);
const policy: FeePolicy = {
  ...defaultPolicyBps,
  treasuryPayee: payeeBytes(1),
  reservePayee: payeeBytes(2),
  datanetReservePayee: payeeBytes(3),
};

let bench: Bench;
let contracts: ContractAddresses;
let ledger: Uint8Array;
beforeAll(async () => {
  bench = await openBench();
  const floors = { windowSeconds: 60, noticeSeconds: 120, expirySeconds: 600, bondNano: BOND_NANO };
  contracts = unwrap(await deployContracts(bench.sender, bench.account(0), policy, floors));
});
afterAll(() => bench.chain.stop());

test("the committed artifacts are what the source compiles to", () => {
  expect(execFileSync("node", ["contracts/build.mjs", "--check"], { encoding: "utf8" })).toContain("match");
});

test("the policy's hash is the contract's", async () => {
  expect(await read("policy", "FeePolicy", "current", [])).toBe(toHex(policyHash(policy)));
});

test("deposit, propose, finalise, claim, withdraw", async () => {
  const node = bench.account(0);
  const roles = { signer: node.address, proposer: node.address, attestor: node.address };
  const salt = toHex(new Uint8Array(32));
  await send(0, "settlement", "EpochSettlement", "openLedger", [salt, roles, periods]);
  ledger = fromHex(String(await read("settlement", "EpochSettlement", "ledgerId", [node.address, salt])));
  await send(0, "token", "OpenToken", "approve", [toHex(contracts.settlement), BOND_NANO * NANO]);
  await send(0, "settlement", "EpochSettlement", "postBond", [toHex(ledger), node.address, BOND_NANO * NANO]);
  const [payer, earner] = [bench.account(1).address, bench.account(2).address];
  await send(0, "token", "OpenToken", "transfer", [payer, 1_000n * NANO]);
  await send(1, "token", "OpenToken", "approve", [toHex(contracts.escrow), 1_000n * NANO]);
  await send(1, "escrow", "PayerEscrow", "deposit", [toHex(ledger), payer, 1_000n * NANO]);

  const payouts = treeOf([
    [payeeBytes(9), 100n],
    [padAddress(fromHex(earner)), 250n],
    [payeeBytes(1), 50n],
  ]);
  const debits = treeOf([
    [padAddress(fromHex(payer)), 390n],
    [payeeBytes(7), 10n],
  ]);
  const query = { ledger, epoch: 1, windowSeconds: periods.windowSeconds };
  expect(await readEpoch(bench.sender, contracts.settlement, query)).toEqual({ ok: true, value: undefined });
  await propose(payouts.tree, debits.tree);
  expect(unwrap(await readEpoch(bench.sender, contracts.settlement, query))).toMatchObject({
    ...{ status: "proposed", journalSize: 12, journalRoot: new Uint8Array(32).fill(0x10) },
    ...{ postingsRoot: new Uint8Array(32).fill(0x11), postingsCount: 5, policyHash: policyHash(policy) },
    ...{ payoutRoot: payouts.tree.root, payoutCount: 3, debitRoot: debits.tree.root, debitCount: 2 },
    ...{ credits: 400n, debits: 400n },
  });
  const due = [toHex(ledger), 1n, ...payouts.proofOf(padAddress(fromHex(earner)))] as const;
  expect(await refusal(3, "settlement", "EpochSettlement", "claimFor", due)).toContain("NotFinal");
  expect(await refusal(3, "settlement", "EpochSettlement", "finalise", [toHex(ledger), 1n])).toContain(
    "WindowStillRuns",
  );
  await bench.pass(periods.windowSeconds);
  await send(3, "settlement", "EpochSettlement", "finalise", [toHex(ledger), 1n]);
  await send(3, "settlement", "EpochSettlement", "claimFor", due);
  expect(await read("token", "OpenToken", "balanceOf", [earner])).toBe(250n * NANO);
  expect(await refusal(3, "settlement", "EpochSettlement", "claimFor", due)).toContain("NothingDue");

  await send(1, "escrow", "PayerEscrow", "requestWithdrawal", [toHex(ledger), 1_000n * NANO]);
  await bench.pass(periods.thawSeconds);
  const [index, party, cumulative, path] = debits.proofOf(padAddress(fromHex(payer)));
  const leaf = { index, payer: party, cumulative, path };
  await send(1, "escrow", "PayerEscrow", "withdraw", [toHex(ledger), payer, [leaf]]);
  expect(await read("token", "OpenToken", "balanceOf", [payer])).toBe(600n * NANO); // 390 of its own, 10 for whom it stood in
  expect(await read("token", "OpenToken", "balanceOf", [toHex(contracts.escrow)])).toBe(150n * NANO); // unclaimed
});

type Where = "settlement" | "escrow" | "token" | "policy";

async function propose(payouts: SettlementTree, debits: SettlementTree): Promise<void> {
  const journalRoot = new Uint8Array(32).fill(0x10);
  const domain = { chainId: bench.chain.chainId, verifyingContract: contracts.settlement };
  const digest = checkpointDigest(domain, { ledger, size: 12, root: journalRoot });
  const key = bench.account(0).getHdKey().privateKey;
  if (key === null) throw new Error("an account of a mnemonic has a key");
  const commitment = {
    ledger: toHex(ledger),
    epoch: 1n,
    journalSize: 12n,
    journalRoot: toHex(journalRoot),
    postingsRoot: toHex(new Uint8Array(32).fill(0x11)),
    postingsCount: 5n,
    payoutRoot: toHex(payouts.root),
    payoutCount: BigInt(payouts.count),
    debitRoot: toHex(debits.root),
    debitCount: BigInt(debits.count),
    credits: 400n,
    debits: 400n,
    registryBlock: (await bench.sender.client.getBlockNumber({ cacheTime: 0 })) - 1n,
    policyHash: toHex(policyHash(policy)),
  };
  await send(0, "settlement", "EpochSettlement", "propose", [commitment, toHex(signDigest(key, digest))]);
}

/** A tree over lifetime totals, and for each party what a contract needs: index, party, total, path. */
function treeOf(rows: readonly (readonly [Uint8Array, bigint])[]) {
  const totals = rows.map(([party, cumulative]) => ({ party, cumulative }));
  totals.sort((a, b) => compareBytes(a.party, b.party));
  const leaves = [...indexTotals(totals)];
  const tree = SettlementTree.build(packTotals(leaves, leaves.length), TOTAL_LEAF_BYTES);
  const proofOf = (party: Uint8Array): [bigint, Hex, bigint, Hex[]] => {
    const leaf = leaves.find((some) => compareBytes(some.party, party) === 0);
    if (leaf === undefined) throw new Error("a party of the tree");
    return [BigInt(leaf.index), toHex(party), leaf.cumulative, tree.proof(leaf.index).map(toHex)];
  };
  return { tree, proofOf };
}

async function send(from: number, where: Where, name: string, call: string, args: readonly unknown[]): Promise<void> {
  unwrap(await attempt(from, where, name, call, args));
}

async function refusal(from: number, where: Where, name: string, call: string, args: readonly unknown[]) {
  const attempted = await attempt(from, where, name, call, args);
  return attempted.ok ? "it went through" : attempted.error.message;
}

function attempt(from: number, where: Where, name: string, call: string, args: readonly unknown[]) {
  const to = toHex(contracts[where]);
  return bench.sender.send(bench.account(from), { to, abi: readArtifact(name).abi, name: call, args });
}

function read(where: Where, name: string, functionName: string, args: readonly unknown[]): Promise<unknown> {
  const { abi } = readArtifact(name);
  return bench.sender.client.readContract({ address: toHex(contracts[where]), abi, functionName, args });
}

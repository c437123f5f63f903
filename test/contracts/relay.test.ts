import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mnemonicToAccount } from "viem/accounts";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { tokenAbi } from "../../src/chain/abi.ts";
import { deployRelay, readArtifact } from "../../src/chain/deploy.ts";
import { EvmRelay } from "../../src/chain/evmRelay.ts";
import { fromHex, padAddress, toHex } from "../../src/core/bytes.ts";
import { unwrap } from "../../src/core/result.ts";
import { ClaimWatch } from "../../src/ledger/claims.ts";
import { nanoOf } from "../../src/ledger/relay.ts";
import { RelayDesk } from "../../src/ledger/relayDesk.ts";
import type { RelayTerms, SignedRelayTerms } from "../../src/ledger/relayPorts.ts";
import { openRelayPart } from "../../src/node/relayPart.ts";
import { type OpenPayoutStore, openPayoutStore } from "../../src/store/payoutStore.ts";
import { testDatabase } from "../support/testDatabase.ts";
import { type ChainWorld, openChainWorld } from "./chainWorld.ts";

/** Consents, batches, fees and what is known of them afterwards, over the real contracts and a real database. */
const RATE = 30_000_000;
const DAY_MS = 86_400_000;
let world: ChainWorld;
let database: Awaited<ReturnType<typeof testDatabase>>;
let store: OpenPayoutStore;
let relay: EvmRelay;
let nowMs = Date.UTC(2027, 0, 1);
beforeAll(async () => {
  [world, database] = await Promise.all([openChainWorld(), testDatabase()]);
  store = unwrap(await openPayoutStore(database));
  const { sender, chainOf } = world;
  const account = world.account(0);
  const { settlement, token } = chainOf.contracts;
  const contract = unwrap(await deployRelay(sender, account, { settlement, token }));
  world.useRelay(contract);
  const { chainId } = chainOf;
  relay = new EvmRelay({ sender, chainId, contract, token, account, microOpenPerEth: RATE });
});
afterAll(async () => {
  await store.close();
  await database.drop();
  await world.chain.stop();
});

const accountOf = (index: number) => mnemonicToAccount(world.chain.mnemonic, { addressIndex: index });
const payeeOf = (index: number) => padAddress(fromHex(accountOf(index).address));
const idOf = (index: number) => toHex(payeeOf(index));

/** As of a process that has just begun. */
function desk(policy: Partial<RelayDesk["policy"]> = {}): RelayDesk {
  return new RelayDesk({
    ...{ ledger: world.ledger, chain: world.chainOf, relay, store: store.relays, claims: store.claims },
    policy: { patienceMs: 365 * DAY_MS, subsidyBps: 10_000, everyMs: DAY_MS, ...policy },
    ...{ treasury: padAddress(world.chainOf.node), nowMs: () => nowMs },
  });
}

function watch(): Promise<unknown> {
  const rate = () => ({ nanoPerUsd: 4, source: "test" });
  const parts = { ledger: world.ledger, chain: world.chainOf, store: store.claims, lagBlocks: 0, rate };
  return new ClaimWatch({ ...parts, nowMs: () => nowMs }).round().then(unwrap);
}

async function sign(index: number, more: Partial<RelayTerms> = {}, signer = index): Promise<SignedRelayTerms> {
  const until = Math.floor(nowMs / 1_000) + 1_000 * 86_400;
  const terms = { relayer: relay.relayer, feeBpsMax: 50, rateMax: RATE, until, ...more };
  const account = accountOf(index).address.toLowerCase();
  const { consent, permit } = unwrap(await relay.toSign(account, terms));
  const key = accountOf(signer);
  // biome-ignore lint/suspicious/noExplicitAny: what a wallet is given is JSON
  const signed = async (data: any) => key.signTypedData(data);
  return { terms, signature: await signed(consent), permitDeadline: until, permit: await signed(permit) };
}

test("consents are checked against the contract: only the account's own, for this relayer, while they last", async () => {
  await world.earn([1, 2, 3, 4, 5].map(payeeOf), 50_000_000_000);
  await world.settle();
  const at = desk();
  const agree = async (payee: string, signed: Promise<SignedRelayTerms>) => {
    const agreed = await at.agree(payee, await signed);
    return agreed.ok ? "ok" : agreed.error.code;
  };
  expect(await agree(idOf(1), sign(1, {}, 2))).toBe("forbidden");
  expect(await agree(idOf(2), sign(1))).toBe("forbidden");
  expect(await agree(idOf(1), sign(1, { relayer: accountOf(9).address }))).toBe("invalid_request");
  expect(await agree(idOf(1), sign(1, { until: 5 }))).toBe("invalid_request");
  expect(await agree(idOf(1), sign(1, { feeBpsMax: 201 }))).toBe("forbidden");
  expect(await agree(idOf(9), sign(9))).toBe("not_found");
  expect(await agree(idOf(1), Promise.resolve({ ...(await sign(1)), permit: (await sign(2)).permit }))).toBe(
    "forbidden",
  );
  expect(await store.relays.consents()).toEqual([]);
  const first = sign(1);
  expect(await agree(idOf(1), first)).toBe("ok");
  expect(await agree(idOf(1), first)).toBe("ok");
  for (const index of [2, 3, 4]) expect(await agree(idOf(index), sign(index))).toBe("ok");
  expect((await store.relays.consents()).map(({ payee }) => payee)).toEqual([1, 2, 3, 4].map(idOf).toSorted());
});

test("a batch pays everybody who agreed, takes its gas out of it, and is known with its fees; again there is nothing", async () => {
  const before = unwrap(await desk().outlook());
  expect(before.members.map(({ candidate }) => candidate.payee).toSorted()).toEqual([1, 2, 3, 4].map(idOf).toSorted());
  const quote = unwrap(await desk().quote(idOf(1)));
  // Somebody was faster with one, and one has taken its word back at the contract.
  const proof = unwrap(await world.ledger.epochs.payout(before.epoch, payeeOf(2)));
  unwrap(await world.chainOf.claim(world.ledger.id, before.epoch, proof));
  unwrap(await world.sender.send(accountOf(3), { to: relay.contract, ...withdrawCall, args: [] }));
  const sent = unwrap(await desk().send());
  expect(sent.transactions).toHaveLength(1);
  await watch();
  const relayed = await store.claims.claims({ relayer: relay.relayer });
  expect(relayed.map(({ payee }) => payee).toSorted()).toEqual([idOf(1), idOf(4)].toSorted());
  let fees = 0n;
  for (const { payee, nano, fee, account } of relayed) {
    expect(nano).toBe(50_000_000_000n);
    expect(fee!.nano > 0n && fee!.nano * 10_000n <= nano * 50n).toBe(true);
    expect(fee!.nano).toBe(nanoOf(fee!.gasUsed, fee!));
    expect(unwrap(await world.chainOf.balance(fromHex(account)))).toBe(nano - fee!.nano);
    expect(payee).toBe(toHex(padAddress(fromHex(account))));
    fees += fee!.nano;
  }
  expect(relayed[0]!.fee!.gasUsed).toBeLessThanOrEqual(quote.gas + 30_000);
  const receipt = await world.sender.client.getTransactionReceipt({ hash: fromHexText(sent.transactions[0]) });
  expect(
    fees <= nanoOf(Number(receipt.gasUsed), { gasPriceWei: receipt.effectiveGasPrice, microOpenPerEth: RATE }),
  ).toBe(true);
  expect((await store.claims.claims({ payee: idOf(2) }))[0]?.fee).toBeUndefined();
  expect((await store.relays.consents()).map(({ payee }) => payee)).not.toContain(idOf(3));
  // Another process, which knows only what was kept.
  expect(unwrap(await desk().send())).toMatchObject({ transactions: [], members: [], waiting: [] });
});

test("too small waits, with the amount at which it goes; after long enough it goes at the node's cost, within its budget", async () => {
  await world.earn([1, 4].map(payeeOf), 1_000);
  await world.earn([4].map(payeeOf), 500);
  await world.settle();
  const { members, waiting, budget, prices } = unwrap(await desk().outlook());
  expect(members).toEqual([]);
  expect(waiting.map(({ payee, due }) => [payee, due])).toEqual([
    [idOf(4), 1_500n],
    [idOf(1), 1_000n],
  ]);
  expect(waiting[0]!.goesAt).toBe(nanoOf(106_900, prices) * 200n);
  expect(budget >= 3n * nanoOf(106_900, prices)).toBe(true);
  nowMs += 366 * DAY_MS;
  expect(unwrap(await desk({ subsidyBps: 0 }).outlook()).members).toEqual([]);
  const at = desk();
  const sent = unwrap(await at.round());
  expect(sent?.members.map(({ candidate: { due }, fee, isFree }) => [due, fee, isFree])).toEqual([
    [1_000n, 0n, true],
    [1_500n, 0n, true],
  ]);
  // Known to whoever sent it before it is seen on chain, and to everybody afterwards.
  expect(unwrap(await at.outlook()).budget).toBeLessThan(budget);
  expect(unwrap(await at.round())).toBeUndefined();
  await watch();
  const [last] = (await store.claims.claims({ payee: idOf(4) })).slice(-1);
  expect(last).toMatchObject({ nano: 1_500n, fee: { nano: 0n } });
  expect(unwrap(await desk().outlook()).budget).toBeLessThan(budget);
  expect(unwrap(await desk().round())).toBeUndefined();
});

test("whoever takes its word back at the node is not relayed any more", async () => {
  const at = desk();
  const account = accountOf(4);
  const nothing = { relayer: relay.relayer, feeBpsMax: 0, rateMax: 0, until: 0 };
  const { consent } = unwrap(await relay.toSign(account.address.toLowerCase(), nothing));
  // biome-ignore lint/suspicious/noExplicitAny: what a wallet is given is JSON
  const signature = (key: typeof account) => key.signTypedData(consent as any);
  expect(await at.withdraw(idOf(4), await signature(accountOf(1)))).toMatchObject({ error: { code: "forbidden" } });
  expect(await at.withdraw(idOf(4), `0x${"11".repeat(65)}`)).toMatchObject({ error: { code: "forbidden" } });
  expect((await at.withdraw(idOf(4), await signature(account))).ok).toBe(true);
  expect(await at.withdraw(idOf(4), await signature(account))).toMatchObject({ error: { code: "not_found" } });
});

test("an account that cannot sign agrees and withdraws at the contract", async () => {
  const { sender, chainOf } = world;
  const at = desk();
  const account = accountOf(5);
  expect(await at.agreedOnChain(idOf(5))).toMatchObject({ error: { code: "forbidden" } });
  const terms = { relayer: relay.relayer, feeBpsMax: 100, rateMax: RATE, until: Math.floor(nowMs / 1_000) + 900_000 };
  const { abi } = readArtifact("ClaimRelay");
  unwrap(await sender.send(account, { to: relay.contract, abi, name: "consent", args: [terms] }));
  const approve = { to: toHex(chainOf.contracts.token), abi: tokenAbi, name: "approve" };
  unwrap(await sender.send(account, { ...approve, args: [relay.contract, 10n ** 27n] }));
  expect(unwrap(await at.agreedOnChain(idOf(5))).terms).toEqual(terms);
  expect(unwrap(await at.agreedOnChain(idOf(5))).terms).toEqual(terms);
  const { members } = unwrap(await at.outlook());
  expect(members.map(({ candidate: { payee, registers } }) => [payee, registers])).toEqual([[idOf(5), false]]);
  unwrap(await sender.send(account, { to: relay.contract, ...withdrawCall, args: [] }));
  expect(unwrap(await at.send()).transactions).toEqual([]);
  expect(await at.consent(idOf(5))).toBeUndefined();
});

test("while a transaction of the node is under way, no batch is sent beside it", async () => {
  const { sender } = world;
  const from = world.account(0);
  const [nonce, chainId] = [await sender.client.getTransactionCount(from), await sender.client.getChainId()];
  const { maxFeePerGas, maxPriorityFeePerGas } = await sender.client.estimateFeesPerGas();
  const serializedTransaction = await from.signTransaction({
    ...{ type: "eip1559", chainId, nonce, to: from.address, gas: 21_000n, maxFeePerGas, maxPriorityFeePerGas },
  });
  await sender.client.sendRawTransaction({ serializedTransaction });
  const proof = unwrap(await world.ledger.epochs.payout(1, payeeOf(5)));
  const send = () => relay.send(world.ledger.id, 1, [{ proof, isFree: true }]);
  expect(await send()).toMatchObject({ ok: false, error: { code: "conflict" } });
  unwrap(await sender.mine());
  expect((await send()).ok).toBe(true);
});

test("a node's relay is deployed once and found again; on another's chain it needs a rate, and a rate is a number", async () => {
  const data = await mkdtemp(join(tmpdir(), "openledger-relay-"));
  onTestFinished(() => rm(data, { recursive: true }));
  const { sender, chainOf } = world;
  const { chainId, contracts } = chainOf;
  const place = {
    data,
    sender,
    chainId,
    contracts,
    account: world.account(0),
    isOwn: true,
  };
  const first = unwrap(await openRelayPart(place, {}));
  const again = unwrap(await openRelayPart({ ...place, isOwn: false }, { openPerEth: "2500.5", everyMs: 0 }));
  expect(again?.relay.contract).toBe(first?.relay.contract);
  expect(unwrap(await again!.relay.prices()).microOpenPerEth).toBe(2_500_500_000);
  expect([first?.policy.everyMs, again?.policy.everyMs]).toEqual([DAY_MS, 0]);
  expect(unwrap(await openRelayPart({ ...place, isOwn: false }, {}))).toBeUndefined();
  for (const openPerEth of ["0", "much", "1e20"])
    expect(await openRelayPart(place, { openPerEth })).toMatchObject({ ok: false, error: { field: "relayRate" } });
  await writeFile(join(data, "contracts", `${chainId}.relay`), `0x${"12".repeat(20)}`);
  expect(await openRelayPart(place, {})).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
});

const withdrawCall = {
  abi: [{ type: "function", name: "withdraw", stateMutability: "nonpayable", inputs: [], outputs: [] }],
  name: "withdraw",
} as const;

function fromHexText(text: string | undefined): `0x${string}` {
  return toHex(fromHex(text ?? ""));
}

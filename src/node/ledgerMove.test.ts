import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mnemonicToAccount } from "viem/accounts";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { testChain } from "../../test/support/testChain.ts";
import { testDatabase } from "../../test/support/testDatabase.ts";
import { deployContracts } from "../chain/deploy.ts";
import { callNode } from "../chain/rpc.ts";
import { Sender } from "../chain/sender.ts";
import { freeTerms } from "../core/asset.ts";
import { fromHex, padAddress, toHex } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { ed25519PublicKey } from "../core/note.ts";
import { ok, type Result, unwrap } from "../core/result.ts";
import { createDatanet } from "../datanets/datanet.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import type { Payout } from "../ledger/payouts.ts";
import { Publisher } from "../ledger/publish.ts";
import { draft } from "../ledger/testing/smallLedger.ts";
import { type Verdict, verifyJournal } from "../ledger/verify.ts";
import { domainOfPart, openBooks } from "./books.ts";
import { type ChainPart, standardPolicy } from "./chainPart.ts";
import { Children, type Stoppable } from "./children.ts";
import { openDataFolder } from "./dataFolder.ts";
import { fileSink } from "./fileSink.ts";
import { CarriedBindings } from "./ledgerCarry.ts";
import { moveLedger } from "./ledgerMove.ts";
import type { MoveDone, MoveOptions } from "./ledgerMovePlan.ts";
import { trustOf } from "./nodeKeys.ts";
import { checkPlace, openPlace } from "./place.ts";
import { registerAsset, termsOf } from "./provenance.ts";
import { keepSecrets, type Secrets } from "./secrets.ts";
import { openDatabase } from "./stores.ts";

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
const hooks = { on: () => undefined, off: () => undefined, exit: () => undefined, kill: process.kill };
const [owner, heir] = [padAddress(new Uint8Array(20).fill(0x0a)), padAddress(new Uint8Array(20).fill(0x0b))];
const [secret, identity, account] = [new Uint8Array(32).fill(7), "repo:github.com/a/b", new Uint8Array(20).fill(0xa1)];
const operator = padAddress(new Uint8Array(20).fill(0x0f));

/** What this process has started, so that a part of it can be killed. */
class Started extends Children {
  readonly all: Stoppable[] = [];

  override add<T extends Stoppable>(child: T): T {
    this.all.push(child);
    return super.add(child);
  }
}

interface Place {
  readonly data: string;
  readonly databaseUrl: string;
  readonly secrets: Secrets;
}

/** A node's folder with an empty ledger on credit. */
async function newPlace(): Promise<Place> {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  const data = join(await temporaryFolder(), "data");
  const folder = unwrap(await openDataFolder({ path: data, freeBytesMin: 0 }));
  await folder.release();
  return { data, databaseUrl: database.url, secrets: await keepSecrets(data, random) };
}

/** Opens the books in a place, on credit or where they have moved, and leaves the place as it was found. */
async function inBooks<T>(
  { data, databaseUrl, secrets }: Place,
  work: (ledger: OpenLedger, part: ChainPart, stores: Stores) => Promise<T>,
): Promise<T> {
  const children = new Started(hooks, () => undefined);
  try {
    const stores = unwrap(await openDatabase(databaseUrl, children));
    const options = { data, secrets, children, randomBytes: random, onEvent: () => undefined, say: () => undefined };
    const part = unwrap(await openPlace(options, true).then((place) => (place.ok ? place : openPlace(options, false))));
    const parts = { part, store: stores.ledger, secrets, nowMs: Date.now, randomBytes: random, say: () => undefined };
    const ledger = unwrap(await openBooks(parts));
    children.add({ name: "ledger", stop: () => ledger.close() });
    const done = await work(ledger, part, stores);
    await writeFile(join(data, "ledger.json"), JSON.stringify(trustOf(ledger, part, secrets)));
    return done;
  } finally {
    await children.stopAll();
  }
}
type Stores = Extract<Awaited<ReturnType<typeof openDatabase>>, { ok: true }>["value"];

/** Two assets with owners, one of them transferred; a bound identity; two receipts, of which one is in no closed epoch; and a payout of 40 nano. */
async function fill(place: Place): Promise<void> {
  await inBooks(place, async (ledger, { chain }, { datanets, payouts }) => {
    const provenance = { chain, ledger };
    const made = { kind: "datanet", contentRoot: random(32), parents: [], terms: freeTerms, uri: "" } as const;
    const datanet = unwrap(await registerAsset(provenance, { ...made, owner }));
    const parents = [{ id: datanet.id, weight: 1 }];
    const terms = termsOf("MIT", 5_000);
    const model = unwrap(await registerAsset(provenance, { ...made, kind: "model", parents, terms }));
    unwrap(await registerAsset(provenance, { ...made, kind: "context", owner: random(32) }));
    unwrap(await ledger.assets.transfer(datanet.id, heir));
    const draftOf = { name: "net", summary: "A datanet for tests", licence: "CC0-1.0", rules: { review: "open" } };
    const net = unwrap(createDatanet({ ...draftOf, rules: { review: "open", charactersMin: 1 } }, toHex(owner), 1));
    unwrap(await datanets.createDatanet(net, secret));
    const proofHash = random(32);
    const bound = { state: "bound", to: toHex(account), noticedMs: 1, noticeEndsMs: 2, changedMs: 2 } as const;
    const of = { datanet: net.id, ledger: toHex(ledger.id), identity, proofHash: toHex(proofHash) };
    unwrap(await datanets.saveBinding("net", undefined, { ...of, ...bound }));
    const payee = identityPayeeId({ ...chain.identities, datanet: fromHex(net.id), secret }, identity);
    unwrap(await ledger.books.bind({ identity: payee, to: padAddress(account), state: "bound", proofHash }));
    const { id } = unwrap(await ledger.accounts.open({ name: "x" }));
    unwrap(await ledger.accounts.credit({ account: id, amount: 10_000, key: "k", note: "" }));
    const shares = [{ payee, type: "identity" as const, weight: 1_000_000 }];
    const post = async (cost: number) => {
      const hold = unwrap(ledger.holds.place({ account: id, amount: cost + 100 }));
      const contributors = { shares, unattributed: 0 };
      unwrap(await ledger.books.post(draft(hold.id, cost, 100, { model: model.id, operator, contributors })));
    };
    await post(60);
    unwrap(await ledger.epochs.closeEpoch({ registryBlock: 0 }));
    for (const status of ["proposed", "final"] as const) await ledger.epochs.mark(1, status, "bank");
    unwrap(await payouts.addPayout(payoutOf("paid", 40n)));
    await post(7);
  });
}

function payoutOf(status: Payout["status"], nano: bigint, number = 1): Payout {
  const lines = [{ payee: toHex(operator), nano, gross: 1, withheld: 0, net: 1 }];
  return { number, createdMs: 1, currency: "EUR", nanoPerUnit: 1, epoch: 1, status, reference: "", lines };
}

/** Moves, or is killed at the moment that it says something like this; with `killsChain` the chain dies as well, and forgets what it has not written. */
async function move(
  { data, databaseUrl }: Place,
  options: Partial<MoveOptions> = {},
  killed?: { readonly at: RegExp; readonly killsChain: boolean },
): Promise<Result<MoveDone> | "killed"> {
  const children = new Started(hooks, () => undefined);
  const say = (text: string): void => {
    if (killed?.at.test(text)) throw new Error("killed");
  };
  try {
    return await moveLedger({ data, databaseUrl, dryRun: false, nowMs: Date.now, say, ...options }, children);
  } catch (error) {
    if (!(error instanceof Error && error.message === "killed")) throw error;
    const chain = children.all.find(({ name }) => name === "anvil")?.pid?.();
    if (killed?.killsChain === true && chain !== undefined) process.kill(chain, "SIGKILL");
    return "killed";
  } finally {
    await children.stopAll();
  }
}

async function published({ data, secrets }: Place, { id, books }: OpenLedger, part: ChainPart): Promise<void> {
  const keys = { domain: domainOfPart(part), ed25519: secrets.log, secp256k1: secrets.signer };
  const entries = (from: number, until: number) => books.entries(from, until);
  await new Publisher({ ledger: id, sink: fileSink(join(data, "journal")), keys, entries }).publish(books.size());
}

async function verified({ data, secrets }: Place, ledger: OpenLedger, { chain }: ChainPart): Promise<Verdict> {
  const domain = { chainId: chain.chainId, verifyingContract: chain.settlement };
  const keys = { ed25519: ed25519PublicKey(secrets.log), signer: addressOf(secrets.signer) };
  const sink = fileSink(join(data, "journal"));
  const input = { read: (path: string) => sink.read(path), trust: { ledger: ledger.id, domain, ...keys } };
  return unwrap(await verifyJournal({ ...input, chainEpoch: (epoch) => chain.epoch(ledger.id, epoch) }));
}

const moments = [
  ...[/closing the open epoch/, /starting the development chain/, /deploying/, /taking the ledger/, /registering/],
  ...[/giving notice/, /depositing/, /journalling/, /publishing/, /proposing/],
];

test.each([
  ["it", false],
  ["it and its chain", true],
])(
  "what kills %s between any two steps, the next run finishes: one history, what is owed, and nothing twice",
  async (_what, killsChain) => {
    const place = await newPlace();
    await fill(place);
    const planned = await move(place, { dryRun: true });
    // Receipts of 160 and 107 nano, and a payout of 40.
    expect(planned).toMatchObject({
      ok: true,
      value: { state: "planned", plan: { credited: 267n, paid: 40n, owed: 227n } },
    });
    for (const at of moments) expect([at, await move(place, {}, { at, killsChain })]).toEqual([at, "killed"]);
    // The journal has moved and the folder does not say so yet: a node does not start on credit.
    const isElsewhere = await inBooks(place, async (ledger, part) => checkPlace(ledger, part));
    expect(isElsewhere).toMatchObject({
      ok: false,
      error: { code: "conflict", hint: expect.stringContaining("move") },
    });
    const moved = await move(place);
    expect(moved).toMatchObject({
      ok: true,
      value: { state: "moved", chainId: 31_337, plan: { owed: 227n, paid: 40n } },
    });
    expect(await move(place)).toMatchObject({ ok: true, value: { state: "moved before" } });

    await inBooks(place, async (ledger, part, { datanets }) => {
      const { chain } = part;
      expect(checkPlace(ledger, part)).toEqual(ok(undefined));
      const verdict = await verified(place, ledger, part);
      expect(verdict.epochs.map((epoch) => epoch.chain)).toEqual(["on credit", "on credit", "proposed"]);
      expect(verdict.moved).toMatchObject({ credited: 267n, owed: 227n });
      const found = await chain.movements(ledger.id, 0, await chain.block());
      expect(unwrap(found).map(({ amount }) => amount)).toEqual([227n + 1_000_000_000_000n]);
      const owners = await Promise.all(
        ledger.assets.list().map(async ({ id }) => toHex(unwrap(await chain.ownerOf(id)))),
      );
      expect(owners.sort()).toEqual([toHex(heir.slice(12)), toHex(chain.node), toHex(chain.node)].sort());
      const own = unwrap(await ledger.epochs.payout(3, operator));
      expect(own.cumulative).toBe(27n);
      // An asset that is made after the move gets its id as those before it did, and the same content is the same asset.
      const [again] = ledger.assets.list();
      const { kind, contentRoot, terms, parents } = again!;
      const same = unwrap(await registerAsset({ chain, ledger }, { kind, contentRoot, terms, parents, uri: "" }));
      expect(toHex(same.id)).toBe(toHex(again!.id));
      const carried = new CarriedBindings({ chain, ledger, store: datanets, nowMs: Date.now });
      const payee = identityPayeeId(
        { ...chain.identities, datanet: fromHex((await datanets.datanet("net"))!.id), secret },
        identity,
      );
      await expect
        .poll(
          async () => {
            unwrap(await carried.finalise());
            return unwrap(await chain.entitledTo(ledger.id, payee));
          },
          { timeout: 30_000, interval: 500 },
        )
        .toEqual(account);
    });
  },
  120_000,
);

test("a ledger is not moved while it is not clear what it owes, or where it is", async () => {
  const place = await newPlace();
  const refused = async (options: Partial<MoveOptions> = {}): Promise<string> => {
    const done = await move(place, options);
    return done === "killed" || done.ok ? "done" : `${done.error.code}: ${done.error.message} ${done.error.hint}`;
  };
  expect(await refused()).toMatch(/not_found.*holds no ledger/);
  await fill(place);
  await inBooks(place, async (_ledger, _part, { payouts }) => unwrap(await payouts.addPayout(payoutOf("open", 1n, 2))));
  expect(await refused()).toMatch(/conflict: payout 2 is with the bank/);
  await inBooks(place, async (_ledger, _part, { payouts }) =>
    unwrap(await payouts.endPayout(2, { status: "cancelled", reference: "x" })),
  );
  await inBooks(place, async (_ledger, _part, { payouts }) =>
    unwrap(await payouts.addPayout(payoutOf("paid", 90n, 3))),
  );
  expect(await refused()).toMatch(/conflict: payee 0x0{24}0f.*has 63 nano more than it was credited/);
  const other = await testDatabase();
  onTestFinished(() => other.drop());
  await inBooks(place, (ledger, part) => published(place, ledger, part));
  expect(await refused({ databaseUrl: other.url })).toMatch(
    /conflict: the database does not hold the journal of \d+ entries/,
  );
  const running = unwrap(await openDataFolder({ path: place.data, freeBytesMin: 0 }));
  expect(await refused()).toMatch(/data_folder_in_use.*stop the node first/);
  await running.release();
  const trust = await inBooks(place, async (ledger, part) => trustOf(ledger, part, place.secrets));
  await writeFile(join(place.data, "ledger.json"), JSON.stringify({ ...trust, ledger: toHex(random(32)), chainId: 1 }));
  expect(await refused()).toMatch(/conflict.*on chain 1 since it began/);
});

test("on a chain of others the node needs coins for gas and the OPEN that it owes, and is told how much before anything is sent", async () => {
  const place = await newPlace();
  await fill(place);
  const anvil = await testChain();
  onTestFinished(() => anvil.stop());
  const external = { chain: { rpcUrl: anvil.rpcUrl, privateKey: "" } };
  const node = toHex(addressOf(place.secrets.signer));
  const error = async (): Promise<unknown> => {
    const done = await move(place, external);
    return done === "killed" || done.ok ? done : done.error;
  };
  expect(await error()).toMatchObject({ code: "insufficient_funds", message: expect.stringContaining("pay gas") });
  unwrap(await callNode(anvil.rpcUrl, "anvil_setBalance", [node, "0xde0b6b3a7640000"]));
  const sender = new Sender({ url: anvil.rpcUrl, mines: true });
  const rich = mnemonicToAccount(anvil.mnemonic);
  const floors = { windowSeconds: 1, noticeSeconds: 1, expirySeconds: 1, bondNano: 1n };
  const policy = standardPolicy(fromHex(node));
  const contracts = unwrap(await deployContracts(sender, rich, policy, floors));
  const named = Object.fromEntries(Object.entries(contracts).map(([name, at]) => [name, toHex(at)]));
  await mkdir(join(place.data, "contracts"));
  await writeFile(join(place.data, "contracts", "31337.json"), JSON.stringify(named));
  const before = await sender.client.getBlockNumber({ cacheTime: 0 });
  expect(await error()).toMatchObject({
    code: "insufficient_funds",
    message: expect.stringMatching(/has 0 OPEN, and needs 1000\.000000227: 0\.000000227 to deposit, 1000 as its bond/),
  });
  expect(await sender.client.getBlockNumber({ cacheTime: 0 })).toBe(before);
});

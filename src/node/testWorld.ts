import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { concat, padAddress, toHex, utf8 } from "../core/bytes.ts";
import { addressOf, type Domain } from "../core/eip712.ts";
import { keccak256 } from "../core/hash.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { openSigner } from "../core/signer.ts";
import { TEST_KEY_PREFIX } from "../gateway/door.ts";
import { Gateway } from "../gateway/gateway.ts";
import type { ChainView, World } from "../gateway/ports.ts";
import { loadSecp256k1 } from "../host/secp256k1.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { type OpenLedger, openLedger } from "../ledger/openLedger.ts";
import type { LedgerStore } from "../ledger/ports.ts";
import { Publisher } from "../ledger/publish.ts";
import { openLedgerStore } from "../store/ledgerStore.ts";
import { openPayoutStore } from "../store/payoutStore.ts";
import { testEngine } from "../upstream/testEngine.ts";
import { type Business, openBusiness } from "./businessPart.ts";
import { standardPolicy } from "./chainPart.ts";
import type { Children } from "./children.ts";
import { CreditSettlement } from "./creditSettlement.ts";
import { epochControl } from "./epochControl.ts";
import { fileSink } from "./fileSink.ts";
import { type HousekeepingParts, keepHouse } from "./housekeeping.ts";
import { keepAdminKey } from "./nodeKeys.ts";
import { type Secrets, testWorldFolder } from "./secrets.ts";
import { TestClock } from "./testClock.ts";
import { furnishTestWorld, nameOfTestPayee, TestHappenings } from "./testHappenings.ts";

export interface TestWorldParts {
  readonly data: string;
  /** A PostgreSQL database that holds nothing but this world. */
  readonly url: string;
  readonly secrets: Secrets;
  readonly children: Children;
  readonly world: World;
  readonly epochMs: number;
  readonly callsInside: boolean;
  readonly say: (text: string) => void;
}

export interface TestWorld {
  readonly gateway: Gateway;
  readonly adminKey: string;
}

/**
 * A second world behind the same door, for tests: a ledger on credit of its own, in a database of its own, with keys that open nothing in the live one, a model whose
 * answers are known beforehand, and a clock that can be moved. What it signs, it signs with keys of its own, so no test receipt passes for a live one.
 */
export async function openTestWorld(parts: TestWorldParts): Promise<Result<TestWorld>> {
  const { data, url, children, world, callsInside, say } = parts;
  const folder = testWorldFolder(data);
  await mkdir(join(folder, "secrets"), { recursive: true, mode: 0o700 });
  const store = await openLedgerStore({ url, connections: 2 });
  if (!store.ok) return store;
  children.add({ name: "test world's ledger store", stop: () => store.value.close() });
  const payoutStore = await openPayoutStore({ url });
  if (!payoutStore.ok) return payoutStore;
  children.add({ name: "test world's payout store", stop: () => payoutStore.value.close() });
  const clock = await TestClock.open(join(folder, "clock.json"), () => world.nowMs());
  const nowMs = (): number => clock.nowMs();
  const secrets = testSecrets(parts.secrets);
  const opened = await openTestLedger(secrets, store.value, { ...world, nowMs }, say);
  if (!opened.ok) return opened;
  const ledger = opened.value;
  children.add({ name: "test world's ledger", stop: () => ledger.close() });
  const furnished = await furnishTestWorld(ledger);
  if (!furnished.ok) return furnished;
  const sink = fileSink(join(folder, "journal"));
  const entries = (from: number, until: number) => ledger.books.entries(from, until);
  const keys = { domain: testDomain, ed25519: secrets.log, secp256k1: secrets.signer };
  const publisher = new Publisher({ ledger: ledger.id, sink, keys, entries });
  const settlement = new CreditSettlement(ledger, publisher);
  const business = openBusiness({
    ...{ ledger, store: payoutStore.value, chain: undefined, nowMs, randomBytes: world.randomBytes, say, callsInside },
    rate: () => ({ nanoPerUsd: 1_000_000_000, source: "test" }),
    ...{ nanoPerUsd: () => 1_000_000_000, labelOf: nameOfTestPayee },
  });
  children.add({ name: "test world's webhooks", stop: () => business.close() });
  const house: HousekeepingParts = {
    ...{ ledger, publisher, settlement, business, epochMs: parts.epochMs, nowMs, say },
    ...{ workshop: { settleBindings: async () => ok(undefined) }, factory: { pump: () => undefined } },
    contexts: { weighAll: async () => ok(undefined) },
    chain: {},
  };
  const rounds = startRounds(house, say);
  const happenings = new TestHappenings({ ledger, settlement, business, randomBytes: world.randomBytes });
  const gateway = new Gateway({
    ...{ world: { ...world, nowMs }, ledger, organisations: ledger.organisations, journal: sink },
    ...business.gateway,
    ...{ epochs: epochControl(settlement), chain: claimsOf(business) },
    labels: (payee) => nameOfTestPayee(toHex(payee)),
    test: {
      nowMs,
      aheadMs: () => clock.aheadMs,
      moveTo: async (target) => {
        if (ledger.holds.count() > 0) return busy();
        const moved = await clock.moveTo(target);
        if (!moved.ok) return moved;
        await rounds.next();
        return ok(undefined);
      },
      trigger: async (type, account) => {
        const triggered = await happenings.trigger(type, account);
        await rounds.next();
        return triggered;
      },
    },
  });
  happenings.serve(gateway, testEngine);
  await gateway.seedMeters();
  children.add({ name: "test world's gateway", stop: () => gateway.drain(1_000) });
  children.add({ name: "test world's housekeeping", stop: () => rounds.stop() });
  const adminKey = await keepAdminKey(folder, ledger);
  return adminKey.ok ? ok({ gateway, adminKey: adminKey.value }) : adminKey;
}

/** One round of housekeeping after the other, by themselves and whenever somebody waits for the next. */
function startRounds(house: HousekeepingParts, say: (text: string) => void) {
  let turn: Promise<void> = Promise.resolve();
  const next = (): Promise<void> => {
    turn = turn
      .then(async () => {
        await keepHouse(house);
        await house.business.round();
      })
      .catch((error: unknown) => say(`test world: ${error instanceof Error ? error.message : String(error)}`));
    return turn;
  };
  const timer = setInterval(() => void next(), ROUND_MS);
  timer.unref();
  return {
    next,
    stop: async (): Promise<void> => {
      clearInterval(timer);
      await turn;
    },
  };
}

async function openTestLedger(
  secrets: Secrets,
  store: LedgerStore,
  world: World,
  warn: (text: string) => void,
): Promise<Result<OpenLedger>> {
  const node = addressOf(secrets.signer);
  const id = await creditChain(node).openLedger();
  if (!id.ok) return id;
  return openLedger({
    ...{ id: id.value, store, domain: testDomain, secret: secrets.accounts, node: padAddress(node) },
    world: { nowMs: () => world.nowMs(), randomBytes: (size) => world.randomBytes(size), warn },
    signer: openSigner(secrets.signer, await loadSecp256k1()),
    ...{ policy: standardPolicy(node), requireDeposit: false, keyPrefix: TEST_KEY_PREFIX },
  });
}

function claimsOf({ payouts }: Business): ChainView {
  assert(payouts !== undefined, "a ledger on credit pays by bank");
  return {
    ...{ chainId: testDomain.chainId, settlement: toHex(testDomain.verifyingContract) },
    claimed: (payee) => payouts.claimed(payee),
    claimedTotal: () => payouts.claimedTotal(),
  };
}

/** Chain 0 and no contract, as of every ledger on credit. */
const testDomain: Domain = { chainId: 0, verifyingContract: new Uint8Array(20) };

/** Of the live world's, and no way back to them. */
function testSecrets({ signer, log, accounts }: Secrets): Secrets {
  const [of, at, by] = [signer, log, accounts].map((secret) =>
    keccak256(concat(utf8("openledger test world"), secret)),
  );
  return { signer: of!, log: at!, accounts: by! };
}

function busy(): Result<never> {
  return refuse("conflict", "executions are under way in the test world", { hint: "wait for them to end" });
}

/** How often the test world looks after itself. */
const ROUND_MS = 1_000;

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fromHex, padAddress, toHex } from "../core/bytes.ts";
import { pooledRandom } from "../core/pooledRandom.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { NOTICE_MS } from "../datanets/binding.ts";
import type { OutputStore } from "../datanets/outputs.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { ReportRules } from "../gateway/executionDesk.ts";
import { Gateway, type GatewayParts } from "../gateway/gateway.ts";
import type { ChainView, World } from "../gateway/ports.ts";
import { writeAtomically } from "../host/files.ts";
import { isTaken } from "../host/ports.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import type { LedgerStore } from "../ledger/ports.ts";
import { Publisher } from "../ledger/publish.ts";
import { refusalRow } from "../protocol/refusals.ts";
import type { LedgerTrustView } from "../protocol/workshop.ts";
import { startEmbeddedPostgres } from "../store/embedded.ts";
import type { OpenFactoryStore } from "../store/factoryStore.ts";
import type { OpenPayoutStore } from "../store/payoutStore.ts";
import { siblingDatabase } from "../store/siblingDatabase.ts";
import { AnnotationDesk } from "./annotationDesk.ts";
import { domainOfPart, openBooks } from "./books.ts";
import { type Business, openBusiness } from "./businessPart.ts";
import { type ChainPart, DEVELOPMENT_DEPOSIT_NANO } from "./chainPart.ts";
import type { Children } from "./children.ts";
import { CombinationShelf } from "./combinationShelf.ts";
import { ContextDesk } from "./contextDesk.ts";
import { CreditSettlement } from "./creditSettlement.ts";
import { openDataFolder } from "./dataFolder.ts";
import { DatanetDesk } from "./datanetDesk.ts";
import { findVersionIn } from "./declaredVersions.ts";
import { DepartureDesk } from "./departureDesk.ts";
import { epochControl } from "./epochControl.ts";
import { FactoryPart } from "./factoryPart.ts";
import { fileSink } from "./fileSink.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { labelOf } from "./labels.ts";
import { type MeaningShelf, openMeanings } from "./meaningShelf.ts";
import { ModelLibrary } from "./modelLibrary.ts";
import { embeddedCost, ModelShelf } from "./modelShelf.ts";
import { keepAdminKey, trustOf } from "./nodeKeys.ts";
import type { NodeOptions, RunningNode } from "./nodeOptions.ts";
import { OutputMemory } from "./outputMemory.ts";
import { checkPlace, openPlace } from "./place.ts";
import { openRates, type RatePart } from "./ratePart.ts";
import { ReportedShelf, reportRules } from "./reportedShelf.ts";
import { databaseUrlPath, keepSecrets, type Secrets } from "./secrets.ts";
import { type EpochCloser, Settlement } from "./settlement.ts";
import { openDatabase } from "./stores.ts";
import { TariffFile } from "./tariffFile.ts";
import { openTestWorld, type TestWorld } from "./testWorld.ts";
import { WorkshopPart } from "./workshopPart.ts";

/** A running node with all its parts, for the commands that act from within it. */
export interface Node extends RunningNode {
  readonly data: string;
  readonly ledger: OpenLedger;
  readonly gateway: Gateway;
  readonly chain: ChainPart;
  readonly datanets: DatanetStore;
  readonly shelf: ModelShelf;
  readonly factory: FactoryPart;
  readonly workshop: WorkshopPart;
  readonly settlement: EpochCloser;
  readonly publisher: Publisher;
  readonly trust: LedgerTrustView;
}

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
const now = (): number => Date.now();
/** How long an epoch stays open. */
const EPOCH_MS = 3_600_000;
const smallRandom = pooledRandom(random);

/** Starts everything that a node is, in order; all of it is handed to `children`, which stops it in reverse order. */
export async function startNode(options: NodeOptions, children: Children): Promise<Result<Node>> {
  const { say } = options;
  const folder = await openDataFolder({ path: options.data });
  if (!folder.ok) return folder;
  const data = folder.value.path;
  children.add({ name: "data folder", stop: () => folder.value.release() });
  for (const note of folder.value.notes) say(note);
  const { port, host = "127.0.0.1" } = options;
  if (await isTaken(port, host))
    return refuse("port_in_use", `port ${port} on ${host} is in use`, { hint: "choose another one with --port" });
  const secrets = await keepSecrets(data, random);
  const onEvent = (event: ChildEvent): void => say(describe(event));
  const stores = await openStores(options, data, children, onEvent);
  if (!stores.ok) return stores;
  const external = { relay: options.relay ?? {}, ...(options.chain && { external: options.chain }) };
  const place = { data, secrets, children, randomBytes: random, onEvent, say, ...external };
  const chain = await openPlace(place, options.isCredit === true);
  if (!chain.ok) return chain;
  return assemble(options, data, secrets, children, stores.value, chain.value);
}

interface Stores {
  /** Of the database that they are in. */
  readonly url: string;
  readonly meanings: MeaningShelf | undefined;
  readonly outputs: OutputStore;
  readonly combinations: CombinationShelf;
  readonly ledger: LedgerStore;
  readonly datanets: DatanetStore;
  readonly payouts: OpenPayoutStore;
  readonly factory: OpenFactoryStore;
  readonly tariff: TariffFile;
}

async function openStores(
  { databaseUrl, embeddings, say }: NodeOptions,
  data: string,
  children: Children,
  onEvent: (event: ChildEvent) => void,
): Promise<Result<Stores>> {
  let url = databaseUrl;
  if (url === undefined) {
    say("starting PostgreSQL");
    const started = await startEmbeddedPostgres({ data, randomBytes: random, onEvent });
    if (!started.ok) return started;
    url = children.add({ name: "PostgreSQL", ...started.value }).url;
  }
  await writeAtomically(databaseUrlPath(data), `${url}\n`, { mode: 0o600 });
  const stores = await openDatabase(url, children);
  if (!stores.ok) return stores;
  const meanings = embeddings === undefined ? undefined : openMeanings(data, embeddings, say, children);
  const [combinations, tariff] = [await CombinationShelf.open(data), await TariffFile.open(data)];
  if (!combinations.ok) return combinations;
  if (!tariff.ok) return tariff;
  return ok({ ...stores.value, url, meanings, combinations: combinations.value, tariff: tariff.value });
}

async function assemble(
  options: NodeOptions,
  data: string,
  secrets: Secrets,
  children: Children,
  stores: Stores,
  part: ChainPart,
): Promise<Result<Node>> {
  const { say } = options;
  const { chain } = part;
  const domain = domainOfPart(part);
  const opened = await openBooks({ part, store: stores.ledger, secrets, nowMs: now, randomBytes: smallRandom, say });
  if (!opened.ok) return opened;
  const ledger = opened.value;
  children.add({ name: "ledger", stop: () => ledger.close() });
  stores.combinations.publishTo((text) => ledger.methods.publish(text));
  const inPlace = checkPlace(ledger, part);
  if (!inPlace.ok) return inPlace;
  const keys = { domain, ed25519: secrets.log, secp256k1: secrets.signer };
  const sink = fileSink(join(data, "journal"));
  const entries = (from: number, until: number) => ledger.books.entries(from, until);
  const publisher = new Publisher({ ledger: ledger.id, sink, keys, entries });
  const settlementParts = { ledger, chain, publisher, domain, signer: secrets.signer, say };
  const settlement =
    part.rpcUrl === undefined
      ? new CreditSettlement(ledger, publisher)
      : new Settlement({ ...settlementParts, nowMs: now, sleep: (ms) => sleep(ms) });
  const checked = settlement instanceof Settlement ? await settlement.check() : ok(undefined);
  if (!checked.ok) return checked;
  const funded = await fund(part, ledger, settlement);
  if (!funded.ok) return funded;
  const trust = trustOf(ledger, part, secrets);
  await writeAtomically(join(data, "ledger.json"), `${JSON.stringify(trust, undefined, 2)}\n`);
  const isPublic = options.host !== undefined;
  const { hostNames = [], reports: rules = {} } = options;
  const beside = await openBeside(options, data, stores, secrets, children);
  if (!beside.ok) return beside;
  const people = { isPublic, hostNames, rules, ...beside.value, say };
  const house = furnish({ ...{ data, stores, part, ledger, settlement, sink, trust, log: secrets.log }, ...people });
  children.add({ name: "webhooks", stop: () => house.business.close() });
  children.add({ name: "remembered answers", stop: await house.outputs.begin() });
  children.add({ name: "embedded engine", stop: () => house.shelf.close() });
  const reported = await house.reported.restore();
  if (!reported.ok) return reported;
  children.add({ name: "neural engines", stop: () => house.factory.close() });
  for (const shelf of [house.shelf, house.factory, house.factory.remote]) {
    const restored = await shelf.restore(say);
    if (!restored.ok) return restored;
  }
  const adminKey = await keepAdminKey(data, ledger);
  if (!adminKey.ok) return adminKey;
  await house.gateway.seedMeters();
  const listening = await house.gateway.listen(options.port, options.host);
  if (!listening.ok) return listening;
  const { url } = listening.value;
  children.add({ name: "gateway", stop: () => house.gateway.drain(5_000) });
  const resumed = await settlement.resume();
  if (!resumed.ok) return resumed;
  await publisher.publish(ledger.books.size());
  const epochMs = options.epochMs ?? EPOCH_MS;
  const end = ({ code, message, hint }: Refusal): void => {
    say(`${message}; ${hint}`);
    void children.end(refusalRow(code).exitCode);
  };
  const housekeeping = { ...house, ledger, publisher, settlement, chain: part, epochMs, nowMs: now, end, say };
  children.add({ name: "housekeeping", stop: startHousekeeping(housekeeping) });
  await writeAtomically(join(data, "node.json"), `${JSON.stringify({ url, pid: process.pid })}\n`);
  const base = { data, ledger, chain: part, datanets: stores.datanets, settlement, publisher, trust };
  return ok({ ...base, ...house, url, ledgerId: ledger.id, adminKey: adminKey.value });
}

/** What stands beside the ledger: where the dollar comes from, and a world for tests where one is wanted. */
async function openBeside(
  { rate, hasTestWorld, say, host, epochMs = EPOCH_MS }: NodeOptions,
  data: string,
  { url: live }: Stores,
  secrets: Secrets,
  children: Children,
): Promise<Result<{ readonly rates: RatePart; readonly tests: TestWorld | undefined }>> {
  const allowsInside = host === undefined;
  const rates = await openRates(rate, { data, nowMs: now, allowsInside, say });
  if (!rates.ok) return rates;
  children.add({ name: "rates", stop: () => rates.value.stop() });
  if (hasTestWorld !== true) return ok({ rates: rates.value, tests: undefined });
  const url = await siblingDatabase(live, "test");
  if (!url.ok) return url;
  const world = { children, world: worldOf(say), epochMs, callsInside: allowsInside, say };
  const tests = await openTestWorld({ data, url: url.value, secrets, ...world });
  return tests.ok ? ok({ rates: rates.value, tests: tests.value }) : tests;
}

interface Furnishing {
  readonly data: string;
  readonly stores: Stores;
  readonly part: ChainPart;
  readonly ledger: OpenLedger;
  readonly settlement: Settlement | CreditSettlement;
  readonly sink: ReturnType<typeof fileSink>;
  readonly trust: LedgerTrustView;
  /** Ed25519 secret: signs what leaves. */
  readonly log: Uint8Array;
  readonly say: (text: string) => void;
  /** Others than this machine reach it. */
  readonly isPublic: boolean;
  readonly hostNames: readonly string[];
  readonly rules: Partial<ReportRules>;
  readonly rates: RatePart;
  readonly tests: TestWorld | undefined;
}

/** Gateway, models and workshop: they know each other, so they are made together. */
function furnish(furnishing: Furnishing) {
  const { data, stores, part, ledger, settlement, sink, trust, log, say, isPublic, hostNames, rules, rates, tests } =
    furnishing;
  const { chain } = part;
  const provenance = { chain, ledger };
  const desk = new DatanetDesk(stores.datanets, provenance, now);
  const operator = padAddress(part.actor === undefined ? chain.node : addressOfActor(part, 1));
  const find = findVersionIn(stores.datanets, provenance);
  const node = padAddress(chain.node);
  const contexts = new ContextDesk({ store: stores.datanets, provenance, books: ledger.books, find, node });
  const outputs = new OutputMemory({ ...stores, books: ledger.books, nowMs: now, say });
  const made: { shelf?: ModelShelf; workshop?: WorkshopPart; factory?: FactoryPart; reported?: ReportedShelf } = {};
  const label = (payee: Uint8Array) => labelOf(payee, operator, part, made);
  const business = openBusiness({
    ...{ ...part, ledger, store: stores.payouts, nowMs: now, randomBytes: random, say, wasCredit: part.isMoved },
    ...{ chain: part.rpcUrl === undefined ? undefined : chain, rate: () => rates.rates.forOpen() },
    nanoPerUsd: () => rates.lastNanoPerUsd(),
    labelOf: (payee) => label(fromHex(payee)),
    callsInside: !isPublic,
  });
  const parts: GatewayParts = {
    ...{ world: worldOf(say), ledger, datanets: desk, journal: sink },
    ...{ rates: rates.rates, ...(rates.desk === undefined ? {} : { rateDesk: rates.desk }) },
    labels: label,
    ...{ combinations: (hash) => stores.combinations.text(hash), answers: outputs },
    reports: { ...reportRules(part, rules), operator },
    chain: claimsOf(part, ledger, business),
    ...business.gateway,
    organisations: ledger.organisations,
    ...(tests === undefined ? {} : { testWorld: tests.gateway }),
    epochs: epochControl(settlement, contexts, say),
    annotations: new AnnotationDesk(stores.datanets, toHex(node), now),
    departures: new DepartureDesk({ store: stores.datanets, provenance, payouts: business.payouts, log }),
    models: (gateway) => {
      const shared = { gateway, provenance, datanets: stores.datanets, combinations: stores.combinations };
      const { meanings, tariff, factory: store } = stores;
      const place = { data, store, tariff, meanings, nowMs: now, randomBytes: random, say };
      made.factory = new FactoryPart({ ...shared, ...place, operator, node, cost: embeddedCost });
      return new ModelLibrary({ ...shared, ...made.factory.shown, indexes: () => made.shelf });
    },
    operators: () => made.factory!.remote,
    factory: () => made.factory!.factory,
    workshop: (self) => {
      const shelf = new ModelShelf({
        ...{ data, store: stores.datanets, provenance, gateway: self, nowMs: now, operator, cost: embeddedCost },
        ...{ combinations: stores.combinations, meanings: stores.meanings },
      });
      const reported = new ReportedShelf({
        ...{ folder: join(data, "models", "reported"), provenance, operator, nowMs: now },
        ...{ models: self.catalog.reported, find, hasOwners: part.rpcUrl === undefined },
      });
      const workshop = new WorkshopPart({
        ...{ store: stores.datanets, provenance, desk, shelf, reported, gateway: self, outputs },
        ...{ contexts, nowMs: now, randomBytes: random, say, trust },
        onDeclared: (name) => shelf.refresh(name).then(() => made.factory?.shelf.refresh(name)),
        noticeMs: part.isDevelopment ? 2_000 : NOTICE_MS,
      });
      Object.assign(made, { shelf, workshop, reported });
      return workshop;
    },
  };
  const gateway = new Gateway(parts, { server: { hosts: hostNames } });
  const { shelf, workshop, factory, reported } = made;
  const furniture = { shelf: shelf!, workshop: workshop!, factory: factory!, reported: reported! };
  return { gateway, ...furniture, business, contexts, outputs };
}

/** What was claimed: at the contract, or by bank on credit, where the sum is known too. */
function claimsOf({ chain }: ChainPart, ledger: OpenLedger, { payouts }: Business): ChainView {
  const contract = { chainId: chain.chainId, settlement: toHex(chain.settlement) };
  if (payouts === undefined) return { ...contract, claimed: (payee) => chain.claimed(ledger.id, payee) };
  return { ...contract, claimed: (payee) => payouts.claimed(payee), claimedTotal: () => payouts.claimedTotal() };
}

function addressOfActor(part: ChainPart, index: number): Uint8Array {
  return Uint8Array.from(Buffer.from(part.actor!(index).address.slice(2), "hex"));
}

/** On the development chain the node makes a deposit of its own, so that accounts can be granted play money at once. */
async function fund(part: ChainPart, ledger: OpenLedger, settlement: EpochCloser): Promise<Result<void>> {
  const { chain, isDevelopment } = part;
  const seen = await settlement.watchDeposits();
  if (!seen.ok || !isDevelopment || ledger.books.totals().deposited > 0n) return seen;
  const deposited = await chain.deposit(ledger.id, DEVELOPMENT_DEPOSIT_NANO);
  return deposited.ok ? settlement.watchDeposits() : deposited;
}

function worldOf(say: (text: string) => void): World {
  return {
    nowMs: now,
    elapsedMs: () => performance.now(),
    randomBytes: smallRandom,
    log: (level, message, fields) => {
      if (level === "error" || level === "warn")
        say(`${level}: ${message}${fields === undefined ? "" : ` ${JSON.stringify(fields)}`}`);
    },
  };
}

function describe(event: ChildEvent): string {
  const { kind, name, ...rest } = event;
  return `${name}: ${kind}${"note" in rest ? `, ${String(rest.note)}` : ""}`;
}

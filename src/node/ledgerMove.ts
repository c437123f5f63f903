import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { padAddress, toHex } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { formatOpen } from "../core/money.ts";
import { CREDIT_CHAIN_ID } from "../core/move.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { writeAtomically } from "../host/files.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import { Publisher } from "../ledger/publish.ts";
import { startEmbeddedPostgres } from "../store/embedded.ts";
import { domainOfPart, openBooks } from "./books.ts";
import { type ChainPart, DEVELOPMENT_DEPOSIT_NANO, openChainPart, openCreditPart } from "./chainPart.ts";
import type { Children } from "./children.ts";
import { openDataFolder } from "./dataFolder.ts";
import { fileSink } from "./fileSink.ts";
import { carryAssets, carryBindings } from "./ledgerCarry.ts";
import { type MoveDone, type MoveOptions, paidOutside, planMove } from "./ledgerMovePlan.ts";
import { trustOf } from "./nodeKeys.ts";
import { beganOnCredit, keptTrust } from "./place.ts";
import { checkPublished } from "./publishedBooks.ts";
import { keepSecrets, type Secrets } from "./secrets.ts";
import { Settlement } from "./settlement.ts";
import { openDatabase } from "./stores.ts";

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));

/**
 * Moves a ledger on credit to a chain. Every step asks what is done already, so whatever was interrupted goes on when it is run again. Until the move is journalled
 * the ledger is on credit, and can stay there; from then on it is on the chain, and a node starts once the rest is finished.
 */
export async function moveLedger(options: MoveOptions, children: Children): Promise<Result<MoveDone>> {
  const kept = await keptTrust(options.data);
  if (!kept.ok) return kept;
  if (kept.value === undefined)
    return refuse("not_found", `${options.data} holds no ledger`, {
      hint: "name a node's folder: --data DIR",
      field: "data",
    });
  const folder = await openDataFolder({ path: options.data, freeBytesMin: 0 });
  if (!folder.ok)
    return folder.error.code === "data_folder_in_use"
      ? { ok: false, error: { ...folder.error, hint: "stop the node first: a ledger moves while nothing is booked" } }
      : folder;
  children.add({ name: "data folder", stop: () => folder.value.release() });
  const secrets = await keepSecrets(options.data, random);
  const { ledger, chainId, movedAt } = kept.value;
  const node = toHex(addressOf(secrets.signer));
  if (!beganOnCredit(kept.value, secrets))
    return refuse("conflict", `the ledger in ${options.data} has been on chain ${chainId} since it began`, {
      hint: "there is nothing to move",
    });
  if (chainId !== CREDIT_CHAIN_ID)
    return ok({ state: "moved before", node, ledger, chainId, ...(movedAt === undefined ? {} : { movedAt }) });
  const stores = await openStores(options, children);
  if (!stores.ok) return stores;
  const books = await openBooks({
    ...{ part: openCreditPart(secrets), store: stores.value.ledger, secrets },
    ...{ nowMs: options.nowMs, randomBytes: random, say: options.say },
  });
  if (!books.ok) return books;
  children.add({ name: "ledger", stop: () => books.value.close() });
  const same = await checkPublished(options.data, books.value);
  if (!same.ok) return same;
  return new LedgerMove(options, children, secrets, stores.value, books.value).run();
}

type Stores = Extract<Awaited<ReturnType<typeof openDatabase>>, { ok: true }>["value"];

async function openStores(options: MoveOptions, children: Children): Promise<Result<Stores>> {
  let url = options.databaseUrl;
  if (url === undefined) {
    options.say("starting PostgreSQL");
    const started = await startEmbeddedPostgres({ data: options.data, randomBytes: random, onEvent: () => undefined });
    if (!started.ok) return started;
    url = children.add({ name: "PostgreSQL", ...started.value }).url;
  }
  return openDatabase(url, children);
}

class LedgerMove {
  readonly #options: MoveOptions;
  readonly #children: Children;
  readonly #secrets: Secrets;
  readonly #stores: Stores;
  readonly #ledger: OpenLedger;

  constructor(options: MoveOptions, children: Children, secrets: Secrets, stores: Stores, ledger: OpenLedger) {
    this.#options = options;
    this.#children = children;
    this.#secrets = secrets;
    this.#stores = stores;
    this.#ledger = ledger;
  }

  async run(): Promise<Result<MoveDone>> {
    const { dryRun } = this.#options;
    const planned = await planMove(this.#ledger, this.#stores);
    if (!planned.ok) return planned;
    const plan = planned.value;
    const done = { node: toHex(addressOf(this.#secrets.signer)), ledger: toHex(this.#ledger.id), plan };
    if (dryRun) return ok({ ...done, state: "planned" });
    if (this.#ledger.moved() === undefined) {
      const closed = await this.#closeOnCredit();
      if (!closed.ok) return closed;
    }
    const part = await this.#openChain();
    if (!part.ok) return part;
    const ready = await this.#prepare(part.value, plan.owed);
    if (!ready.ok) return ready;
    const moved = await this.#move(part.value);
    if (!moved.ok) return moved;
    const { chainId } = part.value.chain;
    return ok({ ...done, state: "moved", chainId, movedAt: moved.value });
  }

  /** What is accrued belongs to an epoch on credit, and everybody's position is one that a chain can take. */
  async #closeOnCredit(): Promise<Result<unknown>> {
    const { say } = this.#options;
    if (!(await this.#ledger.isClosed())) {
      say("closing the open epoch");
      const closed = await this.#ledger.epochs.closeEpoch({ registryBlock: 0 });
      if (!closed.ok) return closed;
    }
    return this.#ledger.positions(await paidOutside(this.#stores.payouts));
  }

  #openChain(): Promise<Result<ChainPart>> {
    const { data, chain, say } = this.#options;
    const moved = this.#ledger.moved();
    say(chain === undefined ? "starting the development chain" : `asking ${chain.rpcUrl}`);
    return openChainPart({
      ...{ data, say, secrets: this.#secrets, children: this.#children, randomBytes: random, onEvent: () => undefined },
      ...(chain === undefined ? {} : { external: chain }),
      moved: moved === undefined ? {} : { chainId: moved.domain.chainId },
    });
  }

  /** All that the chain must hold before the ledger is there. */
  async #prepare(part: ChainPart, owed: bigint): Promise<Result<void>> {
    const { say, nowMs } = this.#options;
    const { chain, policy } = part;
    const deposited = await this.#deposited(part);
    if (!deposited.ok) return deposited;
    const extra = BigInt(this.#options.extraNano ?? 0) + (part.isDevelopment ? DEVELOPMENT_DEPOSIT_NANO : 0n);
    const missing = owed + extra > deposited.value ? owed + extra - deposited.value : 0n;
    const afforded = await afford(part, missing);
    if (!afforded.ok) return afforded;
    say(`taking the ledger to chain ${chain.chainId}`);
    const opened = await chain.openLedger();
    if (!opened.ok) return opened;
    const published = await chain.publishPolicy(policy);
    if (!published.ok) return published;
    const assets = await carryAssets(chain, this.#ledger, say);
    if (!assets.ok) return assets;
    const bindings = await carryBindings({ chain, ledger: this.#ledger, store: this.#stores.datanets, nowMs, say });
    if (!bindings.ok) return bindings;
    if (missing > 0n) {
      say(`depositing ${formatOpen(missing)} OPEN`);
      const sent = await chain.deposit(this.#ledger.id, missing);
      if (!sent.ok) return sent;
    }
    return ok(undefined);
  }

  /** Nano that the ledger has on the chain already, less what was withdrawn. */
  async #deposited({ chain }: ChainPart): Promise<Result<bigint>> {
    const movements = await chain.movements(this.#ledger.id, 0, await chain.block());
    if (!movements.ok) return movements;
    return ok(movements.value.reduce((sum, { kind, amount }) => sum + (kind === "deposit" ? amount : -amount), 0n));
  }

  /** The move itself, then what tells of it: the published journal, the data folder, and the chain. The seq of its first entry. */
  async #move(part: ChainPart): Promise<Result<number>> {
    const { data, nowMs, say } = this.#options;
    const [{ chain }, ledger] = [part, this.#ledger];
    if (ledger.moved() === undefined) {
      say("journalling the move");
      const { chainId, settlement, contracts, node } = chain;
      const paid = await paidOutside(this.#stores.payouts);
      const place = { chainId, settlement, registry: contracts.registry };
      const registryBlock = await chain.block();
      const moved = await ledger.move({ place, payer: padAddress(node), paid, registryBlock });
      if (!moved.ok) return moved;
    }
    say("publishing the journal");
    const keys = { domain: domainOfPart(part), ed25519: this.#secrets.log, secp256k1: this.#secrets.signer };
    const entries = (from: number, until: number) => ledger.books.entries(from, until);
    const publisher = new Publisher({ ledger: ledger.id, sink: fileSink(join(data, "journal")), keys, entries });
    await publisher.publish(ledger.books.size());
    say("proposing its epoch");
    const settlement = new Settlement({
      ...{ ledger, chain, publisher, domain: keys.domain, signer: this.#secrets.signer, say },
      ...{ nowMs, sleep: (ms: number) => sleep(ms) },
    });
    const proposed = await settlement.advance();
    if (!proposed.ok) return proposed;
    // Last: where the folder names the chain, nothing is left to do.
    const trust = trustOf(ledger, part, this.#secrets);
    await writeAtomically(join(data, "ledger.json"), `${JSON.stringify(trust, undefined, 2)}\n`);
    return ok(ledger.moved()!.seq);
  }
}

/** Refuses before anything is sent where the node lacks gas, or the OPEN for its deposit and bond. */
async function afford({ chain, funds, isDevelopment }: ChainPart, depositNano: bigint): Promise<Result<void>> {
  const has = await funds!();
  if (!has.ok) return has;
  const { openNano, bondNano } = has.value;
  const where = `on chain ${chain.chainId} the node, ${toHex(chain.node)},`;
  const due = depositNano + bondNano;
  if (openNano >= due) return ok(undefined);
  return refuse(
    "insufficient_funds",
    `${where} has ${formatOpen(openNano)} OPEN, and needs ${formatOpen(due)}: ${formatOpen(depositNano)} to deposit, ${formatOpen(bondNano)} as its bond`,
    { hint: isDevelopment ? "this is more than a development chain holds" : "send it the rest, and run this again" },
  );
}

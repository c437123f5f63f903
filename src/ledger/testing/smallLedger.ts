import { ed25519 } from "@noble/curves/ed25519.js";
import { type AssetKind, freeTerms, type Parent } from "../../core/asset.ts";
import type { CheckpointTrust } from "../../core/checkpoint.ts";
import { addressOf, signDigest } from "../../core/eip712.ts";
import { sha256 } from "../../core/hash.ts";
import { defaultPolicyBps } from "../../core/policy.ts";
import { noPrices } from "../../core/quote.ts";
import { unwrap } from "../../core/result.ts";
import type { Account, ReceiptDraft } from "../ledger.ts";
import { type LedgerOptions, type OpenLedger, openLedger } from "../openLedger.ts";
import type { LedgerStore } from "../ports.ts";
import { type JournalSink, Publisher } from "../publish.ts";
import { type Verdict, verifyJournal } from "../verify.ts";
import { memoryStore } from "./memoryStore.ts";

/** 32 bytes that stand for one thing in tests. */
export function id32(n: number): Uint8Array {
  const bytes = new Uint8Array(32).fill(0x11);
  new DataView(bytes.buffer).setUint32(28, n);
  return bytes;
}

const [log, signer] = [id32(1), id32(2)];
const trust: CheckpointTrust = {
  ledger: id32(3),
  domain: { chainId: 31_337, verifyingContract: id32(4).slice(12) },
  ed25519: ed25519.getPublicKey(log),
  signer: addressOf(signer),
};

/** Parties that every small ledger knows. */
export const parties = {
  ...{ node: id32(10), treasury: id32(11), reserve: id32(12), datanetReserve: id32(13) },
  ...{ operator: id32(20), owner: id32(21), buyer: id32(22), ann: id32(23), ben: id32(24) },
} as const;
export const assets = { model: id32(30), context: id32(31), datanet: id32(32), plain: id32(33) } as const;

/** A clock that tests move, and numbers that only look random. */
export class SmallWorld {
  timeMs = 1_700_000_000_000;
  readonly warnings: string[] = [];
  #drawn = 0;

  nowMs(): number {
    return this.timeMs;
  }

  randomBytes(size: number): Uint8Array {
    this.#drawn += 1;
    return sha256(id32(this.#drawn)).slice(0, size);
  }

  warn(message: string): void {
    this.warnings.push(message);
  }
}

export interface SmallLedger {
  readonly ledger: OpenLedger;
  readonly store: LedgerStore;
  readonly world: SmallWorld;
}

/** A ledger in memory with a model over a datanet and its context, all of one owner, and a model of nothing. */
export async function smallLedger(options: Partial<LedgerOptions> = {}): Promise<SmallLedger> {
  const [store, world] = [options.store ?? memoryStore(), new SmallWorld()];
  const ledger = await open(store, world, options);
  const register = async (id: Uint8Array, kind: AssetKind, parents: readonly Parent[], parentsBps = 0) =>
    unwrap(
      await ledger.assets.register({
        ...{ id, kind, owner: parties.owner, contentRoot: id, parents },
        terms: { ...freeTerms, parentsBps },
      }),
    );
  await register(assets.context, "context", []);
  await register(assets.datanet, "datanet", [{ id: assets.context, weight: 1 }]);
  await register(assets.model, "model", [{ id: assets.datanet, weight: 1 }], 3_000);
  await register(assets.plain, "model", []);
  return { ledger, store, world };
}

export async function open(
  store: LedgerStore,
  world: SmallWorld,
  options: Partial<LedgerOptions> = {},
): Promise<OpenLedger> {
  const policy = {
    ...defaultPolicyBps,
    ...{ treasuryPayee: parties.treasury, reservePayee: parties.reserve, datanetReservePayee: parties.datanetReserve },
  };
  return unwrap(
    await openLedger({
      ...{ id: trust.ledger, store, world, domain: trust.domain, secret: id32(5), node: parties.node, policy },
      ...{ signer: { sign: (digest) => signDigest(signer, digest) }, requireDeposit: false, ...options },
    }),
  );
}

/** A new account with so much credit. */
export async function account({ ledger }: SmallLedger, credit: number, payee?: Uint8Array): Promise<Account> {
  const opened = unwrap(await ledger.accounts.open({ name: "someone", ...(payee === undefined ? {} : { payee }) }));
  if (credit > 0) unwrap(await ledger.accounts.credit({ account: opened.id, amount: credit, key: "first", note: "" }));
  return opened;
}

/** A receipt of `cost` and `royalty` nano. */
export function draft(hold: Uint8Array, cost: number, royalty: number, more: Partial<ReceiptDraft> = {}): ReceiptDraft {
  return {
    ...{ hold, operator: parties.operator, model: assets.plain, rate: { nanoPerUsd: 1, source: "test" } },
    flags: { reported: false, unaudited: false, partial: false, undeclared: false },
    quote: { unit: "nano", cost: { ...noPrices, perCall: cost }, royalty: { ...noPrices, perCall: royalty } },
    usage: { tokensIn: 0, tokensOut: 0, calls: 1 },
    ...{ promptHash: id32(90), answerHash: id32(91), evidenceRoot: id32(92), indexId: id32(93), methodsHash: id32(94) },
    ...more,
  };
}

export class MemorySink implements JournalSink {
  readonly files = new Map<string, Uint8Array>();

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.files.set(path, bytes.slice());
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.files.get(path);
  }

  async removeNarrower(path: string): Promise<void> {
    for (const one of [...this.files.keys()]) if (one.startsWith(`${path}.p/`)) this.files.delete(one);
  }
}

export function publisherOf(
  entries: (from: number, until: number) => AsyncIterable<Uint8Array>,
  sink: JournalSink,
): Publisher {
  return new Publisher({
    ...{ ledger: trust.ledger, sink, entries },
    keys: { domain: trust.domain, ed25519: log, secp256k1: signer },
  });
}

/** Publishes the whole journal and reads it as a stranger would. */
export async function verified({ ledger }: Pick<SmallLedger, "ledger">): Promise<Verdict> {
  const sink = new MemorySink();
  await publisherOf((from, until) => ledger.books.entries(from, until), sink).publish(ledger.books.size());
  return unwrap(await verifyJournal({ trust, read: (path) => sink.read(path) }));
}

export const smallTrust = trust;

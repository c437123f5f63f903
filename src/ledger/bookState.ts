import { serialize } from "node:v8";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Correction } from "../core/correction.ts";
import type { BindingRecord, Entry, PayeeRecord, PayeeType } from "../core/entry.ts";
import { PublishedMethods } from "../core/methods.ts";
import { domainOf, type Move, moveAmount } from "../core/move.ts";
import { type FeePolicy, policyHash } from "../core/policy.ts";
import type { PoolChunk, PoolSplit } from "../core/pool.ts";
import { splitPool } from "../core/pool.ts";
import { amountOf, ownOf, type ReceiptFacts } from "../core/receipt.ts";
import { assert } from "../core/result.ts";
import { LegColumns, type RoutePolicy, roleCode, type Share } from "../core/route.ts";
import { type Transfer, transferAmount } from "../core/transfer.ts";
import { Accruals } from "./accruals.ts";
import { bytesOfKey, keyOf } from "./keyOf.ts";
import { KnownAssets } from "./knownAssets.ts";
import { KnownBindings } from "./knownBindings.ts";
import { PayeeNumbers } from "./payeeNumbers.ts";
import {
  type EpochState,
  type KnownAsset,
  type MovedState,
  readImage,
  STATE_VERSION,
  type StateImage,
} from "./stateImage.ts";
import { Tallies } from "./tallies.ts";

/**
 * Everything that a ledger knows from its journal, kept up entry by entry: the same `apply` serves the live writer and the rebuild at start,
 * so that a rebuilt ledger and one that never stopped are the same.
 */
export class BookState {
  readonly ledger: Uint8Array;
  size = 0;
  timeMs = 0;
  /** When the first entry was made. */
  beganMs = 0;
  receiptCount = 0;
  readonly accruals = new Accruals();
  readonly methods = new PublishedMethods();
  /** Nano spent by accounts, by pseudonym. */
  readonly spent = new Tallies();
  /** Nano charged to payers. */
  readonly debited = new Tallies();
  readonly #numbers: PayeeNumbers;
  readonly #payees: { readonly id: Uint8Array; readonly type: PayeeType }[] = [];
  readonly #assets = new KnownAssets();
  readonly #pools = new Map<number, readonly Share[]>();
  readonly #poolOf = new Map<string, number>();
  readonly #openChunks = new Map<number, Share[]>();
  /** Nano that corrections gave back, by receipt. */
  readonly #refunded = new Map<string, number>();
  readonly #bindings = new KnownBindings();
  readonly #families = new Map<string, { total: number; last: Uint8Array }>();
  readonly #epochs: EpochState[] = [];
  #moved: MovedState | undefined;
  #policy: { readonly policy: FeePolicy; readonly hash: Uint8Array; readonly route: RoutePolicy } | undefined;
  /** Seqs at which closed epochs end, known before a rebuild comes to them. */
  #cuts: ReadonlySet<number> = new Set();
  readonly #legs = new LegColumns();

  /** `seed` is 32 bytes that nobody outside knows: see {@link PayeeNumbers}. */
  constructor(ledger: Uint8Array, seed?: Uint8Array) {
    this.ledger = ledger;
    this.#numbers = new PayeeNumbers(seed);
  }

  /** For a rebuild: where the epochs that the journal closes later end. */
  expectCuts(ends: readonly number[]): void {
    this.#cuts = new Set(ends);
  }

  get payeeCount(): number {
    return this.#payees.length;
  }

  number(id: Uint8Array): number | undefined {
    return this.#numbers.get(id);
  }

  payee(number: number): { readonly id: Uint8Array; readonly type: PayeeType } | undefined {
    return this.#payees[number - 1];
  }

  get policy(): { readonly policy: FeePolicy; readonly hash: Uint8Array; readonly route: RoutePolicy } | undefined {
    return this.#policy;
  }

  asset(id: Uint8Array): KnownAsset | undefined {
    return this.#assets.get(id);
  }

  assets(): readonly KnownAsset[] {
    return this.#assets.all();
  }

  /** Grows with every asset and pool: what was worked out from them under another number is out of date. */
  get assetsVersion(): number {
    return this.#assets.version;
  }

  pool(number: number): readonly Share[] | undefined {
    return this.#pools.get(number);
  }

  /** The pool that was published last for a subject. */
  poolOf(subject: Uint8Array): number | undefined {
    return this.#poolOf.get(keyOf(subject));
  }

  bindings(): ReadonlyMap<number, BindingRecord> {
    return this.#bindings.all;
  }

  /** The identities that are bound or redirected to a party, and count in the open epoch. */
  identitiesOf(party: number): number[] {
    return this.#bindings.identitiesOf(party, this.openEpoch().epoch);
  }

  /** What a receipt's children came to, and the last of them. */
  family(receipt: Uint8Array): { readonly total: number; readonly last: Uint8Array } {
    const family = this.#families.size === 0 ? undefined : this.#families.get(keyOf(receipt));
    return family ?? { total: 0, last: new Uint8Array(16) };
  }

  /** What corrections gave back of a receipt so far: to its payer's debit first, then to the earnings that it spent. */
  refunded(receipt: Uint8Array): number {
    return this.#refunded.get(keyOf(receipt)) ?? 0;
  }

  /** Where the ledger went on, where it began on credit and did. */
  get moved(): MovedState | undefined {
    return this.#moved;
  }

  get epochs(): readonly EpochState[] {
    return this.#epochs;
  }

  /** Number and first seq of the epoch that is open now. */
  openEpoch(): { readonly epoch: number; readonly first: number; readonly sinceMs: number } {
    const { record, timeMs: sinceMs } = this.#epochs.at(-1) ?? { record: undefined, timeMs: this.beganMs };
    return { epoch: (record?.epoch ?? 0) + 1, first: record?.end ?? 0, sinceMs };
  }

  /** Takes in the next entry of the journal. Assertions only: what is journalled was checked before. */
  apply(entry: Entry): void {
    this.#advance(entry.seq, entry.timeMs);
    switch (entry.kind) {
      case "policy":
        return this.#applyPolicy(entry.policy);
      case "asset":
        return this.#assets.add(entry.asset, entry.seq);
      case "payee":
        return this.#applyPayee(entry.payee);
      case "poolChunk":
        return this.#applyPoolChunk(entry.chunk);
      case "binding":
        return this.#bindings.add(entry.binding);
      case "receipt":
        this.#legs.load(entry.receipt.legs);
        return this.#takeReceipt(entry.receipt, this.#legs);
      case "poolSplit":
        return this.#applyPoolSplit(entry.split);
      case "correction":
        return this.#applyCorrection(entry.correction);
      case "transfer":
        return this.#applyTransfer(entry.transfer);
      case "move":
        return this.#applyMove(entry.seq, entry.move);
      case "methods":
        return assert(this.methods.add(entry.text) === undefined, "methods are published once");
      case "epoch":
        this.#epochs.push({ record: entry.epoch, seq: entry.seq, timeMs: entry.timeMs });
        this.accruals.settle();
        return this.#assets.turnOwners();
      case "batch":
      case "reversal":
        return;
    }
  }

  /** Takes in a receipt whose legs are columns. */
  applyReceipt(seq: number, timeMs: number, facts: ReceiptFacts, legs: LegColumns): void {
    this.#advance(seq, timeMs);
    this.#takeReceipt(facts, legs);
  }

  serialise(): Uint8Array {
    return serialize({
      version: STATE_VERSION,
      ...{ size: this.size, timeMs: this.timeMs, beganMs: this.beganMs, receiptCount: this.receiptCount },
      accruals: this.accruals.columns(),
      payees: this.#payees,
      assets: this.assets(),
      pools: this.#pools,
      bindings: this.#bindings.all,
      families: [...this.#families].map(([key, family]) => [bytesOfKey(key), family]),
      spent: [...this.spent.entries()],
      debited: new Map([...this.debited.entries()].map(([payer, nano]) => [toHex(payer), nano])),
      poolOf: [...this.#poolOf].map(([key, pool]) => [bytesOfKey(key), pool]),
      refunded: [...this.#refunded].map(([key, amount]) => [bytesOfKey(key), amount]),
      epochs: this.#epochs,
      policy: this.#policy?.policy,
      moved: this.#moved,
      methods: [...this.methods.hashes],
    } satisfies StateImage);
  }

  /** The state in a checkpoint; undefined when it was written by another version, and the journal is read from its start instead. */
  static restore(ledger: Uint8Array, bytes: Uint8Array, seed?: Uint8Array): BookState | undefined {
    const image = readImage(bytes);
    if (image === undefined) return undefined;
    const state = new BookState(ledger, seed);
    for (const [i, payee] of image.payees.entries()) state.#applyPayee({ number: i + 1, ...payee });
    for (const asset of image.assets) state.#assets.keep(asset);
    for (const [number, members] of image.pools) state.#pools.set(number, members);
    for (const binding of image.bindings.values()) state.#bindings.add(binding);
    for (const [id, family] of image.families) state.#families.set(keyOf(id), family);
    state.spent.load(image.spent);
    state.debited.load([...image.debited].map(([payer, nano]) => [fromHex(payer), nano]));
    for (const [subject, pool] of image.poolOf) state.#poolOf.set(keyOf(subject), pool);
    for (const [receipt, amount] of image.refunded) state.#refunded.set(keyOf(receipt), amount);
    state.#epochs.push(...image.epochs);
    state.#moved = image.moved;
    state.methods.load(image.methods);
    if (image.policy !== undefined) state.#applyPolicy(image.policy);
    state.accruals.load(image.accruals);
    const { size, timeMs, beganMs, receiptCount } = image;
    Object.assign(state, { size, timeMs, beganMs, receiptCount });
    return state;
  }

  #advance(seq: number, timeMs: number): void {
    assert(seq === this.size, "the next entry comes next");
    if (this.#cuts.has(seq)) this.accruals.cut();
    this.size = seq + 1;
    this.timeMs = timeMs;
    if (seq === 0) this.beganMs = timeMs;
  }

  #applyPayee({ number, id, type }: PayeeRecord): void {
    assert(number === this.#payees.length + 1, `payee ${this.#payees.length + 1} comes next, got ${number}`);
    this.#payees.push({ id, type });
    this.#numbers.add(id);
    this.accruals.addPayee(type === "pool");
  }

  #applyPolicy(policy: FeePolicy): void {
    const [treasury, reserve, datanetReserve] = [
      policy.treasuryPayee,
      policy.reservePayee,
      policy.datanetReservePayee,
    ].map((id) => this.number(id));
    assert(
      treasury !== undefined && reserve !== undefined && datanetReserve !== undefined,
      "a policy's payees come before it",
    );
    this.#policy = { policy, hash: policyHash(policy), route: { ...policy, treasury, reserve, datanetReserve } };
  }

  #applyPoolChunk(chunk: PoolChunk): void {
    const members = this.#openChunks.get(chunk.pool) ?? [];
    let before = chunk.prefixBefore;
    for (const member of chunk.members) {
      members.push({ payee: member.payee, weight: member.prefix - before });
      before = member.prefix;
    }
    this.#openChunks.set(chunk.pool, members);
    if (members.length < chunk.memberCount) return;
    this.#openChunks.delete(chunk.pool);
    this.#pools.set(chunk.pool, members);
    this.#poolOf.set(keyOf(chunk.subject), chunk.pool);
    this.#assets.repool(chunk.subject, chunk.pool);
  }

  #takeReceipt(receipt: ReceiptFacts, legs: LegColumns): void {
    this.receiptCount += 1;
    for (let i = 0; i < legs.count; i++) this.accruals.credit(legs.payees[i]!, legs.amounts[i]!);
    if (receipt.earned > 0) this.accruals.credit(receipt.payerPayee, -receipt.earned);
    const charged = ownOf(receipt) - receipt.earned;
    this.spent.add(receipt.account, charged);
    this.debited.add(receipt.payer, charged);
    if (this.#families.size > 0) this.#families.delete(keyOf(receipt.id));
    if (receipt.nesting.depth > 0) {
      const total = this.family(receipt.nesting.parent).total + amountOf(receipt);
      this.#families.set(keyOf(receipt.nesting.parent), { total, last: receipt.id });
    }
    const datanet = this.asset(receipt.model)?.measures;
    if (datanet === undefined) return;
    // A pool of declared contributors is no measurement: only evidence of one's own is.
    for (let i = 0; i < legs.count; i++)
      if (legs.roles[i] === roleCode.contributor && !this.accruals.isPool(legs.payees[i]!))
        this.accruals.measure(datanet, legs.payees[i]!, legs.amounts[i]!);
  }

  #applyPoolSplit(split: PoolSplit): void {
    const members = this.#pools.get(split.pool)!;
    const parts = splitPool(
      this.ledger,
      split.epoch,
      this.payee(split.pool)!.id,
      { payee: split.pool, members },
      split.amount,
    );
    this.accruals.credit(split.pool, -split.amount);
    for (const [i, part] of parts.entries()) this.accruals.credit(members[i]!.payee, part);
  }

  #applyTransfer(transfer: Transfer): void {
    for (const { payee, amount } of transfer.lines) this.accruals.credit(payee, amount);
    this.spent.add(transfer.account, transferAmount(transfer));
    this.debited.add(transfer.payer, transferAmount(transfer));
  }

  /** Totals begin anew, with what is still owed: it is credited once more, and the epoch that follows settles it. */
  #applyMove(seq: number, move: Move): void {
    if (move.index === 0) {
      this.#moved = { domain: domainOf(move.place), seq, epoch: this.openEpoch().epoch };
      this.accruals.forget();
      this.debited.clear();
    }
    for (const { payee, owed } of move.lines) this.accruals.credit(payee, owed);
    this.debited.add(move.payer, moveAmount(move));
  }

  #applyCorrection(correction: Correction): void {
    for (const leg of correction.legs) this.accruals.credit(leg.payee, leg.amount);
    if (correction.earned > 0) this.accruals.credit(correction.payerPayee, correction.earned);
    const receipt = keyOf(correction.receipt);
    this.#refunded.set(receipt, (this.#refunded.get(receipt) ?? 0) + correction.refund + correction.earned);
    this.debited.add(correction.payer, -correction.refund);
    this.spent.add(correction.account, -correction.refund);
  }
}

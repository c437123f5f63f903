import { serialize } from "node:v8";
import { type AssetRecord, flowsToOwnerAlone, royaltyVector } from "../core/asset.ts";
import { type Hex, toHex } from "../core/bytes.ts";
import type { Correction } from "../core/correction.ts";
import type { BindingRecord, Entry, PayeeRecord, PayeeType } from "../core/entry.ts";
import { type FeePolicy, policyHash } from "../core/policy.ts";
import type { PoolChunk, PoolSplit } from "../core/pool.ts";
import { priorSubject, splitPool } from "../core/pool.ts";
import { amountOf, ownOf, type Receipt } from "../core/receipt.ts";
import { assert } from "../core/result.ts";
import type { RoutePolicy, Share } from "../core/route.ts";
import { Accruals } from "./accruals.ts";
import { bytesOfKey, keyOf } from "./keyOf.ts";
import { type EpochState, type KnownAsset, readImage, STATE_VERSION, type StateImage } from "./stateImage.ts";

/**
 * Everything that a ledger knows from its journal, kept up entry by entry: the same `apply` serves the live writer and the rebuild at start,
 * so that a rebuilt ledger and one that never stopped are the same.
 */
export class BookState {
  readonly ledger: Uint8Array;
  size = 0;
  timeMs = 0;
  receiptCount = 0;
  readonly accruals: Accruals;
  readonly #numbers = new Map<string, number>();
  readonly #payees: { readonly id: Uint8Array; readonly type: PayeeType }[] = [];
  readonly #assets = new Map<string, KnownAsset>();
  readonly #priorSubjects = new Map<string, string>();
  readonly #pools = new Map<number, readonly Share[]>();
  readonly #poolOf = new Map<string, number>();
  readonly #openChunks = new Map<number, Share[]>();
  /** Nano that corrections gave back, by receipt. */
  readonly #refunded = new Map<string, number>();
  readonly #bindings = new Map<number, BindingRecord>();
  /** Identities whose money is, or was, a party's, by that party: see {@link identitiesOf}. */
  readonly #identities = new Map<number, Set<number>>();
  readonly #families = new Map<string, { total: number; last: Uint8Array }>();
  readonly #spent = new Map<string, bigint>();
  readonly #debited = new Map<Hex, bigint>();
  readonly #epochs: EpochState[] = [];
  #policy: { readonly policy: FeePolicy; readonly hash: Uint8Array; readonly route: RoutePolicy } | undefined;
  /** Seqs at which closed epochs end, known before a rebuild comes to them. */
  #cuts: readonly number[] = [];

  constructor(ledger: Uint8Array) {
    this.ledger = ledger;
    this.accruals = new Accruals();
  }

  /** For a rebuild: where the epochs that the journal closes later end. */
  expectCuts(ends: readonly number[]): void {
    this.#cuts = ends;
  }

  get payeeCount(): number {
    return this.#payees.length;
  }

  number(id: Uint8Array): number | undefined {
    return this.#numbers.get(keyOf(id));
  }

  payee(number: number): { readonly id: Uint8Array; readonly type: PayeeType } | undefined {
    return this.#payees[number - 1];
  }

  get policy(): { readonly policy: FeePolicy; readonly hash: Uint8Array; readonly route: RoutePolicy } | undefined {
    return this.#policy;
  }

  asset(id: Uint8Array): KnownAsset | undefined {
    return this.#assets.get(keyOf(id));
  }

  assets(): readonly KnownAsset[] {
    return [...this.#assets.values()];
  }

  pool(number: number): readonly Share[] | undefined {
    return this.#pools.get(number);
  }

  /** The pool that was published last for a subject. */
  poolOf(subject: Uint8Array): number | undefined {
    return this.#poolOf.get(keyOf(subject));
  }

  bindings(): ReadonlyMap<number, BindingRecord> {
    return this.#bindings;
  }

  /** The identities that are bound or redirected to a party, and count in the open epoch. */
  identitiesOf(party: number): number[] {
    const { epoch } = this.openEpoch();
    return [...(this.#identities.get(party) ?? [])].filter((identity) => this.#bindings.get(identity)!.epoch <= epoch);
  }

  /** What a receipt's children came to, and the last of them. */
  family(receipt: Uint8Array): { readonly total: number; readonly last: Uint8Array } {
    return this.#families.get(keyOf(receipt)) ?? { total: 0, last: new Uint8Array(16) };
  }

  /** Nano spent by the account with this pseudonym. */
  spent(pseudonym: Uint8Array): bigint {
    return this.#spent.get(keyOf(pseudonym)) ?? 0n;
  }

  /** What corrections gave back of a receipt so far: to its payer's debit first, then to the earnings that it spent. */
  refunded(receipt: Uint8Array): number {
    return this.#refunded.get(keyOf(receipt)) ?? 0;
  }

  debited(payer: Uint8Array): bigint {
    return this.#debited.get(toHex(payer)) ?? 0n;
  }

  totalDebited(): bigint {
    let total = 0n;
    for (const amount of this.#debited.values()) total += amount;
    return total;
  }

  get epochs(): readonly EpochState[] {
    return this.#epochs;
  }

  /** Number and first seq of the epoch that is open now. */
  openEpoch(): { readonly epoch: number; readonly first: number; readonly sinceMs: number } {
    const last = this.#epochs.at(-1);
    return { epoch: (last?.record.epoch ?? 0) + 1, first: last?.record.end ?? 0, sinceMs: last?.timeMs ?? 0 };
  }

  /** Takes in the next entry of the journal. Assertions only: what is journalled was checked before. */
  apply(entry: Entry): void {
    assert(entry.seq === this.size, `entry ${this.size} comes next, got ${entry.seq}`);
    if (this.#cuts.includes(entry.seq)) this.accruals.cut();
    this.size = entry.seq + 1;
    this.timeMs = entry.timeMs;
    switch (entry.kind) {
      case "policy":
        return this.#applyPolicy(entry.policy);
      case "asset":
        return this.#applyAsset(entry.asset, entry.seq);
      case "payee":
        return this.#applyPayee(entry.payee);
      case "poolChunk":
        return this.#applyPoolChunk(entry.chunk);
      case "binding":
        return this.#applyBinding(entry.binding);
      case "receipt":
        return this.#applyReceipt(entry.receipt);
      case "poolSplit":
        return this.#applyPoolSplit(entry.split);
      case "correction":
        return this.#applyCorrection(entry.correction);
      case "epoch":
        this.#epochs.push({ record: entry.epoch, seq: entry.seq, timeMs: entry.timeMs });
        this.accruals.settle();
        return this.#turnOwners();
      case "batch":
      case "reversal":
        return;
    }
  }

  serialise(): Uint8Array {
    return serialize({
      version: STATE_VERSION,
      ...{ size: this.size, timeMs: this.timeMs, receiptCount: this.receiptCount },
      accruals: this.accruals.columns(),
      payees: this.#payees,
      assets: this.assets(),
      pools: this.#pools,
      bindings: this.#bindings,
      families: [...this.#families].map(([key, family]) => [bytesOfKey(key), family]),
      spent: [...this.#spent].map(([key, amount]) => [bytesOfKey(key), amount]),
      debited: this.#debited,
      poolOf: [...this.#poolOf].map(([key, pool]) => [bytesOfKey(key), pool]),
      refunded: [...this.#refunded].map(([key, amount]) => [bytesOfKey(key), amount]),
      epochs: this.#epochs,
      policy: this.#policy?.policy,
    } satisfies StateImage);
  }

  /** The state in a checkpoint; undefined when it was written by another version, and the journal is read from its start instead. */
  static restore(ledger: Uint8Array, bytes: Uint8Array): BookState | undefined {
    const image = readImage(bytes);
    if (image === undefined) return undefined;
    const state = new BookState(ledger);
    for (const [i, payee] of image.payees.entries()) state.#applyPayee({ number: i + 1, ...payee });
    for (const asset of image.assets) state.#keepAsset(asset);
    for (const [number, members] of image.pools) state.#pools.set(number, members);
    for (const binding of image.bindings.values()) state.#applyBinding(binding);
    for (const [id, family] of image.families) state.#families.set(keyOf(id), family);
    for (const [id, amount] of image.spent) state.#spent.set(keyOf(id), amount);
    for (const [payer, amount] of image.debited) state.#debited.set(payer, amount);
    for (const [subject, pool] of image.poolOf) state.#poolOf.set(keyOf(subject), pool);
    for (const [receipt, amount] of image.refunded) state.#refunded.set(keyOf(receipt), amount);
    state.#epochs.push(...image.epochs);
    if (image.policy !== undefined) state.#applyPolicy(image.policy);
    state.accruals.load(image.accruals);
    state.size = image.size;
    state.timeMs = image.timeMs;
    state.receiptCount = image.receiptCount;
    return state;
  }

  #applyPayee({ number, id, type }: PayeeRecord): void {
    assert(number === this.#payees.length + 1, `payee ${this.#payees.length + 1} comes next, got ${number}`);
    this.#payees.push({ id, type });
    this.#numbers.set(keyOf(id), number);
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

  #applyBinding(binding: BindingRecord): void {
    this.#identities.get(this.#bindings.get(binding.identity)?.to ?? 0)?.delete(binding.identity);
    this.#bindings.set(binding.identity, binding);
    if (binding.state !== "bound" && binding.state !== "redirected") return;
    const identities = this.#identities.get(binding.to) ?? new Set();
    this.#identities.set(binding.to, identities.add(binding.identity));
  }

  #applyAsset(record: AssetRecord, seq: number): void {
    const known = this.asset(record.id);
    if (known !== undefined) {
      this.#assets.set(keyOf(record.id), { ...known, nextOwner: record.owner });
      return;
    }
    const vector = royaltyVector(record.id, record.terms, record.parents, (id) => this.asset(id)?.vector);
    assert(vector.ok, "an asset that is journalled has known parents");
    this.#keepAsset({ record, vector: vector.value, seq, royaltyPayee: record.owner });
  }

  /** The open epoch was closed: what was transferred in it is its new owners'. Pools follow when they are published again. */
  #turnOwners(): void {
    for (const { nextOwner, ...asset } of this.#assets.values()) {
      if (nextOwner === undefined) continue;
      const record = { ...asset.record, owner: nextOwner };
      const royaltyPayee = flowsToOwnerAlone(record.id, asset.vector) ? nextOwner : asset.royaltyPayee;
      this.#assets.set(keyOf(record.id), { ...asset, record, royaltyPayee });
    }
  }

  #keepAsset(asset: KnownAsset): void {
    const key = keyOf(asset.record.id);
    this.#assets.set(key, asset);
    if (asset.record.assetKind === "datanet") this.#priorSubjects.set(keyOf(priorSubject(asset.record.id)), key);
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
    // The pool of an asset's ancestors is where its royalty goes from now on; a prior pool is its datanet's from now on.
    const asset = this.asset(chunk.subject);
    const datanet = this.#priorSubjects.get(keyOf(chunk.subject));
    if (asset !== undefined) this.#assets.set(keyOf(chunk.subject), { ...asset, royaltyPayee: chunk.pool });
    else if (datanet !== undefined) this.#assets.set(datanet, { ...this.#assets.get(datanet)!, prior: chunk.pool });
  }

  #applyReceipt(receipt: Receipt): void {
    this.receiptCount += 1;
    for (const leg of receipt.legs) this.accruals.credit(leg.payee, leg.amount);
    if (receipt.earned > 0) this.accruals.credit(receipt.payerPayee, -receipt.earned);
    const own = ownOf(receipt);
    const account = keyOf(receipt.account);
    this.#spent.set(account, (this.#spent.get(account) ?? 0n) + BigInt(own - receipt.earned));
    this.#debit(receipt.payer, own - receipt.earned);
    this.#families.delete(keyOf(receipt.id));
    if (receipt.nesting.depth > 0) {
      const total = this.family(receipt.nesting.parent).total + amountOf(receipt);
      this.#families.set(keyOf(receipt.nesting.parent), { total, last: receipt.id });
    }
    const measured = this.#measuredDatanet(receipt.model);
    if (measured !== undefined)
      for (const leg of receipt.legs)
        if (leg.role === "contributor") this.accruals.measure(measured, leg.payee, leg.amount);
  }

  /** The one datanet that a model was made from: then its contributors' legs measure that datanet. */
  #measuredDatanet(model: Uint8Array): number | undefined {
    const datanets = this.asset(model)?.record.parents.filter(
      (parent) => this.asset(parent.id)?.record.assetKind === "datanet",
    );
    return datanets?.length === 1 ? this.asset(datanets[0]!.id)!.seq : undefined;
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

  #applyCorrection(correction: Correction): void {
    for (const leg of correction.legs) this.accruals.credit(leg.payee, leg.amount);
    if (correction.earned > 0) this.accruals.credit(correction.payerPayee, correction.earned);
    const receipt = keyOf(correction.receipt);
    this.#refunded.set(receipt, (this.#refunded.get(receipt) ?? 0) + correction.refund + correction.earned);
    this.#debit(correction.payer, -correction.refund);
    const account = keyOf(correction.account);
    this.#spent.set(account, (this.#spent.get(account) ?? 0n) - BigInt(correction.refund));
  }

  #debit(payer: Uint8Array, amount: number): void {
    const key = toHex(payer);
    this.#debited.set(key, (this.#debited.get(key) ?? 0n) + BigInt(amount));
  }
}

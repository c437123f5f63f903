import { compareBytes, type Hex, toHex } from "../core/bytes.ts";
import { addCharge, type Closing, EpochClose } from "../core/closing.ts";
import type { EpochRecord } from "../core/epoch.ts";
import { priorSubject } from "../core/pool.ts";
import { PostingSums } from "../core/postingSums.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { decodeTotal, TOTAL_LEAF_BYTES } from "../core/settlement.ts";
import type { KeptLeaves } from "../core/settlementTreeStream.ts";
import { WEIGHT_TOTAL_MAX } from "../core/split.ts";
import { publishRoyalty } from "./assetBook.ts";
import type { Batch, Commit } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import { growTree, postingsAround, readPostings } from "./epochPostings.ts";
import type { ClosedEpoch, EpochStatus, EpochSummary, Epochs, PayoutProof } from "./ledger.ts";
import { journalMove, type MoveDraft } from "./moving.ts";
import { publishPool } from "./payees.ts";
import type { EpochLeaves, EpochMark, LedgerStore } from "./ports.ts";
import type { Purses } from "./purses.ts";
import { TreeCache } from "./treeCache.ts";
import type { Writer } from "./writer.ts";

/**
 * Epochs: a cut that divides the pools, the trees over what lies before the cut, and the entry that closes it.
 * Requests go on while the trees are built; what they post belongs to the next epoch.
 */
export class EpochBook implements Epochs {
  readonly #writer: Writer;
  readonly #state: BookState;
  readonly #purses: Purses;
  readonly #store: LedgerStore;
  readonly #marks = new Map<number, EpochMark>();
  readonly #leaves = new Map<number, EpochLeaves>();
  readonly #trees = new TreeCache();
  /** Postings that proofs were asked of last. */
  readonly #kept: { readonly epoch: number; readonly leaves: KeptLeaves }[] = [];
  #proving: Promise<unknown> = Promise.resolve();
  #debits: ReadonlyMap<Hex, bigint> = new Map();
  #closing = false;

  constructor(writer: Writer, purses: Purses, store: LedgerStore, marks: readonly EpochMark[]) {
    this.#writer = writer;
    this.#state = writer.state;
    this.#purses = purses;
    this.#store = store;
    for (const mark of marks) this.#marks.set(mark.epoch, mark);
  }

  async closeEpoch(input: { readonly registryBlock: number }): Promise<Result<ClosedEpoch>> {
    if (this.#closing) return refuse("conflict", "an epoch is being closed already");
    if (this.#state.policy === undefined) return refuse("conflict", "the ledger has no fee policy yet");
    this.#closing = true;
    try {
      if (!(await this.#earningsAreFree()))
        return refuse("conflict", "requests that spend earnings are under way", {
          hint: "close the epoch again in a moment",
        });
      const cut = await this.#cut();
      if (!cut.ok) return cut;
      const closing = await this.#settle(cut.value, input.registryBlock);
      return await this.#journal(closing);
    } finally {
      this.#closing = false;
      this.#purses.freezeEarnings(false);
    }
  }

  /**
   * Moves a ledger on credit to a chain: journals everybody's position, and closes the epoch that is this and nothing else, in one commit. Refuses `conflict` where
   * something is open, or somebody was paid more than it was credited.
   */
  async move(draft: MoveDraft): Promise<Result<ClosedEpoch>> {
    if (!(await this.isClosed()))
      return refuse("conflict", "something is credited or charged that no epoch has closed", {
        hint: "openledger epoch close",
      });
    const moved = await this.#writer.run((batch) => {
      const closing = journalMove(this.#state, batch, draft);
      if (!closing.ok) return closing;
      const closed = this.#add(batch, closing.value);
      return ok((commit) => ({ closing: closing.value, closed: closed(commit) }));
    });
    if (!moved.ok) return moved;
    this.#keep(moved.value.closing);
    return ok(moved.value.closed);
  }

  async isClosed(): Promise<boolean> {
    const { first } = this.#state.openEpoch();
    const { sums, charges } = await this.#sums({ first, end: this.#state.size });
    return sums.count === 0 && charges.size === 0;
  }

  list(): readonly EpochSummary[] {
    const onChain = this.#state.moved?.epoch ?? 0;
    return this.#state.epochs.map(({ record, seq, timeMs }) => {
      const mark = this.#marks.get(record.epoch);
      const { status = "closed", reference = "" } = mark ?? {};
      return { record, seq, timeMs, status, reference, isPast: record.epoch < onChain };
    });
  }

  async mark(epoch: number, status: EpochStatus, reference: string): Promise<void> {
    const mark = { epoch, status, reference };
    const marked = await this.#writer.run((batch) => {
      batch.epochMarks.push(mark);
      return ok(() => mark);
    });
    if (marked.ok) this.#marks.set(epoch, mark);
  }

  async payout(epoch: number, payee: Uint8Array): Promise<Result<PayoutProof>> {
    const leaves = await this.#leavesOf(epoch);
    return leaves === undefined
      ? unknown(epoch)
      : this.#proofOf(epoch, "payouts", leaves.payouts, payee, "nothing is owed to this payee in this epoch");
  }

  async debit(epoch: number, payer: Uint8Array): Promise<Result<PayoutProof>> {
    const leaves = await this.#leavesOf(epoch);
    return leaves === undefined
      ? unknown(epoch)
      : this.#proofOf(epoch, "debits", leaves.debits, payer, "nothing was charged to this payer up to this epoch");
  }

  async posting(
    epoch: number,
    index: number,
  ): Promise<Result<{ readonly leaf: Uint8Array; readonly proof: readonly Uint8Array[] }>> {
    const record = this.#state.epochs.find((one) => one.record.epoch === epoch)?.record;
    if (record === undefined) return unknown(epoch);
    const count = record.postingsCount;
    if (!Number.isInteger(index) || index < 0 || index >= count)
      return refuse("not_found", `epoch ${epoch} has ${count} postings, there is no ${index}`);
    // One after the other: each reads the whole epoch, and what is asked next is mostly beside it.
    const kept = this.#proving.then(() => this.#postingsAround(record, index));
    this.#proving = kept.catch(() => undefined);
    const leaves = await kept;
    return ok({ leaf: leaves.leaf(index), proof: leaves.proof(index) });
  }

  open(): { readonly epoch: number; readonly first: number; readonly sinceMs: number } {
    return this.#state.openEpoch();
  }

  /** Reserved earnings would be settled under the feet of whoever spends them, so the cut waits for them. */
  async #earningsAreFree(): Promise<boolean> {
    for (let waited = 0; !this.#purses.freezeEarnings(true); waited += WAIT_STEP_MS) {
      if (waited >= WAIT_MAX_MS) return false;
      await new Promise((resolve) => setTimeout(resolve, WAIT_STEP_MS));
    }
    return true;
  }

  /** Divides every pool that was credited; a member that is a pool itself is divided after it. The epoch ends before the entry after these. */
  #cut(): Promise<Result<number>> {
    return this.#writer.run((batch) => {
      const { epoch } = this.#state.openEpoch();
      for (let rounds = 0; ; rounds++) {
        assert(rounds <= POOL_DEPTH_MAX, "pools do not contain each other");
        const pools = this.#state.accruals.openPools();
        if (pools.length === 0) break;
        for (const pool of pools)
          batch.add({ kind: "poolSplit", split: { pool, epoch, amount: this.#state.accruals.open(pool) } });
      }
      const end = this.#state.size;
      this.#state.accruals.cut();
      return ok(() => end);
    });
  }

  async #settle(end: number, registryBlock: number): Promise<Closing> {
    const { epoch, first } = this.#state.openEpoch();
    const { sums, charges } = await this.#sums({ first, end });
    const before = { payees: this.#state.accruals.settledTotals(), payers: await this.#debitsBefore() };
    const idOf = (payee: number): Uint8Array => this.#state.payee(payee)!.id;
    const policyHash = this.#state.policy!.hash;
    const close = new EpochClose({ epoch, first, end, sums, charges, before, idOf, registryBlock, policyHash });
    await growTree(this.#state, this.#store, { first, end }, close.postings);
    return close.finish();
  }

  async #sums(range: { readonly first: number; readonly end: number }) {
    const [sums, charges] = [new PostingSums(), new Map<Hex, bigint>()];
    await readPostings(this.#state, this.#store, range, {
      post: (payee, _seq, _leg, amount) => sums.add(payee, amount),
      charge: (payer, amount) => addCharge(charges, payer, amount),
    });
    return { sums, charges };
  }

  async #postingsAround(record: EpochRecord, index: number): Promise<KeptLeaves> {
    const near = this.#kept.find(({ epoch, leaves }) => epoch === record.epoch && leaves.has(index))?.leaves;
    if (near !== undefined) return near;
    const last = this.#state.epochs[this.#state.epochs.findIndex((one) => one.record === record) - 1];
    // What a move journals starts from nothing: its epoch is the chain's first.
    const isFirst = last === undefined || record.epoch === this.#state.moved?.epoch;
    const paid = isFirst ? undefined : await this.#leavesOf(last.record.epoch);
    const before = totalsOf(paid?.payouts ?? new Uint8Array());
    const leaves = await postingsAround(
      this.#state,
      this.#store,
      { first: record.first, end: record.end, wanted: index },
      new Map(before.map(({ party, cumulative }) => [this.#state.number(party)!, cumulative])),
    );
    this.#kept.push({ epoch: record.epoch, leaves });
    this.#kept.splice(0, this.#kept.length - KEPT_MAX);
    return leaves;
  }

  async #journal(closing: Closing): Promise<Result<ClosedEpoch>> {
    const journalled = await this.#writer.run((batch) => {
      const moved = this.#state.assets().some((asset) => asset.nextOwner !== undefined);
      const closed = this.#add(batch, closing);
      // What was transferred in the epoch is its new owners' now.
      if (moved) for (const asset of this.#state.assets()) publishRoyalty(this.#state, batch, asset);
      this.#publishPriors(batch);
      return ok(closed);
    });
    if (journalled.ok) this.#keep(closing);
    return journalled;
  }

  /** The entry that closes an epoch, and what is kept of it. */
  #add(batch: Batch, closing: Closing): (commit: Commit) => ClosedEpoch {
    const { record } = closing;
    const { seq } = batch.add({ kind: "epoch", epoch: record });
    batch.epochLeaves.push(leavesOf(closing));
    batch.epochMarks.push({ epoch: record.epoch, status: "closed", reference: "" });
    batch.wantsCheckpoint = true;
    return (commit) => ({ record, seq, journalSize: commit.first + commit.count + 1 });
  }

  #keep(closing: Closing): void {
    this.#debits = closing.after.payers;
    this.#remember(leavesOf(closing));
  }

  /** A datanet's prior for the next epoch: what evidence earned its contributors, never how many records they put in. */
  #publishPriors(batch: Batch): void {
    for (const asset of this.#state.assets()) {
      if (asset.record.assetKind !== "datanet") continue;
      const measured = [...this.#state.accruals.measured(asset.seq)].filter(([, amount]) => amount >= 1);
      if (measured.length === 0) continue;
      const total = measured.reduce((sum, [, amount]) => sum + amount, 0);
      const scale = Math.min(1, WEIGHT_TOTAL_MAX / 2 / total);
      const shares = measured
        .map(([payee, amount]) => ({ payee, weight: Math.floor(amount * scale) }))
        .filter((share) => share.weight > 0);
      if (shares.length > 0) publishPool(this.#state, batch, priorSubject(asset.record.id), shares);
    }
  }

  async #debitsBefore(): Promise<ReadonlyMap<Hex, bigint>> {
    const last = this.#state.epochs.at(-1)?.record.epoch;
    if (last === undefined || this.#debits.size > 0) return this.#debits;
    const leaves = await this.#leavesOf(last);
    assert(leaves !== undefined, "the leaves of a closed epoch are stored with it");
    this.#debits = new Map(totalsOf(leaves.debits).map(({ party, cumulative }) => [toHex(party), cumulative]));
    return this.#debits;
  }

  async #leavesOf(epoch: number): Promise<EpochLeaves | undefined> {
    const known = this.#leaves.get(epoch) ?? (await this.#store.epochLeaves(this.#state.ledger, epoch));
    if (known !== undefined) this.#remember(known);
    return known;
  }

  #proofOf(
    epoch: number,
    kind: "payouts" | "debits",
    leaves: Uint8Array,
    party: Uint8Array,
    absent: string,
  ): Result<PayoutProof> {
    const index = indexOf(leaves, party);
    if (index === undefined) return refuse("nothing_to_claim", absent);
    const leaf = decodeTotal(leaves.slice(index * TOTAL_LEAF_BYTES, (index + 1) * TOTAL_LEAF_BYTES));
    assert(leaf.ok, "a leaf of ours decodes");
    const tree = this.#trees.of(epoch, kind, leaves, TOTAL_LEAF_BYTES);
    return ok({ index, payee: party, cumulative: leaf.value.cumulative, proof: tree.proof(index) });
  }

  #remember(leaves: EpochLeaves): void {
    this.#leaves.delete(leaves.epoch);
    this.#leaves.set(leaves.epoch, leaves);
    for (const oldest of this.#leaves.keys()) {
      if (this.#leaves.size <= CACHED_EPOCHS_MAX) break;
      this.#leaves.delete(oldest);
    }
  }
}

function leavesOf({ record: { epoch }, payoutLeaves, debitLeaves }: Closing): EpochLeaves {
  return { epoch, payouts: payoutLeaves, debits: debitLeaves };
}

const WAIT_STEP_MS = 20;
const WAIT_MAX_MS = 60_000;
const POOL_DEPTH_MAX = 64;
const CACHED_EPOCHS_MAX = 4;
const KEPT_MAX = 16;

/** Where a party's leaf stands among those ascending by party; undefined where it has none. */
function indexOf(leaves: Uint8Array, party: Uint8Array): number | undefined {
  let [low, high] = [0, leaves.length / TOTAL_LEAF_BYTES];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareBytes(partyAt(leaves, middle), party) < 0) low = middle + 1;
    else high = middle;
  }
  const isThere = low * TOTAL_LEAF_BYTES < leaves.length && compareBytes(partyAt(leaves, low), party) === 0;
  return isThere ? low : undefined;
}

function totalsOf(leaves: Uint8Array): { readonly party: Uint8Array; readonly cumulative: bigint }[] {
  return Array.from({ length: leaves.length / TOTAL_LEAF_BYTES }, (_, i) => {
    const leaf = decodeTotal(leaves.slice(i * TOTAL_LEAF_BYTES, (i + 1) * TOTAL_LEAF_BYTES));
    assert(leaf.ok, "a leaf of ours decodes");
    return leaf.value;
  });
}

function partyAt(leaves: Uint8Array, index: number): Uint8Array {
  return leaves.subarray(index * TOTAL_LEAF_BYTES + 8, index * TOTAL_LEAF_BYTES + 40);
}

function unknown(epoch: number): Result<never> {
  return refuse("not_found", `epoch ${epoch} is not closed`);
}

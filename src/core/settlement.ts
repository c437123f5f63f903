import { compareBytes } from "./bytes.ts";
import { PackedReader } from "./packed.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * The leaves of an epoch's settlement trees: packed, big-endian, with their own index first, so that any fault is shown by one
 * entry or two adjacent leaves. `contracts/src/libraries/SettlementTree.sol` reads the same bytes.
 * Many leaves are packed into one flat buffer, ready for `SettlementTree.build`.
 */

/** One leg of an entry of the epoch, with its payee written as in the trees: by id, not by number. */
export interface PostingById {
  /** 32-byte payee id. */
  readonly payee: Uint8Array;
  readonly seq: number;
  readonly leg: number;
  /** Signed nano. */
  readonly amount: number;
}

/** u64 index ‖ bytes32 payee ‖ u64 seq ‖ u32 leg ‖ int128 amount ‖ u128 cumulative ‖ u128 grandTotal. */
export interface PostingLeaf extends PostingById {
  readonly index: number;
  /** The payee's lifetime nano after this posting. */
  readonly cumulative: bigint;
  /** The ledger's lifetime nano after this posting, in tree order. */
  readonly grandTotal: bigint;
}

/** A payout leaf (the party is a payee) or a debit leaf (it is a payer): u64 index ‖ bytes32 party ‖ u128 cumulative. */
export interface TotalLeaf {
  readonly index: number;
  /** 32-byte id. */
  readonly party: Uint8Array;
  /** Lifetime nano. */
  readonly cumulative: bigint;
}

export const POSTING_LEAF_BYTES = 100;
export const TOTAL_LEAF_BYTES = 56;

/** The order of the postings tree: payee id, then seq, then leg. */
export function comparePostings(a: PostingById, b: PostingById): number {
  return compareBytes(a.payee, b.payee) || a.seq - b.seq || a.leg - b.leg;
}

/**
 * Gives postings, which must ascend strictly, their indices and running totals. A payee starts from `lifetimeOf(payee)` and the
 * ledger from `grandTotal`, both of the epoch before; or all go on after a leaf. Lazy: a million leaves are packed without being held.
 */
export function* runningTotals(
  postings: Iterable<PostingById>,
  lifetimeOf: (payee: Uint8Array) => bigint,
  grandTotal: bigint,
  after?: PostingLeaf,
): Generator<PostingLeaf, void> {
  let before = after;
  for (const { payee, seq, leg, amount } of postings) {
    const isSamePayee = before !== undefined && compareBytes(before.payee, payee) === 0;
    const isAfter = before === undefined || comparePostings(before, { payee, seq, leg, amount }) < 0;
    assert(isAfter, `postings ascend strictly by payee, seq and leg; entry ${seq}, leg ${leg} does not`);
    const added = BigInt(amount);
    before = {
      index: before === undefined ? 0 : before.index + 1,
      payee,
      seq,
      leg,
      amount,
      cumulative: (before !== undefined && isSamePayee ? before.cumulative : lifetimeOf(payee)) + added,
      grandTotal: (before === undefined ? grandTotal : before.grandTotal) + added,
    };
    yield before;
  }
}

/** Gives lifetime totals, which must ascend strictly by party, their indices; a total of zero has no leaf. */
export function* indexTotals(totals: Iterable<Omit<TotalLeaf, "index">>): Generator<TotalLeaf, void> {
  let before: TotalLeaf | undefined;
  for (const { party, cumulative } of totals) {
    const isAfter = before === undefined || compareBytes(before.party, party) < 0;
    assert(isAfter && cumulative > 0n, "lifetime totals are positive and ascend strictly by party");
    before = { index: before === undefined ? 0 : before.index + 1, party, cumulative };
    yield before;
  }
}

/** `count` posting leaves of 100 bytes each, one after the other. */
export function packPostings(leaves: Iterable<PostingLeaf>, count: number): Uint8Array {
  return pack(leaves, count, POSTING_LEAF_BYTES, (view, bytes, at, leaf) => {
    putU64(view, at, leaf.index);
    putId(bytes, at + 8, leaf.payee);
    putU64(view, at + 40, leaf.seq);
    putU32(view, at + 48, leaf.leg);
    putSigned128(view, at + 52, leaf.amount);
    putU128(view, at + 68, leaf.cumulative);
    putU128(view, at + 84, leaf.grandTotal);
  });
}

/** `count` payout or debit leaves of 56 bytes each, one after the other. */
export function packTotals(leaves: Iterable<TotalLeaf>, count: number): Uint8Array {
  return pack(leaves, count, TOTAL_LEAF_BYTES, (view, bytes, at, leaf) => {
    putU64(view, at, leaf.index);
    putId(bytes, at + 8, leaf.party);
    putU128(view, at + 40, leaf.cumulative);
  });
}

export function encodePosting(leaf: PostingLeaf): Uint8Array {
  return packPostings([leaf], 1);
}

export function encodeTotal(leaf: TotalLeaf): Uint8Array {
  return packTotals([leaf], 1);
}

/** Refuses bytes that {@link encodePosting} cannot have written. */
export function decodePosting(bytes: Uint8Array): Result<PostingLeaf> {
  const from = new PackedReader(bytes);
  const leaf = {
    index: from.u64(),
    payee: from.raw(32),
    seq: from.u64(),
    leg: from.u32(),
    amount: Number(BigInt.asIntN(128, from.u128())),
    cumulative: from.u128(),
    grandTotal: from.u128(),
  };
  if (from.isWhole && Number.isSafeInteger(leaf.amount)) return ok(leaf);
  return refuse("verification_failed", `${bytes.length} bytes are not a posting leaf`);
}

/** Refuses bytes that {@link encodeTotal} cannot have written. */
export function decodeTotal(bytes: Uint8Array): Result<TotalLeaf> {
  const from = new PackedReader(bytes);
  const leaf = { index: from.u64(), party: from.raw(32), cumulative: from.u128() };
  if (from.isWhole) return ok(leaf);
  return refuse("verification_failed", `${bytes.length} bytes are not a payout or debit leaf`);
}

function pack<T>(
  leaves: Iterable<T>,
  count: number,
  leafBytes: number,
  put: (view: DataView, bytes: Uint8Array, at: number, leaf: T) => void,
): Uint8Array {
  const bytes = new Uint8Array(count * leafBytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const leaf of leaves) {
    assert(at < bytes.length, `no more than ${count} leaves`);
    put(view, bytes, at, leaf);
    at += leafBytes;
  }
  assert(at === bytes.length, `${count} leaves, got ${at / leafBytes}`);
  return bytes;
}

function putId(bytes: Uint8Array, at: number, id: Uint8Array): void {
  assert(id.length === 32, "a party's id has 32 bytes");
  bytes.set(id, at);
}

function putU32(view: DataView, at: number, value: number): void {
  assert(Number.isInteger(value) && value >= 0 && value < 2 ** 32, "a u32 field");
  view.setUint32(at, value);
}

function putU64(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, "a u64 field below 2^53");
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

/** A safe integer as 16 bytes of two's complement. */
function putSigned128(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value), "an amount within ±2^53");
  const high = Math.floor(value / 2 ** 32);
  view.setInt32(at, high < 0 ? -1 : 0);
  view.setInt32(at + 4, high < 0 ? -1 : 0);
  view.setInt32(at + 8, high);
  view.setUint32(at + 12, value - high * 2 ** 32);
}

function putU128(view: DataView, at: number, value: bigint): void {
  assert(value >= 0n && value >> 128n === 0n, "a u128 field");
  view.setBigUint64(at, value >> 64n);
  view.setBigUint64(at + 8, BigInt.asUintN(64, value));
}

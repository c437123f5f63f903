import { type AssetRecord, assetBytes, readAsset, writeAsset } from "./asset.ts";
import {
  type Correction,
  correctionBytes,
  REVERSAL_BYTES,
  type Reversal,
  readCorrection,
  readReversal,
  writeCorrection,
  writeReversal,
} from "./correction.ts";
import { EPOCH_BYTES, type EpochRecord, readEpoch, writeEpoch } from "./epoch.ts";
import { methodsBytes, readMethods, writeMethods } from "./methods.ts";
import { type Move, moveBytes, readMove, writeMove } from "./move.ts";
import { PackedReader, PackedWriter } from "./packed.ts";
import type { FeePolicy } from "./policy.ts";
import {
  POOL_SPLIT_BYTES,
  type PoolChunk,
  type PoolSplit,
  poolChunkBytes,
  readPoolChunk,
  readPoolSplit,
  writePoolChunk,
  writePoolSplit,
} from "./pool.ts";
import {
  type Receipt,
  type ReceiptFacts,
  readReceipt,
  receiptBytes,
  writeReceipt,
  writeReceiptColumns,
} from "./receipt.ts";
import { ok, type Result, refuse } from "./result.ts";
import type { LegColumns } from "./route.ts";
import { readTransfer, type Transfer, transferBytes, writeTransfer } from "./transfer.ts";

/**
 * An entry of the journal: one versioned packed record. Every entry starts with the same 50 bytes,
 *
 *     u8 version (1) · u8 kind · bytes32 ledger · u64 seq · u64 time (milliseconds since 1970)
 *
 * and goes on with its kind's fields at fixed offsets. `docs/journal.md` lists them. Encoding and decoding are inverse to each other:
 * there is exactly one encoding of an entry, so whatever was signed can be decoded, changed in nothing, and encoded to the same bytes.
 */
export interface EntryHead {
  /** 32 bytes. */
  readonly ledger: Uint8Array;
  readonly seq: number;
  readonly timeMs: number;
}

export type EntryBody =
  | { readonly kind: "policy"; readonly policy: FeePolicy }
  | { readonly kind: "asset"; readonly asset: AssetRecord }
  | { readonly kind: "payee"; readonly payee: PayeeRecord }
  | { readonly kind: "poolChunk"; readonly chunk: PoolChunk }
  | { readonly kind: "binding"; readonly binding: BindingRecord }
  | { readonly kind: "receipt"; readonly receipt: Receipt }
  | { readonly kind: "batch"; readonly batch: BatchRecord }
  | { readonly kind: "poolSplit"; readonly split: PoolSplit }
  | { readonly kind: "correction"; readonly correction: Correction }
  | { readonly kind: "reversal"; readonly reversal: Reversal }
  | { readonly kind: "epoch"; readonly epoch: EpochRecord }
  | { readonly kind: "transfer"; readonly transfer: Transfer }
  | { readonly kind: "move"; readonly move: Move }
  | { readonly kind: "methods"; readonly text: Uint8Array };

export type Entry = EntryHead & EntryBody;
export type EntryKind = Entry["kind"];

/** Introduces a payee: from here on the ledger writes it by its number. Numbers are dense from 1. */
export interface PayeeRecord {
  readonly number: number;
  readonly type: PayeeType;
  /** 32-byte payee id. */
  readonly id: Uint8Array;
}

export const payeeTypes = ["party", "identity", "pool", "purse"] as const;
export type PayeeType = (typeof payeeTypes)[number];

/** What became of an external identity, by its own proof or by the passing of its term. */
export interface BindingRecord {
  readonly identity: number;
  /** Who stands behind it from `epoch` on; 0 where nobody does. */
  readonly to: number;
  readonly state: BindingState;
  readonly epoch: number;
  /** 32-byte hash of the proof that was checked. */
  readonly proofHash: Uint8Array;
}

export const bindingStates = ["noticed", "bound", "refused", "redirected", "left", "expired"] as const;
export type BindingState = (typeof bindingStates)[number];

/** The node's signature over the entries of one durable commit, [first, first + count). */
export interface BatchRecord {
  readonly first: number;
  readonly count: number;
  /** RFC 6962 root over just those entries. */
  readonly root: Uint8Array;
  /** The published journal holds these entries by then, or the promise is broken. Milliseconds since 1970. */
  readonly deadlineMs: number;
  /** 65 bytes: r, s, v over the EIP-712 `Batch` of {@link ./eip712.ts}. */
  readonly signature: Uint8Array;
}

export const ENTRY_VERSION = 1;
export const ENTRY_HEAD_BYTES = 50;
/** C2SP tlog-tiles gives an entry a length of 16 bits. */
export const ENTRY_BYTES_MAX = 65_535;

export const entryKinds = [
  "policy",
  "asset",
  "payee",
  "poolChunk",
  "binding",
  "receipt",
  "batch",
  "poolSplit",
  "correction",
  "reversal",
  "epoch",
  "transfer",
  "move",
  "methods",
] as const satisfies readonly EntryKind[];

/** Gives memory of a size for an entry: a batch writes its entries one behind the other. */
export type Room = (size: number) => Uint8Array;

const newRoom: Room = (size) => new Uint8Array(size);

export function encodeEntry(entry: Entry, room = newRoom): Uint8Array {
  const to = openEntry(entry, entry.kind, bodyBytes(entry), room);
  writeBody(to, entry);
  return to.finish();
}

/** A receipt's entry from its facts and its legs in columns: the bytes of {@link encodeEntry}, without an object for a leg. */
export function encodeReceipt(head: EntryHead, facts: ReceiptFacts, legs: LegColumns, room = newRoom): Uint8Array {
  const to = openEntry(head, "receipt", receiptBytes(legs.count), room);
  writeReceiptColumns(to, facts, legs);
  return to.finish();
}

function openEntry(head: EntryHead, kind: EntryKind, bytes: number, room: Room): PackedWriter {
  const size = ENTRY_HEAD_BYTES + bytes;
  return new PackedWriter(size, room(size))
    .u8(ENTRY_VERSION)
    .u8(entryKinds.indexOf(kind) + 1)
    .raw(head.ledger, 32)
    .u64(head.seq)
    .u64(head.timeMs);
}

/** Refuses what is not the one encoding of an entry: unknown version or kind, bytes missing or left over, a field out of range. */
export function decodeEntry(bytes: Uint8Array): Result<Entry> {
  const from = new PackedReader(bytes);
  const version = from.u8();
  if (version !== ENTRY_VERSION) return refuse("verification_failed", `entry version ${version} is not known here`);
  const kindCode = from.u8();
  const kind = entryKinds[kindCode - 1];
  if (kind === undefined) return refuse("verification_failed", `entry kind ${kindCode} is not known here`);
  const head = { ledger: from.raw(32), seq: from.u64(), timeMs: from.u64() };
  const body = readBody(from, kind);
  if (!from.isWhole)
    return refuse("verification_failed", `a ${kind} entry of ${bytes.length} bytes is not well formed`);
  return ok({ ...head, ...body });
}

const PAYEE_BYTES = 4 + 1 + 32;
const BINDING_BYTES = 4 + 4 + 1 + 8 + 32;
const BATCH_BYTES = 8 + 4 + 32 + 8 + 65;
const POLICY_BYTES = 6 * 2 + 3 * 32;

function bodyBytes(entry: EntryBody): number {
  switch (entry.kind) {
    case "policy":
      return POLICY_BYTES;
    case "asset":
      return assetBytes(entry.asset);
    case "payee":
      return PAYEE_BYTES;
    case "poolChunk":
      return poolChunkBytes(entry.chunk);
    case "binding":
      return BINDING_BYTES;
    case "receipt":
      return receiptBytes(entry.receipt.legs.length);
    case "batch":
      return BATCH_BYTES;
    case "poolSplit":
      return POOL_SPLIT_BYTES;
    case "correction":
      return correctionBytes(entry.correction);
    case "reversal":
      return REVERSAL_BYTES;
    case "epoch":
      return EPOCH_BYTES;
    case "transfer":
      return transferBytes(entry.transfer);
    case "move":
      return moveBytes(entry.move);
    case "methods":
      return methodsBytes(entry.text);
  }
}

function writeBody(to: PackedWriter, entry: EntryBody): void {
  switch (entry.kind) {
    case "policy":
      return writePolicy(to, entry.policy);
    case "asset":
      return writeAsset(to, entry.asset);
    case "payee":
      to.u32(entry.payee.number).u8(payeeTypes.indexOf(entry.payee.type)).raw(entry.payee.id, 32);
      return;
    case "poolChunk":
      return writePoolChunk(to, entry.chunk);
    case "binding":
      return writeBinding(to, entry.binding);
    case "receipt":
      return writeReceipt(to, entry.receipt);
    case "batch":
      return writeBatch(to, entry.batch);
    case "poolSplit":
      return writePoolSplit(to, entry.split);
    case "correction":
      return writeCorrection(to, entry.correction);
    case "reversal":
      return writeReversal(to, entry.reversal);
    case "epoch":
      return writeEpoch(to, entry.epoch);
    case "transfer":
      return writeTransfer(to, entry.transfer);
    case "move":
      return writeMove(to, entry.move);
    case "methods":
      return writeMethods(to, entry.text);
  }
}

function readBody(from: PackedReader, kind: EntryKind): EntryBody {
  switch (kind) {
    case "policy":
      return { kind, policy: readPolicy(from) };
    case "asset":
      return { kind, asset: readAsset(from) };
    case "payee":
      return { kind, payee: { number: from.u32(), type: pick(from, payeeTypes), id: from.raw(32) } };
    case "poolChunk":
      return { kind, chunk: readPoolChunk(from) };
    case "binding":
      return { kind, binding: readBinding(from) };
    case "receipt":
      return { kind, receipt: readReceipt(from) };
    case "batch":
      return { kind, batch: readBatch(from) };
    case "poolSplit":
      return { kind, split: readPoolSplit(from) };
    case "correction":
      return { kind, correction: readCorrection(from) };
    case "reversal":
      return { kind, reversal: readReversal(from) };
    case "epoch":
      return { kind, epoch: readEpoch(from) };
    case "transfer":
      return { kind, transfer: readTransfer(from) };
    case "move":
      return { kind, move: readMove(from) };
    case "methods":
      return { kind, text: readMethods(from) };
  }
}

function pick<T>(from: PackedReader, names: readonly T[]): T {
  const name = names[from.u8()];
  if (name === undefined) from.fail();
  return name ?? names[0]!;
}

function writePolicy(to: PackedWriter, policy: FeePolicy): void {
  to.u16(policy.modelBps)
    .u16(policy.contextBps)
    .u16(policy.contributorsBps)
    .u16(policy.stakersBps)
    .u16(policy.treasuryBps)
    .u16(policy.priorCapBps)
    .raw(policy.treasuryPayee, 32)
    .raw(policy.reservePayee, 32)
    .raw(policy.datanetReservePayee, 32);
}

function readPolicy(from: PackedReader): FeePolicy {
  return {
    modelBps: from.u16(),
    contextBps: from.u16(),
    contributorsBps: from.u16(),
    stakersBps: from.u16(),
    treasuryBps: from.u16(),
    priorCapBps: from.u16(),
    treasuryPayee: from.raw(32),
    reservePayee: from.raw(32),
    datanetReservePayee: from.raw(32),
  };
}

function writeBinding(to: PackedWriter, binding: BindingRecord): void {
  to.u32(binding.identity)
    .u32(binding.to)
    .u8(bindingStates.indexOf(binding.state))
    .u64(binding.epoch)
    .raw(binding.proofHash, 32);
}

function readBinding(from: PackedReader): BindingRecord {
  return {
    identity: from.u32(),
    to: from.u32(),
    state: pick(from, bindingStates),
    epoch: from.u64(),
    proofHash: from.raw(32),
  };
}

function writeBatch(to: PackedWriter, batch: BatchRecord): void {
  to.u64(batch.first).u32(batch.count).raw(batch.root, 32).u64(batch.deadlineMs).raw(batch.signature, 65);
}

function readBatch(from: PackedReader): BatchRecord {
  return {
    first: from.u64(),
    count: from.u32(),
    root: from.raw(32),
    deadlineMs: from.u64(),
    signature: from.raw(65),
  };
}

import { concat, equalBytes, utf8 } from "./bytes.ts";
import type { Domain } from "./eip712.ts";
import { keccak256 } from "./hash.ts";
import type { PackedReader, PackedWriter } from "./packed.ts";
import { assert } from "./result.ts";

/**
 * Where a ledger that began on credit goes on upon a chain. Everybody's position at that moment is in it: what the epochs on credit came to, and what of it is still
 * owed. So anybody can recompute what was paid outside, which the chain never pays again; what is owed is all that the chain begins with, and the node's debit.
 * A move too long for one entry is a row of them, with nothing between, and the next entry closes an epoch that is this row and nothing else.
 */
export interface Move {
  readonly place: Place;
  /** Whose debit it is: the node, 32 bytes. */
  readonly payer: Uint8Array;
  /** Which part of the move this is, from 0, and of how many. */
  readonly index: number;
  readonly count: number;
  /** Ascending by payee over all parts, each payee once. */
  readonly lines: readonly MoveLine[];
}

/** Where a ledger goes on: the chain, its EpochSettlement and its AssetRegistry (20 bytes each). */
export interface Place {
  readonly chainId: number;
  readonly settlement: Uint8Array;
  readonly registry: Uint8Array;
}

export interface MoveLine {
  readonly payee: number;
  /** Lifetime nano that the epochs on credit credited it. Above 0. */
  readonly credited: bigint;
  /** What of it was not paid yet: what the chain pays. */
  readonly owed: number;
}

export const MOVE_LINES_MAX = 1_024;

/** What a ledger without a chain signs for: chain 0 and the zero contract, which no EVM chain has (EIP-155). */
export const CREDIT_CHAIN_ID = 0;
export const creditDomain: Domain = { chainId: CREDIT_CHAIN_ID, verifyingContract: new Uint8Array(20) };

/** 32 bytes: the same node always has the same ledger on credit. `node` is the 20-byte address of its signing key. */
export function creditLedgerId(node: Uint8Array): Uint8Array {
  return keccak256(utf8("openledger credit ledger"), node);
}

export function domainOf({ chainId, settlement }: Place): Domain {
  return { chainId, verifyingContract: settlement };
}

export function moveAmount({ lines }: Pick<Move, "lines">): number {
  return lines.reduce((sum, { owed }) => sum + owed, 0);
}

/** What of a position was paid outside, in nano that a number holds: nearly always one, and none where nothing was. */
export function* paidOutside({ credited, owed }: MoveLine): Generator<number, void> {
  for (let left = credited - BigInt(owed); left > 0n; ) {
    const part = left < BigInt(Number.MAX_SAFE_INTEGER) ? left : BigInt(Number.MAX_SAFE_INTEGER);
    yield Number(part);
    left -= part;
  }
}

/** Divides positions, ascending by payee, into the parts of a move: at least one, each of less than 2^53 nano. */
export function moveParts(of: Pick<Move, "place" | "payer">, lines: readonly MoveLine[]): Move[] {
  const parts: MoveLine[][] = [[]];
  let sum = 0;
  for (const line of lines) {
    const last = parts.at(-1)!;
    if (last.length === MOVE_LINES_MAX || !Number.isSafeInteger(sum + line.owed)) {
      parts.push([line]);
      sum = line.owed;
    } else {
      last.push(line);
      sum += line.owed;
    }
  }
  return parts.map((part, index) => ({ ...of, index, count: parts.length, lines: part }));
}

/** What is wrong with a part by itself, or behind the part before it; undefined where nothing is. */
export function moveFault(part: Move, before: Move | undefined): string | undefined {
  const { place, payer, index, count, lines } = part;
  if (place.chainId === CREDIT_CHAIN_ID) return "it names no chain";
  if (index !== (before === undefined ? 0 : before.index + 1) || index >= count)
    return `it is part ${index} of ${count}, where part ${before === undefined ? 0 : before.index + 1} comes next`;
  if (before !== undefined) {
    const { chainId, settlement, registry } = before.place;
    const isSame =
      chainId === place.chainId && equalBytes(settlement, place.settlement) && equalBytes(registry, place.registry);
    if (!isSame || count !== before.count || !equalBytes(payer, before.payer))
      return "it is not of the move that the part before it began";
    if (before.lines.length === 0) return "a part of it is empty";
  }
  let payee = before?.lines.at(-1)?.payee ?? 0;
  for (const line of lines) {
    if (line.payee <= payee) return "its payees do not ascend";
    if (line.credited <= 0n) return `payee ${line.payee} was credited nothing`;
    if (BigInt(line.owed) > line.credited) return `payee ${line.payee} is owed more than it was credited`;
    payee = line.payee;
  }
  return Number.isSafeInteger(moveAmount(part)) ? undefined : "it moves 2^53 nano or more in a part";
}

const HEAD_BYTES = 8 + 20 + 20 + 32 + 4 + 4 + 2;
const LINE_BYTES = 4 + 16 + 8;

export function moveBytes({ lines }: Move): number {
  return HEAD_BYTES + LINE_BYTES * lines.length;
}

export function writeMove(to: PackedWriter, { place, payer, index, count, lines }: Move): void {
  assert(lines.length <= MOVE_LINES_MAX, `at most ${MOVE_LINES_MAX} lines`);
  to.u64(place.chainId).raw(place.settlement, 20).raw(place.registry, 20).raw(payer, 32);
  to.u32(index).u32(count).u16(lines.length);
  for (const { payee, credited, owed } of lines) to.u32(payee).u128(credited).u64(owed);
}

export function readMove(from: PackedReader): Move {
  const place = { chainId: from.u64(), settlement: from.raw(20), registry: from.raw(20) };
  const [payer, index, count, size] = [from.raw(32), from.u32(), from.u32(), from.u16()];
  if (size > MOVE_LINES_MAX) from.fail();
  const lines: MoveLine[] = [];
  for (let i = 0; i < size && !from.hasFailed; i++)
    lines.push({ payee: from.u32(), credited: from.u128(), owed: from.u64() });
  return { place, payer, index, count, lines };
}

/** 32 bytes: an asset of a ledger that began on credit. The same content by the same node is the same asset. `AssetRegistry.sol` computes the same. */
export function creditAssetId(node: Uint8Array, kind: number, contentRoot: Uint8Array, salt: Uint8Array): Uint8Array {
  return keccak256(concat(utf8("openledger credit asset"), node, Uint8Array.of(kind), contentRoot, salt));
}

import { u64, utf8 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { type PackedReader, PackedWriter } from "./packed.ts";
import { assert } from "./result.ts";
import type { Share } from "./route.ts";
import { poolOffset, splitSystematic, WEIGHT_TOTAL_MAX } from "./split.ts";

/**
 * A pool: a payee with many members and fixed weights, such as a datanet's prior or a model's ancestors. A route credits it as one leg;
 * at the close of an epoch what it was credited is split exactly over its members. So a receipt costs the same however many stand behind it,
 * and amounts too small to pay per call add up before they are divided.
 */
export interface Pool {
  /** The payee number it was introduced by. */
  readonly payee: number;
  /** Ascending by payee, weights positive, total ≤ 2^32. */
  readonly members: readonly Share[];
}

/** A pool stands in the journal once, in chunks; each member with its prefix weight, so that one chunk proves one member's part. */
export interface PoolChunk {
  readonly pool: number;
  /** What the pool belongs to, 32 bytes: an asset's id for its royalty, {@link priorSubject} for a datanet's prior, {@link contextSubject} for its context, {@link declaredSubject} for who a model declares. */
  readonly subject: Uint8Array;
  /** The seq at which it was introduced: the same members published again are another pool. */
  readonly since: number;
  readonly total: number;
  readonly memberCount: number;
  /** Index of this chunk's first member, and the weights that come before it. */
  readonly firstMember: number;
  readonly prefixBefore: number;
  readonly members: readonly { readonly payee: number; readonly prefix: number }[];
}

/** What a pool was credited in an epoch and divides over its members. Negative where corrections outweighed credits. */
export interface PoolSplit {
  readonly pool: number;
  readonly epoch: number;
  readonly amount: number;
}

export const POOL_CHUNK_MEMBERS_MAX = 4_096;
export const POOL_SPLIT_BYTES = 4 + 8 + 8;

export function makePool(payee: number, shares: readonly Share[]): Pool {
  const members = shares.filter((share) => share.weight > 0).toSorted((a, b) => a.payee - b.payee);
  let total = 0;
  members.forEach((member, i) => {
    assert(i === 0 || members[i - 1]!.payee < member.payee, "a pool names each member once");
    assert(member.payee !== payee, "a pool is not its own member");
    total += member.weight;
  });
  assert(total > 0 && total <= WEIGHT_TOTAL_MAX, "a pool's weights sum to a total in [1, 2^32]");
  return { payee, members };
}

/**
 * A pool's payee id: keccak256("openledger pool" ‖ ledger ‖ subject ‖ u64 since ‖ (u32 payee ‖ u32 weight) of each member, ascending by
 * payee; a weight of 2^32 stands as 0).
 */
export function poolId(ledger: Uint8Array, subject: Uint8Array, since: number, shares: readonly Share[]): Uint8Array {
  const members = shares.filter((share) => share.weight > 0).toSorted((a, b) => a.payee - b.payee);
  const packed = new PackedWriter(members.length * 8);
  for (const { payee, weight } of members) packed.u32(payee).u32(weight % 2 ** 32);
  return keccak256(poolTag, ledger, subject, u64(since), packed.finish());
}

/** The subject of a datanet's prior pool: keccak256("openledger prior" ‖ asset id). The asset's own id is the subject of its royalty pool. */
export function priorSubject(datanet: Uint8Array): Uint8Array {
  return keccak256(priorTag, datanet);
}

/** The subject of the pool of those who made a datanet's context, by what it changed: keccak256("openledger context" ‖ asset id). */
export function contextSubject(datanet: Uint8Array): Uint8Array {
  return keccak256(contextTag, datanet);
}

/** The subject of the pool of those whom a model's owner declares as its contributors: keccak256("openledger declared" ‖ asset id). */
export function declaredSubject(model: Uint8Array): Uint8Array {
  return keccak256(declaredTag, model);
}

/** The members' parts of `amount`, in the pool's order. They sum to it exactly. */
export function splitPool(ledger: Uint8Array, epoch: number, id: Uint8Array, pool: Pool, amount: number): number[] {
  const weights = pool.members.map((member) => member.weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return splitSystematic(amount, weights, poolOffset(ledger, epoch, id, total));
}

export function poolChunks(pool: Pool, subject: Uint8Array, since: number): PoolChunk[] {
  const total = pool.members.reduce((sum, member) => sum + member.weight, 0);
  const chunks: PoolChunk[] = [];
  let prefix = 0;
  for (let firstMember = 0; firstMember < pool.members.length; firstMember += POOL_CHUNK_MEMBERS_MAX) {
    const prefixBefore = prefix;
    const members = pool.members.slice(firstMember, firstMember + POOL_CHUNK_MEMBERS_MAX).map((member) => {
      prefix += member.weight;
      return { payee: member.payee, prefix };
    });
    chunks.push({
      pool: pool.payee,
      subject,
      since,
      total,
      memberCount: pool.members.length,
      firstMember,
      prefixBefore,
      members,
    });
  }
  return chunks;
}

/** The pool whose chunks these are, in order; undefined when one is missing or does not follow from the one before. */
export function joinPoolChunks(chunks: readonly PoolChunk[]): Pool | undefined {
  const [first] = chunks;
  if (first === undefined) return undefined;
  const members: Share[] = [];
  let prefix = 0;
  for (const chunk of chunks) {
    const follows =
      chunk.pool === first.pool &&
      chunk.since === first.since &&
      chunk.total === first.total &&
      chunk.memberCount === first.memberCount;
    if (!follows || chunk.firstMember !== members.length || chunk.prefixBefore !== prefix) return undefined;
    for (const member of chunk.members) {
      const previous = members.at(-1)?.payee ?? 0;
      if (member.prefix <= prefix || member.payee <= previous || member.payee === chunk.pool) return undefined;
      members.push({ payee: member.payee, weight: member.prefix - prefix });
      prefix = member.prefix;
    }
  }
  if (members.length !== first.memberCount || prefix !== first.total || prefix > WEIGHT_TOTAL_MAX) return undefined;
  return { payee: first.pool, members };
}

export function poolChunkBytes(chunk: PoolChunk): number {
  return 4 + 32 + 8 + 8 + 4 + 4 + 8 + 2 + 12 * chunk.members.length;
}

export function writePoolChunk(to: PackedWriter, chunk: PoolChunk): void {
  assert(chunk.members.length <= POOL_CHUNK_MEMBERS_MAX, `at most ${POOL_CHUNK_MEMBERS_MAX} members a chunk`);
  to.u32(chunk.pool)
    .raw(chunk.subject, 32)
    .u64(chunk.since)
    .u64(chunk.total)
    .u32(chunk.memberCount)
    .u32(chunk.firstMember)
    .u64(chunk.prefixBefore)
    .u16(chunk.members.length);
  for (const member of chunk.members) to.u32(member.payee).u64(member.prefix);
}

export function readPoolChunk(from: PackedReader): PoolChunk {
  const [pool, subject, since, total] = [from.u32(), from.raw(32), from.u64(), from.u64()];
  const [memberCount, firstMember, prefixBefore, count] = [from.u32(), from.u32(), from.u64(), from.u16()];
  if (count > POOL_CHUNK_MEMBERS_MAX) from.fail();
  const members: { payee: number; prefix: number }[] = [];
  for (let i = 0; i < count && !from.hasFailed; i++) members.push({ payee: from.u32(), prefix: from.u64() });
  return { pool, subject, since, total, memberCount, firstMember, prefixBefore, members };
}

export function writePoolSplit(to: PackedWriter, split: PoolSplit): void {
  to.u32(split.pool).u64(split.epoch).i64(split.amount);
}

export function readPoolSplit(from: PackedReader): PoolSplit {
  return { pool: from.u32(), epoch: from.u64(), amount: from.i64() };
}

const poolTag = utf8("openledger pool");
const priorTag = utf8("openledger prior");
const contextTag = utf8("openledger context");
const declaredTag = utf8("openledger declared");

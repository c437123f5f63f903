import type { PayeeType } from "../core/entry.ts";
import { makePool, poolChunks, poolId } from "../core/pool.ts";
import type { Share } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import { keyOf } from "./keyOf.ts";
import type { Batch } from "./writer.ts";

/** The payee's number; introduced in this batch where the ledger does not know it yet. */
export function numberOf(state: BookState, batch: Batch, id: Uint8Array, type: PayeeType): number {
  const known = state.number(id);
  if (known !== undefined) return known;
  const number = state.payeeCount + 1;
  batch.add({ kind: "payee", payee: { number, type, id } });
  return number;
}

/** Publishes a pool once: the same members with the same weights are the pool that is there already. */
export function publishPool(state: BookState, batch: Batch, subject: Uint8Array, shares: readonly Share[]): number {
  const id = poolId(state.ledger, subject, shares);
  const known = state.number(id);
  const number = numberOf(state, batch, id, "pool");
  if (known !== undefined && state.pool(known) !== undefined) return number;
  for (const chunk of poolChunks(makePool(number, shares), subject)) batch.add({ kind: "poolChunk", chunk });
  return number;
}

/** Shares that name the same payee, added up. */
export function mergeShares(shares: readonly Share[]): Share[] {
  const weights = new Map<number, number>();
  for (const { payee, weight } of shares) weights.set(payee, (weights.get(payee) ?? 0) + weight);
  return [...weights].map(([payee, weight]) => ({ payee, weight }));
}

/** Groups by id, in order of first appearance. */
export function uniqueIds(ids: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(ids.map((id) => [keyOf(id), id])).values()];
}

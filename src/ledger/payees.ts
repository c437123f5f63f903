import type { PayeeType } from "../core/entry.ts";
import { makePool, poolChunks, poolId } from "../core/pool.ts";
import type { Share } from "../core/route.ts";
import type { Batch } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import { keyOf } from "./keyOf.ts";

/** The payee's number; introduced in this batch where the ledger does not know it yet. */
export function numberOf(state: BookState, batch: Batch, id: Uint8Array, type: PayeeType): number {
  const known = state.number(id);
  if (known !== undefined) return known;
  const number = state.payeeCount + 1;
  batch.add({ kind: "payee", payee: { number, type, id } });
  return number;
}

/** The subject's pool: the present one where its members and weights are these already, else a new one. */
export function publishPool(state: BookState, batch: Batch, subject: Uint8Array, shares: readonly Share[]): number {
  const present = state.poolOf(subject);
  const members = makePool(0, shares).members;
  if (present !== undefined && sameMembers(state.pool(present)!, members)) return present;
  const since = state.size;
  const number = numberOf(state, batch, poolId(state.ledger, subject, since, members), "pool");
  for (const chunk of poolChunks(makePool(number, members), subject, since)) batch.add({ kind: "poolChunk", chunk });
  return number;
}

function sameMembers(a: readonly Share[], b: readonly Share[]): boolean {
  return (
    a.length === b.length && a.every((member, i) => member.payee === b[i]!.payee && member.weight === b[i]!.weight)
  );
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

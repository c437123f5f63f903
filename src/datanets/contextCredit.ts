import type { Bm25Index } from "./bm25.ts";
import type { IndexedText } from "./bm25Build.ts";

/**
 * What context changed. A record that an answer used was found for the question at some rank; with a part of its context left out it would have
 * been found at a worse one, or not at all. Each layer of a record's context is credited for the better rank that it brought, in the order in which the
 * layers were made: who says again what another has said before changes nothing, and earns nothing. The layers' credits and what the bare text was
 * worth sum to what the whole is worth. Whole numbers only, so whoever has the records and the question gets the same.
 */
export interface Layer {
  /** Who made it: a 32-byte party id or an external identity. */
  readonly by: string;
  /** The record's fields as they are with this layer and those before it. */
  readonly text: IndexedText;
}

/** One record that one answer used. */
export interface ContextUse {
  readonly question: string;
  /** Its number in the index. */
  readonly record: number;
  /** What the use is worth, for example the royalty that its evidence carries, in nano. */
  readonly weight: bigint;
  /** The record's text without any context. */
  readonly bare: IndexedText;
  readonly layers: readonly Layer[];
  /** Who let it in by a decision, where that was somebody else than who put it in. */
  readonly reviewer?: string;
}

/** Records that a question brings into the context. */
const RANKS = 6;
/** What being found first is worth; rank r is worth a whole 1/r of it. */
const FIRST = 60;
/** Of what the context of a record changed in all; the layers have nine parts of ten, whoever reviewed the record has one. */
const LAYER_PARTS = 9n;
const REVIEW_PARTS = 1n;

/** Units by who made the context; those whose context changed nothing are not in it. */
export function creditContext(search: Bm25Index, uses: Iterable<ContextUse>): Map<string, bigint> {
  const credits = new Map<string, bigint>();
  const credit = (by: string, units: bigint): void => {
    if (units > 0n) credits.set(by, (credits.get(by) ?? 0n) + units);
  };
  for (const { question, record, weight, bare, layers, reviewer } of uses) {
    const rivals = search.search(question, RANKS + 1).hits.filter((hit) => hit.record !== record);
    let reached = worthOf(search, question, record, bare, rivals);
    for (const { by, text } of layers) {
      const worth = worthOf(search, question, record, text, rivals);
      credit(by, LAYER_PARTS * BigInt(Math.max(0, worth - reached)) * weight);
      reached = Math.max(reached, worth);
    }
    if (reviewer !== undefined) credit(reviewer, REVIEW_PARTS * BigInt(reached) * weight);
  }
  return credits;
}

/** The weights of a context pool sum to at most this and one for each member, which stays below 2^32. */
const POOL_TOTAL = 1_000_000_000n;

/** Units as a pool's weights: whole, at least 1, in their proportion. */
export function contextWeights(
  credits: ReadonlyMap<string, bigint>,
): { readonly by: string; readonly weight: number }[] {
  const total = [...credits.values()].reduce((sum, units) => sum + units, 0n);
  return [...credits]
    .map(([by, units]) => ({ by, weight: Math.max(1, Number((units * POOL_TOTAL) / total)) }))
    .sort((a, b) => b.weight - a.weight || (a.by < b.by ? -1 : 1));
}

function worthOf(
  search: Bm25Index,
  question: string,
  record: number,
  text: IndexedText,
  rivals: readonly { readonly record: number; readonly score: number }[],
): number {
  const score = search.scoreOf(question, text);
  if (score === 0) return 0;
  const before = rivals.filter((rival) => rival.score > score || (rival.score === score && rival.record < record));
  const rank = before.length + 1;
  return rank > RANKS ? 0 : Math.floor(FIRST / rank);
}

import type { EncodedExample } from "./chatTemplate.ts";
import { randomOf, shuffled } from "./random.ts";

/** One sequence of a batch: examples side by side, of which each sees only itself. */
export type Sequence = readonly EncodedExample[];

/**
 * Examples cut so that each fits into a sequence. Text goes on in the next window, which repeats one token, so that every token is predicted once;
 * of a conversation the first window stays. What has no target left is left out.
 */
export function windowsOf(example: EncodedExample, tokensMax: number): readonly EncodedExample[] {
  const { record, tokens, isTarget } = example;
  const goesOn = isText(example);
  const windows: EncodedExample[] = [];
  for (let from = 0; from === 0 || (goesOn && from + 1 < tokens.length); from += tokensMax - 1) {
    const window = isTarget.slice(from, from + tokensMax);
    window[0] = 0;
    if (window.includes(1)) windows.push({ record, tokens: tokens.slice(from, from + tokensMax), isTarget: window });
  }
  return windows;
}

/** Whether a sequence takes the beginning of a conversation only. */
export function isCut(example: EncodedExample, tokensMax: number): boolean {
  return example.tokens.length > tokensMax && !isText(example);
}

function isText({ tokens, isTarget }: EncodedExample): boolean {
  return tokens.length > 1 && isTarget.indexOf(0, 1) < 0;
}

/** Sequences with room behind so many open ones, oldest first. */
const OPEN_MAX = 32;

/**
 * First fit over the examples in the given order: sequences of at most `tokensMax` tokens. An example that is longer is the caller's mistake.
 * Sequences stand in the order in which they were begun.
 */
export function pack(examples: readonly EncodedExample[], tokensMax: number): readonly Sequence[] {
  const sequences: EncodedExample[][] = [];
  let open: { readonly sequence: EncodedExample[]; room: number }[] = [];
  for (const example of examples) {
    const length = example.tokens.length;
    let place = open.find(({ room }) => room >= length);
    if (place === undefined) {
      place = { sequence: [], room: tokensMax };
      sequences.push(place.sequence);
      open.push(place);
      if (open.length > OPEN_MAX) open.shift();
    }
    place.sequence.push(example);
    place.room -= length;
    // A sequence that nothing fits into is not looked at again.
    if (place.room < 2) open = open.filter((other) => other !== place);
  }
  return sequences;
}

/** An epoch's steps: shuffled, packed, shuffled again, `batchSize` sequences a step; the same for the same seed and epoch. */
export function planEpoch(
  windows: readonly EncodedExample[],
  { seed, batchSize, sequenceTokens }: { seed: number; batchSize: number; sequenceTokens: number },
  epoch: number,
): readonly (readonly Sequence[])[] {
  const random = randomOf(seed, 1, epoch);
  const sequences = pack(
    Array.from(shuffled(windows.length, random), (i) => windows[i]!),
    sequenceTokens,
  );
  const order = Array.from(shuffled(sequences.length, random), (i) => sequences[i]!);
  return chunks(order, batchSize);
}

/** Sequences that run at once: as many in a row as keep the padded batch within `tokensMax`, at least one. */
export function microBatches(sequences: readonly Sequence[], tokensMax: number): readonly (readonly Sequence[])[] {
  const batches: Sequence[][] = [];
  let longest = 0;
  for (const sequence of sequences) {
    const last = batches[batches.length - 1];
    longest = Math.max(longest, lengthOf(sequence));
    if (last !== undefined && (last.length + 1) * longest <= tokensMax) last.push(sequence);
    else {
      batches.push([sequence]);
      longest = lengthOf(sequence);
    }
  }
  return batches;
}

export function lengthOf(sequence: Sequence): number {
  return sequence.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_unused, i) => items.slice(i * size, (i + 1) * size));
}

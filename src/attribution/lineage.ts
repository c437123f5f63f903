import { splitSystematic } from "../core/split.ts";
import type { Attribution } from "./attributor.ts";
import type { Evidence } from "./evidence.ts";
import { type LineageRule, PPM, scaled } from "./policy.ts";

/** That a record repeats an earlier answer of this ledger. */
export interface Derivation {
  /** 16 bytes: the answer's receipt. */
  readonly receipt: Uint8Array;
  /** Which part of the record repeats it, PPM. The parts of one record sum to at most 10^6. */
  readonly partPpm: number;
  /** Which part of that answer evidence explains, PPM: of what nobody is known to be behind, nothing is passed. */
  readonly attributedPpm: number;
}

/**
 * Passes credit upstream. Of the part of a record that repeats an earlier answer its contributor keeps the rule's share; the rest goes to those whom that
 * answer's receipt credits, as far as it credits anybody. They have been credited by the same rule, so what a chain of answers passes decays with each hop; an answer
 * is older than what repeats it, so a chain ends. Units are moved and never made: integers, in whatever order the evidence came.
 */
export function passUpstream(
  found: Attribution,
  derivationsOf: (record: number) => readonly Derivation[],
  { keepPpm }: Pick<LineageRule, "keepPpm">,
): Attribution {
  const evidence: Evidence[] = [];
  for (const items of byRecord(found.evidence)) {
    const derivations = derivationsOf(items[0]!.recordNumber);
    const rates = derivations.map(({ partPpm, attributedPpm }) =>
      scaled(scaled(partPpm, PPM - keepPpm), attributedPpm),
    );
    const passedPpm = rates.reduce((sum, rate) => sum + rate, 0);
    if (passedPpm === 0) {
      evidence.push(...items);
      continue;
    }
    const units = items.reduce((sum, { weight }) => sum + weight, 0);
    const [kept = 0, ...passed] = splitSystematic(units, [PPM - passedPpm, ...rates], 0);
    evidence.push(...reduced(items, kept));
    const output = {
      from: Math.min(...items.map((item) => item.output.from)),
      until: Math.max(...items.map((item) => item.output.until)),
    };
    for (const [i, { receipt }] of derivations.entries()) {
      const names = { record: answerRecord(receipt), recordNumber: answerNumber(receipt) };
      const item = { ...names, output, source: { from: 0, until: 0 } };
      if (passed[i]! > 0) evidence.push({ kind: "lineage", ...item, weight: passed[i]! });
    }
  }
  return { ...found, evidence };
}

/** Stands for an answer among the numbers of records, above all of them: 2^52 and the first 52 bits of its receipt's id. */
export function answerNumber(receipt: Uint8Array): number {
  let number = receipt[6]! >> 4;
  for (let i = 5; i >= 0; i--) number += receipt[i]! * 2 ** (4 + 8 * (5 - i));
  return 2 ** 52 + number;
}

/** How evidence names an answer: its receipt's id and 16 zero bytes. */
function answerRecord(receipt: Uint8Array): Uint8Array {
  const record = new Uint8Array(32);
  record.set(receipt);
  return record;
}

/** The same items, of which `kept` units are left in sum. */
function reduced(items: readonly Evidence[], kept: number): Evidence[] {
  const weights = splitSystematic(
    kept,
    items.map(({ weight }) => weight),
    0,
  );
  return items.map((item, i) => ({ ...item, weight: weights[i]! })).filter(({ weight }) => weight > 0);
}

/** Items of one record together, in the order of their bytes that matter: what follows does not depend on how they came. */
function byRecord(evidence: readonly Evidence[]): Evidence[][] {
  const groups = new Map<number, Evidence[]>();
  for (const item of evidence) {
    const group = groups.get(item.recordNumber);
    if (group === undefined) groups.set(item.recordNumber, [item]);
    else group.push(item);
  }
  for (const group of groups.values()) group.sort(inOrder);
  return [...groups.values()];
}

function inOrder(a: Evidence, b: Evidence): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1;
  return (
    a.output.from - b.output.from ||
    a.output.until - b.output.until ||
    a.source.from - b.source.from ||
    a.source.until - b.source.until ||
    a.weight - b.weight
  );
}

import { utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { assert } from "../core/result.ts";
import { EVIDENCE_TOTAL, type Share } from "../core/route.ts";
import { splitSystematic } from "../core/split.ts";
import type { Attribution } from "./attributor.ts";

/** Contributors' weights as a route takes them: with `unattributed` they sum to {@link EVIDENCE_TOTAL}. */
export interface PayeeWeights {
  /** Ascending by payee; every weight is positive. */
  readonly shares: readonly Share[];
  readonly unattributed: number;
}

/** Of a receipt's 64 legs, so many may be contributors with evidence of their own. */
export const PAYEES_MAX = 40;

export interface PayeeOptions {
  /** Who is paid for a record, with whole weights (≤ 2^32 in sum); empty where nobody is: then it counts as unattributed. */
  readonly payeesOf: (recordNumber: number) => readonly Share[];
  /** Seeds every offset, so that rounding favours nobody and everybody can recompute it. 16 bytes. */
  readonly receiptId: Uint8Array;
  /** At most this many distinct payees (≥ 1): what a receipt's legs leave room for. */
  readonly payeesMax: number;
}

/**
 * From evidence to payees, in integers only, in four steps: (1) the units of each record, records ascending, are split over its payees;
 * (2) units are summed by payee; (3) all payees and the unexplained rest, in this order, are scaled to 1,000,000; (4) where there
 * are too many payees, the large stay as they are and the small are thinned. Each step is a systematic split whose offset is
 * keccak256(tag ‖ receipt id ‖ u32 record or zero) mod total, so at each step the expected weight is the exact quota.
 */
export function weighPayees(attribution: Attribution, options: PayeeOptions): PayeeWeights {
  assert(options.payeesMax >= 1, "a route has room for a contributor");
  const units = unitsByPayee(attribution, options);
  const payees = Array.from(units.keys()).sort((a, b) => a - b);
  const attributed = payees.reduce((sum, payee) => sum + units.get(payee)!, 0);
  if (attributed === 0) return { shares: [], unattributed: EVIDENCE_TOTAL };
  const parts = [...payees.map((payee) => units.get(payee)!), attribution.totalUnits - attributed];
  const scaled = splitSystematic(EVIDENCE_TOTAL, parts, draw("scale", options.receiptId, 0, attribution.totalUnits));
  const shares = payees.map((payee, i) => ({ payee, weight: scaled[i]! })).filter(({ weight }) => weight > 0);
  return { shares: thinShares(shares, options.payeesMax, options.receiptId), unattributed: scaled.at(-1)! };
}

/**
 * At most `max` of the shares, with the same sum. A share of at least the mean of what is left stays (largest first); of the others as many as
 * there is room for are drawn with probability in proportion to their weight (Madow 1949) and divide the weight of all the others
 * equally. So the expected weight of each is its own.
 */
export function thinShares(shares: readonly Share[], max: number, receiptId: Uint8Array): Share[] {
  const ascending = shares.toSorted((a, b) => a.payee - b.payee);
  if (shares.length <= max) return ascending;
  const kept = new Set<number>();
  let rest = shares.reduce((sum, { weight }) => sum + weight, 0);
  for (const { payee, weight } of shares.toSorted((a, b) => b.weight - a.weight || a.payee - b.payee)) {
    const room = max - kept.size;
    if (room === 0 || weight * room < rest) break;
    kept.add(payee);
    rest -= weight;
  }
  const small = ascending.filter(({ payee }) => !kept.has(payee));
  const room = max - kept.size;
  if (room === 0) return ascending.filter(({ payee }) => kept.has(payee));
  const draws = splitSystematic(
    room,
    small.map(({ weight }) => weight),
    draw("thin", receiptId, 0, rest),
  );
  const drawn = small.filter((_share, i) => draws[i]! > 0);
  const even = new Array<number>(drawn.length).fill(1);
  const weights = splitSystematic(rest, even, draw("even", receiptId, 0, drawn.length));
  const thinned = drawn.map(({ payee }, i) => ({ payee, weight: weights[i]! }));
  return [...ascending.filter(({ payee }) => kept.has(payee)), ...thinned]
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => a.payee - b.payee);
}

function unitsByPayee(attribution: Attribution, options: PayeeOptions): Map<number, number> {
  const byRecord = new Map<number, number>();
  for (const { recordNumber, weight } of attribution.evidence)
    byRecord.set(recordNumber, (byRecord.get(recordNumber) ?? 0) + weight);
  const byPayee = new Map<number, number>();
  for (const [record, units] of Array.from(byRecord).sort(([a], [b]) => a - b)) {
    const payees = options
      .payeesOf(record)
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => a.payee - b.payee);
    if (payees.length === 0) continue;
    const weights = payees.map(({ weight }) => weight);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const parts = splitSystematic(units, weights, draw("record", options.receiptId, record, total));
    payees.forEach(({ payee }, i) => {
      if (parts[i]! > 0) byPayee.set(payee, (byPayee.get(payee) ?? 0) + parts[i]!);
    });
  }
  return byPayee;
}

/** keccak256("openledger/attribution/" ‖ tag ‖ receipt id ‖ u32 number), as a 256-bit number, mod total. */
function draw(tag: "record" | "scale" | "thin" | "even", receiptId: Uint8Array, number: number, total: number): number {
  const suffix = Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
  const hash = keccak256(utf8(`openledger/attribution/${tag}`), receiptId, suffix);
  let rest = 0;
  for (let i = 0; i < 32; i += 2) rest = (rest * 65_536 + hash[i]! * 256 + hash[i + 1]!) % total;
  return rest;
}

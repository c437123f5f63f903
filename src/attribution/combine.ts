import { compareBytes } from "../core/bytes.ts";
import { assert } from "../core/result.ts";
import type { Attribution } from "./attributor.ts";
import { type Evidence, packItem } from "./evidence.ts";
import { type Combination, PPM, reliabilityOf, scaled } from "./policy.ts";

/**
 * A method that speaks of the output as a whole and not of its words. It is given units to explain, and returns evidence that explains at most so many: whole
 * positive weights.
 */
export interface WholeMethod {
  readonly kind: Evidence["kind"];
  explain(units: number): readonly Evidence[] | Promise<readonly Evidence[]>;
}

/** Near-duplicates by their first registered. */
export interface Clusters {
  canonicalOf(record: number): number;
  recordId(record: number): Uint8Array;
}

/**
 * From what methods found to what counts, in integers. The weight of every method is shrunk by its reliability on the model; what that leaves, and what nobody explained, is open to the methods that
 * speak of the whole output, in their order, each of which gets its reliability's part of what is open. What is open at the end is unattributed: what no method can be
 * trusted with is nobody's.
 */
export async function combine(
  found: Attribution,
  whole: readonly WholeMethod[],
  combination: Combination,
  clusters: Clusters,
): Promise<Attribution> {
  let attribution = shrink(found, combination);
  for (const method of whole) {
    const open = attribution.totalUnits - attribution.explainedUnits;
    const units = scaled(open, reliabilityOf(combination, method.kind));
    const evidence = (await method.explain(units)).filter(({ weight }) => weight > 0);
    attribution = withEvidence(
      attribution,
      evidence.map((item) => credited(item, clusters)),
      units,
    );
  }
  return attribution;
}

/** Evidence for a near-duplicate is its first registered's. */
function credited(item: Evidence, { canonicalOf, recordId }: Clusters): Evidence {
  const recordNumber = canonicalOf(item.recordNumber);
  if (recordNumber === item.recordNumber) return item;
  return { ...item, recordNumber, record: recordId(recordNumber), source: { from: 0, until: 0 } };
}

/** Each method's evidence, of which its reliability's part is left, rounded so that the parts of one method sum to the part of its sum, in whatever order it came. */
export function shrink(found: Attribution, combination: Combination): Attribution {
  const evidence: Evidence[] = [];
  for (const { method, reliabilityPpm } of combination.methods) {
    const own = found.evidence.filter(({ kind, weight }) => kind === method.kind && weight > 0);
    if (reliabilityPpm === PPM) {
      evidence.push(...own);
      continue;
    }
    let [sum, given] = [0, 0];
    for (const { item } of own.map((one) => ({ item: one, bytes: packItem(one) })).sort(byBytes)) {
      sum += item.weight;
      const weight = scaled(sum, reliabilityPpm) - given;
      given += weight;
      if (weight > 0) evidence.push({ ...item, weight });
    }
  }
  return withEvidence({ evidence: [], totalUnits: found.totalUnits, explainedUnits: 0 }, evidence, found.totalUnits);
}

function withEvidence(before: Attribution, more: readonly Evidence[], unitsMax: number): Attribution {
  const units = more.reduce((sum, { weight }) => sum + weight, 0);
  assert(Number.isSafeInteger(units) && units <= unitsMax, "a method explains what it is given to explain");
  const explainedUnits = before.explainedUnits + units;
  return { evidence: [...before.evidence, ...more], totalUnits: before.totalUnits, explainedUnits };
}

function byBytes(a: { readonly bytes: Uint8Array }, b: { readonly bytes: Uint8Array }): number {
  return compareBytes(a.bytes, b.bytes);
}

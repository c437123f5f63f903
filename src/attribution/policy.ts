import { utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { type Basis, type MethodDescription, methodDescriptions } from "./description.ts";
import type { EvidenceKind } from "./evidence.ts";

/** Parts per million. */
export const PPM = 1_000_000;

/** How evidence becomes weights, as governance decides it. A change is another text, whose hash stands in every receipt from then on. */
export interface CombinationPolicy {
  /** What a method's weight counts where nothing was measured on the model, and where its match is a fact of how the model works. PPM. */
  readonly assumedPpm: number;
  readonly lineage: LineageRule;
}

/** Of the credit of what repeats an earlier answer. */
export interface LineageRule {
  /** Stays with whoever contributed it, of the part that is repeated: PPM. The next hop is paid from what is passed, and so on. */
  readonly keepPpm: number;
  /** Less than this part of a record in an answer is a common phrase: PPM. */
  readonly partMinPpm: number;
}

/** Within these bounds a policy may choose: neither a copier nor whom it copied can be left out. */
export const policyBounds = {
  assumedPpm: { min: 0, max: 900_000 },
  keepPpm: { min: 200_000, max: 800_000 },
  partMinPpm: { min: 100_000, max: 500_000 },
} as const;

export const defaultPolicy: CombinationPolicy = {
  assumedPpm: 500_000,
  lineage: { keepPpm: 500_000, partMinPpm: 200_000 },
};

/** A method of a model, with the part of its weight that counts. */
export interface TrustedMethod {
  readonly method: MethodDescription;
  readonly reliabilityPpm: number;
  readonly basis: Basis;
}

/** All that decides, beside input and index, what a receipt's weights are: what `methodsHash` is the hash of. */
export interface Combination {
  /** In the order in which they run: each explains only what those before it have left. */
  readonly methods: readonly TrustedMethod[];
  readonly lineage: LineageRule;
}

/** For a method on a model. `exact`: its match is how the model works, as spans of an ∞-gram model are. */
export type MethodTrust = "exact" | "unmeasured" | { readonly measuredPpm: number };

export function combinationOf(
  policy: CombinationPolicy,
  methods: readonly (readonly [method: MethodDescription, trust: MethodTrust])[],
): Combination {
  const kinds = new Set(methods.map(([{ kind }]) => kind));
  assert(kinds.size === methods.length, "one method a kind speaks for a model");
  const trusted = methods.map(([method, trust]): TrustedMethod => {
    if (trust === "exact") return { method, reliabilityPpm: PPM, basis: "exact" };
    if (trust === "unmeasured") return { method, reliabilityPpm: policy.assumedPpm, basis: "assumed" };
    const reliabilityPpm = Math.min(PPM, Math.max(0, Math.floor(trust.measuredPpm)));
    return { method, reliabilityPpm, basis: "measured" };
  });
  return { methods: trusted, lineage: policy.lineage };
}

const HEAD = "openledger combination 1";

/**
 * The text that a node publishes and a receipt names by its hash: a line a method, `method ID VERSION KIND MEASURE PPM BASIS`, in the order in which they run, then
 * the rules. ASCII, every line ends with a new line.
 */
export function combinationText({ methods, lineage }: Combination): string {
  const lines = methods.map(
    ({ method: { id, version, kind, measures }, reliabilityPpm, basis }) =>
      `method ${id} ${version} ${kind} ${measures} ${reliabilityPpm} ${basis}`,
  );
  const rules = [
    "negatives count as nothing",
    "copies are their first registered's",
    `lineage keeps ${lineage.keepPpm} from ${lineage.partMinPpm}`,
    "unexplained is unattributed",
  ];
  return `${[HEAD, ...lines, ...rules].join("\n")}\n`;
}

/** keccak256 of {@link combinationText}. 32 bytes. */
export function combinationHash(combination: Combination): Uint8Array {
  return keccak256(utf8(combinationText(combination)));
}

/** Reads {@link combinationText}. Refuses `invalid_request` for anything else, and for methods that this program has not. */
export function parseCombination(text: string): Result<Combination> {
  const methods: TrustedMethod[] = [];
  let lineage: LineageRule | undefined;
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.split(" ");
    if (word === "method") {
      const method = parseMethod(rest);
      if (method === undefined)
        return refuse("invalid_request", `this program has no such method: ${line.slice(0, 100)}`);
      methods.push(method);
    } else if (word === "lineage") lineage = { keepPpm: Number(rest[1]), partMinPpm: Number(rest[3]) };
  }
  const combination = lineage === undefined ? undefined : { methods, lineage };
  return combination !== undefined && combinationText(combination) === text
    ? ok(combination)
    : refuse("invalid_request", "this is not the text of a combination of version 1");
}

/** Why a combination is beyond what a policy may choose; undefined where one may. */
export function boundsFault({ methods, lineage }: Combination): string | undefined {
  const assumed = new Set(
    methods.flatMap(({ basis, reliabilityPpm }) => (basis === "assumed" ? [reliabilityPpm] : [])),
  );
  if (assumed.size > 1) return "it assumes different things of methods that nobody has measured";
  const chosen = { assumedPpm: [...assumed][0] ?? policyBounds.assumedPpm.min, ...lineage };
  for (const name of ["assumedPpm", "keepPpm", "partMinPpm"] as const) {
    const { min, max } = policyBounds[name];
    if (!(chosen[name] >= min && chosen[name] <= max))
      return `its ${name} is ${chosen[name]}, and a policy may choose ${min} to ${max}`;
  }
  const vain = methods.find(({ basis, reliabilityPpm }) => basis === "exact" && reliabilityPpm !== PPM);
  return vain === undefined ? undefined : `its ${vain.method.id} is exact and does not count whole`;
}

function parseMethod([id, version, kind, , ppm, basis]: readonly string[]): TrustedMethod | undefined {
  const method = methodDescriptions.find(
    (one) => one.id === id && String(one.version) === version && one.kind === kind,
  );
  const isBasis = basis === "exact" || basis === "measured" || basis === "assumed";
  const reliabilityPpm = Number(ppm);
  const isPart = Number.isInteger(reliabilityPpm) && reliabilityPpm >= 0 && reliabilityPpm <= PPM;
  return method === undefined || !isBasis || !isPart ? undefined : { method, reliabilityPpm, basis };
}

/** What of a kind's weight counts: nothing of a kind that the combination does not name. */
export function reliabilityOf({ methods }: Combination, kind: EvidenceKind): number {
  return methods.find(({ method }) => method.kind === kind)?.reliabilityPpm ?? 0;
}

/** ⌊units · ppm / 10^6⌋; units are below 2^32, so the product is exact. */
export function scaled(units: number, ppm: number): number {
  return Math.floor((units * ppm) / PPM);
}

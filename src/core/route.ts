import { assertNano, type Nano } from "./money.ts";
import { BPS } from "./policy.ts";
import { assert } from "./result.ts";
import { splitSystematic, stageOffset, sumWeights } from "./split.ts";

/**
 * The route: the exact allotment of one fee over payees. Cost goes to the operator whole. Royalty is split twice:
 * stage 0 over the roles by policy, then each role's part over that role's legs, every stage with an offset of its own.
 */
export const legRoles = [
  "operator",
  "model",
  "context",
  "contributor",
  "prior",
  "reserve",
  "stakers",
  "treasury",
] as const;
export type LegRole = (typeof legRoles)[number];

/** The number of a role, as it stands in the journal. */
export const roleCode = Object.fromEntries(legRoles.map((role, code) => [role, code])) as Readonly<
  Record<LegRole, number>
>;

/** One credit of a route. `payee` is the ledger's payee number; a route's legs ascend strictly by (role, payee). */
export interface Leg {
  readonly role: LegRole;
  readonly payee: number;
  readonly weight: number;
  readonly amount: Nano;
}

export interface Share {
  readonly payee: number;
  readonly weight: number;
}

/** Contributors' weights and what could not be attributed sum to this. */
export const EVIDENCE_TOTAL = 1_000_000;
export const LEGS_MAX = 64;

/** The part of a policy that a route needs, its standing payees by number. */
export interface RoutePolicy {
  readonly modelBps: number;
  readonly contextBps: number;
  readonly contributorsBps: number;
  readonly stakersBps: number;
  readonly treasuryBps: number;
  readonly priorCapBps: number;
  readonly treasury: number;
  readonly reserve: number;
  readonly datanetReserve: number;
}

export interface Contributors {
  /** Contributors with evidence of their own; with `unattributed` the weights sum to {@link EVIDENCE_TOTAL}. */
  readonly shares: readonly Share[];
  readonly unattributed: number;
  /** The datanets' prior pools. Their weights say how they divide what the prior cap lets through. */
  readonly priors: readonly Share[];
}

export interface RouteInput {
  readonly ledger: Uint8Array;
  readonly seq: number;
  readonly cost: Nano;
  readonly royalty: Nano;
  readonly policy: RoutePolicy;
  readonly operator: number;
  /** The model's owner, or its pool of ancestors. Never empty. */
  readonly model: readonly Share[];
  /** Who made the context; empty where there is none. */
  readonly context: readonly Share[];
  /** `undefined` for a model without a datanet: then the contributors' part is reserved for datanets. */
  readonly contributors: Contributors | undefined;
  /** The stakers' contract, or 0 where no stake is at risk. */
  readonly stakers: number;
}

/** The legs of a receipt. Σ amounts = cost + royalty, exactly. */
export function routeFee(input: RouteInput): Leg[] {
  assertNano(input.cost, "cost");
  assertNano(input.royalty, "royalty");
  const shares = stageShares(input);
  const legs = fillAmounts(input.ledger, input.seq, input.cost, input.royalty, input.policy, shares);
  assert(legs.length <= LEGS_MAX, `a route has at most ${LEGS_MAX} legs`);
  return legs;
}

/** A leg before its amount is known: what the weights alone say. */
export type WeightedLeg = Omit<Leg, "amount">;

/**
 * Recomputes every amount of a route from its weights: what a verifier, and a contract, does with a receipt.
 * `legs` must ascend strictly by (role, payee).
 */
export function fillAmounts(
  ledger: Uint8Array,
  seq: number,
  cost: Nano,
  royalty: Nano,
  policy: RoutePolicy,
  legs: readonly WeightedLeg[],
): Leg[] {
  const stages = stagesOf(legs);
  const parts = splitRoles(ledger, seq, royalty, policy, stages);
  return stages.flatMap(({ stage, from, until }) => {
    const members = legs.slice(from, until);
    if (stage === OPERATOR) return members.map((leg) => ({ ...leg, amount: cost }));
    const weights = members.map((leg) => leg.weight);
    const offset = stageOffset(ledger, seq, stage, sumWeights(weights));
    const amounts = splitSystematic(parts.get(stage) ?? 0, weights, offset);
    return members.map((leg, i) => ({ ...leg, amount: amounts[i]! }));
  });
}

/**
 * How much of the unattributed weight the prior pools may take: the cap is a part of the whole royalty,
 * so within the contributors' stage it is cap / contributors' part.
 */
export function priorWeightMax(policy: RoutePolicy, stages: ReadonlySet<number>): number {
  return Math.floor((EVIDENCE_TOTAL * policy.priorCapBps) / roleWeights(policy, stages)[2]);
}

/** Stage numbers are role codes; contributor, prior and reserve share the contributors' stage. */
export function stageOfRole(role: LegRole): number {
  return role === "prior" || role === "reserve" ? CONTRIBUTORS : roleCode[role];
}

/**
 * Basis points of model, context, contributors, stakers, treasury on this receipt.
 * An empty role's part goes to the contributors, so nobody gains by leaving a role empty.
 */
export function roleWeights(
  policy: RoutePolicy,
  stages: ReadonlySet<number>,
): [model: number, context: number, contributors: number, stakers: number, treasury: number] {
  const context = stages.has(CONTEXT) ? policy.contextBps : 0;
  const stakers = stages.has(STAKERS) ? policy.stakersBps : 0;
  const contributors = BPS - policy.modelBps - context - stakers - policy.treasuryBps;
  return [policy.modelBps, context, contributors, stakers, policy.treasuryBps];
}

const OPERATOR = 0;
const MODEL = 1;
const CONTEXT = 2;
const CONTRIBUTORS = 3;
const STAKERS = 6;
const TREASURY = 7;
const royaltyStages = [MODEL, CONTEXT, CONTRIBUTORS, STAKERS, TREASURY] as const;

function splitRoles(
  ledger: Uint8Array,
  seq: number,
  royalty: Nano,
  policy: RoutePolicy,
  stages: readonly Stage[],
): Map<number, Nano> {
  const present = new Set(stages.map(({ stage }) => stage));
  for (const stage of [MODEL, CONTRIBUTORS, TREASURY]) assert(present.has(stage), `stage ${stage} has a leg`);
  const offset = stageOffset(ledger, seq, 0, BPS);
  const amounts = splitSystematic(royalty, roleWeights(policy, present), offset);
  return new Map(royaltyStages.map((stage, i) => [stage, amounts[i]!]));
}

function stageShares(input: RouteInput): WeightedLeg[] {
  const { policy } = input;
  const present = new Set([MODEL, CONTRIBUTORS, TREASURY]);
  if (input.context.length > 0) present.add(CONTEXT);
  if (input.stakers !== 0) present.add(STAKERS);
  return [
    { role: "operator", payee: input.operator, weight: 1 },
    ...ascending("model", input.model),
    ...ascending("context", input.context),
    ...contributorLegs(input, present),
    ...(input.stakers === 0 ? [] : [{ role: "stakers", payee: input.stakers, weight: 1 } as const]),
    { role: "treasury", payee: policy.treasury, weight: 1 },
  ];
}

function contributorLegs(input: RouteInput, present: ReadonlySet<number>): WeightedLeg[] {
  const { contributors, policy } = input;
  if (contributors === undefined) return [{ role: "reserve", payee: policy.datanetReserve, weight: EVIDENCE_TOTAL }];
  const attributed = contributors.shares.reduce((sum, share) => sum + share.weight, 0);
  assert(attributed + contributors.unattributed === EVIDENCE_TOTAL, `evidence weights sum to ${EVIDENCE_TOTAL}`);
  const prior =
    contributors.priors.length === 0 ? 0 : Math.min(contributors.unattributed, priorWeightMax(policy, present));
  const reserve = contributors.unattributed - prior;
  const priors = contributors.priors.toSorted((a, b) => a.payee - b.payee);
  const priorWeights =
    prior === 0
      ? []
      : splitSystematic(
          prior,
          priors.map((share) => share.weight),
          0,
        );
  return [
    ...ascending("contributor", contributors.shares),
    ...ascending(
      "prior",
      priorWeights.map((weight, i) => ({ payee: priors[i]!.payee, weight })),
    ),
    ...(reserve === 0 ? [] : [{ role: "reserve", payee: policy.reserve, weight: reserve } as const]),
  ];
}

function ascending(role: LegRole, shares: readonly Share[]): WeightedLeg[] {
  const legs = shares
    .filter((share) => share.weight > 0)
    .map((share) => ({ role, payee: share.payee, weight: share.weight }));
  legs.sort((a, b) => a.payee - b.payee);
  for (let i = 1; i < legs.length; i++)
    assert(legs[i - 1]!.payee < legs[i]!.payee, `${role} legs name each payee once`);
  return legs;
}

interface Stage {
  readonly stage: number;
  readonly from: number;
  readonly until: number;
}

function stagesOf(legs: readonly WeightedLeg[]): Stage[] {
  const stages: Stage[] = [];
  let from = 0;
  for (let i = 1; i <= legs.length; i++) {
    const stage = stageOfRole(legs[from]!.role);
    if (i < legs.length && stageOfRole(legs[i]!.role) === stage) continue;
    stages.push({ stage, from, until: i });
    from = i;
  }
  return stages;
}

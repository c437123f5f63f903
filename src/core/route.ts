import { assertNano, type Nano } from "./money.ts";
import { BPS } from "./policy.ts";
import { assert } from "./result.ts";
import { splitInto, splitSystematic, stageOffset, sumWeights } from "./split.ts";

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
const TOO_MANY_LEGS = `a route has at most ${LEGS_MAX} legs`;

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
  routeInto(scratch, input);
  return scratch.legs();
}

/** The same in columns: what stood there before is gone. */
export function routeInto(legs: LegColumns, input: RouteInput): void {
  assertNano(input.cost, "cost");
  assertNano(input.royalty, "royalty");
  addWeights(legs, input);
  fillColumns(input.ledger, input.seq, input.cost, input.royalty, input.policy, legs);
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
  scratch.count = 0;
  for (const leg of legs) scratch.push(roleCode[leg.role], leg.payee, leg.weight);
  fillColumns(ledger, seq, cost, royalty, policy, scratch);
  return legs.map((leg, i) => ({ ...leg, amount: scratch.amounts[i]! }));
}

/** The legs of one route as flat columns: routed, encoded and accrued without making an object for each. Used again from receipt to receipt. */
export class LegColumns {
  count = 0;
  /** Role codes. */
  readonly roles = new Uint8Array(LEGS_MAX);
  readonly payees = new Uint32Array(LEGS_MAX);
  readonly weights = new Float64Array(LEGS_MAX);
  readonly amounts = new Float64Array(LEGS_MAX);

  push(role: number, payee: number, weight: number): void {
    assert(this.count < LEGS_MAX, TOO_MANY_LEGS);
    this.#set(this.count++, role, payee, weight);
  }

  /** Puts a weight in its place by (role, payee), on top of what the payee has there already; a weight of nothing is no leg. */
  add(role: number, payee: number, weight: number): void {
    if (weight === 0) return;
    let at = this.count;
    while (at > 0 && (this.roles[at - 1]! > role || (this.roles[at - 1] === role && this.payees[at - 1]! > payee)))
      at--;
    if (at > 0 && this.roles[at - 1] === role && this.payees[at - 1] === payee) {
      this.weights[at - 1]! += weight;
      return;
    }
    assert(this.count < LEGS_MAX, TOO_MANY_LEGS);
    for (let i = this.count++; i > at; i--) this.#set(i, this.roles[i - 1]!, this.payees[i - 1]!, this.weights[i - 1]!);
    this.#set(at, role, payee, weight);
  }

  load(legs: readonly Leg[]): void {
    this.count = 0;
    for (const [i, leg] of legs.entries()) {
      this.push(roleCode[leg.role], leg.payee, leg.weight);
      this.amounts[i] = leg.amount;
    }
  }

  legs(): Leg[] {
    return Array.from({ length: this.count }, (_, i) => ({
      role: legRoles[this.roles[i]!]!,
      payee: this.payees[i]!,
      weight: this.weights[i]!,
      amount: this.amounts[i]!,
    }));
  }

  #set(at: number, role: number, payee: number, weight: number): void {
    this.roles[at] = role;
    this.payees[at] = payee;
    this.weights[at] = weight;
  }
}

/**
 * How much of the unattributed weight the prior pools may take: the cap is a part of the whole royalty,
 * so within the contributors' stage it is cap / contributors' part.
 */
export function priorWeightMax(policy: RoutePolicy, stages: ReadonlySet<number>): number {
  return cappedWeight(policy, stages.has(CONTEXT), stages.has(STAKERS));
}

/** Stage numbers are role codes; contributor, prior and reserve share the contributors' stage. */
export function stageOfRole(role: LegRole): number {
  return role === "prior" || role === "reserve" ? CONTRIBUTORS : roleCode[role];
}

const OPERATOR = 0;
const MODEL = 1;
const CONTEXT = 2;
const CONTRIBUTORS = 3;
const STAKERS = 6;
const TREASURY = 7;
/** Each role's stage, by its code. */
const stageOfCode = Uint8Array.from(legRoles, stageOfRole);
const scratch = new LegColumns();

/**
 * Basis points of model, context, contributors, stakers, treasury on this receipt.
 * An empty role's part goes to the contributors, so nobody gains by leaving a role empty.
 */
function weightsOfRoles(
  policy: RoutePolicy,
  hasContext: boolean,
  hasStakers: boolean,
): [model: number, context: number, contributors: number, stakers: number, treasury: number] {
  const context = hasContext ? policy.contextBps : 0;
  const stakers = hasStakers ? policy.stakersBps : 0;
  const contributors = BPS - policy.modelBps - context - stakers - policy.treasuryBps;
  return [policy.modelBps, context, contributors, stakers, policy.treasuryBps];
}

function cappedWeight(policy: RoutePolicy, hasContext: boolean, hasStakers: boolean): number {
  const [, , contributors] = weightsOfRoles(policy, hasContext, hasStakers);
  return Math.floor((EVIDENCE_TOTAL * policy.priorCapBps) / contributors);
}

function fillColumns(
  ledger: Uint8Array,
  seq: number,
  cost: Nano,
  royalty: Nano,
  policy: RoutePolicy,
  legs: LegColumns,
): void {
  const parts = splitRoles(ledger, seq, royalty, policy, legs);
  const { count, roles, weights, amounts } = legs;
  for (let from = 0, until = 0; from < count; from = until) {
    const stage = stageOfCode[roles[from]!]!;
    for (until = from + 1; until < count && stageOfCode[roles[until]!] === stage; ) until++;
    const part = parts[stage]!;
    if (stage === OPERATOR) amounts.fill(cost, from, until);
    // Whatever its offset is, the split of an amount over one leg is that amount.
    else if (until === from + 1) amounts[from] = part;
    else {
      const offset = stageOffset(ledger, seq, stage, sumWeights(weights, from, until));
      splitInto(part, weights, from, until, offset, amounts);
    }
  }
}

/** The royalty's parts, by stage. */
function splitRoles(
  ledger: Uint8Array,
  seq: number,
  royalty: Nano,
  policy: RoutePolicy,
  legs: LegColumns,
): Float64Array {
  let present = 0;
  for (let i = 0; i < legs.count; i++) present |= 1 << stageOfCode[legs.roles[i]!]!;
  const has = (stage: number): boolean => (present & (1 << stage)) !== 0;
  for (const stage of [MODEL, CONTRIBUTORS, TREASURY]) assert(has(stage), `stage ${stage} has a leg`);
  const weights = weightsOfRoles(policy, has(CONTEXT), has(STAKERS));
  const [model, context, contributors, stakers, treasury] = splitSystematic(
    royalty,
    weights,
    stageOffset(ledger, seq, 0, BPS),
  );
  roleParts[MODEL] = model!;
  roleParts[CONTEXT] = context!;
  roleParts[CONTRIBUTORS] = contributors!;
  roleParts[STAKERS] = stakers!;
  roleParts[TREASURY] = treasury!;
  return roleParts;
}

const roleParts = new Float64Array(TREASURY + 1);

function addWeights(legs: LegColumns, input: RouteInput): void {
  legs.count = 0;
  legs.add(roleCode.operator, input.operator, 1);
  for (const { payee, weight } of input.model) legs.add(roleCode.model, payee, weight);
  for (const { payee, weight } of input.context) legs.add(roleCode.context, payee, weight);
  addContributors(legs, input);
  if (input.stakers !== 0) legs.add(roleCode.stakers, input.stakers, 1);
  legs.add(roleCode.treasury, input.policy.treasury, 1);
}

function addContributors(legs: LegColumns, { contributors, policy, context, stakers }: RouteInput): void {
  if (contributors === undefined) return legs.add(roleCode.reserve, policy.datanetReserve, EVIDENCE_TOTAL);
  const { shares, unattributed } = contributors;
  let attributed = 0;
  for (const { payee, weight } of shares) {
    legs.add(roleCode.contributor, payee, weight);
    attributed += weight;
  }
  assert(attributed + unattributed === EVIDENCE_TOTAL, `evidence weights sum to ${EVIDENCE_TOTAL}`);
  const priorMax = cappedWeight(policy, context.length > 0, stakers !== 0);
  const prior = contributors.priors.length === 0 ? 0 : Math.min(unattributed, priorMax);
  if (prior > 0) addPriors(legs, prior, contributors.priors);
  legs.add(roleCode.reserve, policy.reserve, unattributed - prior);
}

function addPriors(legs: LegColumns, prior: number, unordered: readonly Share[]): void {
  const priors = unordered.toSorted((a, b) => a.payee - b.payee);
  const weights = splitSystematic(
    prior,
    priors.map((share) => share.weight),
    0,
  );
  for (const [i, { payee }] of priors.entries()) legs.add(roleCode.prior, payee, weights[i]!);
}

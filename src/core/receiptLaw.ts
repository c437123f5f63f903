import { equalBytes } from "./bytes.ts";
import type { EntryHead } from "./entry.ts";
import { feeOf } from "./quote.ts";
import { amountOf, ownOf, type Receipt } from "./receipt.ts";
import { ok, type Result, refuse } from "./result.ts";
import {
  EVIDENCE_TOTAL,
  fillAmounts,
  type Leg,
  priorWeightMax,
  type RoutePolicy,
  roleCode,
  stageOfRole,
} from "./route.ts";

/**
 * What must hold of a receipt by itself, given the policy that it names: its fee follows from its prices, rate and usage;
 * every leg's amount follows from the weights; the weights obey the evidence rules. Anyone can check it from the entry alone.
 */
export function checkReceipt(head: EntryHead, receipt: Receipt, policy: RoutePolicy): Result<Receipt> {
  const { unit, costPrices, royaltyPrices, rate, usage, fee, legs } = receipt;
  const due = feeOf({ unit, cost: costPrices, royalty: royaltyPrices }, rate, usage);
  if (!due.ok) return due;
  if (due.value.cost !== fee.cost || due.value.royalty !== fee.royalty) {
    return differs(
      `its fee is ${fee.cost} + ${fee.royalty} nano, its prices and usage make it ${due.value.cost} + ${due.value.royalty}`,
    );
  }
  if (receipt.earned > ownOf(receipt) || receipt.earned > 0 !== (receipt.payerPayee !== 0)) {
    return differs("what it says of earnings spent does not add up");
  }
  const shape = checkLegShape(receipt, policy);
  if (!shape.ok) return shape;
  const exact = fillAmounts(head.ledger, head.seq, fee.cost, fee.royalty, policy, legs);
  const wrong = legs.findIndex((leg, i) => leg.amount !== exact[i]!.amount);
  if (wrong >= 0) {
    return differs(
      `leg ${wrong} pays payee ${legs[wrong]!.payee} ${legs[wrong]!.amount} nano, the split makes it ${exact[wrong]!.amount}`,
    );
  }
  return ok(receipt);
}

/**
 * The law of nesting, for a parent and all its children in journal order: each child names the one before it and the running total,
 * and the parent's amount is its own fee and its children's amounts: `amount = own + Σ children`.
 */
export function checkChildren(parent: Receipt, children: readonly Receipt[]): Result<Receipt> {
  let total = 0;
  let sibling: Uint8Array = new Uint8Array(16);
  for (const child of children) {
    const { nesting } = child;
    total += amountOf(child);
    const named = equalBytes(nesting.parent, parent.id) && equalBytes(nesting.root, parent.nesting.root);
    if (!named || nesting.depth !== parent.nesting.depth + 1)
      return differs("a child names another parent, root or depth");
    if (!equalBytes(nesting.sibling, sibling)) return differs("a child does not name the sibling before it");
    if (nesting.runningTotal !== total)
      return differs(`a child's running total is ${nesting.runningTotal}, the sum is ${total}`);
    sibling = child.id;
  }
  if (parent.nesting.childrenTotal !== total) {
    return differs(`its children's total is ${parent.nesting.childrenTotal}, the sum of their amounts is ${total}`);
  }
  return ok(parent);
}

function checkLegShape(receipt: Receipt, policy: RoutePolicy): Result<Receipt> {
  const { legs } = receipt;
  for (let i = 1; i < legs.length; i++) {
    if (orderOf(legs[i - 1]!) >= orderOf(legs[i]!))
      return differs(`leg ${i} is not in ascending order of role and payee`);
  }
  const stages = new Set(legs.map((leg) => stageOfRole(leg.role)));
  for (const stage of [0, 1, 3, 7]) if (!stages.has(stage)) return differs(`a leg for stage ${stage} is missing`);
  const operators = legs.filter((leg) => leg.role === "operator");
  if (operators.length !== 1 || operators[0]!.payee !== receipt.operator)
    return differs("its cost is not paid to its operator alone");
  const treasury = legs.filter((leg) => leg.role === "treasury");
  if (treasury.length !== 1 || treasury[0]!.payee !== policy.treasury)
    return differs("the treasury's part is paid to somebody else");
  return checkEvidenceWeights(receipt, policy, stages);
}

function checkEvidenceWeights(receipt: Receipt, policy: RoutePolicy, stages: ReadonlySet<number>): Result<Receipt> {
  const weightOf = (role: Leg["role"]) =>
    receipt.legs.reduce((sum, leg) => sum + (leg.role === role ? leg.weight : 0), 0);
  const [attributed, prior, reserve] = [weightOf("contributor"), weightOf("prior"), weightOf("reserve")];
  if (attributed + prior + reserve !== EVIDENCE_TOTAL)
    return differs(`its evidence weights sum to ${attributed + prior + reserve}`);
  const [reserveLeg, another] = receipt.legs.filter((leg) => leg.role === "reserve");
  if (another !== undefined) return differs("more than one reserve is paid");
  if (reserveLeg?.payee === policy.datanetReserve && reserve === EVIDENCE_TOTAL && receipt.unattributed === 0)
    return ok(receipt);
  if (reserveLeg !== undefined && reserveLeg.payee !== policy.reserve)
    return differs("the reserve's part is paid to somebody else");
  if (prior + reserve !== receipt.unattributed)
    return differs(`${prior + reserve} of weight is unattributed, it says ${receipt.unattributed}`);
  const most = Math.min(receipt.unattributed, priorWeightMax(policy, stages));
  if (prior !== 0 && prior !== most)
    return differs(`the prior pools have a weight of ${prior}, the cap makes it ${most}`);
  return ok(receipt);
}

function orderOf(leg: Leg): number {
  return roleCode[leg.role] * 2 ** 32 + leg.payee;
}

function differs(message: string): Result<never> {
  return refuse("verification_failed", message);
}

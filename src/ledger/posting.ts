import { equalBytes } from "../core/bytes.ts";
import { feeOf } from "../core/quote.ts";
import { amountOf, type Nesting, type Receipt } from "../core/receipt.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Contributors, EVIDENCE_TOTAL, LEGS_MAX, routeFee, type Share } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import type { HoldTable, LiveHold } from "./holds.ts";
import type { Posted, ReceiptDraft } from "./ledger.ts";
import { mergeShares, numberOf, uniqueIds } from "./payees.ts";
import type { Purses } from "./purses.ts";
import type { KnownAsset } from "./stateImage.ts";
import type { Commit, Job } from "./writer.ts";

/** Operator, model, reserve, treasury. */
const FIXED_LEGS = 4;

/** Operator, model, context, prior, reserve, stakers and treasury also need legs. */
export const CONTRIBUTOR_LEGS_MAX = LEGS_MAX - 16;

/**
 * Turns a hold into a receipt: the fee from prices and usage, the payees by number, the route at the seq that the receipt gets.
 * All that can be refused is checked before anything is journalled.
 */
export function postReceipt(state: BookState, holds: HoldTable, purses: Purses, draft: ReceiptDraft): Job<Posted> {
  return (batch) => {
    const checked = checkDraft(state, holds, purses, draft);
    if (!checked.ok) return checked;
    const { hold } = checked.value;
    const operator = numberOf(state, batch, draft.operator, "party");
    const shares =
      draft.contributors?.shares.map(({ payee, type, weight }) => ({
        payee: numberOf(state, batch, payee, type),
        weight,
      })) ?? [];
    const receipt = routed(state, holds, purses, checked.value, draft, operator, shares);
    const { seq, bytes } = batch.add({ kind: "receipt", receipt });
    holds.settle(hold, receipt.fee.cost + receipt.fee.royalty);
    if (draft.opening !== undefined) batch.openings.push({ receipt: receipt.id, opening: draft.opening });
    if (draft.idempotency !== undefined) {
      const { key, bodyHash, response } = draft.idempotency;
      batch.idempotency.push({ account: hold.account, key, bodyHash, receipt: receipt.id, response });
    }
    return ok((commit) => ({ seq, timeMs: batch.timeMs, receipt, promise: promiseOf(commit, receipt, seq, bytes) }));
  };
}

export function promiseOf(commit: Commit, receipt: Receipt, seq: number, entry: Uint8Array): Posted["promise"] {
  const { first, count, root, deadlineMs, signature } = commit;
  return {
    ...{ receipt: receipt.id, amount: amountOf(receipt), seq, entry },
    ...{ first, count, root, path: commit.pathOf(seq), deadlineMs, signature },
  };
}

interface Checked {
  readonly hold: LiveHold;
  readonly model: KnownAsset;
  readonly fee: { readonly cost: number; readonly royalty: number };
}

function checkDraft(state: BookState, holds: HoldTable, purses: Purses, draft: ReceiptDraft): Result<Checked> {
  const hold = holds.get(draft.hold);
  if (hold === undefined)
    return refuse("not_found", "the hold is not live any more: it was posted, released or not renewed");
  if (holds.hasChildren(hold))
    return refuse("conflict", "executions that this one caused are still under way", {
      hint: "post or release them first",
    });
  const model = state.asset(draft.model);
  if (model === undefined) return refuse("model_not_found", "the model is not registered on this ledger");
  if (!["model", "agent", "tool"].includes(model.record.assetKind))
    return refuse("invalid_request", `a ${model.record.assetKind} does not execute`);
  if (state.policy === undefined) return refuse("conflict", "the ledger has no fee policy yet");
  if (purses.account(hold.account) === undefined) return refuse("not_found", `there is no account ${hold.account}`);
  const { quote, rate, usage, contributors } = draft;
  const fee = feeOf(quote, rate, usage);
  if (!fee.ok) return fee;
  const own = fee.value.cost + fee.value.royalty;
  if (own > hold.amount)
    return refuse("insufficient_funds", `the fee of ${own} nano is more than the ${hold.amount} nano that are held`);
  if (contributors !== undefined) {
    const wrong = checkContributors(contributors);
    if (wrong !== undefined) return refuse("invalid_request", wrong);
  }
  const family = ancestry(state, model);
  const legs =
    FIXED_LEGS + contextsOf(family, model).length + priorsOf(family).length + (contributors?.shares.length ?? 0);
  if (legs > LEGS_MAX)
    return refuse("rule_violated", `this execution would need ${legs} legs, a receipt has at most ${LEGS_MAX}`);
  return ok({ hold, model, fee: fee.value });
}

function checkContributors({ shares, unattributed }: NonNullable<ReceiptDraft["contributors"]>): string | undefined {
  if (shares.length > CONTRIBUTOR_LEGS_MAX)
    return `at most ${CONTRIBUTOR_LEGS_MAX} contributors have a leg of their own, got ${shares.length}`;
  const weights = [...shares.map((share) => share.weight), unattributed];
  if (!weights.every((weight) => Number.isSafeInteger(weight) && weight >= 0))
    return "evidence weights are whole and not negative";
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total !== EVIDENCE_TOTAL) return `evidence weights sum to ${EVIDENCE_TOTAL}, got ${total}`;
  return shares.every((share) => share.payee.length === 32) ? undefined : "a payee id has 32 bytes";
}

function routed(
  state: BookState,
  holds: HoldTable,
  purses: Purses,
  { hold, model, fee }: Checked,
  draft: ReceiptDraft,
  operator: number,
  shares: readonly Share[],
): Receipt {
  const policy = state.policy!;
  const own = fee.cost + fee.royalty;
  const account = purses.account(hold.account)!;
  const earned = holds.earnedOf(hold, own);
  const family = ancestry(state, model);
  const unattributed = draft.contributors?.unattributed ?? 0;
  const contributors: Contributors | undefined =
    draft.contributors === undefined
      ? undefined
      : { shares: mergeShares(shares), unattributed, priors: priorsOf(family) };
  const legs = routeFee({
    ...{ ledger: state.ledger, seq: state.size, cost: fee.cost, royalty: fee.royalty, policy: policy.route, operator },
    model: [{ payee: model.royaltyPayee, weight: 1 }],
    context: contextsOf(family, model),
    ...{ contributors, stakers: 0 },
  });
  return {
    ...{ id: hold.id, flags: draft.flags, nesting: nestingOf(state, hold, own) },
    ...{ payer: account.payer, account: account.pseudonym, payerPayee: earned > 0 ? hold.payee : 0, earned, operator },
    ...{ model: draft.model, policyHash: policy.hash, unit: draft.quote.unit, rate: draft.rate },
    ...{ costPrices: draft.quote.cost, royaltyPrices: draft.quote.royalty, usage: draft.usage, fee },
    ...{ promptHash: draft.promptHash, answerHash: draft.answerHash, evidenceRoot: draft.evidenceRoot },
    ...{ indexId: draft.indexId, methodsHash: draft.methodsHash, unattributed, legs },
  };
}

/** Its place among the receipts that agents cause: children are journalled before their parent. */
function nestingOf(state: BookState, hold: LiveHold, own: number): Nesting {
  const childrenTotal = state.family(hold.id).total;
  const amount = own + childrenTotal;
  const none = new Uint8Array(16);
  if (hold.parent === undefined)
    return { depth: 0, parent: none, root: hold.id, sibling: none, runningTotal: amount, childrenTotal };
  const { total, last } = state.family(hold.parent);
  return {
    depth: hold.depth,
    parent: hold.parent,
    root: hold.root,
    sibling: last,
    runningTotal: total + amount,
    childrenTotal,
  };
}

/** The asset's ancestors, each once, nearest first. */
function ancestry(state: BookState, asset: KnownAsset): KnownAsset[] {
  const found: KnownAsset[] = [];
  let generation = [asset];
  while (generation.length > 0) {
    const parents = uniqueIds(generation.flatMap((child) => child.record.parents.map((parent) => parent.id)));
    generation = parents.map((id) => state.asset(id)!).filter((parent) => !found.includes(parent));
    found.push(...generation);
  }
  return found;
}

function contextsOf(family: readonly KnownAsset[], model: KnownAsset): Share[] {
  const contexts = family.filter((asset) => asset.record.assetKind === "context");
  const weightIn = (asset: KnownAsset): number =>
    model.vector.find((share) => equalBytes(share.id, asset.record.id))?.weight ?? 1;
  return mergeShares(contexts.map((asset) => ({ payee: asset.royaltyPayee, weight: weightIn(asset) })));
}

function priorsOf(family: readonly KnownAsset[]): Share[] {
  const priors = family.flatMap((asset) => (asset.prior === undefined ? [] : [{ payee: asset.prior, weight: 1 }]));
  return mergeShares(priors);
}

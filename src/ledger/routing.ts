import { type Fee, feeOf } from "../core/quote.ts";
import type { Nesting, ReceiptFacts } from "../core/receipt.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Contributors, EVIDENCE_TOTAL, LEGS_MAX, LegColumns, routeInto, type Share } from "../core/route.ts";
import type { Batch } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import type { ExecutionDraft } from "./execution.ts";
import { Families, type Family } from "./families.ts";
import type { Account } from "./ledger.ts";
import { numberOf } from "./payees.ts";

/** Operator, model, reserve, treasury. */
const FIXED_LEGS = 4;

/** Operator, model, context, prior, reserve, stakers and treasury also need legs. */
export const CONTRIBUTOR_LEGS_MAX = LEGS_MAX - 16;

/** An execution whose fee and payees are known, and allowed. */
export interface Priced {
  readonly fee: Fee;
  /** cost + royalty. */
  readonly own: number;
  readonly family: Family;
}

/** Who pays a receipt, and where it stands among others. */
export interface Standing {
  readonly id: Uint8Array;
  readonly nesting: Nesting;
  readonly account: Account;
  readonly payerPayee: number;
  readonly earned: number;
}

/** From an execution to a receipt: the fee from prices and usage, the payees by number, the route at the seq that the receipt gets. */
export class Routing {
  /** Those of the last route. */
  readonly legs = new LegColumns();
  readonly #state: BookState;
  readonly #families: Families;

  constructor(state: BookState) {
    this.#state = state;
    this.#families = new Families(state);
  }

  /** All that can be refused of an execution is refused here. */
  price(draft: ExecutionDraft): Result<Priced> {
    const state = this.#state;
    const model = state.asset(draft.model);
    if (model === undefined) return refuse("model_not_found", "the model is not registered on this ledger");
    const { assetKind } = model.record;
    if (assetKind === "datanet" || assetKind === "context")
      return refuse("invalid_request", `a ${assetKind} does not execute`);
    if (state.policy === undefined) return refuse("conflict", "the ledger has no fee policy yet");
    const unpublished = state.methods.fault(draft);
    if (unpublished !== undefined) return refuse("conflict", `this execution cannot be booked: ${unpublished}`);
    const { quote, rate, usage, contributors } = draft;
    const fee = feeOf(quote, rate, usage);
    if (!fee.ok) return fee;
    if (contributors !== undefined) {
      const wrong = checkContributors(contributors);
      if (wrong !== undefined) return refuse("invalid_request", wrong);
    }
    const family = this.#families.of(model);
    const legs = FIXED_LEGS + family.contexts.length + family.priors.length + (contributors?.shares.length ?? 0);
    if (legs > LEGS_MAX)
      return refuse("rule_violated", `this execution would need ${legs} legs, a receipt has at most ${LEGS_MAX}`);
    return ok({ fee: fee.value, own: fee.value.cost + fee.value.royalty, family });
  }

  /** All of a receipt but its legs, which stand in {@link legs}. Introduces the payees that are new. */
  route(batch: Batch, { fee, family }: Priced, draft: ExecutionDraft, standing: Standing): ReceiptFacts {
    const [state, policy] = [this.#state, this.#state.policy!];
    const operator = numberOf(state, batch, draft.operator, "party");
    const contributors = numbered(state, batch, draft.contributors, family.priors);
    // Plain literals: an object that is put together by spreading others takes several times as long to make.
    routeInto(this.legs, {
      ledger: state.ledger,
      seq: state.size,
      cost: fee.cost,
      royalty: fee.royalty,
      policy: policy.route,
      operator,
      model: family.model,
      context: family.contexts,
      contributors,
      stakers: 0,
    });
    const { account } = standing;
    return {
      id: standing.id,
      flags: draft.flags,
      nesting: standing.nesting,
      payer: account.payer,
      account: account.pseudonym,
      payerPayee: standing.payerPayee,
      earned: standing.earned,
      operator,
      model: draft.model,
      policyHash: policy.hash,
      unit: draft.quote.unit,
      rate: draft.rate,
      costPrices: draft.quote.cost,
      royaltyPrices: draft.quote.royalty,
      usage: draft.usage,
      fee,
      promptHash: draft.promptHash,
      answerHash: draft.answerHash,
      evidenceRoot: draft.evidenceRoot,
      indexId: draft.indexId,
      methodsHash: draft.methodsHash,
      unattributed: contributors?.unattributed ?? 0,
    };
  }
}

/** Its place among the receipts that agents cause: children are journalled before their parent. */
export function nestingOf(state: BookState, place: Place, own: number): Nesting {
  const childrenTotal = state.family(place.id).total;
  const amount = own + childrenTotal;
  if (place.parent === undefined)
    return { depth: 0, parent: NONE, root: place.id, sibling: NONE, runningTotal: amount, childrenTotal };
  const { total, last } = state.family(place.parent);
  const { depth, parent, root } = place;
  return { depth, parent, root, sibling: last, runningTotal: total + amount, childrenTotal };
}

/** Which execution caused it, at how many removes from which root. */
export interface Place {
  readonly id: Uint8Array;
  readonly parent?: Uint8Array;
  readonly root: Uint8Array;
  readonly depth: number;
}

const NONE = new Uint8Array(16);

function numbered(
  state: BookState,
  batch: Batch,
  contributors: ExecutionDraft["contributors"],
  priors: readonly Share[],
): Contributors | undefined {
  if (contributors === undefined) return undefined;
  const shares = contributors.shares.map(({ payee, type, weight }) => ({
    payee: numberOf(state, batch, payee, type),
    weight,
  }));
  return { shares, unattributed: contributors.unattributed, priors };
}

function checkContributors({ shares, unattributed }: NonNullable<ExecutionDraft["contributors"]>): string | undefined {
  if (shares.length > CONTRIBUTOR_LEGS_MAX)
    return `at most ${CONTRIBUTOR_LEGS_MAX} contributors have a leg of their own, got ${shares.length}`;
  let total = unattributed;
  let isWhole = isWeight(unattributed);
  for (const { weight } of shares) {
    total += weight;
    isWhole &&= isWeight(weight);
  }
  if (!isWhole) return "evidence weights are whole and not negative";
  if (total !== EVIDENCE_TOTAL) return `evidence weights sum to ${EVIDENCE_TOTAL}, got ${total}`;
  return shares.every((share) => share.payee.length === 32) ? undefined : "a payee id has 32 bytes";
}

function isWeight(weight: number): boolean {
  return Number.isSafeInteger(weight) && weight >= 0;
}

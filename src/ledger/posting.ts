import { equalBytes } from "../core/bytes.ts";
import { decodeEntry } from "../core/entry.ts";
import { feeOf } from "../core/quote.ts";
import { amountOf, type Nesting, type Receipt, type ReceiptFacts } from "../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { type Contributors, EVIDENCE_TOTAL, LEGS_MAX, LegColumns, routeInto, type Share } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import type { HoldTable, LiveHold } from "./holds.ts";
import type { Account, Posted, ReceiptDraft, ReceiptPromise } from "./ledger.ts";
import { mergeShares, numberOf, uniqueIds } from "./payees.ts";
import type { Purses } from "./purses.ts";
import type { KnownAsset } from "./stateImage.ts";
import type { Batch, Commit, Job } from "./writer.ts";

/** Operator, model, reserve, treasury. */
const FIXED_LEGS = 4;

/** Operator, model, context, prior, reserve, stakers and treasury also need legs. */
export const CONTRIBUTOR_LEGS_MAX = LEGS_MAX - 16;

/** Turns holds into receipts: the fee from prices and usage, the payees by number, the route at the seq that the receipt gets. */
export class Posting {
  readonly #state: BookState;
  readonly #holds: HoldTable;
  readonly #purses: Purses;
  readonly #legs = new LegColumns();
  /** By model, as long as no asset changes. */
  readonly #families = new Map<KnownAsset, Family>();
  #familiesVersion = 0;

  constructor(state: BookState, holds: HoldTable, purses: Purses) {
    this.#state = state;
    this.#holds = holds;
    this.#purses = purses;
  }

  /** All that can be refused is checked before anything is journalled. */
  post(draft: ReceiptDraft): Job<Posted> {
    return (batch) => {
      const checked = this.#check(draft);
      if (!checked.ok) return checked;
      const { hold, fee } = checked.value;
      const facts = this.#route(batch, checked.value, draft);
      const { seq, bytes } = batch.addReceipt(facts, this.#legs);
      this.#holds.settle(hold, fee.cost + fee.royalty);
      if (draft.opening !== undefined) batch.openings.push({ receipt: hold.id, opening: draft.opening });
      if (draft.idempotency !== undefined) {
        const { key, bodyHash, response } = draft.idempotency;
        batch.idempotency.push({ account: hold.account, key, bodyHash, receipt: hold.id, response });
      }
      const amount = amountOf(facts);
      const { timeMs } = batch;
      return ok((commit) => new PostedReceipt(seq, timeMs, promiseOf(commit, hold.id, amount, seq, bytes)));
    };
  }

  #check(draft: ReceiptDraft): Result<Checked> {
    const [state, hold] = [this.#state, this.#holds.get(draft.hold)];
    if (hold === undefined)
      return refuse("not_found", "the hold is not live any more: it was posted, released or not renewed");
    if (this.#holds.hasChildren(hold))
      return refuse("conflict", "executions that this one caused are still under way", {
        hint: "post or release them first",
      });
    const model = state.asset(draft.model);
    if (model === undefined) return refuse("model_not_found", "the model is not registered on this ledger");
    const { assetKind } = model.record;
    if (assetKind === "datanet" || assetKind === "context")
      return refuse("invalid_request", `a ${assetKind} does not execute`);
    if (state.policy === undefined) return refuse("conflict", "the ledger has no fee policy yet");
    const account = this.#purses.account(hold.account);
    if (account === undefined) return refuse("not_found", `there is no account ${hold.account}`);
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
    const family = this.#family(model);
    const legs = FIXED_LEGS + family.contexts.length + family.priors.length + (contributors?.shares.length ?? 0);
    if (legs > LEGS_MAX)
      return refuse("rule_violated", `this execution would need ${legs} legs, a receipt has at most ${LEGS_MAX}`);
    return ok({ hold, account, family, fee: fee.value });
  }

  /** Leaves the legs in their columns. */
  #route(batch: Batch, { hold, account, family, fee }: Checked, draft: ReceiptDraft): ReceiptFacts {
    const [state, policy] = [this.#state, this.#state.policy!];
    const own = fee.cost + fee.royalty;
    const earned = this.#holds.earnedOf(hold, own);
    const operator = numberOf(state, batch, draft.operator, "party");
    const contributors = numbered(state, batch, draft.contributors, family.priors);
    routeInto(this.#legs, {
      ...{
        ledger: state.ledger,
        seq: state.size,
        cost: fee.cost,
        royalty: fee.royalty,
        policy: policy.route,
        operator,
      },
      ...{ model: family.model, context: family.contexts, contributors, stakers: 0 },
    });
    return {
      ...{ id: hold.id, flags: draft.flags, nesting: nestingOf(state, hold, own) },
      ...{
        payer: account.payer,
        account: account.pseudonym,
        payerPayee: earned > 0 ? hold.payee : 0,
        earned,
        operator,
      },
      ...{ model: draft.model, policyHash: policy.hash, unit: draft.quote.unit, rate: draft.rate },
      ...{ costPrices: draft.quote.cost, royaltyPrices: draft.quote.royalty, usage: draft.usage, fee },
      ...{ promptHash: draft.promptHash, answerHash: draft.answerHash, evidenceRoot: draft.evidenceRoot },
      ...{ indexId: draft.indexId, methodsHash: draft.methodsHash, unattributed: contributors?.unattributed ?? 0 },
    };
  }

  #family(model: KnownAsset): Family {
    if (this.#familiesVersion !== this.#state.assetsVersion) this.#families.clear();
    this.#familiesVersion = this.#state.assetsVersion;
    let family = this.#families.get(model);
    if (family === undefined) {
      family = familyOf(this.#state, model);
      this.#families.set(model, family);
    }
    return family;
  }
}

/** A receipt that became durable. Its legs are read back from the entry if somebody asks for them. */
class PostedReceipt implements Posted {
  readonly seq: number;
  readonly timeMs: number;
  readonly promise: ReceiptPromise;
  #receipt: Receipt | undefined;

  constructor(seq: number, timeMs: number, promise: ReceiptPromise) {
    this.seq = seq;
    this.timeMs = timeMs;
    this.promise = promise;
  }

  get receipt(): Receipt {
    this.#receipt ??= receiptIn(this.promise.entry);
    return this.#receipt;
  }
}

function receiptIn(bytes: Uint8Array): Receipt {
  const entry = decodeEntry(bytes);
  assert(entry.ok && entry.value.kind === "receipt", "a receipt of our own decodes");
  return entry.value.receipt;
}

function promiseOf(
  commit: Commit,
  receipt: Uint8Array,
  amount: number,
  seq: number,
  entry: Uint8Array,
): ReceiptPromise {
  const { first, count, root, deadlineMs, signature } = commit;
  return { receipt, amount, seq, entry, first, count, root, path: commit.pathOf(seq), deadlineMs, signature };
}

interface Checked {
  readonly hold: LiveHold;
  readonly account: Account;
  readonly family: Family;
  readonly fee: { readonly cost: number; readonly royalty: number };
}

/** Who shares in a model's receipts beside those whom evidence names. */
interface Family {
  readonly model: readonly Share[];
  readonly contexts: readonly Share[];
  readonly priors: readonly Share[];
}

function numbered(
  state: BookState,
  batch: Batch,
  contributors: ReceiptDraft["contributors"],
  priors: readonly Share[],
): Contributors | undefined {
  if (contributors === undefined) return undefined;
  const shares = contributors.shares.map(({ payee, type, weight }) => ({
    payee: numberOf(state, batch, payee, type),
    weight,
  }));
  return { shares, unattributed: contributors.unattributed, priors };
}

function checkContributors({ shares, unattributed }: NonNullable<ReceiptDraft["contributors"]>): string | undefined {
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

const NONE = new Uint8Array(16);

/** Its place among the receipts that agents cause: children are journalled before their parent. */
function nestingOf(state: BookState, hold: LiveHold, own: number): Nesting {
  const childrenTotal = state.family(hold.id).total;
  const amount = own + childrenTotal;
  if (hold.parent === undefined)
    return { depth: 0, parent: NONE, root: hold.id, sibling: NONE, runningTotal: amount, childrenTotal };
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

function familyOf(state: BookState, model: KnownAsset): Family {
  const ancestors = ancestry(state, model);
  return {
    model: [{ payee: model.royaltyPayee, weight: 1 }],
    contexts: contextsOf(ancestors, model),
    priors: priorsOf(ancestors),
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

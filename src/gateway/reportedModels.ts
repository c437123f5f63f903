import { toHex, utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { feeOf, noPrices, type Prices, type PriceUnit, type Quote, type Rate, type Usage } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { EVIDENCE_TOTAL } from "../core/route.ts";
import type { ReportedExecution } from "../ingest/reported.ts";
import type { ExecutionDraft } from "../ledger/execution.ts";
import type { Grounding } from "./ports.ts";

/** A model that others serve: we know its terms and what it was made from, and are told of its executions. */
export interface ReportedModel {
  /** What reports call it. */
  readonly name: string;
  /** 32-byte asset id. */
  readonly asset: Uint8Array;
  readonly ownedBy: string;
  /** 32 bytes: who is paid the cost. */
  readonly operator: Uint8Array;
  readonly createdMs: number;
  readonly terms: ReportedTerms;
  readonly datanets: readonly string[];
  /** How many are declared as its contributors; 0 for an undeclared model, and for one whose contributors evidence alone finds. */
  readonly contributors: number;
  /** 32-byte payee id of the pool of its declared contributors. */
  readonly pool?: Uint8Array;
  /** It says nothing of what it was made from: no contributor is paid. */
  readonly isUndeclared: boolean;
  /** Attributes texts to records of its datanets; made when the first text comes. */
  readonly grounding?: () => Promise<Grounding | undefined>;
}

export interface ReportedTerms {
  readonly unit: PriceUnit;
  /** Charged where a report does not say what an execution cost. */
  readonly cost: Prices;
  readonly royalty: Prices;
  /** The part, in basis points, of what a report says that an execution cost. */
  readonly royaltyBps: number;
}

/** The models that reports may name. */
export class ReportedModels {
  readonly #models = new Map<string, ReportedModel>();

  put(model: ReportedModel): void {
    this.#models.set(model.name, model);
  }

  get(name: string): ReportedModel | undefined {
    return this.#models.get(name);
  }

  list(): readonly ReportedModel[] {
    return [...this.#models.values()];
  }

  nameOf(asset: Uint8Array): string | undefined {
    const wanted = toHex(asset);
    return this.list().find((model) => toHex(model.asset) === wanted)?.name;
  }
}

/**
 * What an execution is charged. Where its report says what it cost, that is the fee, to the nano, and the royalty is a part of it: nobody is charged again
 * for what was paid elsewhere. Where it does not, cost and royalty follow from the model's terms, as for what we serve.
 */
export function priceReport(
  terms: ReportedTerms,
  execution: Pick<ReportedExecution, "tokensIn" | "tokensOut" | "costNanoUsd">,
  rate: Rate,
): Result<{ readonly quote: Quote; readonly usage: Usage }> {
  const usage = { tokensIn: execution.tokensIn, tokensOut: execution.tokensOut, calls: 1 };
  if (Math.max(usage.tokensIn, usage.tokensOut) >= 2 ** 32)
    return refuse("amount_out_of_range", "an execution has fewer than 2^32 tokens");
  const { unit, cost, royalty, royaltyBps } = terms;
  const due = feeOf({ unit, cost, royalty }, rate, usage);
  if (!due.ok) return due;
  const { costNanoUsd } = execution;
  if (costNanoUsd === undefined && royaltyBps === 0) return ok({ quote: { unit, cost, royalty }, usage });
  const total = costNanoUsd === undefined ? BigInt(due.value.cost) : nanoOf(costNanoUsd, rate);
  if (total > BigInt(Number.MAX_SAFE_INTEGER))
    return refuse("amount_out_of_range", "what it cost does not fit below 2^53 nano");
  const part = (total * BigInt(royaltyBps) + 9_999n) / 10_000n + BigInt(due.value.royalty);
  const asRoyalty = Number(part < total ? part : total);
  const perCall = (nano: number): Prices => ({ ...noPrices, perCall: nano });
  return ok({ quote: { unit: "nano", cost: perCall(Number(total) - asRoyalty), royalty: perCall(asRoyalty) }, usage });
}

/** Billionths of a dollar as nano OPEN, rounded half up: the same number where one OPEN is one dollar. */
function nanoOf(nanoUsd: number, { nanoPerUsd }: Rate): bigint {
  return (BigInt(nanoUsd) * BigInt(nanoPerUsd) + 500_000_000n) / 1_000_000_000n;
}

/** Names the method behind weights that a model's owner declared. */
const declaredMethod = keccak256(utf8("openledger declared contributors 1"));
const none = new Uint8Array(32);

type Credited = Pick<ExecutionDraft, "contributors" | "evidenceRoot" | "indexId" | "methodsHash">;

/** Whom an execution credits: whoever its text repeats, and for the rest those whom the model's owner declared. The text is forgotten with the call. */
export async function creditReport(
  model: ReportedModel,
  receiptOf: () => Uint8Array,
  { prompt, answer }: Pick<ReportedExecution, "prompt" | "answer">,
): Promise<Credited> {
  const plain = { evidenceRoot: none, indexId: none, methodsHash: none };
  if (model.isUndeclared) return plain;
  const grounding = answer === undefined ? undefined : await model.grounding?.();
  if (grounding === undefined || answer === undefined) {
    const methodsHash = model.pool === undefined ? none : declaredMethod;
    return { ...plain, methodsHash, contributors: withPool(model.pool, [], EVIDENCE_TOTAL) };
  }
  const found = await grounding.attribute({ receipt: receiptOf(), prompt: prompt ?? "", answer, passages: [] });
  return {
    ...{ evidenceRoot: found.evidenceRoot, indexId: grounding.indexId },
    methodsHash: model.pool === undefined ? grounding.methodsHash : keccak256(grounding.methodsHash, declaredMethod),
    contributors: withPool(model.pool, found.shares, found.unattributed),
  };
}

function withPool(
  pool: Uint8Array | undefined,
  shares: NonNullable<ExecutionDraft["contributors"]>["shares"],
  unattributed: number,
): NonNullable<ExecutionDraft["contributors"]> {
  if (pool === undefined || unattributed === 0) return { shares, unattributed };
  return { shares: [...shares, { payee: pool, type: "pool", weight: unattributed }], unattributed: 0 };
}

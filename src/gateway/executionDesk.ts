import { noPrices, type PriceUnit, type Rate } from "../core/quote.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { executionHash, type Reading, type ReportedExecution } from "../ingest/reported.ts";
import type { ReportedCredit, ReportedDraft, ReportedOutcome } from "../ledger/execution.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type ExecutionRow, type ExecutionsView, REPORT_ROWS_MAX } from "../protocol/executions.ts";
import type { ServedModel } from "./catalog.ts";
import { hexText } from "./hexText.ts";
import { type Refused, refuseFor } from "./refused.ts";
import { creditReport, priceReport, type ReportedModel } from "./reportedModels.ts";

export interface DeskParts {
  readonly ledger: Pick<Ledger, "accounts" | "books">;
  readonly model: (name: string) => ReportedModel | undefined;
  /** Frozen into each receipt. */
  readonly rateFor: (unit: PriceUnit) => Result<Rate>;
  readonly rules: ReportRules;
  /** Is told of each receipt, by its entry, when it is durable. */
  readonly onBooked?: (entry: Uint8Array) => void;
}

/** What the node's owner allows reports to do. */
export interface ReportRules {
  /** Whether a payer whom nobody knows yet gets an account. */
  readonly payers: "open" | "known";
  readonly credit: ReportedCredit;
}

export interface ReportBy {
  /** The one account that a report may charge; absent for the node's owner, whose reports name their payers. */
  readonly account?: string;
  /** All rows are later words on rows that may be known. */
  readonly amends?: boolean;
  /** The answer lists those rows alone that were refused; all are counted. */
  readonly tellsRefused?: boolean;
}

/** At most so many batches are on their way: each holds its rows in memory. */
const BATCHES_MAX = 4;

/** Takes in what other gateways report, batch by batch. */
export class ExecutionDesk {
  readonly #parts: DeskParts;
  #batches = 0;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  /** An outcome for each row that could be read, and the reason for each that could not. Refuses whole batches only where they are too large or too many. */
  async book(readings: readonly Reading[], by: ReportBy): Promise<Result<ExecutionsView, Refused>> {
    if (readings.length > REPORT_ROWS_MAX)
      return refuse(
        "payload_too_large",
        `a batch has at most ${REPORT_ROWS_MAX} rows, this one has ${readings.length}`,
      );
    if (this.#batches >= BATCHES_MAX)
      return refuseFor("queue_full", "other batches are being booked", { retryAfterMs: 500 });
    this.#batches += 1;
    try {
      return await this.#book(readings, by);
    } finally {
      this.#batches -= 1;
    }
  }

  async #book(readings: readonly Reading[], by: ReportBy): Promise<Result<ExecutionsView, Refused>> {
    const rows: (ExecutionRow | undefined)[] = [];
    const drafts: { readonly at: number; readonly draft: ReportedDraft }[] = [];
    const idOf = idsBySpan(readings);
    const accounts = new Map<string, Promise<Result<string>>>();
    for (const [at, reading] of readings.entries()) {
      const draft = reading.ok
        ? await this.#draft(reading.execution, by, idOf, accounts)
        : refuse("invalid_request", reading.message);
      if (draft.ok) drafts.push({ at, draft: draft.value });
      rows.push(draft.ok ? undefined : refusedRow(reading.row, draft.error));
    }
    const credit = by.account === undefined ? this.#parts.rules.credit : "prepaid";
    const booked = await this.#parts.ledger.books.report(
      drafts.map(({ draft }) => draft),
      credit,
    );
    if (!booked.ok) return booked;
    const counts = { booked: 0, known: 0, corrected: 0, refused: readings.length - drafts.length };
    for (const [i, outcome] of booked.value.entries()) {
      const { at } = drafts[i]!;
      counts[outcome.outcome] += 1;
      if (outcome.outcome === "booked") this.#parts.onBooked?.(outcome.entry);
      if (by.tellsRefused !== true || outcome.outcome === "refused") rows[at] = rowOf(readings[at]!.row, outcome);
    }
    return ok({ ...counts, rows: rows.filter((row) => row !== undefined) });
  }

  async #draft(
    execution: ReportedExecution,
    by: ReportBy,
    idOf: (execution: ReportedExecution) => string | undefined,
    accounts: Map<string, Promise<Result<string>>>,
  ): Promise<Result<ReportedDraft>> {
    const { ledger, model: find, rateFor } = this.#parts;
    const model = find(execution.model);
    if (model === undefined) return unknownModel(execution.model);
    // What was paid elsewhere was paid in dollars.
    const unit = execution.costNanoUsd === undefined ? model.terms.unit : "microUsd";
    const rate = rateFor(unit);
    if (!rate.ok) return rate;
    const priced = priceReport(model.terms, execution, rate.value);
    if (!priced.ok) return priced;
    const payer = by.account ?? execution.payer;
    let account = accounts.get(payer);
    if (account === undefined) {
      account = by.account === undefined ? this.#accountOf(payer) : Promise.resolve(ok(payer));
      accounts.set(payer, account);
    }
    const found = await account;
    if (!found.ok) return found;
    const { source, id, span } = execution;
    const credited = await creditReport(model, () => ledger.books.reportedId(source, id), execution);
    const parent = idOf(execution);
    return ok({
      ...{ source, id, bodyHash: executionHash(execution), account: found.value },
      ...{ operator: model.operator, model: model.asset, rate: rate.value, ...priced.value, ...credited },
      ...{ promptHash: none, answerHash: none },
      flags: { reported: true, unaudited: false, partial: false, undeclared: model.isUndeclared },
      ...(by.amends === true || execution.isAmendment === true ? { isAmendment: true } : {}),
      ...(parent === undefined ? {} : { parent }),
      ...(span === undefined ? {} : { alias: span }),
    });
  }

  /** The account that stands for a payer; opened where the node's owner allows that. */
  async #accountOf(payer: string): Promise<Result<string>> {
    const { accounts } = this.#parts.ledger;
    const known = accounts.findExternal(payer) ?? accounts.get(payer);
    if (known !== undefined) return ok(known.id);
    if (this.#parts.rules.payers === "known")
      return refuse("not_found", `no account stands for the payer "${payer}"`, {
        hint: "open one: openledger account create NAME --external PAYER; or let reports open them: openledger up --report-payers open",
      });
    const opened = await accounts.open({ name: payer.trim().slice(0, 120) || "payer", external: payer });
    return opened.ok ? ok(opened.value.id) : opened;
  }
}

const none = new Uint8Array(32);

/** A model that is served here may also be served elsewhere, for the royalty of its terms. */
export function alsoReported(model: ServedModel, operator: Uint8Array): ReportedModel {
  const { name, asset, ownedBy, createdMs, unit, royalty, grounding } = model;
  return {
    ...{ name, asset, ownedBy, createdMs, operator, contributors: 0, isUndeclared: grounding === undefined },
    ...{ terms: { unit, royalty, cost: noPrices, royaltyBps: 0 }, datanets: grounding?.datanets ?? [] },
    ...(grounding === undefined ? {} : { grounding: () => Promise.resolve(grounding) }),
  };
}

/** Executions that cause others are named by their span there, which is not always their id. */
function idsBySpan(readings: readonly Reading[]): (execution: ReportedExecution) => string | undefined {
  const ids = new Map<string, string>();
  for (const reading of readings)
    if (reading.ok && reading.execution.span !== undefined)
      ids.set(`${reading.execution.source} ${reading.execution.span}`, reading.execution.id);
  return ({ source, parent }) => (parent === undefined ? undefined : (ids.get(`${source} ${parent}`) ?? parent));
}

function unknownModel(name: string): Result<never> {
  return refuse("model_not_found", `the model "${name}" is not registered here`, {
    hint: "register it: openledger model import MANIFEST",
    field: "model",
  });
}

function rowOf(row: number, outcome: ReportedOutcome): ExecutionRow {
  if (outcome.outcome === "refused") return refusedRow(row, outcome.refusal);
  const receipt = hexText(outcome.receipt);
  if (outcome.outcome === "known") return { row, outcome: "known", receipt };
  return { row, outcome: outcome.outcome, receipt, seq: outcome.seq, amount: outcome.amount };
}

function refusedRow(row: number, { code, message, hint }: Refusal): ExecutionRow {
  return { row, outcome: "refused", code, reason: message, ...(hint === undefined ? {} : { hint }) };
}

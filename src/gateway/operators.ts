import { toHex } from "../core/bytes.ts";
import type { Engine } from "../core/engine.ts";
import { feeOf, noPrices, type Prices, type PriceUnit, type Rate, type Usage } from "../core/quote.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { OperatorView } from "../protocol/service.ts";
import type { ServedModel } from "./catalog.ts";
import { type Refused, refuseFor } from "./refused.ts";

/** Somebody who runs models for a price. Its quote is what it keeps. */
export interface Operator {
  readonly name: string;
  /** 32-byte payee id. */
  readonly payee: Uint8Array;
  readonly engine: Engine;
  /** The served model's name → its name at this engine. */
  readonly models: Readonly<Record<string, string>>;
  readonly unit: PriceUnit;
  readonly cost: Prices;
  /** Requests that it takes at once. */
  readonly concurrency: number;
}

/** An operator chosen for a request, and the reason in words; it counts as in flight until {@link OperatorTable.finish}. */
export interface Chosen {
  readonly operator: Operator;
  readonly why: string;
}

export type Outcome = "served" | "failed" | "abandoned";

const FAILURES_TO_OPEN = 5;
const OPEN_MS_LEAST = 1_000;
const OPEN_MS_MOST = 60_000;
/** A grounded model's answers that have no receipt yet, in an operator's concurrency: as many as it runs are then attributed and posted beside them. */
const UNPOSTED_CONCURRENCIES_MAX = 2;

/**
 * The operators, their quotes and their health. The choice: of those that are up and have room the cheapest at worst-case usage,
 * ties to the least loaded, then by name. A circuit breaker (Nygard, "Release It!", 2007) opens after {@link FAILURES_TO_OPEN} failures
 * in a row and lets one probe through when its pause is over; each failed probe doubles the pause.
 */
export class OperatorTable {
  readonly #rows = new Map<string, Row>();

  put(operator: Operator): void {
    assert(operator.payee.length === 32, "an operator's payee id has 32 bytes");
    assert(operator.concurrency >= 1, "an operator takes at least one request");
    this.#rows.set(operator.name, {
      operator,
      draining: false,
      inFlight: 0,
      served: 0,
      failed: 0,
      unposted: new Map(),
      ...closedBreaker,
    });
  }

  remove(name: string): void {
    this.#rows.delete(name);
  }

  /** A draining operator finishes what it has and is given nothing new. */
  drain(name: string, draining: boolean): Result<OperatorView> {
    const row = this.#rows.get(name);
    if (row === undefined) return refuse("not_found", `no operator is called "${name}"`);
    row.draining = draining;
    return ok(viewOf(row, 0));
  }

  /** All operators that quote for the model, whatever their state. */
  quoting(model: ServedModel): readonly Operator[] {
    return this.#offering(model).map((row) => row.operator);
  }

  /** True when some operator with room could take it at once. */
  hasRoom(model: ServedModel, excluded: ReadonlySet<string>, nowMs: number): boolean {
    return this.#offering(model).some(
      (row) => canTake(row, nowMs) && hasSlot(row, model) && !excluded.has(row.operator.name),
    );
  }

  /** True where an operator would have a slot for the model, were more of its answers posted. */
  isBehind(model: ServedModel): boolean {
    return this.#offering(model).some((row) => row.inFlight < row.operator.concurrency && !hasSlot(row, model));
  }

  /** Refuses when no operator could take the request even after waiting. */
  check(model: ServedModel, excluded: ReadonlySet<string>, nowMs: number): Result<void, Refused> {
    const rows = this.#offering(model);
    if (rows.length === 0) return refuse("no_operator", `no operator serves "${model.name}"`);
    if (rows.some((row) => canTake(row, nowMs) && !excluded.has(row.operator.name))) return possible;
    const states = rows.map(
      (row) => `${row.operator.name} ${excluded.has(row.operator.name) ? "failed" : stateOf(row, nowMs)}`,
    );
    const waits = rows.map((row) => row.retryAtMs - nowMs).filter((wait) => wait > 0);
    return refuseFor("no_operator", `no operator can take "${model.name}" now: ${states.join(", ")}`, {
      retryAfterMs: waits.length === 0 ? 5_000 : Math.min(...waits),
    });
  }

  /** Takes a slot, or gives undefined where none is free. */
  choose(
    model: ServedModel,
    rate: Rate,
    worst: Usage,
    excluded: ReadonlySet<string>,
    nowMs: number,
  ): Chosen | undefined {
    const rows = this.#offering(model);
    let best: Priced | undefined;
    let able = 0;
    for (const row of rows) {
      if (!canTake(row, nowMs) || !hasSlot(row, model) || excluded.has(row.operator.name)) continue;
      able += 1;
      const priced = { row, nano: worstCost(row.operator, rate, worst) };
      if (best === undefined || isBefore(priced, best)) best = priced;
    }
    if (best === undefined) return undefined;
    const { row, nano } = best;
    if (row.retryAtMs > 0) row.probing = true;
    row.inFlight += 1;
    if (model.grounding !== undefined) row.unposted.set(model.name, unpostedOf(row, model) + 1);
    return { operator: row.operator, why: reason(nano, able, rows.length, excluded) };
  }

  /** The slot is free again. */
  finish(name: string, outcome: Outcome, nowMs: number): void {
    const row = this.#rows.get(name);
    if (row === undefined) return;
    row.inFlight = Math.max(0, row.inFlight - 1);
    row.probing = false;
    if (outcome === "served") {
      row.served += 1;
      if (row.failuresInARow > 0) Object.assign(row, closedBreaker);
    } else if (outcome === "failed") {
      row.failed += 1;
      row.failuresInARow += 1;
      if (row.failuresInARow < FAILURES_TO_OPEN) return;
      row.openMs = Math.min(OPEN_MS_MOST, row.openMs === 0 ? OPEN_MS_LEAST : row.openMs * 2);
      row.retryAtMs = nowMs + row.openMs;
    }
  }

  /** What was behind a grounded model's answer is over, too. */
  settle(name: string, model: ServedModel): void {
    const row = this.#rows.get(name);
    if (row === undefined) return;
    const left = unpostedOf(row, model) - 1;
    if (left > 0) row.unposted.set(model.name, left);
    else row.unposted.delete(model.name);
  }

  views(nowMs: number): OperatorView[] {
    return [...this.#rows.values()].map((row) => viewOf(row, nowMs));
  }

  #offering(model: ServedModel): Row[] {
    const rows: Row[] = [];
    for (const row of this.#rows.values()) {
      if (row.operator.models[model.name] !== undefined && row.operator.unit === model.unit) rows.push(row);
    }
    return rows;
  }
}

interface Row {
  readonly operator: Operator;
  draining: boolean;
  inFlight: number;
  served: number;
  failed: number;
  failuresInARow: number;
  openMs: number;
  /** 0 while the breaker is closed. */
  retryAtMs: number;
  probing: boolean;
  /** Of grounded models, by name: answers from their start until they are posted. */
  readonly unposted: Map<string, number>;
}

const possible = ok(undefined);
const closedBreaker = { failuresInARow: 0, openMs: 0, retryAtMs: 0, probing: false };

function canTake(row: Row, nowMs: number): boolean {
  return !row.draining && row.retryAtMs <= nowMs && !row.probing;
}

/** A model whose attribution does not keep up waits for its own receipts and leaves the slots to others. */
function hasSlot(row: Row, model: ServedModel): boolean {
  const { concurrency } = row.operator;
  if (row.inFlight >= concurrency) return false;
  return model.grounding === undefined || unpostedOf(row, model) < UNPOSTED_CONCURRENCIES_MAX * concurrency;
}

function unpostedOf(row: Row, model: ServedModel): number {
  return row.unposted.get(model.name) ?? 0;
}

function load(row: Row): number {
  return row.inFlight / row.operator.concurrency;
}

type Priced = { readonly row: Row; readonly nano: number };

function isBefore(a: Priced, b: Priced): boolean {
  if (a.nano !== b.nano) return a.nano < b.nano;
  if (load(a.row) !== load(b.row)) return load(a.row) < load(b.row);
  return a.row.operator.name < b.row.operator.name;
}

function worstCost(operator: Operator, rate: Rate, worst: Usage): number {
  const fee = feeOf({ unit: operator.unit, cost: operator.cost, royalty: noPrices }, rate, worst);
  return fee.ok ? fee.value.cost : Number.MAX_SAFE_INTEGER;
}

function reason(nano: number, able: number, all: number, excluded: ReadonlySet<string>): string {
  const after = excluded.size === 0 ? "" : ` after ${[...excluded].join(", ")} failed before the first byte`;
  if (all === 1) return `the only operator${after}`;
  return `cheapest of ${able} with room, of ${all} that quote: at most ${nano} nano${after}`;
}

function stateOf(row: Row, nowMs: number): OperatorView["state"] {
  if (row.draining) return "draining";
  return row.retryAtMs > nowMs || row.probing ? "open" : "up";
}

function viewOf(row: Row, nowMs: number): OperatorView {
  const { operator } = row;
  return {
    name: operator.name,
    payee: toHex(operator.payee),
    models: Object.keys(operator.models),
    unit: operator.unit,
    cost: operator.cost,
    state: stateOf(row, nowMs),
    inFlight: row.inFlight,
    concurrency: operator.concurrency,
    served: row.served,
    failed: row.failed,
    ...(row.retryAtMs > nowMs ? { retryAtMs: row.retryAtMs } : {}),
  };
}

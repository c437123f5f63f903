import type { Nano } from "../core/money.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { ApiKey, KeyLimits, Spending } from "../ledger/ledger.ts";
import type { LimitScope } from "../ledger/organisations.ts";
import { type Refused, refuseFor } from "./refused.ts";

/** What a request was let in for; what it did not use is given back. */
export interface Allowance {
  /** Where a day's spending is limited: the key and the day that it counts for. */
  readonly metered: { readonly key: string; readonly day: number } | undefined;
  /** Its caller has the answer: it is in flight no more, though its receipt may be. */
  answered(): void;
  settle(used: { readonly tokens: number; readonly nano: Nano }): void;
}

type Worst = { readonly tokens: number; readonly nano: Nano };

const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;

/**
 * The limits of each key, and of the project, member and organisation that it acts for: requests and tokens a minute as token buckets, nano a UTC day,
 * requests in flight. A request is charged its worst case in all of them on entry, or in none, and settles to what it used. A restart forgives a minute;
 * what a day's receipts spent is read back, and what was only held is free.
 */
export class KeyMeters {
  readonly #meters = new Map<string, Meter>();
  readonly #scopesOf: (key: ApiKey) => readonly LimitScope[];

  /** `scopesOf`: what a key's requests count against; by default the key alone. */
  constructor(scopesOf: (key: ApiKey) => readonly LimitScope[] = keyAlone) {
    this.#scopesOf = scopesOf;
  }

  enter(key: ApiKey, worst: Worst, nowMs: number): Result<Allowance, Refused> {
    const scopes = this.#scopesOf(key);
    for (const scope of scopes) {
      const refused = overLimit(this.#now(scope, nowMs), scope, worst, nowMs);
      if (refused !== undefined) return { ok: false, error: refused };
    }
    // Nothing is awaited since the looks, so what was found free still is.
    const meters = scopes.map(({ id }) => this.#meters.get(id)!);
    for (const meter of meters) take(meter, worst);
    const day = meters[0]!.day;
    const answered = once(() => {
      for (const meter of meters) meter.inFlight -= 1;
    });
    return ok({
      metered: isMetered(key) ? { key: key.id, day } : undefined,
      answered,
      settle: once((used) => {
        answered();
        for (const meter of meters) giveBack(meter, worst, used, day);
      }),
    });
  }

  /** Sets money aside of the limits of a day alone: for a training, which is no request and may take hours. */
  reserve(key: ApiKey, nano: Nano, nowMs: number): Result<Allowance, Refused> {
    const scopes = this.#scopesOf(key);
    for (const scope of scopes) {
      const refused = overSpending(this.#now(scope, nowMs), scope, nano, nowMs);
      if (refused !== undefined) return { ok: false, error: refused };
    }
    const meters = scopes.map(({ id }) => this.#meters.get(id)!);
    for (const meter of meters) meter.nano += nano;
    const day = meters[0]!.day;
    return ok({
      metered: isMetered(key) ? { key: key.id, day } : undefined,
      answered: () => {},
      settle: once((used) => {
        for (const meter of meters) if (meter.day === day) meter.nano += used.nano - nano;
      }),
    });
  }

  /** What a day's receipts spent before this process began. To be called once, before the first request. */
  seed(rows: readonly Spending[], keys: readonly ApiKey[], nowMs: number): void {
    const byId = new Map(keys.map((key) => [key.id, key]));
    for (const { day, key: id, nano } of rows) {
      const key = byId.get(id);
      if (key === undefined || day !== Math.floor(nowMs / DAY_MS)) continue;
      for (const scope of this.#scopesOf(key)) this.#now(scope, nowMs).nano += nano;
    }
  }

  /** What a scope spent or holds of the day, and what it has in flight. */
  usage(scope: LimitScope, nowMs: number): { readonly nano: Nano; readonly inFlight: number } {
    const { nano, inFlight } = this.#now(scope, nowMs);
    return { nano, inFlight };
  }

  /** Adds the `x-ratelimit-*` headers as OpenAI names them; none for a key without such limits. */
  addHeaders(key: ApiKey, nowMs: number, headers: Record<string, string>): void {
    const { requestsPerMinute, tokensPerMinute } = key.limits;
    if (requestsPerMinute === undefined && tokensPerMinute === undefined) return;
    const meter = this.#now(key, nowMs);
    if (requestsPerMinute !== undefined) addBucket(headers, "requests", requestsPerMinute, meter.requests);
    if (tokensPerMinute !== undefined) addBucket(headers, "tokens", tokensPerMinute, meter.tokens);
  }

  #now({ id, limits }: Pick<LimitScope, "id" | "limits">, nowMs: number): Meter {
    let meter = this.#meters.get(id);
    if (meter === undefined) {
      meter = { requests: Infinity, tokens: Infinity, atMs: nowMs, day: 0, nano: 0, inFlight: 0 };
      this.#meters.set(id, meter);
    }
    refill(meter, limits, nowMs);
    return meter;
  }
}

/** OpenAI writes durations as `1s` or `6m0s`. */
export function formatReset(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

interface Meter {
  /** What is left in the buckets; Infinity before the first request means full. */
  requests: number;
  tokens: number;
  atMs: number;
  day: number;
  nano: Nano;
  inFlight: number;
}

function keyAlone({ id, hint, limits }: ApiKey): readonly LimitScope[] {
  return [{ id, kind: "key", name: hint, limits }];
}

function refill(meter: Meter, limits: KeyLimits, nowMs: number): void {
  const passed = Math.max(0, nowMs - meter.atMs) / MINUTE_MS;
  const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits;
  meter.requests = Math.min(requestsPerMinute, meter.requests + passed * (limits.requestsPerMinute ?? 0));
  meter.tokens = Math.min(tokensPerMinute, meter.tokens + passed * (limits.tokensPerMinute ?? 0));
  meter.atMs = nowMs;
  const day = Math.floor(nowMs / DAY_MS);
  // A clock that is set back begins no day again: what was spent on the later one stays counted.
  if (day > meter.day) Object.assign(meter, { day, nano: 0 });
}

function take(meter: Meter, worst: Worst): void {
  meter.inFlight += 1;
  meter.requests -= 1;
  meter.tokens -= worst.tokens;
  meter.nano += worst.nano;
}

function giveBack(meter: Meter, worst: Worst, used: Worst, day: number): void {
  meter.tokens += worst.tokens - used.tokens;
  if (meter.day === day) meter.nano += used.nano - worst.nano;
}

function overLimit(meter: Meter, scope: LimitScope, worst: Worst, nowMs: number): Refused | undefined {
  const { requestsPerMinute, tokensPerMinute, inFlight } = scope.limits;
  if (inFlight !== undefined && meter.inFlight >= inFlight) {
    const message = `${nameOf(scope)} has ${meter.inFlight} requests in flight, its limit is ${inFlight}`;
    return refuseFor("rate_limited", message, { retryAfterMs: 1_000 }).error;
  }
  if (requestsPerMinute !== undefined && meter.requests < 1) {
    const retryAfterMs = Math.ceil(((1 - meter.requests) / requestsPerMinute) * MINUTE_MS);
    const message = `${requestsPerMinute} requests a minute is the limit of ${nameOf(scope)}`;
    return refuseFor("rate_limited", message, { retryAfterMs }).error;
  }
  if (tokensPerMinute !== undefined && worst.tokens > tokensPerMinute) {
    const message = `the request may use ${worst.tokens} tokens, the limit of ${nameOf(scope)} is ${tokensPerMinute} a minute`;
    return refuse("invalid_request", message, { hint: "lower max_tokens", field: "max_tokens" }).error;
  }
  if (tokensPerMinute !== undefined && meter.tokens < worst.tokens) {
    const retryAfterMs = Math.ceil(((worst.tokens - meter.tokens) / tokensPerMinute) * MINUTE_MS);
    const message = `${tokensPerMinute} tokens a minute is the limit of ${nameOf(scope)}`;
    return refuseFor("rate_limited", message, { retryAfterMs }).error;
  }
  return overSpending(meter, scope, worst.nano, nowMs);
}

function overSpending(meter: Meter, scope: LimitScope, nano: Nano, nowMs: number): Refused | undefined {
  const { nanoPerDay } = scope.limits;
  if (nanoPerDay === undefined || meter.nano + nano <= nanoPerDay) return undefined;
  const message = `${nameOf(scope)} may spend ${nanoPerDay} nano a day, ${meter.nano} are spent or held`;
  return refuseFor("rate_limited", message, { retryAfterMs: DAY_MS - (nowMs % DAY_MS) }).error;
}

function isMetered(key: ApiKey): boolean {
  return key.scope !== undefined || key.limits.nanoPerDay !== undefined;
}

function once<Args extends readonly unknown[]>(act: (...args: Args) => void): (...args: Args) => void {
  let isDone = false;
  return (...args) => {
    if (isDone) return;
    isDone = true;
    act(...args);
  };
}

function nameOf({ kind, name }: LimitScope): string {
  return kind === "key" ? `the key ${name}` : `the ${kind} "${name}"`;
}

function addBucket(headers: Record<string, string>, what: "requests" | "tokens", limit: number, left: number): void {
  const full = Number.isFinite(left) ? left : limit;
  headers[`x-ratelimit-limit-${what}`] = String(limit);
  headers[`x-ratelimit-remaining-${what}`] = String(Math.max(0, Math.floor(full)));
  headers[`x-ratelimit-reset-${what}`] = formatReset(((limit - full) / limit) * MINUTE_MS);
}

import type { Nano } from "../core/money.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import { type Refused, refuseFor } from "./refused.ts";

/** What a request was let in for; what it did not use is given back. */
export interface Allowance {
  settle(used: { readonly tokens: number; readonly nano: Nano }): void;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * The limits of each key: requests and tokens a minute as token buckets, nano a UTC day, requests in flight. A request is charged its worst case
 * on entry and settles to what it used. Meters live in memory: a restart forgives a minute, and at most one day's spending limit.
 */
export class KeyMeters {
  readonly #meters = new Map<string, Meter>();

  enter(
    key: ApiKey,
    worst: { readonly tokens: number; readonly nano: Nano },
    nowMs: number,
  ): Result<Allowance, Refused> {
    const { limits } = key;
    const meter = this.#meterOf(key.id, nowMs);
    refill(meter, limits, nowMs);
    const refused = overLimit(meter, key, worst, nowMs);
    if (refused !== undefined) return { ok: false, error: refused };
    meter.inFlight += 1;
    meter.requests -= 1;
    meter.tokens -= worst.tokens;
    meter.nano += worst.nano;
    const day = meter.day;
    let isSettled = false;
    return ok({
      settle: (used) => {
        if (isSettled) return;
        isSettled = true;
        meter.inFlight -= 1;
        meter.tokens += worst.tokens - used.tokens;
        if (meter.day === day) meter.nano += used.nano - worst.nano;
      },
    });
  }

  /** Adds the `x-ratelimit-*` headers as OpenAI names them; none for a key without such limits. */
  addHeaders(key: ApiKey, nowMs: number, headers: Record<string, string>): void {
    const { requestsPerMinute, tokensPerMinute } = key.limits;
    if (requestsPerMinute === undefined && tokensPerMinute === undefined) return;
    const meter = this.#meterOf(key.id, nowMs);
    refill(meter, key.limits, nowMs);
    if (requestsPerMinute !== undefined) addBucket(headers, "requests", requestsPerMinute, meter.requests);
    if (tokensPerMinute !== undefined) addBucket(headers, "tokens", tokensPerMinute, meter.tokens);
  }

  #meterOf(id: string, nowMs: number): Meter {
    const present = this.#meters.get(id);
    if (present !== undefined) return present;
    const meter = { requests: Infinity, tokens: Infinity, atMs: nowMs, day: 0, nano: 0, inFlight: 0 };
    this.#meters.set(id, meter);
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

function refill(meter: Meter, limits: ApiKey["limits"], nowMs: number): void {
  const passed = Math.max(0, nowMs - meter.atMs) / MINUTE_MS;
  const { requestsPerMinute = Infinity, tokensPerMinute = Infinity } = limits;
  meter.requests = Math.min(requestsPerMinute, meter.requests + passed * (limits.requestsPerMinute ?? 0));
  meter.tokens = Math.min(tokensPerMinute, meter.tokens + passed * (limits.tokensPerMinute ?? 0));
  meter.atMs = nowMs;
  const day = Math.floor(nowMs / DAY_MS);
  if (day !== meter.day) Object.assign(meter, { day, nano: 0 });
}

function overLimit(
  meter: Meter,
  { limits, hint: keyHint }: ApiKey,
  worst: { readonly tokens: number; readonly nano: Nano },
  nowMs: number,
): Refused | undefined {
  const { requestsPerMinute, tokensPerMinute, nanoPerDay, inFlight } = limits;
  if (inFlight !== undefined && meter.inFlight >= inFlight) {
    const message = `key ${keyHint}… has ${meter.inFlight} requests in flight, its limit is ${inFlight}`;
    return refuseFor("rate_limited", message, { retryAfterMs: 1_000 }).error;
  }
  if (requestsPerMinute !== undefined && meter.requests < 1) {
    const retryAfterMs = Math.ceil(((1 - meter.requests) / requestsPerMinute) * MINUTE_MS);
    return refuseFor("rate_limited", `${requestsPerMinute} requests a minute is the key's limit`, { retryAfterMs })
      .error;
  }
  if (tokensPerMinute !== undefined && worst.tokens > tokensPerMinute) {
    const message = `the request may use ${worst.tokens} tokens, the key's limit is ${tokensPerMinute} a minute`;
    return refuse("invalid_request", message, { hint: "lower max_tokens", field: "max_tokens" }).error;
  }
  if (tokensPerMinute !== undefined && meter.tokens < worst.tokens) {
    const retryAfterMs = Math.ceil(((worst.tokens - meter.tokens) / tokensPerMinute) * MINUTE_MS);
    return refuseFor("rate_limited", `${tokensPerMinute} tokens a minute is the key's limit`, { retryAfterMs }).error;
  }
  if (nanoPerDay !== undefined && meter.nano + worst.nano > nanoPerDay) {
    const message = `the key may spend ${nanoPerDay} nano a day, ${meter.nano} are spent or held`;
    return refuseFor("rate_limited", message, { retryAfterMs: DAY_MS - (nowMs % DAY_MS) }).error;
  }
  return undefined;
}

function addBucket(headers: Record<string, string>, what: "requests" | "tokens", limit: number, left: number): void {
  const full = Number.isFinite(left) ? left : limit;
  headers[`x-ratelimit-limit-${what}`] = String(limit);
  headers[`x-ratelimit-remaining-${what}`] = String(Math.max(0, Math.floor(full)));
  headers[`x-ratelimit-reset-${what}`] = formatReset(((limit - full) / limit) * MINUTE_MS);
}

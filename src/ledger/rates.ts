import type { Rate } from "../core/quote.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";

/** What a source says that a dollar is, and when it said so where it tells. */
export interface Quotation {
  /** Nano OPEN for one USD. */
  readonly nanoPerUsd: number;
  readonly atMs?: number;
}

/** Where a rate comes from: something that can be asked, and may be away, wrong or hostile. */
export interface RateSource {
  /** As receipts name it: at most 16 ASCII characters. */
  readonly name: string;
  read(): Promise<Result<Quotation>>;
}

/** What is believed of a source. */
export interface RateBounds {
  readonly nanoPerUsdMin: number;
  readonly nanoPerUsdMax: number;
  /** How far a rate may be from the one before it, in basis points of that. */
  readonly stepBpsMax: number;
  /** How old a rate may be when money is held at it. */
  readonly staleMs: number;
}

/** A rate that was believed, and when it was said. */
export interface KnownRate extends Rate {
  readonly atMs: number;
}

export interface RateState {
  readonly known: KnownRate | undefined;
  /** What the source says, too far from what is known to be believed without somebody's word. */
  readonly pending: number | undefined;
  readonly lastError: string;
  readonly isFresh: boolean;
}

/** The rates that money is held at. */
export interface Rates {
  /** For prices in dollars; refuses where no rate may be used. */
  forDollars(): Result<Rate>;
  /** For prices in OPEN: nothing is computed from it but what they were worth, and it is 0 where that is not known. */
  forOpen(): Rate;
}

export const openBounds: RateBounds = {
  ...{ nanoPerUsdMin: 1, nanoPerUsdMax: Number.MAX_SAFE_INTEGER, stepBpsMax: Number.POSITIVE_INFINITY },
  staleMs: Number.POSITIVE_INFINITY,
};

/** Clocks of others may be ahead of ours by so much. */
const AHEAD_MS = 300_000;

/** A rate that does not change. */
export function fixedRates(rate: Rate): Rates {
  return { forDollars: () => ok(rate), forOpen: () => rate };
}

/**
 * Asks a source and believes it within bounds. What is out of bounds, jumps, or does not come is not believed: the last rate that was goes on until it is stale,
 * and then nothing is held in dollars any more. A jump that is real is accepted by somebody, once.
 */
export class RateDesk implements Rates {
  readonly #source: RateSource;
  readonly #bounds: RateBounds;
  readonly #nowMs: () => number;
  readonly #keep: (rate: KnownRate) => Promise<void>;
  #known: KnownRate | undefined;
  #pending: number | undefined;
  #lastError = "";
  #asking: Promise<Result<Rate>> | undefined;

  /** `known` is what was believed before a restart; `keep` is told of what is believed from now on. */
  constructor(
    source: RateSource,
    bounds: RateBounds,
    nowMs: () => number,
    known?: KnownRate,
    keep: (rate: KnownRate) => Promise<void> = async () => undefined,
  ) {
    this.#source = source;
    this.#bounds = bounds;
    this.#nowMs = nowMs;
    this.#known = known?.source === source.name ? known : undefined;
    this.#keep = keep;
  }

  get state(): RateState {
    const isFresh = this.#known !== undefined && this.#nowMs() - this.#known.atMs <= this.#bounds.staleMs;
    return { known: this.#known, pending: this.#pending, lastError: this.#lastError, isFresh };
  }

  forDollars(): Result<Rate> {
    const known = this.#known;
    const why = this.#lastError === "" ? "" : `: ${this.#lastError}`;
    const hint = "prices in OPEN are not affected; openledger rate show says more";
    if (known === undefined) return refuse("rate_stale", `there is no dollar rate yet${why}`, { hint });
    const ageMs = this.#nowMs() - known.atMs;
    if (ageMs <= this.#bounds.staleMs) return ok({ nanoPerUsd: known.nanoPerUsd, source: known.source });
    const [age, most] = [ageMs, this.#bounds.staleMs].map((ms) => Math.floor(ms / 1_000));
    return refuse("rate_stale", `the dollar rate is ${age} s old, and may be ${most}${why}`, { hint });
  }

  forOpen(): Rate {
    const rate = this.forDollars();
    return rate.ok ? rate.value : { nanoPerUsd: 0, source: this.#source.name };
  }

  /** Asks the source; who comes while it is being asked waits for the same answer. */
  refresh(): Promise<Result<Rate>> {
    this.#asking ??= this.#refresh().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** Somebody vouches for the rate that is pending; it has to be named, so that no other is accepted by mistake. */
  async accept(nanoPerUsd: number): Promise<Result<Rate>> {
    if (this.#pending !== nanoPerUsd)
      return refuse("conflict", `${nanoPerUsd} nano for a dollar are not what the source says`, {
        hint: "openledger rate show says what is pending",
      });
    return this.#believe({ nanoPerUsd, atMs: this.#nowMs() });
  }

  async #refresh(): Promise<Result<Rate>> {
    const said = await this.#source.read();
    const checked = said.ok ? this.#check(said.value) : said;
    if (!checked.ok) return this.#failed(checked.error);
    return this.#believe(checked.value);
  }

  #check({ nanoPerUsd, atMs = this.#nowMs() }: Quotation): Result<Required<Quotation>> {
    const { nanoPerUsdMin, nanoPerUsdMax, stepBpsMax, staleMs } = this.#bounds;
    this.#pending = undefined;
    const said = `${this.#source.name} says ${nanoPerUsd} nano for a dollar`;
    if (!Number.isSafeInteger(nanoPerUsd) || nanoPerUsd < 1) return refuse("invalid_request", said);
    if (nanoPerUsd < nanoPerUsdMin || nanoPerUsd > nanoPerUsdMax)
      return refuse("rule_violated", `${said}, which is out of bounds: ${nanoPerUsdMin} to ${nanoPerUsdMax}`);
    if (atMs > this.#nowMs() + AHEAD_MS) return refuse("rule_violated", `${said}, of a time to come`);
    if (this.#nowMs() - atMs > staleMs) return refuse("rule_violated", `${said}, and it is stale there`);
    const known = this.#known?.nanoPerUsd;
    if (known === undefined || Math.abs(nanoPerUsd - known) * 10_000 <= known * stepBpsMax)
      return ok({ nanoPerUsd, atMs });
    this.#pending = nanoPerUsd;
    return refuse("rule_violated", `${said}, a jump from ${known}`, {
      hint: `if it is right: openledger rate accept ${nanoPerUsd}`,
    });
  }

  #failed(error: Refusal): Result<never> {
    this.#lastError = `${error.message}${error.hint === undefined ? "" : `; ${error.hint}`}`.slice(0, 300);
    return { ok: false, error };
  }

  async #believe({ nanoPerUsd, atMs }: Required<Quotation>): Promise<Result<Rate>> {
    const known = { nanoPerUsd, source: this.#source.name, atMs };
    this.#known = known;
    this.#pending = undefined;
    this.#lastError = "";
    await this.#keep(known);
    return ok({ nanoPerUsd, source: known.source });
  }
}

/** Nano for a dollar where one OPEN costs so many dollars, as a decimal text; rounded half up. */
export function nanoPerUsdOf(usdPerOpen: string): Result<number> {
  const match = /^(\d{1,30})(?:\.(\d{1,30}))?(?:[eE]([+-]?\d{1,2}))?$/.exec(usdPerOpen.trim());
  if (match === null)
    return refuse("invalid_request", `"${usdPerOpen.slice(0, 60)}" is not a price of one OPEN in dollars`);
  const [, whole = "", fraction = "", exponent = "0"] = match;
  const digits = BigInt(whole + fraction);
  // usdPerOpen = digits · 10^scale, so 10^9 / usdPerOpen = 10^(9 − scale) / digits.
  const scale = Number(exponent) - fraction.length;
  if (digits === 0n) return refuse("invalid_request", "one OPEN costs more than nothing");
  const [above, below] = scale > 9 ? [1n, digits * 10n ** BigInt(scale - 9)] : [10n ** BigInt(9 - scale), digits];
  const nano = (2n * above + below) / (2n * below);
  if (nano < 1n || nano > BigInt(Number.MAX_SAFE_INTEGER))
    return refuse("amount_out_of_range", `at ${usdPerOpen} dollars for one OPEN a dollar is no whole nano below 2^53`);
  return ok(Number(nano));
}

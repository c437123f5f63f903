import { divideUp, isNano, type Nano } from "./money.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * A quote: what an execution will be charged, per million tokens in, per million tokens out and per call.
 * `cost` is the operator's, and the operator keeps it; `royalty` is what the assets' terms add, and only royalty is divided.
 * Prices are whole units: nano OPEN, or micro-USD turned into nano by the rate frozen at hold time.
 */
export interface Prices {
  readonly inPerMillion: number;
  readonly outPerMillion: number;
  readonly perCall: number;
}

export type PriceUnit = "nano" | "microUsd";

export interface Quote {
  readonly unit: PriceUnit;
  readonly cost: Prices;
  readonly royalty: Prices;
}

/** Nano OPEN for one USD, and who said so (at most 16 ASCII characters). With `unit: "nano"` the rate is not used. */
export interface Rate {
  readonly nanoPerUsd: number;
  readonly source: string;
}

export interface Usage {
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly calls: number;
}

export interface Fee {
  readonly cost: Nano;
  readonly royalty: Nano;
}

export const noPrices: Prices = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };

const MILLION = 1_000_000n;

/** The fee of a usage: each line is computed exactly and rounded up once, to whole nano. */
export function feeOf(quote: Quote, rate: Rate, usage: Usage): Result<Fee> {
  const cost = lineNano(quote.cost, quote.unit, rate, usage);
  const royalty = lineNano(quote.royalty, quote.unit, rate, usage);
  if (!isNano(cost + royalty)) {
    return refuse("amount_out_of_range", "the fee of this execution does not fit below 2^53 nano", {
      hint: "lower max_tokens, or check the model's prices",
    });
  }
  return ok({ cost, royalty });
}

function lineNano(prices: Prices, unit: PriceUnit, rate: Rate, usage: Usage): Nano {
  for (const count of [usage.tokensIn, usage.tokensOut, usage.calls]) {
    assert(Number.isSafeInteger(count) && count >= 0, "usage is counted in whole numbers");
  }
  const product =
    prices.inPerMillion * usage.tokensIn +
    prices.outPerMillion * usage.tokensOut +
    prices.perCall * usage.calls * 1_000_000;
  // No term is negative, so where the sum is a safe integer nothing before it was rounded.
  if (unit === "nano" && Number.isSafeInteger(product)) {
    const rest = product % 1_000_000;
    return (product - rest) / 1_000_000 + (rest > 0 ? 1 : 0);
  }
  const millionths =
    BigInt(prices.inPerMillion) * BigInt(usage.tokensIn) +
    BigInt(prices.outPerMillion) * BigInt(usage.tokensOut) +
    BigInt(prices.perCall) * BigInt(usage.calls) * MILLION;
  if (unit === "nano") return Number(divideUp(millionths, MILLION));
  return Number(divideUp(millionths * BigInt(rate.nanoPerUsd), MILLION * MILLION));
}

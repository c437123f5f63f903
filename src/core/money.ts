import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * Money. One OPEN is 10^18 wei on chain and 10^9 nano in the ledger, so one nano is 10^9 wei.
 * A fee and each of its legs are whole nano below 2^53 and stand as `number`; totals are `bigint`.
 */
export type Nano = number;

export const NANO_PER_OPEN = 1_000_000_000;
export const WEI_PER_NANO = 1_000_000_000n;

export function isNano(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

export function assertNano(value: number, name: string): void {
  assert(isNano(value), `${name} is whole nano in [0, 2^53), got ${value}`);
}

/** ⌈numerator / denominator⌉ for numerator ≥ 0 and denominator > 0. */
export function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}

/** Reads a decimal amount of OPEN such as `1.25`, at most nine decimals; the result is nano. */
export function parseOpen(text: string): Result<Nano> {
  const match = /^(\d{1,16})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (match === null) {
    return refuse("invalid_request", `"${text}" is not an amount of OPEN`, {
      hint: "write it as a decimal number with at most nine decimals, for example 1.25",
    });
  }
  const nano = BigInt(match[1]!) * BigInt(NANO_PER_OPEN) + BigInt((match[2] ?? "").padEnd(9, "0"));
  if (nano > BigInt(Number.MAX_SAFE_INTEGER))
    return refuse("amount_out_of_range", `${text} OPEN is too much for one amount`);
  return ok(Number(nano));
}

/** Nano as a decimal amount of OPEN without trailing zeros: `1250000000` is `1.25`. */
export function formatOpen(nano: Nano | bigint): string {
  const value = BigInt(nano);
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "");
  return `${sign}${digits.slice(0, -9)}${fraction === "" ? "" : `.${fraction}`}`;
}

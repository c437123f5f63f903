import type { KnownClaim } from "./claims.ts";
import { microUsdOf } from "./microUsd.ts";
import { NO_CURRENCY, type Payout } from "./payouts.ts";

/** A payout that reached a payee, on chain or by bank, before it is valued. */
export interface PaidClaim {
  readonly payee: string;
  /** Chain, transaction and log index, or `payout` and its number. */
  readonly reference: string;
  readonly way: "chain" | "bank";
  readonly timeMs: number;
  readonly nano: bigint;
  /** What a relay took out of it for its gas. */
  readonly feeNano: bigint;
  /** Nano for a dollar in force at the claim, and who said so; 0 where nobody knew. */
  readonly nanoPerUsd: number;
  readonly source: string;
}

/** A claim as a statement shows it. Millionths of a dollar. */
export interface IssuedClaim extends Omit<PaidClaim, "payee"> {
  /** At the rate in force at the claim. */
  readonly microUsd: bigint;
  /** What the same OPEN were worth when they were credited, the oldest first; absent where the statements of those months were not issued. */
  readonly accrualMicroUsd?: bigint;
}

/** What a month, or more of them, credited a payee: OPEN and what they were worth when they were accrued. */
export interface CreditedPart {
  readonly nano: bigint;
  readonly microUsd: bigint;
}

/**
 * Values a payee's claims: each takes the oldest credits that no claim before it has taken, part by part in proportion, and the last piece of a part takes what is left of
 * it, so that the values of all claims come to those of the credits to the millionth. `before` was claimed earlier. What corrections took back comes off the newest credits.
 */
export function valuedClaims(
  credits: readonly CreditedPart[],
  before: bigint,
  claims: readonly PaidClaim[],
): readonly IssuedClaim[] {
  const parts = positiveParts(credits);
  takeFrom(parts, before);
  return claims.map(({ payee: _payee, ...claim }) => {
    const accrual = takeFrom(parts, claim.nano);
    return {
      ...{ ...claim, microUsd: microUsdOf(claim.nano, claim.nanoPerUsd) },
      ...(accrual === undefined ? {} : { accrualMicroUsd: accrual }),
    };
  });
}

/** Bank payouts that were paid, line by line; balances that another ledger took over were not claimed here. */
export function bankClaims(payouts: readonly Payout[]): readonly PaidClaim[] {
  return payouts.flatMap(({ number, status, movedTo, currency, nanoPerUnit, paid, lines }) => {
    if (status !== "paid" || movedTo !== undefined || paid === undefined || currency === NO_CURRENCY) return [];
    const inDollars = { nanoPerUsd: nanoPerUnit, source: `payout ${number}` };
    const rate = currency === "USD" ? inDollars : { nanoPerUsd: paid.nanoPerUsd, source: paid.source };
    const shared = { reference: `payout ${number}`, way: "bank" as const, timeMs: paid.atMs, feeNano: 0n, ...rate };
    return lines.map(({ payee, nano }) => ({ payee, nano, ...shared }));
  });
}

export function chainClaims(claims: readonly KnownClaim[]): readonly PaidClaim[] {
  return claims.map(({ payee, reference, timeMs, nano, fee, rate }) => ({
    ...{ payee, reference, way: "chain" as const, timeMs, nano, feeNano: fee?.nano ?? 0n },
    ...{ nanoPerUsd: rate.nanoPerUsd, source: rate.source },
  }));
}

function positiveParts(credits: readonly CreditedPart[]): { nano: bigint; microUsd: bigint }[] {
  const parts: { nano: bigint; microUsd: bigint }[] = [];
  for (const { nano, microUsd } of credits) {
    if (nano > 0n) parts.push({ nano, microUsd });
    for (let left = -nano; left > 0n; ) {
      const last = parts.pop();
      if (last === undefined) break;
      if (last.nano > left) {
        const gone = (last.microUsd * left) / last.nano;
        parts.push({ nano: last.nano - left, microUsd: last.microUsd - gone });
      }
      left -= last.nano;
    }
  }
  return parts;
}

/** Undefined where the parts do not reach. */
function takeFrom(parts: { nano: bigint; microUsd: bigint }[], nano: bigint): bigint | undefined {
  let [left, worth] = [nano, 0n];
  while (left > 0n) {
    const first = parts[0];
    if (first === undefined) return undefined;
    const taken = first.nano < left ? first.nano : left;
    const piece = (first.microUsd * taken) / first.nano;
    first.nano -= taken;
    first.microUsd -= piece;
    worth += piece;
    left -= taken;
    if (first.nano === 0n) parts.shift();
  }
  return worth;
}

import { u64 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { assert } from "./result.ts";

/**
 * The systematic split (Madow 1949, "On the theory of systematic sampling"): an amount A over payees in ascending order
 * with integer weights, prefix sums W and total T ≤ 2^32. With an offset r in [0, T)
 *
 *     part_i = ⌊(A·W_i + r)/T⌋ − ⌊(A·W_{i−1} + r)/T⌋
 *
 * The parts sum to A, each is within one unit of its quota A·w_i/T, and over a uniform r its expectation is its quota:
 * somebody who is due 0.3 nano a call is paid 3 nano in 10 calls. `SplitMath.sol` computes the same bits.
 */
export const WEIGHT_TOTAL_MAX = 2 ** 32;

/** r = uint256(keccak256(ledger ‖ u64 seq ‖ u8 stage)) mod total. Every stage of a receipt draws its own offset. */
export function stageOffset(ledger: Uint8Array, seq: number, stage: number, total: number): number {
  stagePreimage.set(ledger, 0);
  const high = Math.floor(seq / 2 ** 32);
  stageView.setUint32(32, high);
  stageView.setUint32(36, seq - high * 2 ** 32);
  stagePreimage[40] = stage;
  return reduceModulo(keccak256(stagePreimage), total);
}

/** r = uint256(keccak256(ledger ‖ u64 epoch ‖ pool payee id)) mod total. */
export function poolOffset(ledger: Uint8Array, epoch: number, pool: Uint8Array, total: number): number {
  return reduceModulo(keccak256(ledger, u64(epoch), pool), total);
}

/** The parts of `amount` (whole, |amount| < 2^53; a negative amount is split as its opposite) by `weights`, in order. */
export function splitSystematic(amount: number, weights: ArrayLike<number>, offset: number): number[] {
  const parts = new Array<number>(weights.length);
  splitInto(Math.abs(amount), weights, 0, weights.length, offset, parts);
  return amount < 0 ? parts.map((part) => (part === 0 ? 0 : -part)) : parts;
}

/** The parts of `amount` ≥ 0 by weights [from, until), written to the same places of `into`. */
export function splitInto(
  amount: number,
  weights: ArrayLike<number>,
  from: number,
  until: number,
  offset: number,
  into: { [place: number]: number },
): void {
  const total = sumWeights(weights, from, until);
  assert(Number.isSafeInteger(amount) && amount >= 0, "a split amount is a whole number");
  assert(offset >= 0 && offset < total, "a split offset lies in [0, total)");
  if (amount * total + offset < Number.MAX_SAFE_INTEGER)
    splitNumbers(amount, weights, from, until, total, offset, into);
  else splitBigInts(amount, weights, from, until, total, offset, into);
}

export function sumWeights(weights: ArrayLike<number>, from = 0, until = weights.length): number {
  let total = 0;
  for (let i = from; i < until; i++) {
    const weight = weights[i]!;
    assert(Number.isSafeInteger(weight) && weight >= 0, "weights are whole and not negative");
    total += weight;
  }
  assert(total > 0 && total <= WEIGHT_TOTAL_MAX, "weights sum to a total in [1, 2^32]");
  return total;
}

/**
 * A 256-bit big-endian number modulo `modulus` ≤ 2^32, in steps of 16 bits. Each step is below 2^48, where the floor of a quotient of
 * doubles is exact; the remainder of doubles by `%` would be several times as slow.
 */
function reduceModulo(hash: Uint8Array, modulus: number): number {
  let rest = 0;
  for (let i = 0; i < 32; i += 2) {
    const wide = rest * 65_536 + hash[i]! * 256 + hash[i + 1]!;
    rest = wide - Math.floor(wide / modulus) * modulus;
  }
  return rest;
}

function splitNumbers(
  amount: number,
  weights: ArrayLike<number>,
  from: number,
  until: number,
  total: number,
  offset: number,
  into: { [place: number]: number },
): void {
  let prefix = 0;
  let before = 0; // ⌊offset / total⌋ is 0
  for (let i = from; i < until; i++) {
    prefix += weights[i]!;
    const after = Math.floor((amount * prefix + offset) / total);
    into[i] = after - before;
    before = after;
  }
}

function splitBigInts(
  amount: number,
  weights: ArrayLike<number>,
  from: number,
  until: number,
  total: number,
  offset: number,
  into: { [place: number]: number },
): void {
  const [wideAmount, wideTotal, wideOffset] = [BigInt(amount), BigInt(total), BigInt(offset)];
  let prefix = 0;
  let before = 0n;
  for (let i = from; i < until; i++) {
    prefix += weights[i]!;
    const after = (wideAmount * BigInt(prefix) + wideOffset) / wideTotal;
    into[i] = Number(after - before);
    before = after;
  }
}

const stagePreimage = new Uint8Array(41);
const stageView = new DataView(stagePreimage.buffer);

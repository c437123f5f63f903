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
  stageView.setBigUint64(32, BigInt(seq));
  stagePreimage[40] = stage;
  return reduceModulo(keccak256(stagePreimage), total);
}

/** r = uint256(keccak256(ledger ‖ u64 epoch ‖ pool payee id)) mod total. */
export function poolOffset(ledger: Uint8Array, epoch: number, pool: Uint8Array, total: number): number {
  return reduceModulo(keccak256(ledger, u64(epoch), pool), total);
}

/** The parts of `amount` (whole, |amount| < 2^53; a negative amount is split as its opposite) by `weights`, in order. */
export function splitSystematic(amount: number, weights: ArrayLike<number>, offset: number): number[] {
  const total = sumWeights(weights);
  assert(Number.isSafeInteger(amount), "a split amount is a whole number");
  assert(offset >= 0 && offset < total, "a split offset lies in [0, total)");
  const size = Math.abs(amount);
  const parts =
    size * total + offset < Number.MAX_SAFE_INTEGER
      ? splitNumbers(size, weights, total, offset)
      : splitBigInts(size, weights, total, offset);
  return amount < 0 ? parts.map((part) => (part === 0 ? 0 : -part)) : parts;
}

export function sumWeights(weights: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    assert(Number.isSafeInteger(weight) && weight >= 0, "weights are whole and not negative");
    total += weight;
  }
  assert(total > 0 && total <= WEIGHT_TOTAL_MAX, "weights sum to a total in [1, 2^32]");
  return total;
}

/** A 256-bit big-endian number modulo `modulus` ≤ 2^32, in steps that stay below 2^53. */
function reduceModulo(hash: Uint8Array, modulus: number): number {
  let rest = 0;
  for (let i = 0; i < 32; i += 2) rest = (rest * 65_536 + hash[i]! * 256 + hash[i + 1]!) % modulus;
  return rest;
}

function splitNumbers(amount: number, weights: ArrayLike<number>, total: number, offset: number): number[] {
  const parts = new Array<number>(weights.length);
  let prefix = 0;
  let before = 0; // ⌊offset / total⌋ is 0
  for (let i = 0; i < weights.length; i++) {
    prefix += weights[i]!;
    const until = Math.floor((amount * prefix + offset) / total);
    parts[i] = until - before;
    before = until;
  }
  return parts;
}

function splitBigInts(amount: number, weights: ArrayLike<number>, total: number, offset: number): number[] {
  const [wideAmount, wideTotal, wideOffset] = [BigInt(amount), BigInt(total), BigInt(offset)];
  const parts = new Array<number>(weights.length);
  let prefix = 0;
  let before = 0n;
  for (let i = 0; i < weights.length; i++) {
    prefix += weights[i]!;
    const until = (wideAmount * BigInt(prefix) + wideOffset) / wideTotal;
    parts[i] = Number(until - before);
    before = until;
  }
  return parts;
}

const stagePreimage = new Uint8Array(41);
const stageView = new DataView(stagePreimage.buffer);

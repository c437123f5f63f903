import { normalizeZ } from "@noble/curves/abstract/curve.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { concat, fromHex, toHex } from "./bytes.ts";
import { hmacSha256 } from "./hash.ts";
import { assert } from "./result.ts";

/**
 * ECDSA over secp256k1 as RFC 6979 and EIP-2 want it, in half the time of the general code: what a signature costs is one multiple of the curve's
 * base point, and that is always of the same point. So its multiples by each byte of a scalar are kept, and a multiple is the sum of 32 of them.
 * `openSigner` tries it against the general code before it is used. Like that, it is no match for somebody who can time single operations on this machine:
 * big integers of JavaScript take longer for larger numbers.
 */
export function signRecoverable(
  digest: Uint8Array,
  privateKey: Uint8Array,
): { readonly signature: Uint8Array; readonly recoveryId: number } {
  assert(digest.length === 32 && privateKey.length === 32, "a digest and a key have 32 bytes");
  const [z, d] = [numberIn(digest), numberIn(privateKey)];
  for (const k of nonces(privateKey, bytes32(z % N))) {
    const { x, y } = timesBase(k);
    const r = x % N;
    const s = (secp256k1.Point.Fn.inv(k) * ((z + r * d) % N)) % N;
    if (r === 0n || s === 0n) continue;
    const isHigh = 2n * s > N;
    const recoveryId = (x >= N ? 2 : 0) + ((y % 2n === 1n) !== isHigh ? 1 : 0);
    return { signature: concat(bytes32(r), bytes32(isHigh ? N - s : s)), recoveryId };
  }
  throw new Error("the nonces do not end");
}

/** RFC 6979 §3.2, with SHA-256 and a group order of 256 bits. */
function* nonces(privateKey: Uint8Array, reduced: Uint8Array): Generator<bigint> {
  let value: Uint8Array = new Uint8Array(32).fill(1);
  let key: Uint8Array = new Uint8Array(32);
  for (const step of [0, 1]) {
    key = hmacSha256(key, value, Uint8Array.of(step), privateKey, reduced);
    value = hmacSha256(key, value);
  }
  for (;;) {
    value = hmacSha256(key, value);
    const k = numberIn(value);
    if (k > 0n && k < N) yield k;
    key = hmacSha256(key, value, Uint8Array.of(0));
    value = hmacSha256(key, value);
  }
}

interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

/**
 * k·G. With the digits 1 to 256 in place of 0 to 255 no digit is nothing, so that every multiple takes the same additions: k is first made less by
 * the number whose digits are all 1. Additions are of an affine point to a Jacobian one (madd-2007-bl, without its doublings).
 */
function timesBase(k: bigint): Affine {
  table ??= multiples();
  const digits = bytes32((k - ONES + N) % N);
  let { x, y } = table[digits[31]!]!;
  let z = 1n;
  for (let place = 1; place < 32; place++) {
    const other = table[256 * place + digits[31 - place]!]!;
    const zz = (z * z) % P;
    const h = (other.x * zz - x) % P;
    // The two points are the same or opposite, which a nonce brings about with a chance of 2^-250.
    if (h === 0n) return secp256k1.Point.BASE.multiply(k).toAffine();
    const r = (other.y * ((z * zz) % P) - y) % P;
    const hh = (h * h) % P;
    const hhh = (h * hh) % P;
    const v = (x * hh) % P;
    x = (r * r - hhh - 2n * v) % P;
    y = (r * (v - x) - y * hhh) % P;
    z = (z * h) % P;
  }
  const inverse = secp256k1.Point.Fp.inv(positive(z));
  const square = (inverse * inverse) % P;
  return { x: positive((x * square) % P), y: positive((y * ((square * inverse) % P)) % P) };
}

/** (digit + 1) · 256^place · G at 256 · place + digit. A megabyte, made in a tenth of a second when it is first needed. */
function multiples(): readonly Affine[] {
  const points: (typeof secp256k1.Point.BASE)[] = [];
  let base = secp256k1.Point.BASE;
  for (let place = 0; place < 32; place++) {
    let multiple = base;
    for (let digit = 0; digit < 256; digit++) {
      points.push(multiple);
      if (digit < 255) multiple = multiple.add(base);
    }
    base = multiple;
  }
  return normalizeZ(secp256k1.Point, points).map((point) => ({ x: point.X, y: point.Y }));
}

let table: readonly Affine[] | undefined;

function positive(value: bigint): bigint {
  return value < 0n ? value + P : value;
}

function numberIn(bytes: Uint8Array): bigint {
  return BigInt(toHex(bytes));
}

function bytes32(value: bigint): Uint8Array {
  return fromHex(`0x${value.toString(16).padStart(64, "0")}`);
}

/** The field's prime and the group's order (SEC 2 v2, §2.4.1). */
const P = secp256k1.Point.Fp.ORDER;
const N = secp256k1.Point.Fn.ORDER;
/** Σ 256^place. */
const ONES = ((1n << 256n) - 1n) / 255n;

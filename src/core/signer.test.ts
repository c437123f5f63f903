import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { addressOf, recoverSigner, signDigest } from "./eip712.ts";
import { keccak256 } from "./hash.ts";
import { openSigner, type RecoverableSigning } from "./signer.ts";

const key = keccak256(Uint8Array.of(7));

/** A library with the interface of libsecp256k1's bindings, over our own curve. */
function library(
  change: (signature: Uint8Array) => Uint8Array = (same) => same,
): RecoverableSigning & { calls: number } {
  return {
    calls: 0,
    signRecoverable(digest, privateKey) {
      this.calls += 1;
      const made = secp256k1.sign(digest, privateKey, { prehash: false, lowS: true, format: "recovered" });
      return { signature: change(made.subarray(1)), recoveryId: made[0]! };
    },
  };
}

test("a signer with a library signs what one without it signs, and contracts recover the same address", () => {
  const fast = openSigner(key, library());
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
      const signature = fast.sign(digest);
      expect(signature).toEqual(signDigest(key, digest));
      expect(recoverSigner(digest, signature)).toEqual(addressOf(key));
    }),
    { numRuns: 10 },
  );
});

const digest = keccak256(Uint8Array.of(9));

test("a library that is there is used", () => {
  const used = library();
  openSigner(key, used).sign(digest);
  expect(used.calls).toBe(2);
});

test.each([
  ["another nonce", (signature: Uint8Array) => signature.map((byte, i) => (i === 3 ? byte ^ 1 : byte))],
  ["a shorter signature", (signature: Uint8Array) => signature.subarray(1)],
  [
    "an exception",
    () => {
      throw new Error("does not run here");
    },
  ],
])("a library that signs differently is left alone: %s", (_, change) => {
  expect(openSigner(key, library(change)).sign(digest)).toEqual(signDigest(key, digest));
});

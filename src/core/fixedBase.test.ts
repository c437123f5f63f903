import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { signDigest } from "./eip712.ts";
import { signRecoverable } from "./fixedBase.ts";

const N = secp256k1.Point.Fn.ORDER;
const words = fc.uint8Array({ minLength: 32, maxLength: 32 });
/** Also those at the ends of the group, whose digits carry. */
const keys = fc.oneof(
  words.map((bytes) => (BigInt(`0x${Buffer.from(bytes).toString("hex")}`) % (N - 1n)) + 1n),
  fc.bigInt({ min: 1n, max: 600n }),
  fc.bigInt({ min: N - 600n, max: N - 1n }),
);

test("signs what the general code signs, to the bit", () => {
  const digests = fc.oneof(words, fc.constantFrom(new Uint8Array(32), new Uint8Array(32).fill(255)));
  fc.assert(
    fc.property(keys, digests, (number, digest) => {
      const key = Uint8Array.from(Buffer.from(number.toString(16).padStart(64, "0"), "hex"));
      const { signature, recoveryId } = signRecoverable(digest, key);
      expect([...signature, 27 + recoveryId]).toEqual([...signDigest(key, digest)]);
    }),
    { numRuns: 300 },
  );
});

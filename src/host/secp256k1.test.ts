import fc from "fast-check";
import { expect, test } from "vitest";
import { signDigest } from "../core/eip712.ts";
import { assert } from "../core/result.ts";
import { openSigner } from "../core/signer.ts";
import { loadSecp256k1 } from "./secp256k1.ts";

test("libsecp256k1 is there, and makes the signatures of the general code to the bit", async () => {
  const library = await loadSecp256k1();
  assert(library !== undefined, "the library loads");
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const key = bytes.filter((one) => one[0]! < 0xff && one.some((byte) => byte > 0));
  fc.assert(
    fc.property(key, bytes, (secret, digest) => {
      const { signature, recoveryId } = library.signRecoverable(digest, secret);
      expect([...signature, 27 + recoveryId]).toEqual([...signDigest(secret, digest)]);
      expect(openSigner(secret, library).sign(digest)).toEqual(signDigest(secret, digest));
    }),
    { numRuns: 20 },
  );
});

import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { KeyedHash } from "./keyedHash.ts";

test("a keyed hash is the platform's HMAC-SHA-256, whatever the text and however long", () => {
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.string({ minLength: 300, maxLength: 400 }));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(texts, { maxLength: 4 }), (key, all) => {
      const keyed = new KeyedHash(key);
      for (const text of all)
        expect(Buffer.from(keyed.of(text))).toEqual(createHmac("sha256", key).update(text).digest());
    }),
  );
});

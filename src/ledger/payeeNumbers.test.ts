import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { PayeeNumbers } from "./payeeNumbers.ts";

/** Ids that differ in few bits, so that many fall on the same or the next place. */
const idArbitrary = fc.tuple(fc.nat({ max: 31 }), fc.nat({ max: 3 }), fc.nat({ max: 1_000 })).map(([at, high, low]) => {
  const id = new Uint8Array(32);
  id[at] = high;
  id[(at + 1) % 32] = low & 255;
  id[(at + 2) % 32] = low >> 8;
  return id;
});

test("ids are known by the number of their introduction, and no others are", () => {
  fc.assert(
    fc.property(
      fc.array(idArbitrary, { maxLength: 3_000, size: "max" }),
      fc.array(idArbitrary),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (ids, strangers, seed) => {
        const numbers = new PayeeNumbers(seed);
        const known = new Map<string, number>();
        for (const id of ids) {
          expect(numbers.get(id)).toBe(known.get(toHex(id)));
          if (known.has(toHex(id))) continue;
          numbers.add(id);
          known.set(toHex(id), known.size + 1);
        }
        for (const id of [...ids, ...strangers]) expect(numbers.get(id)).toBe(known.get(toHex(id)));
      },
    ),
    { numRuns: 20 },
  );
});

test("an id is introduced once", () => {
  const numbers = new PayeeNumbers();
  numbers.add(new Uint8Array(32));
  expect(() => numbers.add(new Uint8Array(32))).toThrow("once");
});

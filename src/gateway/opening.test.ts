import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { readOpening, SALT_BYTES, writeOpening } from "./opening.ts";

const salt = fc.uint8Array({ minLength: SALT_BYTES, maxLength: SALT_BYTES });
const payee = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const evidence = fc.array(
  fc.record({ kind: fc.constantFrom("span" as const, "passage" as const), payee, weight: fc.nat(), text: fc.string() }),
  { maxLength: 3 },
);
const more = fc.constantFrom({}, { isForgotten: true as const });

test("an opening is the JSON of what it says, and is read again", () => {
  fc.assert(
    fc.property(salt, salt, fc.string(), fc.string(), evidence, more, (a, b, prompt, answer, found, rest) => {
      const text = writeOpening({ prompt: a, answer: b }, prompt, answer, found, rest);
      const said = { v: 1, promptSalt: toHex(a), answerSalt: toHex(b), prompt, answer, evidence: found, ...rest };
      expect(text).toBe(JSON.stringify(said));
      expect(readOpening(text)).toEqual({ ok: true, value: said });
    }),
  );
});

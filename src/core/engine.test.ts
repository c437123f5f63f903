import fc from "fast-check";
import { expect, test } from "vitest";
import { messagesText } from "./engine.ts";

const message = fc.record(
  {
    role: fc.constantFrom("system" as const, "user" as const, "assistant" as const),
    content: fc.string({ unit: "binary" }),
  },
  { noNullPrototype: true },
);

test("messages written by hand are their JSON", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), (messages) => {
      expect(messagesText(messages)).toBe(JSON.stringify(messages));
    }),
  );
});

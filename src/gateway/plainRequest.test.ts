import fc from "fast-check";
import { expect, test } from "vitest";
import { chatRequestSchema, completionRequestSchema } from "../protocol/completions.ts";
import { isPlainChat, isPlainCompletion } from "./plainRequest.ts";

/** Values at and around every limit, and of every wrong type. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    true,
    false,
    "",
    "x",
    "x".repeat(256),
    "x".repeat(257),
    [],
    {},
    [""],
    ["a"],
  ),
  fc.constantFrom<unknown>(0, 1, -1, 0.5, 2, 2.1, 1e6, 1e6 + 1, 2 ** 53, NaN, Infinity, "1", { include_usage: true }),
  fc.constantFrom<unknown>(
    { include_usage: 1 },
    { include_usage: null },
    { other: 1 },
    { type: "text" },
    "user",
    "tool",
  ),
  fc.anything({ maxDepth: 1 }),
);
const role = fc.constantFrom("user", "assistant", "system", "developer");
const message = fc.oneof(
  { weight: 6, arbitrary: fc.record({ role, content: fc.string() }) },
  fc.record({ role: fc.oneof(role, odd), content: odd, name: odd }, { requiredKeys: [] }),
  odd,
);
const names = [
  "model",
  "messages",
  "prompt",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "n",
  "stop",
  "seed",
];
const more = ["stream", "stream_options", "user", "logprobs", "tools", "echo", "presence_penalty", "other"];
/** A usual request with a few fields as they may come. */
const changed = (usual: fc.Arbitrary<object>) =>
  fc
    .tuple(usual, fc.array(fc.tuple(fc.constantFrom(...names, ...more), odd), { maxLength: 2 }))
    .map(([body, changes]): unknown => ({ ...body, ...Object.fromEntries(changes) }));
const chat = changed(fc.record({ model: fc.constant("m"), messages: fc.array(message, { maxLength: 3 }) }));
const completion = changed(fc.record({ model: fc.constant("m"), prompt: fc.string() }));

test("what is plainly a chat request is one to the schema, which reads the same in it", () => {
  let plain = 0;
  fc.assert(
    fc.property(fc.oneof(chat, odd), (body) => {
      if (!isPlainChat(body)) return;
      plain += 1;
      expect(chatRequestSchema.parse(body)).toEqual(body);
    }),
    { numRuns: 5_000 },
  );
  expect(plain).toBeGreaterThan(50);
});

test("what is plainly a completion request is one to the schema, which reads the same in it", () => {
  let plain = 0;
  fc.assert(
    fc.property(fc.oneof(completion, odd), (body) => {
      if (!isPlainCompletion(body)) return;
      plain += 1;
      expect(completionRequestSchema.parse(body)).toEqual(body);
    }),
    { numRuns: 5_000 },
  );
  expect(plain).toBeGreaterThan(50);
});

test("what clients usually send is plain", () => {
  const messages = [
    { role: "system", content: "be brief" },
    { role: "user", content: "hello" },
  ];
  const usual = {
    model: "m",
    messages,
    max_tokens: 100,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  };
  expect(isPlainChat(usual)).toBe(true);
  expect(isPlainCompletion({ model: "m", prompt: "once", max_tokens: 16, seed: 1, stop: "." })).toBe(true);
});

import fc from "fast-check";
import { expect, it, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { parseTrainingFile } from "./trainingFile.ts";

const pause = async () => undefined;
const said = fc.record({
  question: fc.string({ maxLength: 20 }),
  answer: fc.string({ minLength: 1, maxLength: 20 }).filter((text) => text.trim() !== ""),
});

it("gives back what was written, line by line, in each of the three forms, whatever blank lines stand between", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(said, fc.nat({ max: 2 }), fc.nat({ max: 2 })), { minLength: 1 }),
      async (rows) => {
        const lines = rows.map(([{ question, answer }, form, blanks]) => {
          const messages = [
            { role: "developer", content: "short" },
            { role: "user", content: question },
            { role: "assistant", content: answer, weight: 1 },
          ];
          const forms = [{ messages }, { prompt: question, completion: answer }, { text: answer }];
          return `${"\r\n".repeat(blanks)}${JSON.stringify(forms[form])}`;
        });
        const examples = unwrap(await parseTrainingFile(utf8(lines.join("\n")), pause));
        expect(
          examples.map((one) => ("text" in one ? [one.text] : one.messages.map(({ content }) => content))),
        ).toEqual(
          rows.map(([{ question, answer }, form]) => [["short", question, answer], [question, answer], [answer]][form]),
        );
        // A line's record is its own: it follows from nothing else in the file.
        const again = unwrap(await parseTrainingFile(utf8(lines.toReversed().join("\n")), pause));
        expect(again.map(({ record }) => record)).toEqual(examples.map(({ record }) => record).reverse());
      },
    ),
  ));

it("no bytes break it: what it does not take is refused with the line's number", () =>
  fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.json().map(utf8)), async (bytes) => {
      const parsed = await parseTrainingFile(bytes, pause);
      if (!parsed.ok) expect(parsed.error.message).toMatch(/^(line \d+: |the file )/);
    }),
  ));

test.each([
  // line                                                                                        why
  ['{"messages":[]}', "it has no answer"],
  ['{"messages":[{"role":"assistant","content":" "}]}', "it has no answer"],
  ['{"messages":[{"role":"tool","content":"x"}]}', "message 1 has no role of system, user or assistant"],
  ['{"messages":[{"role":"user","content":[]}]}', "message 1 has no text"],
  ['{"messages":[{"role":"assistant","content":"x","weight":0}]}', "message 1 has a weight"],
  ['{"messages":[{"role":"assistant","content":"x","tool_calls":[]}]}', "message 1 has tool_calls"],
  ['{"prompt":"x","completion":""}', "its completion is empty"],
  ['{"prompt":"x"}', "it has neither"],
  [`{"text":"${"x".repeat(300_000)}"}`, "it is longer than"],
  ["{", "it is not a JSON object"],
])("%j is not learnt from", async (line, why) => {
  const parsed = await parseTrainingFile(utf8(`{"text":"fine"}\n${line.slice(0, 400_000)}`), pause);
  expect(parsed).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  if (!parsed.ok) expect(parsed.error.message).toContain(`line 2: ${why}`);
});

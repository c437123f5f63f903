import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, END_OF_RECORD, encode, endOfRecordText } from "../bpe.ts";
import { houseTokenizer } from "../houseTokenizerFile.ts";
import { chatPieces, chatPrompt, encodeExample } from "./chatTemplate.ts";

const tokenizer = houseTokenizer();
const message = fc.record({
  role: fc.constantFrom("system" as const, "user" as const, "assistant" as const),
  content: fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom("", " \n", "a  b", "### User:", "it's", "\n#", "9\n\n"),
  ),
});

describe("the house template", () => {
  it("has the same tokens piece by piece as in one text, so a server may encode the whole prompt", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const pieces = [...chatPieces(messages).map(({ text }) => text), "\n\n### Assistant:\n"];
        // An answer's end is a token of its own, so encoding starts anew after it.
        const whole = chatPrompt(messages, "\u0000").split("\u0000");
        if (messages.some(({ content }) => content.includes("\u0000"))) return;
        expect(pieces.flatMap((text) => Array.from(encode(tokenizer, text)))).toEqual(
          whole.flatMap((text) => Array.from(encode(tokenizer, text))),
        );
      }),
    );
  });

  it("marks the answers and their ends as what is learnt", () => {
    const example = encodeExample(tokenizer, {
      record: "r",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: " What is tar? " },
        { role: "assistant", content: "An archiver." },
        { role: "user", content: "" },
        { role: "assistant", content: "It is." },
      ],
    });
    const learnt = Array.from(example.tokens).filter((_token, i) => example.isTarget[i] === 1);
    expect(learnt).toEqual([
      ...encode(tokenizer, "An archiver."),
      END_OF_RECORD,
      ...encode(tokenizer, "It is."),
      END_OF_RECORD,
    ]);
    const shown = Array.from(example.tokens, (token) =>
      token === END_OF_RECORD ? endOfRecordText : decode(tokenizer, [token]),
    ).join("");
    expect(shown).toBe(
      `### System:\nBe brief.\n\n### User:\nWhat is tar?\n\n### Assistant:\nAn archiver.${endOfRecordText}\n\n### Assistant:\nIt is.${endOfRecordText}`,
    );
  });

  it("learns a text whole, its first token too", () => {
    const { tokens, isTarget } = encodeExample(tokenizer, { record: "r", text: "tar archives" });
    expect(Array.from(tokens)).toEqual([END_OF_RECORD, ...encode(tokenizer, "tar archives"), END_OF_RECORD]);
    expect(isTarget.indexOf(1)).toBe(1);
    expect(isTarget.subarray(1).every((bit) => bit === 1)).toBe(true);
  });
});

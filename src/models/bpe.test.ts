import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { charRange, decode, decodeBytes, encode, encodeBytes, TokenDecoder, wordPattern } from "./bpe.ts";
import { parseTokenizerJson, writeTokenizerJson } from "./bpeFile.ts";
import { trainTokenizer } from "./bpeTrain.ts";
import { houseTokenizer } from "./houseTokenizerFile.ts";

const house = houseTokenizer();
const text = fc.string({ unit: "binary", maxLength: 60 }).map((value) => value.toWellFormed());
const mixed = fc
  .array(
    fc.oneof(
      text,
      fc.constantFrom("the ", " it's", "```js\n", "\n\n  ", "日本語", "👩‍👩‍👧", "don't", "\u0085", "\ufeff"),
    ),
  )
  .map((parts) => parts.join(""));

test("text survives encoding and decoding", () => {
  fc.assert(
    fc.property(mixed, (value) => {
      expect(decode(house, encode(house, value))).toBe(value);
    }),
    { numRuns: 2_000 },
  );
});

test("any bytes survive, and UTF-8 bytes encode as their text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), mixed, (stray, value) => {
      const bytes = Uint8Array.of(...stray, ...utf8(value), ...stray);
      expect(decodeBytes(house, encodeBytes(house, bytes))).toEqual(bytes);
      expect(encodeBytes(house, utf8(value))).toEqual(encode(house, value));
    }),
    { numRuns: 1_000 },
  );
});

test("every range of tokens maps to characters that lie whole within it", () => {
  fc.assert(
    fc.property(mixed, fc.nat(), fc.nat(), (value, a, b) => {
      const tokens = encode(house, value);
      const from = a % (tokens.length + 1);
      const until = from + (b % (tokens.length - from + 1));
      const range = charRange(house, tokens, from, until);
      const bytesBefore = decodeBytes(house, tokens.subarray(0, from)).length;
      const bytesUntil = decodeBytes(house, tokens.subarray(0, until)).length;
      // The oracle walks the characters and keeps those whose bytes lie in the range.
      let [at, bytes] = [0, 0];
      let kept = "";
      for (const char of value) {
        const size = utf8(char).length;
        if (bytes >= bytesBefore && bytes + size <= bytesUntil) kept += char;
        bytes += size;
        at += char.length;
      }
      expect(at).toBe(value.length);
      expect(value.slice(range.from, range.until)).toBe(kept);
    }),
    { numRuns: 2_000 },
  );
});

test("merging by heap gives what the textbook loop gives", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "ab", "the", "ing", "tion", "é", "-", "_"), { maxLength: 20 }),
      (parts) => {
        const value = parts.join("");
        expect([...encode(house, value)]).toEqual(naiveEncode(value));
      },
    ),
    { numRuns: 1_000 },
  );
});

test("a stream of tokens yields the text in whole characters", () => {
  fc.assert(
    fc.property(mixed, (value) => {
      const decoder = new TokenDecoder(house);
      const deltas = Array.from(encode(house, value), (token) => decoder.push(token));
      expect(deltas.join("") + decoder.end()).toBe(value);
      if (!value.includes("\ufffd")) expect(deltas.join("")).not.toContain("\ufffd");
    }),
  );
});

test("one endless word is no attack", () => {
  expect(decode(house, encode(house, "ab".repeat(200_000))).length).toBe(400_000);
});

test("training is deterministic, and its file is the tokenizer", () => {
  const texts = ["the cat sat on the mat", "the dog sat on the log", "cats and dogs", "ééé the the"];
  const trained = trainTokenizer(texts, 300);
  expect(trainTokenizer(texts, 300).hash).toEqual(trained.hash);
  expect(unwrap(parseTokenizerJson(writeTokenizerJson(trained))).hash).toEqual(trained.hash);
  expect(decode(trained, trained.merges.slice(0, 1).flat())).toBe("he");
});

test("merges the most frequent pair first, of equals the smaller one", () => {
  const trained = trainTokenizer(["cdcd abab cdcd abab", "xyz"], 262);
  const learnt = trained.merges.map(([left, right]) => decode(trained, [left, right]));
  expect(learnt).toEqual(["ab", "cd", " ab", "cdcd", " abab"]);
});

test("the words are GPT-2's", () => {
  const words = "I'm 12  spaces,\n\n  x_y != foo()".match(wordPattern);
  expect(words).toEqual(["I", "'m", " 12", " ", " spaces", ",", "\n\n ", " x", "_", "y", " !=", " foo", "()"]);
});

test.each([
  ["not JSON", "{"],
  ["another type", JSON.stringify({ model: { type: "WordPiece" } })],
  ["no vocabulary", JSON.stringify({ model: { type: "BPE", vocab: {}, merges: [] } })],
  ["a missing byte", writeTokenizerJson(house).replace('"!": ', '"<none>": ')],
  [
    "a merge of unknown tokens",
    writeTokenizerJson(trainTokenizer([], 257)).replace('"merges": []', '"merges": ["a b"]'),
  ],
])("refuses a file with %s", (_name, file) => {
  const parsed = parseTokenizerJson(file);
  expect(parsed.ok ? "accepted" : parsed.error.code).toBe("invalid_request");
});

test("the house tokenizer is pinned", () => {
  expect(house.bytes.length).toBe(8_192);
  expect([...encode(house, "Hello world")].map((token) => decode(house, [token])).join("|")).toBe("Hello| world");
});

function naiveEncode(value: string): number[] {
  const out: number[] = [];
  for (const word of value.match(wordPattern) ?? []) {
    let tokens = Array.from(utf8(word), (byte) => house.tokenOfByte[byte]!);
    for (;;) {
      let best = Number.POSITIVE_INFINITY;
      let where = -1;
      for (let i = 0; i + 1 < tokens.length; i++) {
        const rank = house.ranks.get(tokens[i]! * 65_536 + tokens[i + 1]!);
        if (rank !== undefined && rank < best) [best, where] = [rank, i];
      }
      if (where < 0) break;
      tokens = [...tokens.slice(0, where), best % 65_536, ...tokens.slice(where + 2)];
    }
    out.push(...tokens);
  }
  return out;
}

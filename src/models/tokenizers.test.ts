import fc from "fast-check";
import { expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { decode, encode, makeTokenizer } from "./bpe.ts";
import { parseTokenizerJson, writeTokenizerJson } from "./bpeFile.ts";
import { houseTokenizer } from "./houseTokenizerFile.ts";

const house = houseTokenizer();
const size = house.bytes.length;
const foreign = makeTokenizer([...house.bytes, new Uint8Array(0), new Uint8Array(0)], house.merges, {
  specials: new Map([
    [0, "<|endoftext|>"],
    [size, "<|im_start|>"],
    [size + 1, "<|im_end|>"],
  ]),
  splitsDigits: true,
});

test("a tokenizer made elsewhere survives its file, with its digits and its special tokens", () => {
  const read = unwrap(parseTokenizerJson(writeTokenizerJson(foreign)));
  expect(read.hash).toEqual(foreign.hash);
  expect(read.hash).not.toEqual(house.hash);
  expect([...read.specials]).toEqual([...foreign.specials]);
});

test("each digit is a token of its own, special tokens never come out of text, and text survives", () => {
  const digit = fc.constantFrom("1", "23", "٣", "½", " 7", "<|im_start|>", "a 1b", "\n");
  fc.assert(
    fc.property(fc.array(fc.oneof(digit, fc.string({ unit: "binary", maxLength: 5 })), { maxLength: 8 }), (parts) => {
      const text = parts.join("").toWellFormed();
      const tokens = encode(foreign, text);
      expect(decode(foreign, tokens)).toBe(text);
      const words = [...tokens].map((token) => decode(foreign, [token]));
      expect([...tokens].filter((token) => foreign.specials.has(token))).toEqual([]);
      expect(words.filter((word) => /\p{N}/u.test(word) && !/^\p{N}$/u.test(word))).toEqual([]);
    }),
  );
  expect(encode(foreign, "2024").length).toBe(4);
  expect(encode(house, "2024").length).toBeLessThan(4);
});

const json = (change: (file: Record<string, unknown>, model: Record<string, unknown>) => void): string => {
  const file = JSON.parse(writeTokenizerJson(foreign));
  change(file, file.model);
  return JSON.stringify(file);
};
test.each([
  ["a normaliser", json((file) => Object.assign(file, { normalizer: { type: "NFC" } })), "normalises"],
  [
    "a template",
    json((file) => Object.assign(file, { post_processor: { type: "TemplateProcessing" } })),
    "around texts",
  ],
  ["Metaspace", json((file) => Object.assign(file, { decoder: { type: "Metaspace" } })), "not bytes"],
  ["another expression", json((file) => Object.assign(file, { pre_tokenizer: { type: "Split" } })), "in another way"],
  ["no words", json((file) => Object.assign(file, { pre_tokenizer: null })), "in another way"],
  ["WordPiece", json((_file, model) => Object.assign(model, { type: "WordPiece" })), "not a BPE"],
  ["byte fallback", json((_file, model) => Object.assign(model, { byte_fallback: true })), "byte_fallback"],
  ["ignored merges", json((_file, model) => Object.assign(model, { ignore_merges: true })), "ignore_merges"],
  [
    "an added word",
    json((file) => Object.assign(file, { added_tokens: [{ id: 9, content: "x", special: false }] })),
    "added",
  ],
  ["no end of a text", json((file) => Object.assign(file, { added_tokens: [] })), "not made of bytes|token 0"],
  ["merges of a special token", json((_file, model) => Object.assign(model, { merges: ["<|im_start|> a"] })), "merge"],
  [
    "two tokens with one id",
    json((_file, model) => Object.assign(model, { vocab: { ...Object(model["vocab"]), a: 5 } })),
    "id of its own",
  ],
  ["what is not JSON", "{", "not a BPE"],
])("%s is refused", (_name, text, why) => {
  expect(parseTokenizerJson(text)).toMatchObject({ ok: false, error: { message: expect.stringMatching(why) } });
});

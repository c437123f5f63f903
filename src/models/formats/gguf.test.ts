import fc from "fast-check";
import { expect, test } from "vitest";
import { concat } from "../../core/bytes.ts";
import { unwrap } from "../../core/result.ts";
import { trainTokenizer } from "../bpeTrain.ts";
import { projections } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import { randomLlama, randomLora, tinyShape } from "../testing/randomLlama.ts";
import { checkLlamaGguf, checkLoraGguf } from "./checkGguf.ts";
import { dequantise, elements, type Gguf, type GgufValue, ggufParts, quantise, tensorBytes } from "./gguf.ts";
import { parseGguf } from "./ggufParse.ts";
import { llamaGgufParts, loraGgufParts } from "./llamaGguf.ts";

const tokenizer = trainTokenizer(["the cat sat on the mat"], 260);
const shape = tinyShape({ vocabulary: 262, hidden: 8, intermediate: 12, heads: 2, keyValueHeads: 1, headSize: 4 });
const tensors = randomLlama(shape, 1);
const lora: LoraShape = { rank: 2, alpha: 4, dropout: 0, targets: ["q_proj", "down_proj"] };
const base = concat(...llamaGgufParts({ shape, tensors, tokenizer, name: "tiny", chatTemplate: "{{ x }}" }, "F32"));
const adapter = concat(...loraGgufParts(shape, lora, randomLora(shape, lora, 2), { name: "tiny" }));
const parse = (bytes: Uint8Array) => parseGguf(bytes, bytes.length);

test("what is written is read: the shape, the adapter, and every number in its place", () => {
  expect(unwrap(checkLlamaGguf(unwrap(parse(base))))).toEqual({
    ...shape,
    normEpsilon: Math.fround(shape.normEpsilon),
  });
  expect(unwrap(checkLoraGguf(unwrap(parse(adapter)), shape))).toEqual(lora);
  const embedding = unwrap(parse(base)).tensors.find(({ name }) => name === "token_embd.weight");
  const read = new Float32Array(base.slice(embedding?.from, embedding?.until).buffer);
  expect(read).toEqual(tensors.get("model.embed_tokens.weight")?.data);
  expect(
    concat(...llamaGgufParts({ shape, tensors, tokenizer, name: "tiny", chatTemplate: "{{ x }}" }, "F32")),
  ).toEqual(base);
});

test("rows of q and k are interleaved within each head, those of v are not", () => {
  const rows = (name: string) => {
    const entry = unwrap(parse(base)).tensors.find((one) => one.name === name);
    const data = new Float32Array(base.slice(entry?.from, entry?.until).buffer);
    return (row: number) => data.slice(row * 8, (row + 1) * 8);
  };
  const source = (name: string) => (row: number) => tensors.get(name)?.data.slice(row * 8, (row + 1) * 8);
  const [q, v] = [rows("blk.1.attn_q.weight"), rows("blk.1.attn_v.weight")];
  const [fromQ, fromV] = ["q", "v"].map((one) => source(`model.layers.1.self_attn.${one}_proj.weight`));
  expect([0, 1, 2, 3, 4, 5, 6, 7].map(q)).toEqual([0, 2, 1, 3, 4, 6, 5, 7].map((row) => fromQ?.(row)));
  expect([0, 1, 2, 3].map(v)).toEqual([0, 1, 2, 3].map((row) => fromV?.(row)));
});

test("no truncation passes", () => {
  for (const file of [base, adapter])
    for (let length = 0; length < file.length; length += length < 4_096 ? 1 : 97)
      expect(parse(file.subarray(0, length)).ok, `${length}`).toBe(false);
});

test("no flipped byte makes it throw, and in what passes every tensor lies within the file, apart from the others", () => {
  let passed = 0;
  const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(base, adapter), fc.boolean(), flips, (file, isEarly, changes) => {
      const bytes = file.slice();
      const range = isEarly ? Math.min(2_000, bytes.length) : bytes.length;
      for (const [at, flip] of changes) bytes[at % range] = bytes[at % range]! ^ flip;
      const gguf = parse(bytes);
      if (!gguf.ok) return;
      passed++;
      expectSound(gguf.value, bytes.length);
      const checked = file === base ? checkLlamaGguf(gguf.value) : checkLoraGguf(gguf.value, shape);
      // Whatever passes both has exactly the tensors that its own shape needs.
      if (checked.ok && "vocabulary" in checked.value)
        expect(gguf.value.tensors[0]?.sizes).toEqual([checked.value.hidden, checked.value.vocabulary]);
    }),
    { numRuns: 4_000, seed: 1 },
  );
  expect(passed).toBeGreaterThan(100);
});

test("random bytes behind the magic never pass as tensors outside the file", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      const bytes = concat(base.slice(0, 8), tail);
      const gguf = parse(bytes);
      if (gguf.ok) expectSound(gguf.value, bytes.length);
    }),
    { numRuns: 2_000 },
  );
});

const plain = { name: "t", type: "F32", shape: [2, 4], data: () => new Float32Array(8) } as const;
const keys = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["general.name.a", { type: "bool", value: true }],
  ["general.name.b", { type: "bool", value: true }],
]);
const small = concat(...ggufParts(keys, [plain, { ...plain, name: "u" }]));
const at = (text: string, offset: number): number => Buffer.from(small).indexOf(text) + offset;
test.each([
  // what stands there                    place               bytes                       why
  ["another magic", 0, [0x46], "begin with GGUF"],
  ["version 2", 4, [2], "version 2"],
  ["a million tensors", 8, [0x40, 0x42, 0x0f], "1000000 tensors"],
  ["2^63 keys", 16, [1, 0, 0, 0, 0, 0, 0, 0x80], "too large"],
  ["a key of 4 GiB", 24, [0xff, 0xff, 0xff, 0xff], "a string has"],
  ["a key that is not UTF-8", 32, [0xff], "UTF-8"],
  ["a value of type 13", at("architecture", 12), [13], "unknown type"],
  ["a key twice", at("general.name.b", 13), [0x61], "stands twice"],
  ["half a truth value", at("general.name.b", 18), [2], "truth value"],
  ["a tensor with 5 dimensions", at("t\u0002", 1), [5], "5 dimensions"],
  ["a tensor with none", at("t\u0002", 1), [0], "0 dimensions"],
  ["a size of 0", at("t\u0002", 5), [0], "no possible size"],
  ["sizes whose product overflows", at("t\u0002", 5), [0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 1], "no possible size"],
  ["type Q4_K", at("t\u0002", 21), [12], "type 12"],
  ["Q8_0 in rows of 4", at("t\u0002", 21), [8], "broken blocks"],
  ["the second tensor over the first", at("u\u0002", 25), [0], "begins at 0"],
  ["the second tensor behind a hole", at("u\u0002", 25), [64], "begins at 64"],
  ["the same name twice", at("u\u0002", 0), [0x74], "twice"],
  ["a second tensor larger than the file", at("u\u0002", 5), [4, 1], "behind the file"],
])("%s is refused", (_name, place, bytes, why) => {
  expect(parse(small).ok).toBe(true);
  const broken = small.slice();
  broken.set(bytes, place);
  expect(parse(broken)).toMatchObject({ ok: false, error: { message: expect.stringContaining(why) } });
});

const changed = (name: string, value: GgufValue | undefined): Gguf => {
  const gguf = unwrap(parse(base));
  const metadata = new Map(gguf.metadata);
  if (value === undefined) metadata.delete(name);
  else metadata.set(name, value);
  return { ...gguf, metadata };
};
const list = (of: "string" | "i32", values: readonly (string | number)[]): GgufValue => ({ type: "array", of, values });
const tokens = [...tokenizer.bytes.map((_bytes, id) => `t${id}`), "x", "y"];
test.each([
  ["general.architecture", { type: "string", value: "gpt2" }, "general.architecture"],
  ["llama.attention.head_count", { type: "u32", value: 3 }, "do not divide|sizes"],
  ["llama.attention.head_count", { type: "u32", value: 0 }, "head_count"],
  ["llama.attention.head_count_kv", { type: "u32", value: 0 }, "head_count_kv"],
  ["llama.attention.key_length", { type: "u32", value: 8 }, "value_length"],
  ["llama.block_count", { type: "u32", value: 1 }, "tensors"],
  ["llama.block_count", { type: "string", value: "2" }, "another type"],
  ["llama.rope.freq_base", { type: "f32", value: Number.NaN }, "freq_base"],
  ["llama.rope.scaling.type", { type: "string", value: "yarn" }, "nothing is known of its key"],
  ["llama.expert_count", { type: "u32", value: 8 }, "nothing is known of its key"],
  ["tokenizer.ggml.tokens", undefined, "no list"],
  ["tokenizer.ggml.tokens", list("string", tokens.slice(1)), "not its vocabulary"],
  ["tokenizer.ggml.tokens", list("string", ["y", ...tokens.slice(1)]), "twice"],
  ["tokenizer.ggml.tokens", list("string", tokens), "merge"],
  ["tokenizer.ggml.token_type", list("i32", new Array<number>(262).fill(9)), "unknown type"],
  ["tokenizer.ggml.merges", list("string", ["a b c"]), "merge"],
  ["tokenizer.ggml.eos_token_id", { type: "u32", value: 262 }, "eos_token_id"],
] as const)("%s as %j is refused before native code sees it", (name, value, why) => {
  expect(checkLlamaGguf(changed(name, value))).toMatchObject({ error: { message: expect.stringMatching(why) } });
});

test("an adapter fits its own base only", () => {
  const gguf = unwrap(parse(adapter));
  for (const other of [{ hidden: 16 }, { layers: 1 }, { layers: 3 }, { intermediate: 16 }])
    expect(checkLoraGguf(gguf, { ...shape, ...other }).ok).toBe(false);
  expect(checkLoraGguf(unwrap(parse(base)), shape).ok).toBe(false);
  const all: LoraShape = { ...lora, targets: projections };
  const bytes = concat(...loraGgufParts(shape, all, randomLora(shape, all, 3), { name: "a", type: "F16" }));
  expect(unwrap(checkLoraGguf(unwrap(parse(bytes)), shape)).targets).toEqual(projections);
});

test("8 bits a weight: within half a step of the block's largest, exact for zeros and for the largest's sign", () => {
  const block = fc.array(fc.float({ noNaN: true, min: -1_000, max: 1_000 }), { minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(block, (values) => {
      const stored = dequantise(quantise(Float32Array.from(values)));
      const largest = Math.max(...values.map(Math.abs));
      values.forEach((value, i) => {
        // Half a step, and what rounding the scale to 11 bits adds at most; below 2^-14 the scale itself is coarse.
        expect(Math.abs(stored[i]! - value)).toBeLessThanOrEqual(
          (largest / 127) * (0.5 + 127 / 2_048) + 127 * 2 ** -25,
        );
      });
    }),
  );
  expect(tensorBytes("Q8_0", 32, 64)).toBe(68);
  expect(
    [...quantise(Float32Array.from({ length: 32 }, (_unused, i) => (i === 0 ? -127 : i === 1 ? 0.5 : 0)))].slice(0, 5),
  ).toEqual([...[0x00, 0x3c, 0x81, 1, 0]]);
});

function expectSound({ tensors }: Gguf, fileBytes: number): void {
  let at = 0;
  for (const { from, until, sizes, type } of tensors) {
    expect(from).toBeGreaterThanOrEqual(at);
    expect(until).toBeLessThanOrEqual(fileBytes);
    expect(until - from).toBe(tensorBytes(type, sizes[0] ?? 0, elements(sizes)));
    at = until;
  }
}

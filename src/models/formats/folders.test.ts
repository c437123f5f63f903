import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/folders.ts";
import { unwrap } from "../../core/result.ts";
import { houseTokenizer } from "../houseTokenizerFile.ts";
import { projections } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import type { Tensors } from "../tensor.ts";
import { randomLlama, randomLora, tinyShape } from "../testing/randomLlama.ts";
import { writeParts } from "./atomicFile.ts";
import { checkLlamaTensors, llamaConfig, parseLlamaConfig } from "./huggingFace.ts";
import { readLlamaFolder, writeLlamaFolder } from "./huggingFaceFile.ts";
import { checkLoraTensors, parsePeftConfig, peftConfig } from "./peft.ts";
import { readAdapterFolder, writeAdapterFolder } from "./peftFile.ts";
import { packSafetensors } from "./safetensors.ts";

const tokenizer = houseTokenizer();
const shape = tinyShape({ vocabulary: tokenizer.bytes.length });
const tensors = randomLlama(shape, 1);
const lora: LoraShape = { rank: 4, alpha: 8, dropout: 0.05, targets: ["q_proj", "v_proj", "down_proj"] };

test("a shape survives its configuration", () => {
  const size = fc.integer({ min: 1, max: 8 });
  fc.assert(
    fc.property(size, size, size, fc.boolean(), (keyValueHeads, groups, half, isTied) => {
      const heads = keyValueHeads * groups;
      const changes = { heads, keyValueHeads, headSize: 2 * half, isTied, normEpsilon: 1e-6, ropeTheta: 5e5 };
      const made = tinyShape(changes);
      expect(unwrap(parseLlamaConfig(JSON.parse(JSON.stringify(llamaConfig(made)))))).toEqual(made);
    }),
  );
});

const config = llamaConfig(shape);
test.each([
  [{ architectures: ["MistralForCausalLM"] }, "MistralForCausalLM"],
  [{ model_type: "qwen2" }, '"qwen2"'],
  [{ attention_bias: true }, "attention_bias"],
  [{ mlp_bias: true }, "mlp_bias"],
  [{ hidden_act: "gelu" }, '"gelu"'],
  [{ rope_scaling: { type: "linear", factor: 2 } }, '"linear"'],
  [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, '"llama3"'],
  [{ rope_parameters: { rope_type: "yarn" } }, '"yarn"'],
  [{ quantization_config: { bits: 4 } }, "quantised"],
  [{ partial_rotary_factor: 0.5 }, "part of each head"],
  [{ num_key_value_heads: 3 }, "do not divide"],
  [{ head_dim: 7 }, "in pairs"],
  [{ num_attention_heads: 3, num_key_value_heads: 1, head_dim: null }, "headSize"],
  [{ vocab_size: 0 }, "vocabulary"],
  [{ num_hidden_layers: 1e9 }, "layers"],
  [{ rms_norm_eps: -1 }, "normEpsilon"],
  [{ hidden_size: "32" }, "hidden_size"],
])("%j is refused", (changes, why) => {
  expect(parseLlamaConfig({ ...config, ...changes })).toMatchObject({
    error: { code: "invalid_request", message: expect.stringContaining(why) },
  });
});

test("what a Llama configuration may leave out, and how transformers 5 writes it", () => {
  const { head_dim: _head, num_key_value_heads: _heads, rope_theta: _theta, ...rest } = config;
  const read = unwrap(parseLlamaConfig({ ...rest, rope_parameters: { rope_type: "default", rope_theta: 5e5 } }));
  expect(read).toMatchObject({ headSize: 8, keyValueHeads: 4, ropeTheta: 5e5 });
});

test("weights must fit: each there, none of another shape, none unknown", () => {
  const without = new Map(tensors);
  without.delete("model.norm.weight");
  expect(checkLlamaTensors(shape, without)).toMatchObject({ error: { message: expect.stringContaining("missing") } });
  const extra = new Map(tensors).set("model.layers.2.mlp.up_proj.weight", { shape: [1], data: Float32Array.of(1) });
  expect(checkLlamaTensors(shape, extra)).toMatchObject({
    error: { message: expect.stringContaining("nothing is known") },
  });
  const other = new Map(tensors).set("model.norm.weight", { shape: [1, 32], data: new Float32Array(32) });
  expect(checkLlamaTensors(shape, other)).toMatchObject({ error: { message: expect.stringContaining("[1, 32]") } });
  const spare = new Map(tensors).set("lm_head.weight", { shape: [1], data: Float32Array.of(1) });
  expect(unwrap(checkLlamaTensors(shape, spare))).toEqual(new Map(tensors));
});

test("a folder survives, the same model makes the same bytes, and nothing but its files is left", async () => {
  const folder = join(await temporaryFolder(), "a");
  const model = { shape, tensors, tokenizer, chatTemplate: "{{ messages }}" };
  unwrap(await writeLlamaFolder(folder, model));
  const read = unwrap(await readLlamaFolder(folder));
  expect({ ...read, tensors: sameTensors(read.tensors, tensors) }).toEqual({ ...model, tensors: true });
  const files = readdirSync(folder).sort();
  expect(files).toEqual(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
  const bytes = files.map((file) => readFileSync(join(folder, file)));
  unwrap(await writeLlamaFolder(folder, read));
  expect(files.map((file, i) => bytes[i]?.equals(readFileSync(join(folder, file))))).toEqual(files.map(() => true));
});

test("shards are read through their index, which cannot lead out of the folder", async () => {
  const folder = join(await temporaryFolder(), "sharded");
  unwrap(await writeLlamaFolder(folder, { shape, tensors, tokenizer }));
  const names = [...tensors.keys()];
  const half = (odd: number) => new Map([...tensors].filter((_, i) => i % 2 === odd));
  const weight_map = Object.fromEntries(
    names.map((name, i) => [name, `model-0000${(i % 2) + 1}-of-00002.safetensors`]),
  );
  writeFileSync(join(folder, "model-00001-of-00002.safetensors"), packSafetensors(half(0)));
  writeFileSync(join(folder, "model-00002-of-00002.safetensors"), packSafetensors(half(1)));
  const index = join(folder, "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ metadata: {}, weight_map }));
  writeFileSync(join(folder, "model.safetensors"), "");
  expect(await readLlamaFolder(folder)).toMatchObject({ ok: false });
  rmSync(join(folder, "model.safetensors"));
  expect(sameTensors(unwrap(await readLlamaFolder(folder)).tensors, tensors)).toBe(true);
  for (const file of ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin"]) {
    writeFileSync(index, JSON.stringify({ weight_map: { ...weight_map, "model.norm.weight": file } }));
    expect(await readLlamaFolder(folder)).toMatchObject({
      error: { message: expect.stringContaining("no file beside") },
    });
  }
});

test("an adapter's folder survives, and fits its base only", async () => {
  const folder = await temporaryFolder();
  const adapter = { lora, tensors: randomLora(shape, lora, 2) };
  unwrap(await writeAdapterFolder(folder, adapter, { shape, name: "house" }));
  expect(unwrap(await readAdapterFolder(folder, shape))).toEqual(adapter);
  expect(await readAdapterFolder(folder, tinyShape({ hidden: 64, vocabulary: 600 }))).toMatchObject({ ok: false });
  expect(await readAdapterFolder(folder, tinyShape({ layers: 1 }))).toMatchObject({ ok: false });
});

const peft = peftConfig(lora, "house");
test.each([
  [{ peft_type: "IA3" }, '"IA3"'],
  [{ bias: "all" }, "biases"],
  [{ use_dora: true }, "use_dora"],
  [{ modules_to_save: ["lm_head"] }, "modules_to_save"],
  [{ rank_pattern: { q_proj: 2 } }, "rank_pattern"],
  [{ layers_to_transform: [0] }, "layers_to_transform"],
  [{ init_lora_weights: "pissa" }, '"pissa"'],
  [{ r: 0 }, "r is no rank"],
  [{ lora_alpha: Number.NaN }, "lora_alpha"],
  [{ lora_dropout: 1 }, "lora_dropout"],
  [{ target_modules: ["q_proj", "lm_head"] }, "target_modules"],
  [{ target_modules: ".*q_proj" }, "target_modules"],
  [{ target_modules: [] }, "target_modules"],
])("adapter %j is refused", (changes, why) => {
  expect(parsePeftConfig({ ...peft, ...changes })).toMatchObject({
    error: { code: "invalid_request", message: expect.stringContaining(why) },
  });
});

test("adapters that PEFT writes in other words", () => {
  expect(unwrap(parsePeftConfig(peft))).toEqual(lora);
  expect(unwrap(parsePeftConfig({ ...peft, target_modules: "all-linear" })).targets).toEqual(projections);
  expect(unwrap(parsePeftConfig({ ...peft, use_rslora: true })).alpha).toBe(16);
  expect(unwrap(parsePeftConfig({ ...peft, rank_pattern: {}, layers_to_transform: null }))).toEqual(lora);
  expect(unwrap(checkLoraTensors(shape, lora, randomLora(shape, lora, 3))).size).toBe(12);
});

/** Vitest's own comparison takes seconds for an embedding. */
function sameTensors(a: Tensors, b: Tensors): boolean {
  return Buffer.compare(packSafetensors(a), packSafetensors(b)) === 0;
}

test.each([
  ["ENOSPC", "disk_full"],
  ["EDQUOT", "disk_full"],
  ["EACCES", "forbidden"],
])("a file that a disk does not take (%s) is refused (%s), and the one before stays", async (code, refused) => {
  const path = join(await temporaryFolder(), "weights");
  unwrap(await writeParts(path, [Uint8Array.of(1)]));
  function* half(): Generator<Uint8Array> {
    yield Uint8Array.of(2);
    throw Object.assign(new Error(code), { code, syscall: "write" });
  }
  expect(await writeParts(path, half())).toMatchObject({ ok: false, error: { code: refused } });
  expect([...readFileSync(path)]).toEqual([1]);
  expect(readdirSync(dirname(path))).toEqual(["weights"]);
});

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ok, unwrap } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import type { ModelFacts } from "../factory/modelFacts.ts";
import type { Base } from "../factory/ports.ts";
import { readLlamaGguf, readLoraGguf } from "../models/formats/ggufFile.ts";
import { readLlamaFolder, writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { readAdapterFolder } from "../models/formats/peftFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { randomLlama } from "../models/testing/randomLlama.ts";
import { initialLora } from "../models/training/initial.ts";
import { hashTensors } from "../models/training/trainingRun.ts";
import { BaseShelf } from "./factoryBases.ts";
import { FactoryFolders } from "./factoryFolders.ts";
import { ModelExports } from "./modelExports.ts";
import { testBaseShape as shape, trainedJob } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-exports-"));
const folders = new FactoryFolders(folder);
const bases = new BaseShelf(folder, join(folder, "none"));
const train = [{ record: "1", text: "Knead the dough." }];
const exports = new ModelExports({
  nowMs: () => Date.now() + laterMs,
  data: folder,
  bases,
  source: async () => ok({ train, heldOut: [] }),
  pause: async () => undefined,
});
let laterMs = 0;
let base: Base;
let job: Job;
beforeAll(async () => {
  const model = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(join(folder, "bases", "tiny"), model));
  base = unwrap(await bases.find("tiny"));
  job = await trainedJob(folders, base, []);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const factsOf = (kind: ModelFacts["kind"]): ModelFacts => ({
  ...{ name: "ft:x/y", kind, hash: base.hash, licence: "MIT", createdMs: 0, datanets: [], evaluations: [] },
});
const sources = () => ({ base: { ...base, madeFrom: [], figures: {} }, datanets: [] });
const placeOf = () => ({ base: base.folder, adapter: folders.weights(job, undefined) });

test("a GGUF export holds base and adapter, as the engine's own checks read them, with card and bill of materials", async () => {
  const view = unwrap(await exports.model("ft:x/y", { facts: factsOf("adapter"), place: placeOf() }, "gguf"));
  expect(view.files.map(({ name }) => name)).toEqual(["README.md", "adapter.gguf", "base.gguf", "bom.json"]);
  expect(unwrap(await readLlamaGguf(join(view.folder, "base.gguf")))).toMatchObject({ layers: shape.layers });
  expect(unwrap(await readLoraGguf(join(view.folder, "adapter.gguf"), shape)).rank).toBe(2);
  const card = unwrap(await exports.file("ft:x/y", "gguf", "README.md"));
  expect(new TextDecoder().decode(card)).toContain("# ft:x/y");
});

test("a Hugging Face export of an adapter is its PEFT folder, and of a model its whole folder", async () => {
  const own = unwrap(await readAdapterFolder(placeOf().adapter, shape));
  const adapter = unwrap(await exports.model("a", { facts: factsOf("adapter"), place: placeOf() }, "hf"));
  const read = unwrap(await readAdapterFolder(adapter.folder, shape));
  expect(hashTensors(read.tensors)).toBe(hashTensors(own.tensors));
  const whole = unwrap(await exports.model("m", { facts: factsOf("model"), place: { base: base.folder } }, "hf"));
  expect(unwrap(await readLlamaFolder(whole.folder)).shape).toEqual(shape);
});

test("a job's folder carries its base, and an adapter that is trained there comes back as the job's result", async () => {
  const { result, ...waiting } = { ...job, id: "ftjob-gpu" };
  const view = unwrap(await exports.peft(waiting, sources()));
  const names = view.files.map(({ name }) => name);
  for (const name of ["train.py", "train.jsonl", "plan.jsonl", "base/config.json", "base/model.safetensors"])
    expect(names).toContain(name);
  const start = unwrap(await readAdapterFolder(join(view.folder, "start"), shape));
  const { adapter: lora, seed } = job.options;
  expect(start.lora).toEqual(lora);
  expect(hashTensors(start.tensors)).toBe(hashTensors(initialLora(shape, lora!, seed)));
  expect(unwrap(await readLlamaFolder(join(view.folder, "base"))).shape).toEqual(shape);
  const read = (name: string) => new Uint8Array(readFileSync(join(placeOf().adapter, name)));
  const files = { config: read("adapter_config.json"), weights: read("adapter_model.safetensors") };
  expect(unwrap(await folders.putAdapter(waiting, base, files))).toBe(result?.hash);
});

test("exporting again gives the same files, and a failing one leaves what was there and nothing half made", async () => {
  const place = placeOf();
  const first = unwrap(await exports.model("again", { facts: factsOf("adapter"), place }, "hf"));
  expect(unwrap(await exports.model("again", { facts: factsOf("adapter"), place }, "hf"))).toEqual(first);
  const twice = [1, 2, 3].map(() => exports.model("again", { facts: factsOf("adapter"), place }, "hf"));
  for (const one of await Promise.all(twice)) expect(unwrap(one)).toEqual(first);
  const gone = { base: base.folder, adapter: join(folder, "nowhere") };
  expect(await exports.model("again", { facts: factsOf("adapter"), place: gone }, "gguf")).toMatchObject({ ok: false });
  expect(readdirSync(join(folder, "exports", "again"))).toEqual(["hf"]);
});

test.each(["../../secrets/admin-key", "..", "/etc/passwd", "no-such", "base"])("no file %s", async (name) => {
  unwrap(await exports.model("files", { facts: factsOf("adapter"), place: placeOf() }, "hf"));
  expect(await exports.file("files", "hf", name)).toMatchObject({ ok: false, error: { code: "not_found" } });
});

test("an ∞-gram model, and a training of all weights for PEFT, are refused", async () => {
  const index = await exports.model("i", { facts: factsOf("index"), place: { base: "" } }, "hf");
  expect(index).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  const { adapter, ...options } = job.options;
  expect(adapter).toBeDefined();
  expect(await exports.peft({ ...job, options }, sources())).toMatchObject({
    ok: false,
    error: { code: "invalid_request" },
  });
});

test("an export is removed after a day, and what was left half made at once", async () => {
  unwrap(await exports.model("old", { facts: factsOf("adapter"), place: placeOf() }, "hf"));
  mkdirSync(join(folder, "exports", "half", "gguf.making"), { recursive: true });
  await exports.tidy();
  expect(existsSync(join(folder, "exports", "half"))).toBe(false);
  expect(unwrap(await exports.file("old", "hf", "README.md")).length).toBeGreaterThan(0);
  laterMs = 86_400_001;
  unwrap(await exports.model("new", { facts: factsOf("adapter"), place: placeOf() }, "hf"));
  expect(readdirSync(join(folder, "exports"))).toEqual(["new"]);
  expect(await exports.file("old", "hf", "README.md")).toMatchObject({ error: { code: "not_found" } });
});

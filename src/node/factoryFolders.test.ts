import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import type { AdapterFiles, Base } from "../factory/ports.ts";
import { readLlamaFolder, writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { readAdapterFolder, writeAdapterFolder } from "../models/formats/peftFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { randomLlama, randomLora } from "../models/testing/randomLlama.ts";
import { writeCheckpoint } from "../models/training/checkpointFile.ts";
import { hashTensors } from "../models/training/trainingRun.ts";
import { BaseShelf } from "./factoryBases.ts";
import { FactoryFolders } from "./factoryFolders.ts";
import { testBaseShape as shape, testLora, trainedJob } from "./testing/neuralWorld.ts";
import { checkpointHash } from "./weightsHash.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-folders-"));
const folders = new FactoryFolders(folder);
let base: Base;
let job: Job;
beforeAll(async () => {
  const model = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(join(folder, "bases", "tiny"), model));
  base = unwrap(await new BaseShelf(folder, join(folder, "none")).find("tiny"));
  job = await trainedJob(folders, base, []);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a checkpoint's adapter is kept as what was learnt by that step, and by no other", async () => {
  const values = randomLora(shape, testLora, 3);
  const zero = new Map([...values].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.map(() => 0) }]));
  const state = { step: 5, worse: 0, values, means: zero, squares: zero };
  unwrap(await writeCheckpoint(folders.training(job.id), "any", state));
  expect(await folders.keepCheckpoint(job, base, 10)).toMatchObject({ ok: false, error: { code: "conflict" } });
  unwrap(await folders.keepCheckpoint(job, base, 5));
  const kept = unwrap(await readAdapterFolder(folders.weights(job, 5), shape));
  expect(hashTensors(kept.tensors)).toBe(hashTensors(values));
  await folders.tidy(job.id);
  expect(await folders.keepCheckpoint(job, base, 5)).toMatchObject({ ok: false });
  expect(unwrap(await readAdapterFolder(folders.weights(job, 5), shape)).lora.rank).toBe(2);
  await folders.dropCheckpoint(job.id, 5);
  expect(await readAdapterFolder(folders.weights(job, 5), shape)).toMatchObject({ error: { code: "not_found" } });
});

test("a whole model's checkpoint is kept as a model that can be served, with the hash that a result has", async () => {
  const { adapter: _adapter, ...options } = job.options;
  const whole: Job = { ...job, id: "ftjob-whole", options };
  const values = randomLlama(shape, 7);
  const zero = new Map([...values].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.map(() => 0) }]));
  unwrap(
    await writeCheckpoint(folders.training(whole.id), "any", { step: 5, worse: 0, values, means: zero, squares: zero }),
  );
  unwrap(await folders.keepCheckpoint(whole, base, 5));
  const kept = unwrap(await readLlamaFolder(folders.weights(whole, 5)));
  expect(kept.shape).toEqual(shape);
  expect(kept.tokenizer.hash).toEqual(houseTokenizer().hash);
  expect(unwrap(await checkpointHash(folders, whole, base, 5))).toBe(`0x${hashTensors(values)}`);
  const lost = await folders.keepCheckpoint(whole, { ...base, folder: join(folder, "gone") }, 5);
  expect(lost).toMatchObject({ ok: false });
  expect(existsSync(folders.weights(whole, 5))).toBe(false);
});

const other = async (rank = testLora.rank, seed = 9): Promise<AdapterFiles> => {
  const lora = { ...testLora, rank };
  const place = join(folder, `other-${rank}-${seed}`);
  unwrap(await writeAdapterFolder(place, { lora, tensors: randomLora(shape, lora, seed) }, base));
  const read = (name: string) => new Uint8Array(readFileSync(join(place, name)));
  return { config: read("adapter_config.json"), weights: read("adapter_model.safetensors") };
};

test("an adapter that was trained elsewhere becomes the job's result, once", async () => {
  const waiting = { ...job, id: "ftjob-elsewhere" };
  const files = await other();
  const hash = unwrap(await folders.putAdapter(waiting, base, files));
  const kept = unwrap(await readAdapterFolder(folders.weights(waiting, undefined), shape));
  expect(hash).toBe(`0x${hashTensors(kept.tensors)}`);
  expect(unwrap(await folders.putAdapter(waiting, base, files))).toBe(hash);
  const another = await folders.putAdapter(waiting, base, await other(2, 10));
  expect(another).toMatchObject({ ok: false, error: { code: "conflict" } });
});

test.each([
  // what is wrong                    files
  ["another rank", async () => other(3)],
  [
    "another scale",
    async () => {
      const { config, weights } = await other();
      const changed = { ...JSON.parse(new TextDecoder().decode(config)), lora_alpha: 5 };
      return { config: utf8(JSON.stringify(changed)), weights };
    },
  ],
  ["no JSON", async () => ({ ...(await other()), config: utf8("{") })],
  ["no safetensors", async () => ({ ...(await other()), weights: utf8("not weights at all") })],
  ["cut off", async () => ({ ...(await other()), weights: (await other()).weights.subarray(0, 700) })],
  [
    "not numbers",
    async () => ({ ...(await other()), weights: (await other()).weights.map((b, i) => (i > 6_000 ? 255 : b)) }),
  ],
  ["empty", async () => ({ config: new Uint8Array(0), weights: new Uint8Array(0) })],
] as const)("refused, and nothing is left of it: %s", async (_what, make) => {
  const fresh = { ...job, id: "ftjob-refusing" };
  const put = await folders.putAdapter(fresh, base, await make());
  expect(put).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  expect(JSON.stringify(put)).not.toContain(folder);
  expect(await readAdapterFolder(folders.weights(fresh, undefined), shape)).toMatchObject({ ok: false });
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../models/formats/peftFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { randomLlama, randomLora } from "../models/testing/randomLlama.ts";
import { LlamaEngine } from "../upstream/llama.ts";
import { EngineAnswers, placeOfName } from "./factoryAnswers.ts";
import { testBaseShape as shape, testLora } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-answers-"));
const engine = new LlamaEngine({ cacheFolder: join(folder, "cache"), threads: 1, find: placeOfName });
const answers = new EngineAnswers(engine);
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

test("weights answer the same each time, and an adapter otherwise than its base", async () => {
  const [base, adapter] = [join(folder, "base"), join(folder, "adapter")];
  const model = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(base, model));
  unwrap(
    await writeAdapterFolder(
      adapter,
      { lora: testLora, tensors: randomLora(shape, testLora, 4) },
      { shape, name: "b" },
    ),
  );
  const prompt = { mode: "chat", messages: [{ role: "user", content: "How?" }], maxTokens: 12 } as const;
  const say = async (weights: { base: string; adapter?: string }): Promise<string> =>
    unwrap(await answers.answer(weights, prompt, new AbortController().signal)).text;
  const [plain, adapted] = [await say({ base }), await say({ base, adapter })];
  expect(plain).not.toBe("");
  expect(await say({ base })).toBe(plain);
  expect(adapted).not.toBe(plain);
  expect(await say({ base, adapter })).toBe(adapted);
});

test("what is not there, and what is cancelled, is refused", async () => {
  const prompt = { mode: "text", messages: [{ role: "user", content: "x" }], maxTokens: 4 } as const;
  const none = await answers.answer({ base: join(folder, "none") }, prompt, new AbortController().signal);
  expect(none).toMatchObject({ ok: false });
  const cancelled = await answers.answer({ base: join(folder, "base") }, prompt, AbortSignal.abort());
  expect(cancelled).toMatchObject({ ok: false, error: { code: "cancelled" } });
});

test.each(["ft:house:x", "", "{", "{}", '{"base":1}'])("%j names no weights", (name) => {
  expect(placeOfName(name)).toBeUndefined();
});

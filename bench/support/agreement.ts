import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { unwrap } from "../../src/core/result.ts";
import { writeLlamaGguf, writeLoraGguf } from "../../src/models/formats/ggufFile.ts";
import type { LlamaFolder } from "../../src/models/formats/huggingFaceFile.ts";
import type { AdapterFolder } from "../../src/models/formats/peftFile.ts";
import { batchOf } from "../../src/models/training/batch.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
import { Computation, type Machine } from "../../src/models/training/neuralModel.ts";
import { tokenOf } from "../../src/upstream/llamaToken.ts";

/** How far the engine that trains and the one that serves are apart, over every predicted token: |Δ log p|. */
export interface Agreement {
  readonly tokens: number;
  readonly largest: number;
  readonly mean: number;
}

/** Weights in F32; `cache` is how llama.cpp keeps keys and values. */
export async function agreementOf(
  machine: Machine,
  base: LlamaFolder,
  adapter: AdapterFolder | undefined,
  examples: readonly EncodedExample[],
  { folder, cache }: { readonly folder: string; readonly cache: "F32" | "F16" },
): Promise<Agreement> {
  const [path, lora] = [`${folder}/agreement-base.gguf`, `${folder}/agreement-adapter.gguf`];
  unwrap(await writeLlamaGguf(path, { ...base, name: "base" }, "F32"));
  if (adapter !== undefined) unwrap(await writeLoraGguf(lora, base.shape, adapter, { name: "adapter" }));
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.fatal });
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    ...{ contextSize: base.shape.contextTokens, threads: 1, flashAttention: false },
    ...{ experimentalKvCacheKeyType: cache, experimentalKvCacheValueType: cache },
    ...(adapter === undefined ? {} : { lora: { adapters: [{ filePath: lora }] } }),
  });
  const sequence = context.getSequence();
  const neural = { shape: base.shape, weights: base.tensors, ...(adapter === undefined ? {} : { adapter }) };
  const computation = await Computation.open(machine, neural, { losses: true });
  const differences: number[] = [];
  for (const { record, tokens } of examples) {
    const whole = { record, tokens, isTarget: new Uint8Array(tokens.length).fill(1, 1) };
    const { feeds } = batchOf([[whole]], 1);
    const losses = (await computation.run(feeds)).get("losses")!.data;
    const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const all = Array.from(tokens, tokenOf);
    await sequence.clearHistory();
    const results = await sequence.controlledEvaluate(
      all.slice(0, -1).map((token, i) => [
        token,
        {
          generateNext: {
            ...{ logits: { filter: { tokens: [all[i + 1]!], includeTop: 1 } }, totalLogitWeight: true, options },
          },
        },
      ]),
    );
    for (const [i, result] of results.entries()) {
      const { logits, totalLogitWeight } = result?.next ?? {};
      const largest = Math.max(...(logits?.values() ?? []));
      const served = (logits?.get(all[i + 1]!) ?? Number.NaN) - largest - Math.log(totalLogitWeight ?? Number.NaN);
      differences.push(Math.abs(served + losses[i]!));
    }
  }
  await computation.close();
  await llama.dispose();
  const sum = differences.reduce((total, one) => total + one, 0);
  return { tokens: differences.length, largest: Math.max(...differences), mean: sum / differences.length };
}

import type { LlamaContext, LlamaModel as NativeModel } from "node-llama-cpp";
import { END_OF_RECORD } from "../models/bpe.ts";
import type { LlamaShape } from "../models/llama.ts";
import { tokenOf } from "./llamaToken.ts";

/** What llama.cpp needs of a base to make contexts. */
export interface NativeBase {
  readonly model: NativeModel;
  readonly shape: LlamaShape;
}

const MEASURED_TOKENS = 24;
/** As many as a prompt is read in at once, and after which a cancelled run notices: what a context reserves for a batch is most of what it takes. */
export const BATCH_TOKENS_MAX = 128;

export interface Measured {
  readonly threads: number;
  readonly tokensPerSecond: number;
  /** All of the measurement. */
  readonly ms: number;
  readonly bytes: number;
}

/** Decodes a few tokens in a context like those that will serve; where it takes longer than `withinMs`, fewer. */
export async function measure(
  base: NativeBase,
  { threads, sequences, withinMs = Number.POSITIVE_INFINITY }: MeasureOptions,
): Promise<Measured> {
  const context = await makeContext(base, threads, sequences);
  try {
    const sequence = context.getSequence();
    const tokensMax = Math.min(MEASURED_TOKENS, base.shape.contextTokens - 2);
    const startedMs = performance.now();
    let warmMs = startedMs;
    let tokens = -1;
    for await (const _token of sequence.evaluate([tokenOf(END_OF_RECORD)], { temperature: 0, yieldEogToken: true })) {
      // The first decode warms up.
      tokens++;
      if (tokens === 0) warmMs = performance.now();
      if (tokens === tokensMax || performance.now() - startedMs > withinMs) break;
    }
    const nowMs = performance.now();
    const tokensPerSecond = (1_000 * tokens) / Math.max(0.001, nowMs - warmMs);
    return { threads, tokensPerSecond, ms: nowMs - startedMs, bytes: context.memoryUsage.ram };
  } finally {
    await context.dispose();
  }
}

interface MeasureOptions {
  readonly threads: number;
  readonly sequences: number;
  readonly withinMs?: number;
}

/** A context that decodes with so many threads; with an adapter, by the path of its file. */
export function makeContext(
  { model, shape }: NativeBase,
  threads: number,
  sequences: number,
  adapter?: string,
): Promise<LlamaContext> {
  return model.createContext({
    ...{
      contextSize: shape.contextTokens,
      batchSize: Math.min(BATCH_TOKENS_MAX, shape.contextTokens),
      sequences,
      threads,
    },
    ...{ flashAttention: false, failedCreationRemedy: false },
    ...(adapter === undefined ? {} : { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  });
}

/**
 * node-llama-cpp keeps adapters, by path, until their base goes, and llama.cpp makes every context larger for each of them. So an adapter whose context
 * is gone is freed through what the library keeps to itself; a test says if another version of it has changed that.
 */
export async function freeAdapter(model: NativeModel, path: string): Promise<void> {
  const adapters = keptAdapters(model);
  const adapter: unknown = adapters?.get(path);
  const dispose: unknown =
    typeof adapter === "object" && adapter !== null ? Reflect.get(adapter, "dispose") : undefined;
  if (typeof dispose !== "function") return;
  adapters?.delete(path);
  await dispose.call(adapter);
}

/** The adapters in memory, by path. */
export function keptAdapters(model: NativeModel): Map<unknown, unknown> | undefined {
  const adapters: unknown = Reflect.get(model, "_loraAdapters");
  return adapters instanceof Map ? adapters : undefined;
}

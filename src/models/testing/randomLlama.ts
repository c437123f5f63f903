import { llamaTensorShapes } from "../formats/huggingFace.ts";
import { loraTensorShapes } from "../formats/peft.ts";
import { elementsOf } from "../formats/safetensors.ts";
import type { LlamaShape } from "../llama.ts";
import { type LoraShape, loraName } from "../lora.ts";
import type { Tensor, Tensors } from "../tensor.ts";

/** A Llama that fits into a test: two layers, grouped queries. */
export function tinyShape(changes: Partial<LlamaShape> = {}): LlamaShape {
  return {
    ...{ vocabulary: 512, hidden: 32, intermediate: 64, layers: 2, heads: 4, keyValueHeads: 2, headSize: 8 },
    ...{ contextTokens: 128, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
    ...changes,
  };
}

/** Weights as a training would start from, the same for the same seed; norms lie around 1. */
export function randomLlama(shape: LlamaShape, seed: number): Tensors {
  const random = normal(seed);
  return fill(llamaTensorShapes(shape), (name) => {
    if (name.includes("norm")) return () => 1 + 0.1 * random();
    const scale = name.startsWith("model.embed") || name === "lm_head.weight" ? 0.5 : 1 / Math.sqrt(shape.hidden);
    return () => scale * random();
  });
}

/** An adapter with both factors away from zero, so that it changes what the model says. */
export function randomLora(base: LlamaShape, lora: LoraShape, seed: number): Tensors {
  const random = normal(seed);
  const bNames = new Set(lora.targets.flatMap((target) => range(base.layers, (layer) => loraName(layer, target, "B"))));
  return fill(loraTensorShapes(base, lora), (name) => {
    const scale = bNames.has(name) ? 0.2 : 1 / Math.sqrt(base.hidden);
    return () => scale * random();
  });
}

function fill(shapes: ReadonlyMap<string, readonly number[]>, maker: (name: string) => () => number): Tensors {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of shapes) {
    const next = maker(name);
    tensors.set(name, { shape, data: Float32Array.from({ length: elementsOf(shape) }, next) });
  }
  return tensors;
}

function range<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_unused, i) => make(i));
}

/** Box and Muller over a 32-bit linear congruential generator: enough for weights. */
function normal(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

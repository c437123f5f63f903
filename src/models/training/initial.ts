import { llamaTensorShapes } from "../formats/huggingFace.ts";
import { loraTensorShapes } from "../formats/peft.ts";
import type { LlamaShape } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { randomOf } from "./random.ts";

const DEVIATION = 0.02;

/** Weights to begin a training with: Gaussian, the layers that write into the residual stream smaller with depth (Radford et al. 2019), norms 1. */
export function initialLlama(shape: LlamaShape, seed: number): Tensors {
  const random = randomOf(seed);
  const intoResidual = DEVIATION / Math.sqrt(2 * shape.layers);
  return fill(llamaTensorShapes(shape), (name) => {
    if (name.includes("norm")) return () => 1;
    const deviation = /\.(o_proj|down_proj)\./.test(name) ? intoResidual : DEVIATION;
    return () => deviation * random.normal();
  });
}

/** An adapter that changes nothing yet: A uniform within ±1/√in (He et al. 2015, as PEFT has it), B zero. */
export function initialLora(base: LlamaShape, lora: LoraShape, seed: number): Tensors {
  const random = randomOf(seed);
  return fill(loraTensorShapes(base, lora), (name, dims) => {
    if (name.endsWith(".lora_B.weight")) return () => 0;
    const bound = 1 / Math.sqrt(dims[1]!);
    return () => bound * (2 * random.uniform() - 1);
  });
}

function fill(
  shapes: ReadonlyMap<string, readonly number[]>,
  draw: (name: string, shape: readonly number[]) => () => number,
): Tensors {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of shapes) {
    const size = shape.reduce((product, dim) => product * dim, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, draw(name, shape)) });
  }
  return tensors;
}

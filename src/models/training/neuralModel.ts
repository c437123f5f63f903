import type { LlamaShape } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import { type LlamaGraph, type LlamaOutputs, llamaGraph } from "../onnx/llamaGraph.ts";
import type { Feed, FloatTensor, Runtime, Session } from "../onnx/runtime.ts";
import type { Tensor, Tensors } from "../tensor.ts";

/** A model in memory, with the adapter that it wears. */
export interface NeuralModel {
  readonly shape: LlamaShape;
  readonly weights: Tensors;
  readonly adapter?: { readonly lora: LoraShape; readonly tensors: Tensors };
}

/** With an adapter that has learnt nothing: its B are zero. */
export function untrained({ adapter, ...model }: NeuralModel): NeuralModel {
  if (adapter === undefined) return model;
  const tensors = [...adapter.tensors].map(([name, { shape, data }]): [string, Tensor] => [
    name,
    { shape, data: name.endsWith(".lora_B.weight") ? new Float32Array(data.length) : data },
  ]);
  return { ...model, adapter: { ...adapter, tensors: new Map(tensors) } };
}

/** Where models run. */
export interface Machine {
  readonly runtime: Runtime;
  /** Threads of one operator. The same number gives the same bits. */
  readonly threads: number;
}

/** One graph of a model, ready to run; the model's tensors are read at every run, so what changes them in place changes what it computes. */
export class Computation {
  readonly graph: LlamaGraph;
  readonly #session: Session;
  readonly #tensors: ReadonlyMap<string, Feed>;

  private constructor(graph: LlamaGraph, session: Session, tensors: ReadonlyMap<string, Feed>) {
    this.graph = graph;
    this.#session = session;
    this.#tensors = tensors;
  }

  static async open(
    { runtime, threads }: Machine,
    { shape, weights, adapter }: NeuralModel,
    outputs: LlamaOutputs,
  ): Promise<Computation> {
    const graph = llamaGraph(shape, adapter?.lora, outputs);
    const all = [...weights, ...(adapter?.tensors ?? [])];
    const feeds = all.map(([name, tensor]) => [name, { type: "float", ...tensor }] as const);
    return new Computation(graph, await runtime.open(graph.bytes, { threads }), new Map<string, Feed>(feeds));
  }

  run(feeds: ReadonlyMap<string, Feed>): Promise<ReadonlyMap<string, FloatTensor>> {
    return this.#session.run(new Map([...this.#tensors, ...feeds]));
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

import { assert } from "../../core/result.ts";
import type { Graph, Value } from "./graph.ts";
import { add } from "./nodes.ts";

/**
 * Reverse-mode differentiation: adds to the graph what computes Σ seed · ∂value/∂w for each w of `by`, which may be inputs of the graph or
 * values inside it. Nothing is computed that no w depends on: with frozen weights, their gradients cost nothing.
 */
export function gradients(graph: Graph, value: Value, seed: Value, by: readonly Value[]): ReadonlyMap<string, Value> {
  const wanted = new Set(by.map(({ name }) => name));
  const dependent = new Set(wanted);
  for (const { output, pullbacks } of graph.tape)
    if (pullbacks.some(({ input }) => dependent.has(input.name))) dependent.add(output.name);
  const found = new Map<string, Value>([[value.name, seed]]);
  const tape = [...graph.tape];
  for (const { output, pullbacks } of tape.reverse()) {
    const gradient = found.get(output.name);
    if (gradient === undefined) continue;
    for (const { input, pull } of pullbacks) {
      if (!dependent.has(input.name)) continue;
      const pulled = pull(gradient);
      const sum = found.get(input.name);
      found.set(input.name, sum === undefined ? pulled : add(graph, sum, pulled));
    }
  }
  return new Map(
    [...wanted].map((name) => {
      const gradient = found.get(name);
      assert(gradient !== undefined, `the loss depends on ${name}`);
      return [name, gradient];
    }),
  );
}

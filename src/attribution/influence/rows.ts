import { assert } from "../../core/result.ts";
import type { Curvature } from "../../models/training/evaluation.ts";
import type { Gradients, Influence, InfluenceFit } from "./method.ts";

/** Where each module's gradient stands in a flat row; modules ascending by name. */
export interface RowLayout {
  readonly modules: readonly { readonly name: string; readonly from: number; readonly until: number }[];
  readonly width: number;
}

export function rowLayout(curvature: Curvature): RowLayout {
  let width = 0;
  const ascending = curvature.modules.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const modules = ascending.map(({ name, out, columns }) => {
    const from = width;
    width += out * columns;
    return { name, from, until: width };
  });
  return { modules, width };
}

/** An example's gradients as one row. */
export function flatten({ modules, width }: RowLayout, gradients: Gradients): Float32Array {
  const row = new Float32Array(width);
  for (const { name, from, until } of modules) {
    const gradient = gradients.get(name);
    assert(gradient !== undefined && gradient.length === until - from, `${name} has a gradient of its own shape`);
    row.set(gradient, from);
  }
  return row;
}

/** Keeps all gradients as they are: what the simple methods need. `scorerOf` sees the rows once and answers with how to score. */
export function fitRows(
  curvature: Curvature,
  scorerOf: (rows: readonly Float32Array[], layout: RowLayout) => (query: Float32Array) => Float64Array,
): InfluenceFit {
  const layout = rowLayout(curvature);
  const records: string[] = [];
  const rows: Float32Array[] = [];
  return {
    add(record, gradients) {
      records.push(record);
      rows.push(flatten(layout, gradients));
    },
    finish(): Influence {
      const scorer = scorerOf(rows, layout);
      return { records, scores: (query) => scorer(flatten(layout, query)) };
    },
  };
}

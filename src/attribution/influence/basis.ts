import { assert } from "../../core/result.ts";
import type { Basis } from "../../models/training/evaluation.ts";
import { multiplyTransposed, transpose } from "./matrix.ts";
import type { Gradients } from "./method.ts";

/** outputBasis · gradient · inputBasisᵀ of each layer: gradients as they are, in the bases. */
export function turned(bases: readonly Basis[], gradients: Gradients): Gradients {
  return new Map(
    bases.map(({ name, columns, out, inward, outward, inputBasis, outputBasis }) => {
      const gradient = gradients.get(name);
      assert(gradient !== undefined && gradient.length === out * columns, `${name} has a gradient of its own shape`);
      const told = multiplyTransposed(gradient, inputBasis, out, inward);
      return [name, multiplyTransposed(outputBasis, transpose(told, out, inward), outward, inward)];
    }),
  );
}

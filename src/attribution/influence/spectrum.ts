import type { Curvature, ModuleCurvature } from "../../models/training/evaluation.ts";
import { type Eigen, symmetricEigen } from "./eigen.ts";

/** A layer's curvature in its own directions: what inputs it gets, and by what its outputs are changed, each strongest last. */
export interface Spectrum {
  readonly name: string;
  readonly columns: number;
  readonly out: number;
  readonly inputs: Eigen;
  readonly outputs: Eigen;
}

export interface Spectra {
  /** Tokens that the curvature is the sum over. */
  readonly tokens: number;
  /** Ascending by name. */
  readonly modules: readonly Spectrum[];
}

export function spectraOf({ tokens, modules }: Curvature): Spectra {
  return { tokens, modules: modules.map(spectrumOf).sort(byName) };
}

/** The same, and whoever else has something to do is let in between: the eigenvectors of a wide layer take a second. */
export async function spectraInSteps({ tokens, modules }: Curvature, pause: () => Promise<void>): Promise<Spectra> {
  const found: Spectrum[] = [];
  for (const module of modules) {
    await pause();
    found.push(spectrumOf(module));
  }
  return { tokens, modules: found.sort(byName) };
}

function spectrumOf({ name, columns, out, inputs, outputs }: ModuleCurvature): Spectrum {
  return { name, columns, out, inputs: symmetricEigen(inputs, columns), outputs: symmetricEigen(outputs, out) };
}

function byName(a: Spectrum, b: Spectrum): number {
  return a.name < b.name ? -1 : 1;
}

import { ok, type Result, refuse } from "../core/result.ts";
import type { Base } from "../factory/ports.ts";
import type { Ground } from "./grounding.ts";
import type { Measured, MeasuringStage } from "./measuringStage.ts";
import type { NeuralInfluence } from "./neuralInfluence.ts";
import type { NeuralManifest } from "./neuralModels.ts";
import type { NeuralReliability } from "./neuralReliability.ts";

export interface MeasuringParts {
  /** Influence of adapters on what they say; without it their answers are attributed by what they repeat and read. */
  readonly influence?: NeuralInfluence;
  /** Measures what span and passage are worth; without it they count for what the policy assumes. */
  readonly reliability?: NeuralReliability;
}

/** A served model with its weights by their whole path. */
export interface MeasuredModel {
  readonly manifest: NeuralManifest;
  readonly base: Base;
  readonly ground: Ground;
}

export interface OpenMeasuring extends MeasuringStage {
  readonly what: Measured;
}

/** What is measured of served models in the background, and how far that is. */
export class NeuralMeasuring {
  readonly #parts: MeasuringParts;
  readonly #stages = new Map<string, MeasuringStage>();

  constructor(parts: MeasuringParts) {
    this.#parts = parts;
  }

  /** Measures the first thing that is asked for and not measured yet, and answers with whether there is something new. */
  async improve({ manifest, base, ground }: MeasuredModel): Promise<boolean> {
    const { influence, reliability } = this.#parts;
    const tell = (what: Measured) => (stage: MeasuringStage) => this.#stages.set(keyOf(manifest, what), stage);
    if ((await influence?.fit(manifest, base, tell("influence"))) === true) return true;
    return (await reliability?.measure(manifest, base.folder, ground, tell("matches"))) === true;
  }

  /** What is asked for and not measured yet. */
  async open({ manifest, ground }: Pick<MeasuredModel, "manifest" | "ground">): Promise<readonly OpenMeasuring[]> {
    const { influence, reliability } = this.#parts;
    const missing: readonly (readonly [Measured, boolean | undefined])[] = [
      ["influence", await influence?.isMissing(manifest)],
      ["matches", await reliability?.isMissing(manifest, ground)],
    ];
    return missing.flatMap(([what, isMissing]) => {
      if (isMissing !== true) return [];
      return [{ what, ...(this.#stages.get(keyOf(manifest, what)) ?? { stage: "waiting" as const }) }];
    });
  }

  /** Refuses `conflict` where there is nothing that could be measured. */
  async check({ manifest, ground }: Pick<MeasuredModel, "manifest" | "ground">, what: Measured): Promise<Result<void>> {
    const { influence, reliability } = this.#parts;
    const able = what === "influence" ? influence?.canFit(manifest) : reliability?.canMeasure(manifest, ground);
    if ((await able) === true) return ok(undefined);
    return what === "influence"
      ? refuse("conflict", `influence cannot be found of ${manifest.name}`, {
          hint: "it is found of adapters that a job has trained on datanets",
        })
      : refuse("conflict", `what matches cannot be measured on ${manifest.name}`, {
          hint: "it is measured on models that a job has trained on datanets, with records that were held out of it",
        });
  }
}

function keyOf({ name, hash }: NeuralManifest, what: Measured): string {
  return `${what} ${hash} ${name}`;
}

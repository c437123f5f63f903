import type { Engine, EngineRequest } from "../core/engine.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Answers, Prompt, Said, Weights } from "../factory/evaluation.ts";
import { field, parseJson } from "../models/formats/json.ts";
import type { ModelPlace } from "./neuralModels.ts";

/** Answers from weights that nobody serves, by the engine that serves all others: its models may be named by where they lie. */
export class EngineAnswers implements Answers {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async answer(weights: Weights, prompt: Prompt, signal: AbortSignal): Promise<Result<Said>> {
    // Without a temperature the likeliest token is taken, so the same weights give the same answer.
    const request: EngineRequest = { model: nameOfWeights(weights), ...prompt, passages: [], isStreamed: false };
    return wholeAnswer(this.#engine, request, signal);
  }
}

/** An answer at its end. */
export async function wholeAnswer(engine: Engine, request: EngineRequest, signal: AbortSignal): Promise<Result<Said>> {
  let text = "";
  for await (const batch of engine.complete(request, signal))
    for (const event of batch) {
      if (event.type === "text") text += event.text;
      if (event.type === "failed") return { ok: false, error: event.refusal };
      if (event.type === "end") return ok({ text, isCut: event.reason === "length" });
    }
  return signal.aborted
    ? refuse("cancelled", "The evaluation was cancelled.")
    : refuse("upstream_failed", "the engine stopped without an end");
}

/** No name that callers can give begins with a brace. */
export function nameOfWeights({ base, adapter }: Weights): string {
  return JSON.stringify({ base, ...(adapter === undefined ? {} : { adapter }) });
}

export function placeOfName(name: string): ModelPlace | undefined {
  if (!name.startsWith("{")) return undefined;
  const place = parseJson(name);
  const [base, adapter] = [field(place, "base"), field(place, "adapter")];
  if (typeof base !== "string") return undefined;
  return { base, ...(typeof adapter === "string" ? { adapter } : {}) };
}

import { toHex } from "../core/bytes.ts";
import type { Prices, PriceUnit, Rate } from "../core/quote.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Rates } from "../ledger/rates.ts";
import type { WireModel } from "../protocol/completions.ts";
import type { Grounding } from "./ports.ts";
import { ReportedModels } from "./reportedModels.ts";

/** A model as the gateway serves it: its asset, what its terms add to a fee, and how it is grounded. */
export interface ServedModel {
  /** What callers name. */
  readonly name: string;
  /** 32-byte asset id. */
  readonly asset: Uint8Array;
  readonly ownedBy: string;
  readonly createdMs: number;
  /** Prompt, retrieved context and answer together. */
  readonly contextTokens: number;
  readonly unit: PriceUnit;
  /** Sum of the royalties of the model and of what it was made from. */
  readonly royalty: Prices;
  readonly grounding?: Grounding;
  /** Tokens of a text. Must never be more than its UTF-8 bytes; by default a quarter of them. */
  readonly countTokens?: (text: string) => number;
}

/** The models that are served now. Models come and go while requests run; a request keeps the model that it began with. */
export class ModelCatalog {
  /** Models that others serve. */
  readonly reported = new ReportedModels();
  readonly #models = new Map<string, ServedModel>();
  /** Of what executes and is not served, by asset id. */
  readonly #named = new Map<string, string>();
  readonly #rates: Rates;

  constructor(rates: Rates) {
    this.#rates = rates;
  }

  /** Nano OPEN for one USD, to be frozen into a hold of a price in `unit`. */
  rateFor(unit: PriceUnit): Result<Rate> {
    return unit === "nano" ? ok(this.#rates.forOpen()) : this.#rates.forDollars();
  }

  put(model: ServedModel): void {
    assert(model.asset.length === 32, "a model's asset id has 32 bytes");
    assert(model.contextTokens > 0, "a model has room for at least one token");
    this.#models.set(model.name, model);
  }

  remove(name: string): void {
    this.#models.delete(name);
  }

  list(): readonly ServedModel[] {
    return [...this.#models.values()];
  }

  find(name: string): Result<ServedModel> {
    const model = this.#models.get(name);
    if (model !== undefined) return ok(model);
    const known = [...this.#models.keys()].slice(0, 5).join(", ");
    return refuse("model_not_found", `the model "${name.slice(0, 128)}" is not served here`, {
      hint: known === "" ? "no model is served yet" : `GET /v1/models lists them: ${known}`,
      field: "model",
    });
  }

  nameOf(asset: Uint8Array): string | undefined {
    const wanted = toHex(asset);
    const served = this.list().find((model) => toHex(model.asset) === wanted)?.name;
    return served ?? this.reported.nameOf(asset) ?? this.#named.get(wanted);
  }

  /** A name for receipts of what is not served, such as a training. */
  nameAsset(asset: Uint8Array, name: string): void {
    this.#named.set(toHex(asset), name);
  }
}

/** What a token is for an engine whose tokenizer is not at hand: four bytes of UTF-8 on average. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}

export function countTokens(model: ServedModel, text: string): number {
  return (model.countTokens ?? estimateTokens)(text);
}

export function wireModel(model: ServedModel): WireModel {
  return {
    id: model.name,
    object: "model",
    created: Math.floor(model.createdMs / 1000),
    owned_by: model.ownedBy,
  };
}

import { join } from "node:path";
import { z } from "zod";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Tariff, type TariffDesk, usualTariff } from "../factory/tariff.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { parseJson } from "../models/formats/json.ts";

const nano = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const tariffSchema = z.strictObject({ cost: nano, base: nano, data: nano });

/** The node's tariff for trainings: the file `training-prices.json` in the data folder, or the usual one. */
export class TariffFile implements TariffDesk {
  readonly #path: string;
  #now: Tariff;

  private constructor(path: string, now: Tariff) {
    this.#path = path;
    this.#now = now;
  }

  /** Refuses `data_folder_damaged`. */
  static async open(data: string): Promise<Result<TariffFile>> {
    const path = join(data, "training-prices.json");
    const text = await readIfThere(path);
    if (text === undefined) return ok(new TariffFile(path, usualTariff));
    const read = tariffSchema.safeParse(parseJson(text));
    return read.success ? ok(new TariffFile(path, read.data)) : refuse("data_folder_damaged", `${path} cannot be read`);
  }

  get now(): Tariff {
    return this.#now;
  }

  async change(tariff: Tariff): Promise<Result<Tariff>> {
    await writeAtomically(this.#path, `${JSON.stringify(tariff, undefined, 2)}\n`);
    this.#now = tariff;
    return ok(tariff);
  }
}

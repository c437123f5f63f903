import { noPrices } from "../core/quote.ts";
import type { Result } from "../core/result.ts";
import type { TrainingPrices } from "./estimate.ts";
import type { DatanetRef } from "./job.ts";

/** What trainings cost at a node: nano a million tokens that are learnt. */
export interface Tariff {
  /** For running it: the operator's. */
  readonly cost: number;
  /** What is added for whoever made the base, and what it was made from. */
  readonly base: number;
  /** What is added where it learns from datanets: for those who wrote the records, and made their context. */
  readonly data: number;
}

/** Each token is read forwards and backwards, where an answer only reads it forwards. */
export const usualTariff: Tariff = { cost: 300_000_000, base: 50_000_000, data: 200_000_000 };

/** The tariff as it is kept. */
export interface TariffDesk {
  readonly now: Tariff;
  /** For jobs that are ordered from now on; durable when it returns. */
  change(tariff: Tariff): Promise<Result<Tariff>>;
}

export function pricesOf({ cost, base, data }: Tariff, datanets: readonly DatanetRef[]): TrainingPrices {
  const royalty = base + (datanets.length === 0 ? 0 : data);
  return { cost: { ...noPrices, inPerMillion: cost }, royalty: { ...noPrices, inPerMillion: royalty } };
}

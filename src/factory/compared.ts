import { assert } from "../core/result.ts";

/** A model beside its base on held-out records, one by one. */
export interface Compared {
  readonly records: number;
  /** Records on which the model loses less than its base, and those on which it loses more. */
  readonly lower: number;
  readonly higher: number;
}

/**
 * What so many records say: fewer than {@link RECORDS_MIN} say nothing, whatever they say; the rest may be chance, or is hardly: by the sign test, chance alone would have at least as many
 * records point the same way in one of twenty trainings at most.
 */
export type Sureness = "few" | "chance" | "sure";

/** Where all of four records point one way, chance alone does that in one of sixteen trainings; with five it is one of 32. */
export const RECORDS_MIN = 5;
const CHANCE_MAX = 0.05;

/** Losses of the same records, in the same order. */
export function compare(base: readonly number[], model: readonly number[]): Compared {
  assert(base.length === model.length, "base and model are measured on the same records");
  const lower = model.filter((loss, i) => loss < base[i]!).length;
  const higher = model.filter((loss, i) => loss > base[i]!).length;
  return { records: base.length, lower, higher };
}

export function together(parts: readonly Compared[]): Compared {
  const sum = (of: keyof Compared): number => parts.reduce((total, part) => total + part[of], 0);
  return { records: sum("records"), lower: sum("lower"), higher: sum("higher") };
}

/** How sure it is that the model is better than its base, or that it is not. */
export function surenessOf({ records, lower, higher }: Compared, isBetter: boolean): Sureness {
  if (records < RECORDS_MIN) return "few";
  if (lower + higher === 0) return "sure";
  return tailOf(lower + higher, isBetter ? lower : higher) <= CHANCE_MAX ? "sure" : "chance";
}

export function comparedText(compared: Compared, isBetter: boolean): string {
  const { records, lower, higher } = compared;
  const sureness = surenessOf(compared, isBetter);
  const [which, count] = isBetter ? ["lower", lower] : ["higher", higher];
  const said =
    lower + higher === 0 ? `the same on all of ${records} records` : `${which} on ${count} of ${records} records`;
  if (sureness === "few") return `${said}, which are too few to tell: ${RECORDS_MIN} can`;
  return sureness === "sure" ? said : `${said}, which may be chance`;
}

/** The chance of at least `heads` heads among so many throws of a fair coin. */
function tailOf(throws: number, heads: number): number {
  let [chance, tail] = [2 ** -throws, 0];
  for (let count = 0; count <= throws; count++) {
    if (count >= heads) tail += chance;
    chance *= (throws - count) / (count + 1);
  }
  return tail;
}

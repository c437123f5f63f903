import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { randomOf, shuffled } from "../../src/models/training/random.ts";

/** Who wrote what in a datanet, as a year of answers draws on it. */
export interface YearWorld {
  /** Payee numbers of each record's authors. */
  readonly records: readonly (readonly number[])[];
  readonly contributors: number;
  /** Draws a record: few are asked for often, many seldom (Zipf), in an order that has nothing to do with who wrote them. */
  draw(): number;
  /** A number in [0, 1). */
  chance(): number;
}

const recordSchema = z.object({ authors: z.array(z.string()).min(1) });
/** How steeply demand falls with rank. */
const ZIPF = 0.8;
const PATH = "../shared/data/tldr.jsonl.gz";

/** Undefined, with a notice, where the records are not on this machine. Contributors' payee numbers begin at `firstPayee`. */
export function readYearWorld(firstPayee: number, seed: number): YearWorld | undefined {
  if (!existsSync(PATH)) {
    console.log(`absent, so there is nobody to pay: ${PATH}`);
    return undefined;
  }
  const numbers = new Map<string, number>();
  const records = gunzipSync(readFileSync(PATH))
    .toString("utf8")
    .trim()
    .split("\n")
    .map((line) => recordSchema.parse(JSON.parse(line)).authors)
    .map((authors) =>
      [...new Set(authors)].map((author) => {
        const known = numbers.get(author) ?? firstPayee + numbers.size;
        numbers.set(author, known);
        return known;
      }),
    );
  const random = randomOf(seed);
  const order = shuffled(records.length, random);
  const sums: number[] = [];
  let total = 0;
  for (let rank = 1; rank <= order.length; rank++) {
    total += 1 / rank ** ZIPF;
    sums.push(total);
  }
  const draw = () => {
    const at = random.uniform() * total;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < at) low = middle + 1;
      else high = middle;
    }
    return order[low]!;
  };
  return { records, contributors: numbers.size, draw, chance: random.uniform };
}

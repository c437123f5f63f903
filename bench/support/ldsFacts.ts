import { encode } from "../../src/models/bpe.ts";
import { type Random, randomOf, shuffled } from "../../src/models/training/random.ts";
import { type LdsRecord, type LdsWorld, recordOf } from "./ldsWorld.ts";

/** Facts that no text has, each told by one record only, and what asks for them. */
export interface PlantedFacts {
  /** The world's records, then the facts', then their decoys'. */
  readonly records: readonly LdsRecord[];
  /** `queries[i]` asks for what record `answers[i]` tells; only the answer's tokens are its loss. */
  readonly queries: readonly LdsRecord[];
  readonly answers: readonly number[];
}

const FACTS = 20;
const DECOYS = 12;
const relations = ["home", "colour", "father", "price", "rival"];
const values = ["linux", "window", "string", "image", "server", "branch", "package", "network", "cluster", "volume"];
const filler = "It reads standard input and prints a table of its own settings to a file.";

/**
 * Every fact has twelve decoys: lists of the very words of its sentence, in another order and with nothing else in them, so that whoever counts words
 * ranks all of them before the record that tells the fact, which says something else as well.
 */
export function plantFacts({ tokenizer, records }: LdsWorld): PlantedFacts {
  const random = randomOf(20_261_125);
  const told: LdsRecord[] = [];
  const decoys: LdsRecord[] = [];
  const queries: LdsRecord[] = [];
  for (let i = 0; i < FACTS; i++) {
    const [name, value] = [nameOf(random), values[i % values.length]!];
    const prompt = `# ${name}\n\n> The ${relations[i % relations.length]} of ${name} is`;
    const make = (id: string, contributor: string, text: string): LdsRecord =>
      recordOf(tokenizer, { id, contributor, title: name, text });
    told.push(make(`fact-${i}`, `fact-${i}`, `${prompt} ${value}.\n> ${filler}`));
    const words = `${prompt} ${value}`
      .replace(/[#>\n]+/g, " ")
      .trim()
      .split(/ +/);
    for (let k = 0; k < DECOYS; k++) {
      const mixed = Array.from(shuffled(words.length, random), (at) => words[at]!);
      decoys.push(make(`decoy-${i}-${k}`, `decoy-${i}`, mixed.join(", ")));
    }
    const asked = make(`query-${i}`, "", `${prompt} ${value}`);
    const from = encode(tokenizer, prompt).length;
    const tokens = encode(tokenizer, `${prompt} ${value}`);
    const isTarget = Uint8Array.from(tokens, (_token, at) => (at >= from ? 1 : 0));
    queries.push({ ...asked, example: { record: asked.example.record, tokens, isTarget } });
  }
  const answers = told.map((_record, i) => records.length + i);
  return { records: [...records, ...told, ...decoys], queries, answers };
}

/** How high the record that tells each fact stands: the share of facts where it is among the first ten, and the mean of 1 / rank. Equals count against. */
export function findFacts(
  scores: readonly ArrayLike<number>[],
  answers: readonly number[],
): { readonly recallAt10: number; readonly reciprocalRank: number } {
  let [recallAt10, reciprocalRank] = [0, 0];
  for (const [i, answer] of answers.entries()) {
    const own = scores[i]!;
    let rank = 0;
    for (let record = 0; record < own.length; record++) if (own[record]! >= own[answer]!) rank++;
    recallAt10 += (rank <= 10 ? 1 : 0) / answers.length;
    reciprocalRank += 1 / rank / answers.length;
  }
  return { recallAt10, reciprocalRank };
}

function nameOf(random: Random): string {
  const pick = (from: string): string => from[Math.floor(random.uniform() * from.length)]!;
  const syllable = (): string => pick("bdfgklmnprstvz") + pick("aeiou") + pick("lmnrsxk");
  return syllable() + syllable();
}

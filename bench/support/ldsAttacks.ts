import { duplicateClusters } from "../../src/datanets/duplicates.ts";
import { type Random, randomOf } from "../../src/models/training/random.ts";
import { type LdsRecord, type LdsWorld, recordOf } from "./ldsWorld.ts";

/** Records that somebody puts in for what they earn, behind the honest ones. */
export interface Attack {
  readonly name: string;
  readonly records: readonly LdsRecord[];
  /** Who gains by it. */
  readonly attackers: ReadonlySet<string>;
}

export const ATTACKER = "attacker";

/** What is tried against influence; `victim` is whoever earns most. Each attacker puts in as many records as an honest contributor has, or copies of them. */
export function attacks(world: LdsWorld, victim: string): readonly Attack[] {
  const { records, tokenizer } = world;
  const own = records.filter(({ contributor }) => contributor === victim);
  const random = randomOf(20_261_128);
  const put = (name: string, texts: readonly string[], title = "attack"): Attack => ({
    name,
    records: [
      ...records,
      ...texts.map((text, i) => recordOf(tokenizer, { id: `${name}-${i}`, contributor: ATTACKER, title, text })),
    ],
    attackers: new Set([ATTACKER]),
  });
  const copies = (count: number): string[] => own.flatMap(({ text }) => new Array<string>(count).fill(text));
  const words = wordsOf(records);
  return [
    put("one copy of the top contributor", copies(1)),
    put("five copies of the top contributor", copies(5)),
    splitIdentity(records, victim),
    put(
      "outlier spam",
      own.map(() => Array.from({ length: 60 }, () => pick(words, random)).join(" ")),
    ),
    put(
      "bytes without sense",
      own.map(() => Array.from({ length: 80 }, () => pick(LETTERS, random)).join("")),
    ),
    put(
      "format mimicry",
      own.map((_one, i) => mimicry(records[(37 * i) % records.length]!.text, words, random)),
    ),
    put(
      "paraphrase",
      own.map(({ text }) => paraphrase(text)),
    ),
  ];
}

/** The number of the first registered of each record's near-duplicates. */
export function clustersOf(records: readonly LdsRecord[]): readonly number[] {
  return duplicateClusters(records.map(({ text }) => text));
}

/** The victim under ten names: nothing is put in. */
function splitIdentity(records: readonly LdsRecord[], victim: string): Attack {
  const attackers = new Set<string>();
  const split = records.map((record, i) => {
    if (record.contributor !== victim) return record;
    const contributor = `${victim} ${i % 10}`;
    attackers.add(contributor);
    return { ...record, contributor };
  });
  return { name: "split into ten identities", records: split, attackers };
}

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz0123456789 /_-{}<>"];

function wordsOf(records: readonly LdsRecord[]): string[] {
  return [...new Set(records.flatMap(({ text }) => text.match(/[A-Za-z]{4,}/g) ?? []))].sort();
}

/** The shape of a real record, every word of which says something else. */
function mimicry(text: string, words: readonly string[], random: Random): string {
  return text.replace(/[A-Za-z]{4,}/g, () => pick(words, random));
}

/** What somebody with a list of synonyms makes of a record. */
function paraphrase(text: string): string {
  return text.replace(/[A-Za-z]+/g, (word) => synonyms.get(word.toLowerCase()) ?? word);
}

const synonyms: ReadonlyMap<string, string> = new Map([
  ...([
    ["list", "show"],
    ["display", "print"],
    ["show", "list"],
    ["print", "display"],
    ["create", "make"],
  ] as const),
  ...([
    ["delete", "remove"],
    ["remove", "delete"],
    ["a", "one"],
    ["the", "this"],
    ["specific", "given"],
  ] as const),
  ...([
    ["specified", "named"],
    ["file", "document"],
    ["files", "documents"],
    ["directory", "folder"],
  ] as const),
  ...([
    ["all", "every"],
    ["start", "begin"],
    ["stop", "end"],
    ["run", "execute"],
    ["execute", "run"],
  ] as const),
  ...([
    ["open", "load"],
    ["set", "change"],
    ["change", "set"],
    ["get", "fetch"],
    ["using", "with"],
  ] as const),
  ...([
    ["more", "further"],
    ["information", "details"],
    ["tool", "program"],
    ["command", "instruction"],
  ] as const),
  ...([
    ["from", "out of"],
    ["into", "to"],
    ["new", "fresh"],
    ["current", "present"],
    ["update", "refresh"],
  ] as const),
]);

function pick<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random.uniform() * from.length)]!;
}

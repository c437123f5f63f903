import { duplicateClusters } from "../../src/datanets/duplicates.ts";
import { type Random, randomOf } from "../../src/models/training/random.ts";
import { paidBy, type Scores } from "./ldsMethods.ts";
import { mean, round } from "./ldsScore.ts";
import { type AdapterView, fineTune, viewAdapter } from "./ldsTraining.ts";
import { type LdsRecord, type LdsWorld, recordOf, tokensOf } from "./ldsWorld.ts";

export interface Outcome {
  readonly attack: string;
  /** Of all contributors' income from influence, in per cent, over all queries: what the attackers have with the attack beyond what they had. */
  readonly attackersGainPercent: number;
  /** Of the records that were put in, those that near-duplicate detection knows. */
  readonly recognised: number;
  /** By how many per cent of their own income those whom it is taken from lose: the copied contributor, or all the honest together. */
  readonly victimsLossPercent: number;
}

/** Trains with what each attacker puts in, and pays. Near-duplicates stand behind the first registered and are not trained on, as in a datanet's version; `isTrained` trains on them all the same. */
export async function attackAll(world: LdsWorld) {
  const nothing = {
    name: "",
    records: world.records,
    attackers: nobody,
    were: nobody,
    victims: nobody,
    isTrained: false,
  };
  const { incomes: before, paidPart, known } = await incomesUnder(world, nothing);
  const victim = [...before].reduce((most, one) => (one[1] > most[1] ? one : most))[0];
  const outcomes: Outcome[] = [];
  for (const attack of attacks(world, victim)) {
    const { incomes: after, recognised } = await incomesUnder(world, attack, known);
    const { name, attackers, were, victims } = attack;
    outcomes.push({
      attack: name,
      attackersGainPercent: round(100 * (sumOf(after, attackers) - sumOf(before, were))),
      victimsLossPercent: round(100 * (1 - sumOf(after, victims) / sumOf(before, victims))),
      recognised,
    });
  }
  return { outcomes: outcomes as readonly Outcome[], paidPart };
}

const nobody: ReadonlySet<string> = new Set();

/** What training on the honest alone makes: attacks that add nothing to it are paid by the same. */
interface KnownView {
  readonly tokens: string;
  readonly view: AdapterView;
}

async function incomesUnder(world: LdsWorld, { records, isTrained }: Attack, known?: KnownView) {
  const clusters = duplicateClusters(records.map(({ text }) => text));
  const isFirst = (record: number): boolean => clusters[record] === record;
  const trained = records.flatMap((_record, i) => (isTrained || isFirst(i) ? [i] : []));
  const places = new Map(trained.map((record, place) => [record, place]));
  const examples = trained.map((record) => records[record]!.example);
  const queries = world.queries.map(({ example }) => example);
  const tokens = tokensOf(examples);
  const view =
    known?.tokens === tokens
      ? known.view
      : await viewAdapter(world, await fineTune(world, examples, 1), examples, queries);
  const { scores } = paidBy(view, (place) => places.get(clusters[trained[place]!]!)!);
  const owners = trained.map((record) => records[record]!);
  const recognised = records.filter(({ contributor }, i) => contributor === ATTACKER && !isFirst(i)).length;
  const paidPart = round(mean(scores.map((weights) => weights.reduce((sum, weight) => sum + weight, 0))));
  return { incomes: incomes(owners, scores), recognised, paidPart, known: { tokens, view } };
}

/** Real records that near-duplicate detection takes for somebody else's, though both are honest. */
export function wronglyCollapsed({ all }: LdsWorld): { readonly records: number; readonly collapsed: number } {
  const clusters = duplicateClusters(all.map(({ text }) => text));
  const collapsed = clusters.filter((first, i) => all[first]!.contributor !== all[i]!.contributor).length;
  return { records: all.length, collapsed };
}

function sumOf(income: ReadonlyMap<string, number>, names: ReadonlySet<string>): number {
  return [...names].reduce((sum, one) => sum + (income.get(one) ?? 0), 0);
}

/** What each contributor has of all that is paid. */
function incomes(records: readonly LdsRecord[], paid: Scores): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  let total = 0;
  for (const weights of paid)
    weights.forEach((weight, record) => {
      const { contributor } = records[record]!;
      sums.set(contributor, (sums.get(contributor) ?? 0) + weight);
      total += weight;
    });
  return new Map([...sums].map(([contributor, sum]) => [contributor, sum / total]));
}

/** Records that somebody puts in for what they earn, behind the honest ones. */
interface Attack {
  readonly name: string;
  readonly records: readonly LdsRecord[];
  /** Who gains by it, and under which names they had an income before. */
  readonly attackers: ReadonlySet<string>;
  readonly were: ReadonlySet<string>;
  /** Whom it takes from: whose records it repeats, or everybody else. */
  readonly victims: ReadonlySet<string>;
  readonly isTrained: boolean;
}

const ATTACKER = "attacker";

/** What is tried against influence; `victim` is whoever earns most. Each attacker puts in as many records as an honest contributor has, or copies of them. */
function attacks(world: LdsWorld, victim: string): readonly Attack[] {
  const { records, tokenizer } = world;
  const own = records.filter(({ contributor }) => contributor === victim);
  const random = randomOf(20_261_129);
  const everybody = new Set(records.map(({ contributor }) => contributor));
  const put = (name: string, texts: readonly string[], how: Partial<Attack> = {}): Attack => ({
    ...{ name, attackers: new Set([ATTACKER]), were: new Set(), victims: everybody, isTrained: false },
    records: [
      ...records,
      ...texts.map((text, i) =>
        recordOf(tokenizer, { id: `${name}-${i}`, contributor: ATTACKER, title: "attack", text }),
      ),
    ],
    ...how,
  });
  const copies = (count: number): string[] => own.flatMap(({ text }) => new Array<string>(count).fill(text));
  const words = wordsOf(records);
  const senseless = (): string => Array.from({ length: 80 }, () => pick(LETTERS, random)).join("");
  const spam = (): string => Array.from({ length: 60 }, () => pick(words, random)).join(" ");
  const copying = { victims: new Set([victim]) };
  const [wordSpam, byteSpam] = [own.map(spam), own.map(senseless)];
  const mimicries = own.map((_one, i) => mimicry(records[(37 * i) % records.length]!.text, words, random));
  const early = put("format mimicry, registered first", mimicries);
  return [
    put("one copy of the top contributor", copies(1), copying),
    put("five copies of the top contributor", copies(5), copying),
    put("five copies, trained on all the same", copies(5), { ...copying, isTrained: true }),
    splitIdentity(records, victim, everybody),
    put("outlier spam: words", wordSpam),
    put("outlier spam: bytes", byteSpam),
    put("format mimicry", mimicries),
    {
      ...early,
      records: early.records.toSorted(
        (a, b) => Number(b.contributor === ATTACKER) - Number(a.contributor === ATTACKER),
      ),
    },
    ...Object.entries(knowing(world, own, words)).map(([name, texts]) => put(name, texts)),
    put(
      "lines of two of the top contributor's records",
      own.map((_one, i) => interleaved(own, i)),
      copying,
    ),
    put(
      "paraphrase",
      own.map(({ text }) => paraphrase(text)),
      copying,
    ),
  ];
}

/** What somebody who knows how influence pays tries besides. */
function knowing({ records }: LdsWorld, own: readonly LdsRecord[], words: readonly string[]): Record<string, string[]> {
  const [kept, mixed] = [randomOf(14), randomOf(33)];
  const form = (at: number): string => records[at % records.length]!.text;
  return {
    "mimicry that keeps half of the words": own.map((_one, i) => mimicry(form(43 * i + 9), words, kept, 0.5)),
    "mimicry of two forms at once": own.map((_one, i) => {
      const [a, b] = [form(59 * i + 3), form(59 * i + 203)];
      return mimicry(a.slice(0, a.length / 2) + b.slice(b.length / 2), words, mixed);
    }),
  };
}

/** A record's lines by turns with those of the next. */
function interleaved(records: readonly LdsRecord[], at: number): string {
  const [one, other] = [at, (at + 1) % records.length].map((i) => records[i]!.text.split("\n"));
  return one!.map((line, i) => (i % 2 === 0 ? line : (other![i] ?? ""))).join("\n");
}

/** The victim under ten names: nothing is put in. */
function splitIdentity(records: readonly LdsRecord[], victim: string, everybody: ReadonlySet<string>): Attack {
  const attackers = new Set<string>();
  const split = records.map((record, i) => {
    if (record.contributor !== victim) return record;
    const contributor = `${victim} ${i % 10}`;
    attackers.add(contributor);
    return { ...record, contributor };
  });
  const victims = new Set([...everybody].filter((one) => one !== victim));
  const name = "split into ten identities";
  return { name, records: split, attackers, were: new Set([victim]), victims, isTrained: false };
}

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz0123456789 /_-{}<>"];

function wordsOf(records: readonly LdsRecord[]): string[] {
  return [...new Set(records.flatMap(({ text }) => text.match(/[A-Za-z]{4,}/g) ?? []))].sort();
}

/** The shape of a real record, every word of which says something else, but for a part of them that is kept. */
function mimicry(text: string, words: readonly string[], random: Random, kept = 0): string {
  return text.replace(/[A-Za-z]{4,}/g, (word) => (kept > 0 && random.uniform() < kept ? word : pick(words, random)));
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

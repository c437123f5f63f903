import { shapleyValues } from "../src/attribution/shapley.ts";
import { unwrap } from "../src/core/result.ts";
import { houseModelFolder } from "../src/models/houseModelFile.ts";
import { randomOf } from "../src/models/training/random.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { ChildEvaluator } from "../src/upstream/trainer.ts";
import { bootstrapInterval } from "./support/ldsScore.ts";
import { hashNumber, type ManualPage, type ManualTask, readManualPages } from "./support/manualPages.ts";
import { scoringTimes } from "./support/scoringTimes.ts";

/** What the house model reads: a question, short passages and an answer are within it. */
const CONTEXT_TOKENS = 256;

/** Games of ten passages, more than the node reads, and of six, the most that it does. */
interface Setting {
  readonly passages: number;
  readonly questions: number;
  readonly game: (pages: readonly ManualPage[], n: number) => Game;
  readonly ways: Readonly<Record<string, Way>>;
}

/**
 * What some sets of passages say, beside all of them: the house model reads lines of real pages, some of which the answer joins, and is asked how likely it finds the answer with every set of them. Told for what is paid, negatives
 * aside: the L1 distance to the exact shares, and how often the first is the first. Beside leaving one out, and orders drawn at random. Then how long the node's engine takes for it.
 */
export async function run(): Promise<void> {
  const pages = readManualPages();
  if (pages === undefined) return;
  const evaluator = new ChildEvaluator();
  const figures = [];
  for (const setting of [sixPassages, tenPassages]) figures.push(await measure(evaluator, pages, setting));
  await evaluator.close();
  console.log(JSON.stringify({ figures, times: await scoringTimes() }));
}

async function measure(evaluator: ChildEvaluator, pages: readonly ManualPage[], setting: Setting) {
  const { passages, questions, game } = setting;
  const ways: Record<string, { errors: number[]; firsts: number[]; evaluations: number }> = {};
  let seconds = 0;
  for (let n = 0; n < questions; n++) {
    const began = performance.now();
    const table = await worths(evaluator, game(pages, n));
    seconds += (performance.now() - began) / 1_000;
    const exact = paid((await byShapley(table, passages, 2 ** passages, n)).values);
    for (const [name, way] of Object.entries(setting.ways)) {
      const { values, evaluations } = await way(table, n);
      const own = paid(values);
      const row = ways[name] ?? { errors: [], firsts: [], evaluations };
      ways[name] = row;
      row.errors.push(100 * own.reduce((sum, part, i) => sum + Math.abs(part - exact[i]!), 0));
      row.firsts.push(100 * Number(largest(own) === largest(exact)));
    }
  }
  const perSet = seconds / questions / 2 ** passages;
  const figures = Object.fromEntries(
    Object.entries(ways).map(([name, { errors, firsts, evaluations }]) => [
      name,
      { evaluations, error: told(errors), first: told(firsts), seconds: round(evaluations * perSet) },
    ]),
  );
  console.log(
    `${questions} answers to questions with ${passages} passages; shares that are paid, beside the exact ones`,
  );
  console.table(
    Object.fromEntries(
      Object.entries(figures).map(([name, { evaluations, error, first, seconds: each }]) => [
        name,
        { evaluations, "L1 error, %": text(error), "same first, %": text(first), "s an answer": each },
      ]),
    ),
  );
  return { questions, passages, figures };
}

interface Game {
  readonly question: string;
  readonly passages: readonly string[];
  readonly answer: string;
}

const TEN = 10;

/** Ten short tasks of ten pages; the answer says what two of them say, in a sentence of its own. */
function gameOfTen(pages: readonly ManualPage[], n: number): Game {
  const tasks = drawn(pages, `game ${n}`, TEN, { each: 1, least: 0, most: 48 }).map(([task]) => task!);
  const [one, other] = [tasks[n % TEN]!, tasks[(n + 3) % TEN]!];
  return {
    question: `${one.task}, and ${other.task.toLowerCase()}?`,
    passages: tasks.map(({ task, command }) => `${task}: \`${command}\``),
    answer: `Run \`${one.command}\`, then \`${other.command}\`.`,
  };
}

const SIX = 6;

/** Six tasks, of which the answer joins two, three or four. In every other game two passages overlap with others: one says the same in another order, one is of the same page. */
function gameOfSix(pages: readonly ManualPage[], n: number): Game {
  const tasks = drawn(pages, `six ${n}`, SIX, { each: 2, least: 37, most: 60 });
  const passages = tasks.map((own) => own[0]!).map(({ task, command }) => `${task}: \`${command}\``);
  const [said, same] = [tasks[0]![0]!, tasks[1]![1]!];
  if (n % 2 === 1) passages.splice(4, 2, `\`${said.command}\` does: ${said.task}`, `${same.task}: \`${same.command}\``);
  const joined = byHash(tasks.slice(0, 2 + (n % 3)), (_task, i) => `join ${n} ${i}`).map((own) => own[0]!);
  return {
    question: `${joined[0]!.task}, and ${joined[1]!.task.toLowerCase()}?`,
    passages: byHash(passages, (_passage, i) => `place ${n} ${i}`),
    answer: joined.map(({ task, command }) => `To ${task.toLowerCase()}, run \`${command}\`.`).join(" "),
  };
}

interface Lengths {
  /** So many tasks of a page at least. */
  readonly each: number;
  /** Characters of a task with its command. */
  readonly least: number;
  readonly most: number;
}

/** Of so many pages, the tasks whose length is within bounds. */
function drawn(pages: readonly ManualPage[], seed: string, count: number, { each, least, most }: Lengths) {
  const fits = ({ task, command }: ManualTask): boolean => {
    const length = task.length + command.length;
    return length >= least && length <= most;
  };
  const fitting = pages.map(({ id, tasks }) => ({ id, tasks: tasks.filter(fits) }));
  return byHash(
    fitting.filter(({ tasks }) => tasks.length >= each),
    ({ id }) => `${seed} ${id}`,
  )
    .slice(0, count)
    .map(({ tasks }) => tasks);
}

/** In an order that nobody chose. */
function byHash<T>(values: readonly T[], name: (value: T, i: number) => string): T[] {
  return values
    .map((value, i) => ({ value, at: hashNumber(name(value, i)) }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

/** log p of the answer with every set of passages, by the set's bits. */
async function worths(evaluator: ChildEvaluator, { question, passages, answer }: Game): Promise<readonly number[]> {
  const examples = Array.from({ length: 2 ** passages.length }, (_, set): TrainingExample => {
    const read = passages.filter((_passage, i) => (set & (1 << i)) !== 0);
    const context = read.length === 0 ? [] : [{ role: "system" as const, content: read.join("\n") }];
    const asked = { role: "user" as const, content: question };
    return { record: "", messages: [...context, asked, { role: "assistant", content: answer }] };
  });
  const task = { base: houseModelFolder(), examples, sequenceTokens: CONTEXT_TOKENS };
  const losses = unwrap(await evaluator.losses(task, new AbortController().signal));
  return losses.map(({ loss }) => -loss);
}

type Way = (
  table: readonly number[],
  seed: number,
) => Promise<{ readonly values: readonly number[]; readonly evaluations: number }>;

/** What the node asks of six passages: where they or the answer are long, each alone and left out. */
const sixPassages: Setting = {
  ...{ passages: SIX, questions: 32, game: gameOfSix },
  ways: {
    "all 64 sets": (table, seed) => byShapley(table, SIX, 64, seed),
    "32 sets, of what is short": (table, seed) => byShapley(table, SIX, 32, seed),
    "20 sets": (table, seed) => byShapley(table, SIX, 20, seed),
    "14 sets, of what is long": (table, seed) => byShapley(table, SIX, 14, seed),
    "leaving one out": leftOut,
  },
};

const tenPassages: Setting = {
  ...{ passages: TEN, questions: 16, game: gameOfTen },
  ways: {
    "all 1,024 sets": (table, seed) => byShapley(table, TEN, 1_024, seed),
    "32 sets": (table, seed) => byShapley(table, TEN, 32, seed),
    "orders at random, 32 evaluations": inOrders,
    "leaving one out": leftOut,
  },
};

async function inOrders(table: readonly number[], seed: number) {
  const random = randomOf(seed, 5);
  const values = new Array<number>(TEN).fill(0);
  const orders = Math.floor((32 - 2) / (TEN - 1));
  for (let order = 0; order < orders; order++) {
    let set = 0;
    for (const player of shuffled(random)) {
      values[player]! += (table[set | (1 << player)]! - table[set]!) / orders;
      set |= 1 << player;
    }
  }
  return { values, evaluations: orders * (TEN - 1) + 2 };
}

async function leftOut(table: readonly number[]) {
  const all = table.length - 1;
  const players = Math.log2(table.length);
  const values = Array.from({ length: players }, (_, i) => table[all]! - table[all ^ (1 << i)]!);
  return { values, evaluations: players + 1 };
}

async function byShapley(table: readonly number[], players: number, evaluationsMax: number, seed: number) {
  const random = randomOf(seed, 7);
  let evaluations = 0;
  const asked = async (coalitions: readonly (readonly number[])[]): Promise<readonly number[]> => {
    evaluations += coalitions.length;
    return coalitions.map((members) => table[members.reduce((set, member) => set | (1 << member), 0)]!);
  };
  const draw = (below: number): number => Math.floor(random.uniform() * below);
  const exactMax = evaluationsMax === 2 ** players ? players : 0;
  return { values: await shapleyValues(players, asked, { exactMax, evaluationsMax, draw }), evaluations };
}

function shuffled(random: { uniform(): number }): number[] {
  return Array.from({ length: TEN }, (_, player) => ({ player, at: random.uniform() }))
    .sort((a, b) => a.at - b.at)
    .map(({ player }) => player);
}

/** Shares of what is paid: negatives count as nothing. */
function paid(values: readonly number[]): number[] {
  const helpful = values.map((value) => Math.max(0, value));
  const total = helpful.reduce((sum, value) => sum + value, 0);
  return helpful.map((value) => (total === 0 ? 0 : value / total));
}

function largest(parts: readonly number[]): number {
  return parts.indexOf(Math.max(...parts));
}

interface Told {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

function told(values: readonly number[]): Told {
  const [low, high] = bootstrapInterval(values, randomOf(1));
  return {
    mean: round(values.reduce((sum, value) => sum + value, 0) / values.length),
    low: round(low),
    high: round(high),
  };
}

function text({ mean, low, high }: Told): string {
  return `${mean} (${low}–${high})`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

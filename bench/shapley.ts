import { shapleyValues } from "../src/attribution/shapley.ts";
import { unwrap } from "../src/core/result.ts";
import { houseModelFolder } from "../src/models/houseModelFile.ts";
import { randomOf } from "../src/models/training/random.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { ChildEvaluator } from "../src/upstream/trainer.ts";
import { bootstrapInterval } from "./support/ldsScore.ts";
import { hashNumber, type ManualPage, readManualPages } from "./support/manualPages.ts";

const QUESTIONS = 16;
const PASSAGES = 10;
const EVALUATIONS = 32;
/** What the house model reads: a question, ten short passages and an answer are within it. */
const CONTEXT_TOKENS = 256;
const PASSAGE_CHARACTERS = 48;

/**
 * What 32 evaluations say of ten passages, beside all 1,024: the house model reads ten lines of real pages, two of which the answer joins, and is asked how likely it finds the answer with every set of them. Told for what is paid, negatives
 * aside: the L1 distance to the exact shares, and how often the first is the first. Beside leaving one out, and orders drawn at random.
 */
export async function run(): Promise<void> {
  const pages = readManualPages();
  if (pages === undefined) return;
  const evaluator = new ChildEvaluator();
  const ways: Record<string, { errors: number[]; firsts: number[]; evaluations: number }> = {};
  let seconds = 0;
  for (let n = 0; n < QUESTIONS; n++) {
    const began = performance.now();
    const table = await worths(evaluator, gameOf(pages, n));
    seconds += (performance.now() - began) / 1_000;
    const exact = paid((await valuesBy["all 1,024 sets"]!(table, n)).values);
    for (const [name, way] of Object.entries(valuesBy)) {
      const { values, evaluations } = await way(table, n);
      const own = paid(values);
      const row = ways[name] ?? { errors: [], firsts: [], evaluations };
      ways[name] = row;
      row.errors.push(100 * own.reduce((sum, part, i) => sum + Math.abs(part - exact[i]!), 0));
      row.firsts.push(100 * Number(largest(own) === largest(exact)));
    }
  }
  await evaluator.close();
  const perSet = seconds / QUESTIONS / 2 ** PASSAGES;
  const figures = Object.fromEntries(
    Object.entries(ways).map(([name, { errors, firsts, evaluations }]) => [
      name,
      { evaluations, error: told(errors), first: told(firsts), seconds: round(evaluations * perSet) },
    ]),
  );
  console.log(
    `${QUESTIONS} answers to questions with ${PASSAGES} passages; shares that are paid, beside the exact ones`,
  );
  console.table(
    Object.fromEntries(
      Object.entries(figures).map(([name, { evaluations, error, first, seconds: each }]) => [
        name,
        { evaluations, "L1 error, %": text(error), "same first, %": text(first), "s an answer": each },
      ]),
    ),
  );
  console.log(JSON.stringify({ questions: QUESTIONS, passages: PASSAGES, figures }));
}

interface Game {
  readonly question: string;
  readonly passages: readonly string[];
  readonly answer: string;
}

/** Ten short tasks of ten pages; the answer says what two of them say, in a sentence of its own. */
function gameOf(pages: readonly ManualPage[], n: number): Game {
  const drawn = pages
    .filter(({ tasks }) => tasks.some(isShort))
    .toSorted((a, b) => hashNumber(`game ${n} ${a.id}`) - hashNumber(`game ${n} ${b.id}`))
    .slice(0, PASSAGES);
  const tasks = drawn.map((page) => page.tasks.find(isShort)!);
  const [one, other] = [tasks[n % PASSAGES]!, tasks[(n + 3) % PASSAGES]!];
  return {
    question: `${one.task}, and ${other.task.toLowerCase()}?`,
    passages: tasks.map(({ task, command }) => `${task}: \`${command}\``),
    answer: `Run \`${one.command}\`, then \`${other.command}\`.`,
  };
}

function isShort({ task, command }: { readonly task: string; readonly command: string }): boolean {
  return task.length + command.length <= PASSAGE_CHARACTERS;
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

const valuesBy: Readonly<Record<string, Way>> = {
  "all 1,024 sets": (table) => byShapley(table, 0, PASSAGES),
  "32 sets, as the node asks": (table, seed) => byShapley(table, seed, 0),
  "orders at random, 32 evaluations": async (table, seed) => {
    const random = randomOf(seed, 5);
    const values = new Array<number>(PASSAGES).fill(0);
    const orders = Math.floor((EVALUATIONS - 2) / (PASSAGES - 1));
    for (let order = 0; order < orders; order++) {
      let set = 0;
      for (const player of shuffled(random)) {
        values[player]! += (table[set | (1 << player)]! - table[set]!) / orders;
        set |= 1 << player;
      }
    }
    return { values, evaluations: orders * (PASSAGES - 1) + 2 };
  },
  "leaving one out": async (table) => {
    const all = table.length - 1;
    const values = Array.from({ length: PASSAGES }, (_, i) => table[all]! - table[all ^ (1 << i)]!);
    return { values, evaluations: PASSAGES + 1 };
  },
};

async function byShapley(table: readonly number[], seed: number, exactMax: number) {
  const random = randomOf(seed, 7);
  let evaluations = 0;
  const worth = async (members: readonly number[]): Promise<number> => {
    evaluations++;
    return table[members.reduce((set, member) => set | (1 << member), 0)]!;
  };
  const draw = (below: number): number => Math.floor(random.uniform() * below);
  return {
    values: await shapleyValues(PASSAGES, worth, { exactMax, evaluationsMax: EVALUATIONS, draw }),
    evaluations,
  };
}

function shuffled(random: { uniform(): number }): number[] {
  return Array.from({ length: PASSAGES }, (_, player) => ({ player, at: random.uniform() }))
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

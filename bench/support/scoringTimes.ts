import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shapleyValues } from "../../src/attribution/shapley.ts";
import { unwrap } from "../../src/core/result.ts";
import { encode } from "../../src/models/bpe.ts";
import { houseModelFolder } from "../../src/models/houseModelFile.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";
import { LlamaEngine } from "../../src/upstream/llama.ts";

const RECORDS = 6;
const RECORD_TOKENS = 300;
const ANSWER_TOKENS = 1_000;
const ANSWER_MS_MAX = 600_000;

/**
 * Seconds that the engine takes to score an answer of 1,000 tokens with sets of six records, by the model of the house as if it read 8,192 tokens: it makes no sense of so many, and takes as long as one that does. Beside each set asked by itself,
 * as it was before sets shared what they begin with.
 */
export async function scoringTimes(): Promise<Readonly<Record<string, Times>>> {
  const folder = mkdtempSync(join(tmpdir(), "openledger-bench-"));
  const base = join(folder, "base");
  cpSync(houseModelFolder(), base, { recursive: true });
  const config: object = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
  writeFileSync(join(base, "config.json"), JSON.stringify({ ...config, max_position_embeddings: 8_192 }));
  const engine = new LlamaEngine({ cacheFolder: join(folder, "cache"), find: () => ({ base }), threads: 1 });
  const texts = ["attribution.md", "journal.md", "operating.md"].map((name) =>
    readFileSync(join("docs", name), "utf8"),
  );
  const whole = texts.join("\n");
  const passages = Array.from({ length: RECORDS }, (_, number) => ({
    ...{ record: String(number), number, title: "Notes", headings: [], source: "", score: 1 },
    text: cut(whole, number * 4_000, RECORD_TOKENS),
  }));
  const text = cut(whole, RECORDS * 4_000, ANSWER_TOKENS);
  const messages = [{ role: "user" as const, content: "What is written of the journal?" }];
  const score = async (sets: readonly (readonly number[])[]): Promise<readonly number[]> => {
    const reads = sets.map((members) => members.map((member) => passages[member]!));
    const request = { model: "house", mode: "chat" as const, messages, reads, text, withinMs: ANSWER_MS_MAX };
    return unwrap(await engine.score(request, new AbortController().signal)).logProbabilities;
  };
  const oneByOne = async (sets: readonly (readonly number[])[]): Promise<readonly number[]> => {
    const all: number[] = [];
    for (const set of sets) all.push(...(await score([set])));
    return all;
  };
  await score([[]]);
  const seconds = async (scores: typeof score, evaluationsMax: number): Promise<Times> => {
    const [began, cpu] = [performance.now(), cpuSeconds(engine.pid)];
    await shapleyValues(RECORDS, scores, { exactMax: 4, evaluationsMax, draw: (below) => below >> 1 });
    return { wall: tenths((performance.now() - began) / 1_000), cpu: tenths(cpuSeconds(engine.pid) - cpu) };
  };
  const times = {
    "14 sets": await seconds(score, 14),
    "32 sets": await seconds(score, 32),
    "32 sets, each by itself": await seconds(oneByOne, 32),
  };
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
  console.log(
    `seconds for an answer of ${ANSWER_TOKENS} tokens with ${RECORDS} records of ${RECORD_TOKENS}, on one thread`,
  );
  console.table(times);
  return times;
}

/** Seconds, to a tenth. On a core of its own the wall's are the CPU's. */
interface Times {
  readonly wall: number;
  readonly cpu: number;
}

/** User and system time of a process so far, as Linux counts it: in hundredths of a second (proc(5)). NaN elsewhere. */
function cpuSeconds(pid: number | undefined): number {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return Number.NaN;
  const [user, system] = readFileSync(file, "utf8").split(") ")[1]!.split(" ").slice(11, 13).map(Number);
  return (user! + system!) / 100;
}

function tenths(value: number): number {
  return Math.round(10 * value) / 10;
}

/** So many tokens of a text, from a character on. */
function cut(text: string, from: number, tokens: number): string {
  const tokenizer = houseTokenizer();
  let until = from + 2 * tokens;
  while (until < text.length && encode(tokenizer, text.slice(from, until)).length < tokens) until += 10;
  return text.slice(from, until);
}

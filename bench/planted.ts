import { attributeText } from "../src/attribution/attribute.ts";
import { toHex, utf8 } from "../src/core/bytes.ts";
import { sha256 } from "../src/core/hash.ts";
import { Bm25Index } from "../src/datanets/bm25.ts";
import { answer } from "../src/models/answer.ts";
import { buildIndex, type CorpusIndex } from "../src/models/corpusIndex.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { reword } from "./support/groundingQuestions.ts";
import { hashNumber, type ManualPage, questionFor, readManualPages, wilsonInterval } from "./support/manualPages.ts";

const CONTEXTS = 200;
const PASSAGES = 6;
const RIVALS = PASSAGES - 1;

/**
 * Contexts of six passages, one of them planted: a page of an invented command, at any place among them. The answer uses what the planted page says, and
 * so it must be ranked first; beside BM25 over the answer, BM25 over the question, and the place. The other five are what retrieval finds for the
 * question; or, as the harder test, five pages of the same name that tell another command for the same task.
 */
export async function run(): Promise<void> {
  const pages = readManualPages();
  if (pages === undefined) return;
  const plants = plantsOf(pages);
  const planted = plants.flatMap(({ own, rivals }) => [own, ...rivals]);
  const records = [...pages.map(({ title, text }) => ({ title, text })), ...planted];
  const library = libraryOf(records);
  const first: Record<string, Record<string, number>> = {};
  for (const [i, plant] of plants.entries()) {
    const number = pages.length + i * (RIVALS + 1);
    const rivals = plant.rivals.map((_rival, r) => number + 1 + r);
    const found = library.search.search(plant.question, 4 * PASSAGES).hits.map(({ record }) => record);
    const isOfPlants = (record: number): boolean => record >= number && record <= number + RIVALS;
    const neighbours = found.filter((record) => !isOfPlants(record)).slice(0, RIVALS);
    for (const [others, context] of [
      ["among neighbours", placed(neighbours, number)],
      ["among rivals", placed(rivals, number)],
    ] as const) {
      for (const [kind, text] of Object.entries(answersOf(library, plant, number, context))) {
        const tally = first[`${others}: ${kind}`] ?? { ...noHits };
        first[`${others}: ${kind}`] = tally;
        if (ranking(library.index, text, context)[0] === number) tally["attribution"]!++;
        if (among(library.search, text, context)[0] === number) tally["BM25 of the answer"]!++;
        if (among(library.search, plant.question, context)[0] === number) tally["BM25 of the question"]!++;
        if (context[0] === number) tally["place"]!++;
      }
    }
  }
  const told = Object.fromEntries(
    Object.entries(first).map(([kind, tally]) => [
      kind,
      Object.fromEntries(Object.entries(tally).map(([by, hits]) => [by, share(hits)])),
    ]),
  );
  console.log(`the planted passage ranked first, of ${CONTEXTS} contexts, by what the answer makes of it`);
  console.table(told);
  console.log(JSON.stringify({ contexts: CONTEXTS, passages: PASSAGES, first, ...told }));
}

const noHits = { attribution: 0, "BM25 of the answer": 0, "BM25 of the question": 0, place: 0 };

interface Page {
  readonly title: string;
  readonly text: string;
}

interface Plant {
  readonly own: Page;
  /** Pages of the same name, with another command for the same task. */
  readonly rivals: readonly Page[];
  readonly question: string;
  readonly task: string;
  readonly command: string;
}

/** An invented command in the words of real pages: the text is a real page's, with another name, another task and another command. */
function plantsOf(pages: readonly ManualPage[]): Plant[] {
  const drawn = (salt: string): ManualPage[] =>
    pages
      .filter(({ tasks }) => tasks.length >= 2)
      .toSorted((a, b) => hashNumber(`${salt} ${a.id}`) - hashNumber(`${salt} ${b.id}`))
      .slice(0, CONTEXTS);
  const [patterns, tellers] = [drawn("pattern"), drawn("teller")];
  return patterns.map((page, i) => {
    const title = `${page.title.split(" ")[0]}-${tellers[i]!.title.split(/\W/)[0]}`;
    const task = `${tellers[i]!.tasks[0]!.task} and ${page.tasks[1]!.task.toLowerCase()}`;
    const commandOf = (teller: ManualPage): string =>
      `${title} --${teller.title.split(/\W/).at(-1)}-mode {{${hashNumber(teller.id) % 97}}} {{path/to/file}}`;
    const pageOf = (pattern: ManualPage, command: string): Page => {
      const example = `- ${task}:\n\n\`${command}\``;
      const text = pattern.text.replace(/^# .*/, `# ${title}`).replace(/^- .+:\n\n`.+`$/m, () => example);
      return { title, text };
    };
    const command = commandOf(tellers[i]!);
    const rivals = Array.from({ length: RIVALS }, (_, r) => (i + 31 * (r + 1)) % CONTEXTS).map((other) =>
      pageOf(patterns[other]!, commandOf(tellers[other]!)),
    );
    return { own: pageOf(page, command), rivals, task, command, question: questionFor({ task, command }, title) };
  });
}

/** The planted passage at a place among the others that its number draws. */
function placed(others: readonly number[], number: number): number[] {
  return others.toSpliced(hashNumber(`place ${number}`) % (others.length + 1), 0, number);
}

interface Library {
  readonly index: CorpusIndex;
  readonly records: readonly Page[];
  readonly search: Bm25Index;
}

function libraryOf(records: readonly Page[]): Library {
  const texts = records.map(({ text }, i) => ({ id: toHex(sha256(utf8(`${i}`))), text }));
  const search = new Bm25Index(records.map((record) => ({ ...record, headingPath: [] })));
  return { index: buildIndex(houseTokenizer(), texts), records, search };
}

/** What our writer makes of it (where it is the only page of that name), a sentence of one's own around the command, and one that goes on with another page. */
function answersOf(
  { index, records }: Library,
  { question, task, command }: Plant,
  number: number,
  context: readonly number[],
): Record<string, string> {
  const passages = context.map((record, i) => ({
    number: record,
    ...records[record]!,
    headings: [],
    score: PASSAGES - i,
  }));
  const own = `You can ${reword(task).toLowerCase()}: run \`${command}\` and replace the values in braces.`;
  const other = passages.find((passage) => passage.number !== number)!;
  const texts = {
    "in other words": own,
    "with an aside from another passage": `${own}\n\n${/^> (.+)$/m.exec(other.text)?.[1] ?? ""}`,
  };
  if (other.title === records[number]!.title) return texts;
  const messages = [{ role: "user", content: question }];
  let written = "";
  for (const delta of answer(index, { messages, records: passages, maxTokens: 400 })) written += delta.text;
  return { "written by our writer": written, ...texts };
}

/** Records of the context by what attribution credits them, best first. */
function ranking(index: CorpusIndex, text: string, context: readonly number[]): number[] {
  const weights = new Map<number, number>();
  for (const { recordNumber, weight } of attributeText(index, text, { context }).evidence)
    weights.set(recordNumber, (weights.get(recordNumber) ?? 0) + weight);
  return [...weights].sort(([, a], [, b]) => b - a).map(([record]) => record);
}

function among(search: Bm25Index, text: string, context: readonly number[]): number[] {
  return search
    .search(text, search.recordCount)
    .hits.map(({ record }) => record)
    .filter((record) => context.includes(record));
}

function share(hits: number): string {
  const [low, high] = wilsonInterval(hits, CONTEXTS);
  const percent = (value: number): string => (100 * value).toFixed(1);
  return `${percent(hits / CONTEXTS)} % (${percent(low)}–${percent(high)})`;
}

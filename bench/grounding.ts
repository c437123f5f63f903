import { toHex, utf8 } from "../src/core/bytes.ts";
import { sha256 } from "../src/core/hash.ts";
import { Bm25Index } from "../src/datanets/bm25.ts";
import { answer } from "../src/models/answer.ts";
import { buildIndex, type CorpusIndex } from "../src/models/corpusIndex.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { randomOf } from "../src/models/training/random.ts";
import { type GroundingCorpus, manualPages, standards } from "./support/groundingCorpora.ts";
import type { Question, QuestionKind } from "./support/groundingQuestions.ts";
import { bootstrapInterval } from "./support/ldsScore.ts";
import { wilsonInterval } from "./support/manualPages.ts";

const PASSAGES = 6;
const ANSWER_TOKENS = 400;

/**
 * Answers from records with their context, beside the same text cut into windows of as many bytes: the same retrieval, the same writer, the same
 * bytes read. And questions that the corpus does not answer. Half of the questions is for whoever tunes the rules; what counts is the other half, told last.
 * With `--show`, the failures of the tuning half.
 */
export async function run(): Promise<void> {
  const pages = await manualPages();
  if (pages === undefined) return;
  const corpora = [pages, await standards()];
  const told: Record<string, object> = {};
  for (const [half, name] of [
    [0, "tuning"],
    [1, "held out"],
  ] as const) {
    console.log(`\n${name} half`);
    const figures: Record<string, object> = {};
    const refusals: boolean[] = [];
    for (const corpus of corpora) figures[corpus.name] = measure(corpus, half, refusals);
    const refused = share(refusals.filter((each) => each).length, refusals.length);
    console.log(`unanswerable questions refused, of both corpora: ${refused} %`);
    told[name] = { ...figures, unanswerableRefused: { both: refused } };
  }
  console.log(JSON.stringify(told));
}

interface Piece {
  readonly title: string;
  readonly headingPath: readonly string[];
  readonly text: string;
}

interface Arm {
  readonly pieces: readonly Piece[];
  readonly search: Bm25Index;
  readonly index: CorpusIndex;
  /** Bytes that an answer may be made of. */
  readonly budget: number;
}

interface Outcome {
  readonly question: Question;
  readonly text: string;
  readonly isRefused: boolean;
}

function measure({ name, records, documents, questions }: GroundingCorpus, half: 0 | 1, refusals: boolean[]): object {
  const bytesMean = Math.round(records.reduce((sum, record) => sum + bytesOf(record), 0) / records.length);
  const bare = records.map(({ text }) => ({ title: "", headingPath: [], text: text.replace(/^# .*\n+/, "") }));
  const pieces: Record<string, readonly Piece[]> = {
    records,
    "records without title and headings": bare,
    windows: windows(documents, bytesMean, bytesMean),
    "windows, each of them with the title": windows(documents, bytesMean, bytesMean, true),
    "windows that overlap by a quarter": windows(documents, bytesMean, Math.round(0.75 * bytesMean)),
  };
  const asked = questions.filter((question) => question.half === half);
  const rows: Record<string, object> = {};
  const right: Record<string, number[]> = {};
  for (const [arm, cut] of Object.entries(pieces)) {
    const made = armOf(cut, PASSAGES * bytesMean);
    const outcomes = asked.map((question) => ({ question, ...ask(made, question.text) }));
    if (process.argv.includes("--show") && arm === "records" && half === 0) show(outcomes);
    rows[arm] = figuresOf(outcomes);
    if (arm === "records")
      refusals.push(...outcomes.flatMap(({ question, isRefused }) => (question.wanted.length > 0 ? [] : [isRefused])));
    right[arm] = outcomes.filter(({ question }) => question.wanted.length > 0).map(isRight);
  }
  const beside = (other: string) => {
    const points = right["records"]!.map((each, i) => 100 * (each - right[other]![i]!));
    const mean = points.reduce((sum, each) => sum + each, 0) / points.length;
    const [low, high] = bootstrapInterval(points, randomOf(1));
    return { points: round(mean), low: round(low), high: round(high) };
  };
  const gains = Object.fromEntries(
    Object.keys(pieces)
      .slice(1)
      .map((other) => [other, beside(other)]),
  );
  console.log(`${name}: ${records.length} records of ${bytesMean} bytes in the mean`);
  console.table(rows);
  console.log("points by which records answer more than");
  console.table(gains);
  return { bytesMean, rows, gains };
}

function armOf(pieces: readonly Piece[], budget: number): Arm {
  const records = pieces.map(({ text }, i) => ({ id: toHex(sha256(utf8(`${i}`))), text }));
  return { pieces, search: new Bm25Index(pieces), index: buildIndex(houseTokenizer(), records), budget };
}

/** All documents in a row, cut at byte counts; a window's title is that of the document that it begins in. */
function windows(
  documents: readonly { readonly title: string; readonly text: string }[],
  size: number,
  step: number,
  hasTitle = false,
): Piece[] {
  const starts: number[] = [];
  const chunks = documents.map(({ text }) => Buffer.from(`${text.trim()}\n\n`));
  let bytes = 0;
  for (const chunk of chunks) {
    starts.push(bytes);
    bytes += chunk.length;
  }
  const all = Buffer.concat(chunks);
  const cuts: Piece[] = [];
  let document = 0;
  for (let at = 0; at < all.length; at += step) {
    while (document + 1 < starts.length && starts[document + 1]! <= at) document++;
    const text = all
      .subarray(at, at + size)
      .toString("utf8")
      .replaceAll("\ufffd", "");
    cuts.push({ title: hasTitle ? documents[document]!.title : "", headingPath: [], text });
  }
  return cuts;
}

function ask(arm: Arm, question: string): { readonly text: string; readonly isRefused: boolean } {
  const found = arm.search.search(question, PASSAGES);
  let bytes = 0;
  const records = (found.isAnswerable ? found.hits : []).flatMap(({ record, score }) => {
    const piece = arm.pieces[record]!;
    bytes += bytesOf(piece);
    const { title, headingPath: headings, text } = piece;
    return bytes > arm.budget ? [] : [{ number: record, title, headings, text, score }];
  });
  const messages = [{ role: "user", content: question }];
  const stream = answer(arm.index, { messages, records, maxTokens: ANSWER_TOKENS });
  let text = "";
  for (let next = stream.next(); ; next = stream.next()) {
    if (next.done === true) return { text, isRefused: next.value.finish === "refused" };
    text += next.value.text;
  }
}

function isRight({ text, question }: Outcome): number {
  return question.wanted.some((wanted) => text.includes(wanted)) ? 1 : 0;
}

function figuresOf(outcomes: readonly Outcome[]): object {
  const of = (...kinds: QuestionKind[]): Outcome[] => outcomes.filter(({ question }) => kinds.includes(question.kind));
  const part = (some: readonly Outcome[], holds: (each: Outcome) => boolean): string =>
    share(some.filter(holds).length, some.length);
  const right = (each: Outcome): boolean => isRight(each) === 1;
  const refused = ({ isRefused }: Outcome): boolean => isRefused;
  return {
    "answered right": part(of("answerable"), right),
    reworded: part(of("reworded"), right),
    wrong: part(of("answerable"), (each) => !refused(each) && !right(each)),
    "absent subject refused": part(of("absentSubject"), refused),
    "foreign task refused": part(of("foreignTask"), refused),
    "unanswerable refused": part(of("absentSubject", "foreignTask"), refused),
  };
}

function share(hits: number, count: number): string {
  if (count === 0) return "–";
  const [low, high] = wilsonInterval(hits, count);
  const percent = (value: number): string => (100 * value).toFixed(1);
  return `${percent(hits / count)} (${percent(low)}–${percent(high)} of ${count})`;
}

function show(outcomes: readonly Outcome[]): void {
  for (const { question, text, isRefused } of outcomes) {
    const { kind, wanted } = question;
    if (wanted.length > 0 ? wanted.some((each) => text.includes(each)) : isRefused) continue;
    console.log(
      `--- ${kind}: ${question.text}\n  wants ${wanted.join(" | ")}\n  ${text.slice(0, 300).replaceAll("\n", "\n  ")}`,
    );
  }
}

function bytesOf({ title, headingPath, text }: Piece): number {
  return Buffer.byteLength([title, ...headingPath, text].join("\n"));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

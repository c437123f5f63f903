import { importJsonl } from "../../src/datanets/importJsonl.ts";
import type { RecordContent } from "../../src/datanets/record.ts";
import { type Asked, groundingQuestions, type Phrase, type Question } from "./groundingQuestions.ts";
import { hashNumber, questionFor, readManualPages } from "./manualPages.ts";

/** Documents packaged as an import packages them, the same documents as plain text, and questions. */
export interface GroundingCorpus {
  readonly name: string;
  readonly records: readonly RecordContent[];
  readonly documents: readonly { readonly title: string; readonly text: string }[];
  readonly questions: readonly Question[];
}

const QUESTIONS = 800;

/** 7,425 short manual pages, each about one command; undefined where they are not at hand. */
export async function manualPages(): Promise<GroundingCorpus | undefined> {
  const pages = readManualPages();
  if (pages === undefined) return undefined;
  const asked = pages.map(({ id, title, tasks }): Asked => {
    const own = tasks.filter(({ task }) => !isEverywhere.test(task));
    return { id, title, tasks: own.map(({ task, command }) => ({ task, wanted: [command] })) };
  });
  const records = await packaged("tldr");
  const phrase = (task: string, title: string): string => questionFor({ task, command: "" }, title);
  return corpusOf({ name: "manual pages", records, asked, phrase, absentOf: 10 });
}

/** 584 standards, long documents under headings. */
export async function standards(): Promise<GroundingCorpus> {
  const records = await packaged("eips");
  const asked = new Map<string, { title: string; tasks: { task: string; wanted: string[] }[]; others: string[] }>();
  for (const { source, title, headingPath, text } of records) {
    const document = asked.get(source) ?? { title, tasks: [], others: [] };
    asked.set(source, document);
    document.others.push(...headingPath, ...text.split("\n").flatMap((line) => /^#+ (.*)/.exec(line)?.[1] ?? []));
    const heading = headingPath.at(-1);
    // The first sixty characters of each paragraph, which an answer from this section holds.
    const wanted = text.split(/\n{2,}/).flatMap((part) => (/^[A-Z][^\n]{80}/.test(part) ? [part.slice(0, 60)] : []));
    if (heading === undefined || wanted.length === 0) continue;
    const known = document.tasks.find(({ task }) => task === heading);
    if (known === undefined) document.tasks.push({ task: heading, wanted });
    else known.wanted.push(...wanted);
  }
  const phrase = (task: string, title: string): string => `What does "${title}" say about ${task}?`;
  const documents = [...asked].map(([id, document]) => ({ id, ...document }));
  const corpus = corpusOf({ name: "standards", records, asked: documents, phrase, absentOf: 4 });
  // A standard may well say something about what another one has a heading for.
  return { ...corpus, questions: corpus.questions.filter(({ kind }) => kind !== "foreignTask") };
}

/** Tasks that every page has alike say nothing about its command. */
const isEverywhere = /^(?:view documentation|(?:display|print|show) \[?(?:h|v)\]?(?:elp|ersion))/i;

interface CorpusDraft {
  readonly name: string;
  readonly records: readonly RecordContent[];
  readonly asked: readonly Asked[];
  readonly phrase: Phrase;
  /** One document in so many is in no corpus: what is asked of it cannot be answered. */
  readonly absentOf: number;
}

function corpusOf({ name, records: all, asked, phrase, absentOf }: CorpusDraft): GroundingCorpus {
  const isAbsent = (title: string): boolean => hashNumber(`absent ${title}`) % absentOf === 0;
  const records = all.filter(({ title }) => !isAbsent(title));
  const questions = groundingQuestions(
    asked.filter(({ title }) => !isAbsent(title)),
    asked.filter(({ title }) => isAbsent(title)),
    QUESTIONS,
    phrase,
  );
  const documents = new Map<string, { title: string; text: string }>();
  for (const { source, title, headingPath, text } of records) {
    const before = documents.get(source);
    const heading = headingPath.at(-1);
    const section = heading === undefined ? text : `${"#".repeat(headingPath.length + 1)} ${heading}\n\n${text}`;
    documents.set(source, { title, text: before === undefined ? section : `${before.text}\n\n${section}` });
  }
  return { name, records, documents: [...documents.values()], questions };
}

/** Records as the import makes them. */
async function packaged(name: string): Promise<RecordContent[]> {
  const records: RecordContent[] = [];
  for await (const event of importJsonl({ file: `../shared/data/${name}.jsonl.gz`, label: name }))
    if (event.kind === "group") records.push(...event.group.records);
  return records;
}

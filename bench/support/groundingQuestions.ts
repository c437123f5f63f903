import { hashNumber } from "./manualPages.ts";

export type QuestionKind = "answerable" | "reworded" | "absentSubject" | "foreignTask";

export interface Question {
  readonly kind: QuestionKind;
  readonly text: string;
  /** An answer must say one of these; empty where there is none. */
  readonly wanted: readonly string[];
  /** 0 is for whoever tunes, 1 for what is told. By the subject that is asked about. */
  readonly half: 0 | 1;
}

/** A document and what can be asked of it. */
export interface Asked {
  readonly id: string;
  readonly title: string;
  readonly tasks: readonly AskedTask[];
  /** What else it says something about. */
  readonly others?: readonly string[];
}

interface AskedTask {
  readonly task: string;
  readonly wanted: readonly string[];
}

/** How a task of a subject becomes a question. */
export type Phrase = (task: string, title: string) => string;

/**
 * What people ask of documents. Answerable: one task a document, in its own words, and the same in other words. Not answerable: a task of a document
 * that no corpus holds, and a task of one document asked of another, unless one of that title has it too.
 */
export function groundingQuestions(
  present: readonly Asked[],
  absent: readonly Asked[],
  count: number,
  phrase: Phrase,
): Question[] {
  const known = new Set(
    present.flatMap(({ title, tasks, others = [] }) =>
      [...tasks.map(({ task }) => task), ...others].map((task) => keyOf(title, task)),
    ),
  );
  const titles = new Set(present.map(({ title }) => title.toLowerCase()));
  const said = new Set(present.flatMap(({ tasks }) => tasks.flatMap(({ wanted }) => wanted)));
  const asked = drawn(present, "ask").slice(0, count);
  const gone = drawn(absent, "ask").filter(
    (document) => !titles.has(document.title.toLowerCase()) && !taskOf(document).wanted.some((text) => said.has(text)),
  );
  const foreign = drawn(present, "foreign");
  const strangers = foreign.slice(0, count / 2).map((document, i) => ({ document, task: taskOf(foreign.at(-1 - i)!) }));
  const make = (kind: QuestionKind, title: string, task: string, wanted: readonly string[] = []): Question => ({
    ...{ kind, text: phrase(task, title), wanted },
    half: hashNumber(`half ${title}`) % 2 === 0 ? 0 : 1,
  });
  return [
    ...asked.map((one) => make("answerable", one.title, taskOf(one).task, taskOf(one).wanted)),
    ...asked.map((one) => make("reworded", one.title, reword(taskOf(one).task), taskOf(one).wanted)),
    ...gone.slice(0, count / 2).map((one) => make("absentSubject", one.title, taskOf(one).task)),
    ...strangers
      .filter(({ document, task }) => !known.has(keyOf(document.title, task.task)))
      .map(({ document, task }) => make("foreignTask", document.title, task.task)),
  ];
}

/** Documents with a task, in an order that nobody chose. */
function drawn(documents: readonly Asked[], salt: string): Asked[] {
  return documents
    .filter(({ tasks }) => tasks.length > 0)
    .toSorted((a, b) => hashNumber(`${salt} ${a.id}`) - hashNumber(`${salt} ${b.id}`));
}

function taskOf({ tasks, id }: Asked): AskedTask {
  return tasks[hashNumber(`task ${id}`) % tasks.length]!;
}

function keyOf(title: string, task: string): string {
  return `${title} ${task}`.toLowerCase();
}

/** Words that people use for those of the manual. */
const synonyms: Readonly<Record<string, string>> = {
  ...{ display: "see", show: "see", print: "output", list: "see all", create: "make", generate: "make" },
  ...{ remove: "delete", delete: "remove", run: "start", start: "launch", execute: "run", open: "view" },
  ...{ specify: "set", set: "choose", specific: "given", specified: "given", retrieve: "get", fetch: "get" },
  ...{ convert: "turn", search: "look", find: "look for", install: "add", update: "refresh", check: "verify" },
  ...{ download: "get", upload: "send", copy: "duplicate", move: "put", directory: "folder", current: "present" },
  ...{ multiple: "several", file: "document", files: "documents", all: "every", motivation: "reasons" },
  ...{ specification: "design", rationale: "reasons", considerations: "concerns", abstract: "summary" },
};

/** Asides go. */
export function reword(task: string): string {
  return task
    .replaceAll(/\s*\([^)]*\)/g, "")
    .replaceAll(/[[\]]/g, "")
    .replaceAll(/\b[a-z]+\b/gi, (word) => {
      const lower = word.toLowerCase();
      return Object.hasOwn(synonyms, lower) ? synonyms[lower]! : word;
    });
}

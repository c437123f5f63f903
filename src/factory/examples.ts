import { utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { TrainingExample } from "../models/training/task.ts";

/** Examples to learn from, and those that are kept out of training to measure it. */
export interface Split {
  readonly train: readonly TrainingExample[];
  readonly heldOut: readonly TrainingExample[];
}

/** Evaluations during training look at no more held-out examples than this: they come often. */
export const HELD_OUT_MEASURED_MAX = 64;

/**
 * A record as something to learn: a question with its answer where the text is one, or where headings say what the text is about; the plain text otherwise.
 * The same record gives the same example, whatever stands beside it.
 */
export function exampleOf(record: DatanetRecord): TrainingExample {
  const said = questionAndAnswer(record.text) ?? underHeadings(record);
  if (said === undefined) return { record: record.id, text: record.text };
  return {
    record: record.id,
    messages: [
      { role: "user", content: said.question },
      { role: "assistant", content: said.answer },
    ],
  };
}

/**
 * Splits by the hash of the record's id and by nothing else: a record that is held out stays so when others come or go, in every version and every job. Of
 * many held-out ones the order is by that hash too, so that the first n are a fair sample.
 */
export function splitHeldOut(examples: readonly TrainingExample[], share: number): Split {
  const placed = examples.map((example) => ({ example, place: placeOf(example.record) }));
  const heldOut = placed.filter(({ place }) => place < share).sort((a, b) => a.place - b.place);
  return {
    train: placed.filter(({ place }) => place >= share).map(({ example }) => example),
    heldOut: heldOut.map(({ example }) => example),
  };
}

/** Where a record falls in [0, 1). */
function placeOf(record: string): number {
  const hash = sha256(utf8(`openledger.held-out.1 ${record}`));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0) / 2 ** 32;
}

interface Said {
  readonly question: string;
  readonly answer: string;
}

/** `Question: … Answer: …` or `Q: … A: …`, each at the beginning of a line. */
function questionAndAnswer(text: string): Said | undefined {
  const found = /^\s*(?:Question|Q)\s*[:.]\s*([\s\S]+?)\n+\s*(?:Answer|A)\s*[:.]\s*([\s\S]+)$/i.exec(text);
  const [question, answer] = [found?.[1]?.trim(), found?.[2]?.trim()];
  return question && answer ? { question, answer } : undefined;
}

function underHeadings({ title, headingPath, text }: DatanetRecord): Said | undefined {
  const last = headingPath.at(-1)?.trim();
  const answer = text.trim();
  if (!last || answer === "") return undefined;
  const path = headingPath.map((heading) => heading.trim()).filter((heading) => heading !== "" && heading !== title);
  return { question: last.endsWith("?") ? last : [title, ...path].join(": "), answer };
}

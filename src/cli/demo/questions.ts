import type { DatanetRecord } from "../../datanets/record.ts";

/** What the demonstration asks of the packages that this program is built on; one is about its own contributor's record, one cannot be answered. */
export const npmQuestions = [
  "How do I stream a response with the openai client?",
  "What does the requiredOption of commander do?",
  "How do I read an OpenLedger receipt?",
] as const;
export const streamedQuestion = "How do I create an object schema with zod?";
export const unanswerable = "Who won the football world cup of 1998?";

/** Questions about headings of the records, spread evenly over all of them: a month of payers. */
export function questionsAbout(records: readonly DatanetRecord[], count: number): string[] {
  const asked = records.filter((record) => record.headingPath.length > 0 && record.text.length > 200);
  const pool = asked.length === 0 ? records : asked;
  return Array.from({ length: count }, (_, i) => {
    const record = pool[Math.floor((i * pool.length) / count)]!;
    const heading = record.headingPath.at(-1) ?? record.title;
    return `${record.title}: ${heading}`.replaceAll(/[`*_#]/g, "");
  });
}

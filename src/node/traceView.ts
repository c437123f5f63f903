import type { Corpus } from "../attribution/corpus.ts";
import { traceAnswer } from "../attribution/trace.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { TraceView } from "../protocol/explanation.ts";
import type { People } from "./people.ts";
import { questionOf } from "./prompts.ts";

const DOCUMENTS_MAX = 20;
const SNIPPET_MAX = 1_200;

/** Where an answer's words stand in the records of its model, with what they are called. */
export function traceView(
  {
    corpus,
    records,
    people,
  }: { readonly corpus: Corpus; readonly records: readonly DatanetRecord[]; readonly people: People },
  prompt: string,
  answer: string,
): TraceView {
  const { spans, documents } = traceAnswer(corpus, questionOf(prompt), answer);
  return {
    spans: spans.map(({ output: { from, until }, records: holders }) => ({
      ...{ output: [from, until], text: answer.slice(from, until) },
      records: holders.slice(0, DOCUMENTS_MAX).map((number) => records[number]!.id),
    })),
    documents: documents.slice(0, DOCUMENTS_MAX).map(({ record: number, relevance, score, passages, snippet }) => {
      const record = records[number]!;
      return {
        ...{ record: record.id, title: record.title, source: record.source, author: people.namesOf(record) },
        ...{ relevance, score, snippet: snippet.slice(0, SNIPPET_MAX) },
        passages: passages.map(({ output, source }) => ({
          ...{ output: [output.from, output.until], source: [source.from, source.until] },
        })),
      };
    }),
  };
}

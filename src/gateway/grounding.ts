import { attributeText, indexMethodsHash } from "../attribution/attribute.ts";
import { evidenceRoot } from "../attribution/evidence.ts";
import { weighPayees } from "../attribution/payeeWeights.ts";
import { compareBytes, toHex } from "../core/bytes.ts";
import type { Share } from "../core/route.ts";
import type { Bm25Index } from "../datanets/bm25.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { PayeeShare } from "../ledger/ledger.ts";
import type { Attribution, AttributionInput, Grounding, Passage } from "./ports.ts";

/** A model's datanets at hand. Record i of the index, of the retrieval and of `records` is the same record. */
export interface GroundingParts {
  readonly datanets: readonly string[];
  readonly index: Parameters<typeof attributeText>[0];
  readonly records: readonly DatanetRecord[];
  readonly retrieval: Bm25Index;
  /** Who is paid for a record: one entry each, whole weights; empty where nobody is. */
  readonly payeesOf: (record: DatanetRecord) => readonly PayeeShare[];
  /** Near-duplicates: record → first registered of its cluster. */
  readonly clusters?: ReadonlyMap<number, number>;
  readonly passagesMax?: number;
  readonly contextTokensMax?: number;
}

/** A route has 64 legs; operator, model, context, priors, reserve, stakers and treasury need theirs. */
const PAYEES_MAX = 40;
/** Bytes of context for each token of the hold: a byte-level token is at least one byte, three on average in prose. */
const BYTES_PER_TOKEN = 3;

/** Retrieval by BM25, attribution by spans and passages, over one index. */
export function indexGrounding(parts: GroundingParts): Grounding {
  const { datanets, index, passagesMax = 6, contextTokensMax = 2_048 } = parts;
  const payees = numberPayees(parts);
  return {
    ...{ datanets, indexId: index.id, methodsHash: indexMethodsHash, contextTokensMax },
    retrieve: async (question) => retrieve(parts, question, passagesMax, contextTokensMax * BYTES_PER_TOKEN),
    attribute: async (input) => attribute(parts, payees, input),
  };
}

/** The best records, as many as fit; a question that they cannot answer gets none, and so credits none for being at hand. */
function retrieve({ retrieval, records }: GroundingParts, question: string, most: number, bytesMax: number): Passage[] {
  const { hits, isAnswerable } = retrieval.search(question, most);
  const passages: Passage[] = [];
  let bytes = 0;
  for (const { record: number, score } of isAnswerable ? hits : []) {
    const { id, title, headingPath, text, source } = records[number]!;
    bytes += Buffer.byteLength(text);
    if (bytes > bytesMax) break;
    passages.push({ record: id, number, title, headings: headingPath, text, source, score });
  }
  return passages;
}

function attribute(parts: GroundingParts, payees: NumberedPayees, input: AttributionInput): Attribution {
  const { index, records, clusters } = parts;
  const context = input.passages.map((passage) => passage.number);
  const found = attributeText(index, input.answer, { context, ...(clusters === undefined ? {} : { clusters }) });
  const payeesOf = (record: number) => payees.ofRecord(record);
  const weighed = weighPayees(found, { payeesOf, receiptId: input.receipt, payeesMax: PAYEES_MAX });
  return {
    shares: weighed.shares.map(({ payee, weight }) => ({ ...payees.byNumber[payee - 1]!, weight })),
    unattributed: weighed.unattributed,
    evidenceRoot: evidenceRoot(found.evidence, found.totalUnits),
    evidence: found.evidence.map(({ kind, recordNumber, output, source, weight }) => {
      const { id, title, source: where, authors } = records[recordNumber]!;
      const paid = payees.ofRecord(recordNumber)[0];
      return {
        ...{ kind, weight, record: id, title, source: where, author: authors.map(({ name }) => name).join(", ") },
        payee: paid === undefined ? toHex(nobody) : toHex(payees.byNumber[paid.payee - 1]!.payee),
        output: [output.from, output.until] satisfies [number, number],
        position: [source.from, source.until] satisfies [number, number],
        text: input.answer.slice(output.from, output.until),
      };
    }),
  };
}

interface NumberedPayees {
  /** Ascending by 32-byte id; a payee's number is its place, from 1. */
  readonly byNumber: readonly Omit<PayeeShare, "weight">[];
  ofRecord(record: number): readonly Share[];
}

/**
 * Weighing wants payees in an order that anybody can recompute before the journal has numbered them: ascending by 32-byte id,
 * over all payees of the index.
 */
function numberPayees({ records, payeesOf }: GroundingParts): NumberedPayees {
  const known = new Map<string, Omit<PayeeShare, "weight">>();
  for (const record of records)
    for (const { payee, type } of payeesOf(record)) known.set(toHex(payee), { payee, type });
  const byNumber = [...known.values()].sort((a, b) => compareBytes(a.payee, b.payee));
  const numbers = new Map(byNumber.map(({ payee }, i) => [toHex(payee), i + 1]));
  const ofRecord = (record: number) =>
    payeesOf(records[record]!).map(({ payee, weight }) => ({ payee: numbers.get(toHex(payee)) ?? 0, weight }));
  return { byNumber, ofRecord };
}

const nobody = new Uint8Array(32);

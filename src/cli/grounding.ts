import { attributeText, indexMethodsHash } from "../attribution/attribute.ts";
import { evidenceRoot } from "../attribution/evidence.ts";
import { weighPayees } from "../attribution/payeeWeights.ts";
import { compareBytes, toHex } from "../core/bytes.ts";
import type { Passage } from "../core/engine.ts";
import type { PayeeType } from "../core/entry.ts";
import type { Share } from "../core/route.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import { type IdentityScope, identityPayeeId, isAddressIdentity } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { Attribution, AttributionInput, Grounding } from "../gateway/ports.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";

/** What a grounded model stands on: one version's records with their index, and who is paid for each. */
export interface Ground {
  readonly datanet: string;
  readonly records: readonly DatanetRecord[];
  readonly index: CorpusIndex;
  readonly people: People;
}

const PASSAGES_MAX = 6;
const PAYEES_MAX = 40;
/** Six records of at most 20,000 characters would be too much context: longer ones are cut for the hold's sake. */
const CONTEXT_TOKENS_MAX = 8_192;

/** Retrieval before, and attribution after: both over the same records, so that what was read can be credited. */
export function groundModel({ datanet, records, index, people }: Ground): Grounding {
  const search = new Bm25Index(records);
  const passages = (hits: readonly { readonly record: number; readonly score: number }[]): Passage[] =>
    hits.map(({ record: number, score }) => {
      const { id, title, headingPath: headings, text, source } = records[number]!;
      return { record: id, number, title, headings, text, source, score };
    });
  return {
    datanets: [datanet],
    indexId: index.id,
    methodsHash: indexMethodsHash,
    contextTokensMax: CONTEXT_TOKENS_MAX,
    retrieve: (question) => {
      const found = search.search(question, PASSAGES_MAX);
      return Promise.resolve(found.isAnswerable ? passages(found.hits) : []);
    },
    attribute: (input) => Promise.resolve(attribute(records, index, people, input)),
  };
}

function attribute(
  records: readonly DatanetRecord[],
  index: CorpusIndex,
  people: People,
  input: AttributionInput,
): Attribution {
  const found = attributeText(index, input.answer, { context: input.passages.map((passage) => passage.number) });
  const { shares, unattributed } = weighPayees(found, {
    payeesOf: (record) => people.sharesOf(records[record]!),
    receiptId: input.receipt,
    payeesMax: PAYEES_MAX,
  });
  return {
    shares: shares.map(({ payee, weight }) => ({ ...people.payee(payee), weight })),
    unattributed,
    evidenceRoot: evidenceRoot(found.evidence, found.totalUnits),
    evidence: found.evidence.map((item) => {
      const record = records[item.recordNumber]!;
      const first = people.sharesOf(record)[0];
      return {
        ...{ kind: item.kind, weight: item.weight, record: record.id, title: record.title, source: record.source },
        payee: first === undefined ? toHex(new Uint8Array(32)) : toHex(people.payee(first.payee).payee),
        author: people.namesOf(record),
        output: [item.output.from, item.output.until] as [number, number],
        position: [item.source.from, item.source.until] as [number, number],
        text: input.answer.slice(item.output.from, item.output.until),
      };
    }),
  };
}

interface Person {
  readonly payee: Uint8Array;
  readonly type: PayeeType;
  readonly name: string;
  readonly identity: string;
}

/**
 * Who is paid for the records: their authors, in equal parts. People are numbered by ascending payee id, so that whoever knows the records and the
 * ids computes the same weights.
 */
export class People {
  readonly #numbers = new Map<string, number>();
  readonly #people: readonly Person[];
  readonly #byPayee: ReadonlyMap<string, Person>;

  constructor(scope: IdentityScope, records: readonly DatanetRecord[]) {
    const people = new Map<string, Person>();
    for (const { identity, name } of records.flatMap((record) => record.authors)) {
      if (people.has(identity)) continue;
      const type = isAddressIdentity(identity) ? "party" : "identity";
      people.set(identity, { payee: identityPayeeId(scope, identity), type, name, identity });
    }
    this.#people = [...people.values()].sort((a, b) => compareBytes(a.payee, b.payee));
    for (const [i, { identity }] of this.#people.entries()) this.#numbers.set(identity, i + 1);
    this.#byPayee = new Map(this.#people.map((person) => [toHex(person.payee), person]));
  }

  payee(number: number): { readonly payee: Uint8Array; readonly type: PayeeType } {
    const { payee, type } = this.#people[number - 1]!;
    return { payee, type };
  }

  sharesOf(record: DatanetRecord): Share[] {
    const numbers = new Set(record.authors.map((author) => this.#numbers.get(author.identity)!));
    return [...numbers].sort((a, b) => a - b).map((payee) => ({ payee, weight: 1 }));
  }

  namesOf(record: DatanetRecord): string {
    return record.authors.map((author) => author.name).join(", ");
  }

  /** A name for a payee id, for screens. */
  labelOf(payee: Uint8Array): string | undefined {
    return this.#byPayee.get(toHex(payee))?.name;
  }
}

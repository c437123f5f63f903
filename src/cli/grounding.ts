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

/** What a grounded model stands on: the records of one version, or of several, with their index, and who is paid for each. */
export interface Ground {
  readonly datanets: readonly string[];
  readonly records: readonly DatanetRecord[];
  readonly index: CorpusIndex;
  readonly people: People;
  /** Tokens of records that the model's context has room for; 0 retrieves nothing. */
  readonly contextTokensMax?: number;
}

const PASSAGES_MAX = 6;
const PAYEES_MAX = 40;
/** Six records of at most 20,000 characters would be too much context: longer ones are cut for the hold's sake. */
const CONTEXT_TOKENS_MAX = 8_192;

/** Retrieval before, and attribution after: both over the same records, so that what was read can be credited. */
export function groundModel(ground: Ground): Grounding {
  const { datanets, records, index, people, contextTokensMax = CONTEXT_TOKENS_MAX } = ground;
  const search = contextTokensMax === 0 ? undefined : new Bm25Index(records);
  const passages = (hits: readonly { readonly record: number; readonly score: number }[]): Passage[] =>
    hits.map(({ record: number, score }) => {
      const { id, title, headingPath: headings, text, source } = records[number]!;
      return { record: id, number, title, headings, text, source, score };
    });
  return {
    datanets,
    indexId: index.id,
    methodsHash: indexMethodsHash,
    contextTokensMax,
    retrieve: (question) => {
      const found = search?.search(question, PASSAGES_MAX);
      return Promise.resolve(found?.isAnswerable === true ? passages(found.hits) : []);
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

/** Records of one datanet; `scope` keys the payee ids of their authors. */
export interface Origin {
  readonly scope: IdentityScope;
  readonly records: readonly DatanetRecord[];
}

/**
 * Who is paid for the records: their authors, in equal parts. People are numbered by ascending payee id, so that whoever knows the records and the
 * ids computes the same weights. A record that several datanets hold counts for the first of them.
 */
export class People {
  /** By payee id. */
  readonly #numbers = new Map<string, number>();
  readonly #people: readonly Person[];
  readonly #byPayee: ReadonlyMap<string, Person>;
  /** Payee ids of a record's authors, by record id. */
  readonly #payees = new Map<string, readonly string[]>();

  constructor(...origins: readonly Origin[]) {
    const people = new Map<string, Person>();
    for (const { scope, records } of origins) {
      const known = new Map<string, string>();
      for (const { id, authors } of records) {
        if (this.#payees.has(id)) continue;
        const payees = authors.map(({ identity, name }) => {
          const payee = known.get(identity) ?? toHex(addPerson(people, scope, identity, name));
          known.set(identity, payee);
          return payee;
        });
        this.#payees.set(id, [...new Set(payees)]);
      }
    }
    this.#people = [...people.values()].sort((a, b) => compareBytes(a.payee, b.payee));
    this.#byPayee = people;
    for (const [i, { payee }] of this.#people.entries()) this.#numbers.set(toHex(payee), i + 1);
  }

  payee(number: number): { readonly payee: Uint8Array; readonly type: PayeeType } {
    const { payee, type } = this.#people[number - 1]!;
    return { payee, type };
  }

  sharesOf(record: DatanetRecord): Share[] {
    const numbers = this.#payees.get(record.id)!.map((payee) => this.#numbers.get(payee)!);
    return numbers.sort((a, b) => a - b).map((payee) => ({ payee, weight: 1 }));
  }

  namesOf(record: DatanetRecord): string {
    return record.authors.map((author) => author.name).join(", ");
  }

  /** A name for a payee id, for screens. */
  labelOf(payee: Uint8Array): string | undefined {
    return this.#byPayee.get(toHex(payee))?.name;
  }
}

/** The payee id of an identity, which is among `people` from then on. */
function addPerson(people: Map<string, Person>, scope: IdentityScope, identity: string, name: string): Uint8Array {
  const payee = identityPayeeId(scope, identity);
  const type = isAddressIdentity(identity) ? "party" : "identity";
  const key = toHex(payee);
  if (!people.has(key)) people.set(key, { payee, type, name, identity });
  return payee;
}

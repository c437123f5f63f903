import { compareBytes, toHex } from "../core/bytes.ts";
import type { PayeeType } from "../core/entry.ts";
import type { Share } from "../core/route.ts";
import { type IdentityScope, identityPayeeId, isAddressIdentity } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { PayeeShare } from "../ledger/execution.ts";

interface Person {
  readonly payee: Uint8Array;
  readonly type: PayeeType;
  /** Undefined for those whom only an earlier answer credits. */
  readonly name: string | undefined;
}

/** Records of one datanet; `scope` keys the payee ids of their authors. */
export interface Origin {
  readonly scope: IdentityScope;
  readonly records: readonly DatanetRecord[];
}

/** Whom an earlier answer credits, which records repeat. */
export interface AnswerOrigin {
  readonly shares: readonly PayeeShare[];
}

/** A record that has a part of another's credit. */
export interface CitedPart {
  readonly record: DatanetRecord;
  readonly part: number;
}

/** What parts of a record's credit are rounded to. */
const CITED_TOTAL = 1_000_000;

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
  #passed: ((record: DatanetRecord) => readonly CitedPart[] | undefined) | undefined;

  constructor(...origins: readonly (Origin | AnswerOrigin)[]) {
    const people = new Map<string, Person>();
    for (const origin of origins) {
      if ("shares" in origin) addPayees(people, origin.shares);
      else this.#addRecords(people, origin);
    }
    this.#people = [...people.values()].sort((a, b) => compareBytes(a.payee, b.payee));
    this.#byPayee = people;
    for (const [i, { payee }] of this.#people.entries()) this.#numbers.set(toHex(payee), i + 1);
  }

  payee(number: number): { readonly payee: Uint8Array; readonly type: PayeeType } {
    const { payee, type } = this.#people[number - 1]!;
    return { payee, type };
  }

  /** A part of each record's credit goes to the authors of what it builds on: `passed` says to which records, in parts that sum to 1. */
  citing(passed: (record: DatanetRecord) => readonly CitedPart[] | undefined): this {
    this.#passed = passed;
    return this;
  }

  sharesOf(record: DatanetRecord): Share[] {
    const parts = this.#passed?.(record);
    if (parts !== undefined) return this.#alongCitations(parts);
    const numbers = this.#payees.get(record.id)!.map((payee) => this.#numbers.get(payee)!);
    return numbers.sort((a, b) => a - b).map((payee) => ({ payee, weight: 1 }));
  }

  #alongCitations(parts: readonly CitedPart[]): Share[] {
    const weights = new Map<number, number>();
    for (const { record, part } of parts) {
      const payees = this.#payees.get(record.id)!;
      for (const payee of payees) {
        const number = this.#numbers.get(payee)!;
        weights.set(number, (weights.get(number) ?? 0) + part / payees.length);
      }
    }
    const shares = [...weights].map(([payee, part]) => ({ payee, weight: Math.round(part * CITED_TOTAL) }));
    return shares.filter(({ weight }) => weight > 0).sort((a, b) => a.payee - b.payee);
  }

  /** Those whom an earlier answer credits, by their weights. */
  numbered(shares: readonly PayeeShare[]): Share[] {
    const numbered = shares.map(({ payee, weight }) => ({ payee: this.#numbers.get(toHex(payee))!, weight }));
    return numbered.sort((a, b) => a.payee - b.payee);
  }

  namesOf(record: DatanetRecord): string {
    return record.authors.map((author) => author.name).join(", ");
  }

  /** A name for a payee id, for screens. */
  labelOf(payee: Uint8Array): string | undefined {
    return this.#byPayee.get(toHex(payee))?.name;
  }

  #addRecords(people: Map<string, Person>, { scope, records }: Origin): void {
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
}

/** The payee id of an identity, which is among `people` from then on. */
function addPerson(people: Map<string, Person>, scope: IdentityScope, identity: string, name: string): Uint8Array {
  const payee = identityPayeeId(scope, identity);
  const type = isAddressIdentity(identity) ? "party" : "identity";
  const key = toHex(payee);
  if (people.get(key)?.name === undefined) people.set(key, { payee, type, name });
  return payee;
}

function addPayees(people: Map<string, Person>, shares: readonly PayeeShare[]): void {
  for (const { payee, type } of shares)
    if (!people.has(toHex(payee))) people.set(toHex(payee), { payee, type, name: undefined });
}

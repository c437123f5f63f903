import { decodeEntry } from "../core/entry.ts";
import { assert } from "../core/result.ts";
import type { Books } from "./ledger.ts";

/** What the treasury's legs came to in the journal's first entries. */
export interface IncomeUntil {
  /** The next entry to read. */
  readonly seq: number;
  readonly nano: bigint;
}

export interface IncomeStore {
  income(): Promise<IncomeUntil | undefined>;
  saveIncome(income: IncomeUntil): Promise<void>;
}

const SAVED_EVERY = 100_000;

/** What the treasury has earned as the treasury: its payee often is the node, which earns as an operator and an owner too. Read from the journal, from where it stopped the last time. */
export class TreasuryIncome {
  readonly #books: Pick<Books, "entries" | "size">;
  readonly #store: IncomeStore;
  #turn: Promise<IncomeUntil> | undefined;

  constructor(books: Pick<Books, "entries" | "size">, store: IncomeStore) {
    this.#books = books;
    this.#store = store;
  }

  /** Nano; corrections have been taken off. */
  async total(): Promise<bigint> {
    const before = this.#turn ?? this.#store.income().then((known) => known ?? { seq: 0, nano: 0n });
    this.#turn = before.then((known) => this.#readOn(known));
    try {
      return (await this.#turn).nano;
    } catch (error) {
      this.#turn = undefined;
      throw error;
    }
  }

  async #readOn(known: IncomeUntil): Promise<IncomeUntil> {
    let { seq, nano } = known;
    for await (const bytes of this.#books.entries(seq, this.#books.size())) {
      nano += treasuryPart(bytes);
      seq += 1;
      if (seq % SAVED_EVERY === 0) await this.#store.saveIncome({ seq, nano });
    }
    if (seq !== known.seq) await this.#store.saveIncome({ seq, nano });
    return { seq, nano };
  }
}

function treasuryPart(bytes: Uint8Array): bigint {
  const decoded = decodeEntry(bytes);
  assert(decoded.ok, "an entry of our own journal decodes");
  const entry = decoded.value;
  const legs = entry.kind === "receipt" ? entry.receipt.legs : entry.kind === "correction" ? entry.correction.legs : [];
  return legs.reduce((sum, { role, amount }) => (role === "treasury" ? sum + BigInt(amount) : sum), 0n);
}

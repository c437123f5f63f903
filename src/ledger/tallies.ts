import { bytesOfKey, keyOf } from "./keyOf.ts";

/** A running total that whoever reads it often keeps hold of. */
export interface Tally {
  readonly nano: bigint;
}

/** Nano by party: accounts by pseudonym, payers by id. */
export class Tallies {
  readonly #tallies = new Map<string, { nano: bigint }>();

  of(party: Uint8Array): Tally {
    return this.#at(keyOf(party));
  }

  add(party: Uint8Array, amount: number): void {
    if (amount !== 0) this.#at(keyOf(party)).nano += BigInt(amount);
  }

  total(): bigint {
    let total = 0n;
    for (const { nano } of this.#tallies.values()) total += nano;
    return total;
  }

  /** Everybody's is nothing again; whoever keeps hold of one sees that too. */
  clear(): void {
    for (const tally of this.#tallies.values()) tally.nano = 0n;
  }

  *entries(): Generator<readonly [party: Uint8Array, nano: bigint]> {
    for (const [key, { nano }] of this.#tallies) yield [bytesOfKey(key), nano];
  }

  load(totals: Iterable<readonly [party: Uint8Array, nano: bigint]>): void {
    for (const [party, nano] of totals) this.#at(keyOf(party)).nano = nano;
  }

  #at(key: string): { nano: bigint } {
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      tally = { nano: 0n };
      this.#tallies.set(key, tally);
    }
    return tally;
  }
}

/** How many postings of an epoch each payee has, and what they come to: memory for payees, not for postings. */
export class PostingSums {
  /** By payee number. */
  #counts = new Uint32Array(1_024);
  #nano = new Float64Array(1_024);
  /** What did not fit a number any more. */
  readonly #whole = new Map<number, bigint>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(payee: number, amount: number): void {
    if (payee >= this.#counts.length) this.#grow(payee);
    this.#count += 1;
    this.#counts[payee]! += 1;
    const next = this.#nano[payee]! + amount;
    if (Number.isSafeInteger(next)) this.#nano[payee] = next;
    else {
      this.#whole.set(payee, (this.#whole.get(payee) ?? 0n) + BigInt(this.#nano[payee]!));
      this.#nano[payee] = amount;
    }
  }

  /** Those with postings, ascending by number. */
  *payees(): Generator<number, void> {
    for (let payee = 0; payee < this.#counts.length; payee++) if (this.#counts[payee]! > 0) yield payee;
  }

  countOf(payee: number): number {
    return this.#counts[payee] ?? 0;
  }

  sumOf(payee: number): bigint {
    return (this.#whole.get(payee) ?? 0n) + BigInt(this.#nano[payee] ?? 0);
  }

  #grow(payee: number): void {
    let size = this.#counts.length;
    while (size <= payee) size *= 2;
    const [counts, nano] = [new Uint32Array(size), new Float64Array(size)];
    counts.set(this.#counts);
    nano.set(this.#nano);
    [this.#counts, this.#nano] = [counts, nano];
  }
}

/**
 * The signed postings of an epoch, as flat columns: a million of them are 24 MB without an object each.
 * They are added in journal order, that is ascending by (seq, leg).
 */
export class Postings {
  #payees = new Uint32Array(1_024);
  #seqs = new Float64Array(1_024);
  #legs = new Uint32Array(1_024);
  #amounts = new Float64Array(1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(payee: number, seq: number, leg: number, amount: number): void {
    if (this.#count === this.#payees.length) this.#grow();
    const at = this.#count++;
    this.#payees[at] = payee;
    this.#seqs[at] = seq;
    this.#legs[at] = leg;
    this.#amounts[at] = amount;
  }

  payeeAt(at: number): number {
    return this.#payees[at]!;
  }

  seqAt(at: number): number {
    return this.#seqs[at]!;
  }

  legAt(at: number): number {
    return this.#legs[at]!;
  }

  amountAt(at: number): number {
    return this.#amounts[at]!;
  }

  /** Takes out the postings whose seq is below `end`. */
  takeBefore(end: number): Postings {
    const [taken, kept] = [new Postings(), new Postings()];
    for (let at = 0; at < this.#count; at++) {
      const into = this.#seqs[at]! < end ? taken : kept;
      into.add(this.#payees[at]!, this.#seqs[at]!, this.#legs[at]!, this.#amounts[at]!);
    }
    this.#payees = kept.#payees;
    this.#seqs = kept.#seqs;
    this.#legs = kept.#legs;
    this.#amounts = kept.#amounts;
    this.#count = kept.#count;
    return taken;
  }

  /** All of them, in journal order. */
  each(visit: (payee: number, seq: number, leg: number, amount: number) => void): void {
    for (let at = 0; at < this.#count; at++)
      visit(this.#payees[at]!, this.#seqs[at]!, this.#legs[at]!, this.#amounts[at]!);
  }

  #grow(): void {
    const size = this.#payees.length * 2;
    this.#payees = enlarged(new Uint32Array(size), this.#payees);
    this.#legs = enlarged(new Uint32Array(size), this.#legs);
    this.#seqs = enlarged(new Float64Array(size), this.#seqs);
    this.#amounts = enlarged(new Float64Array(size), this.#amounts);
  }
}

function enlarged<T extends Uint32Array | Float64Array>(into: T, from: T): T {
  into.set(from);
  return into;
}

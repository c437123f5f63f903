/**
 * What every payee of a ledger was credited, by payee number: settled in closed epochs, in the epoch that is being closed, and in the open one.
 * Flat columns, so that a receipt's legs are array additions.
 */
export class Accruals {
  #open = new Float64Array(1_024);
  /** Between the cut of an epoch and the entry that closes it. */
  #closing: Float64Array | undefined;
  #settled = new BigInt64Array(1_024);
  #isPool = new Uint8Array(1_024);
  #count = 1; // payee 0 is nobody
  /** Nano that evidence earned, by datanet and payee: in the epochs before, halved at each close, and since. */
  #measured = new Map<number, Map<number, number>>();

  get count(): number {
    return this.#count;
  }

  addPayee(isPool: boolean): void {
    if (this.#count === this.#open.length) this.#grow();
    this.#isPool[this.#count] = isPool ? 1 : 0;
    this.#count += 1;
  }

  isPool(payee: number): boolean {
    return this.#isPool[payee] === 1;
  }

  credit(payee: number, amount: number): void {
    this.#open[payee]! += amount;
  }

  /** Nano credited in the open epoch, less what was spent of it. */
  open(payee: number): number {
    return this.#open[payee] ?? 0;
  }

  /** Lifetime nano: settled, being closed, and open. */
  lifetime(payee: number): bigint {
    return this.settled(payee) + BigInt(this.#closing?.[payee] ?? 0) + BigInt(this.open(payee));
  }

  settled(payee: number): bigint {
    return this.#settled[payee] ?? 0n;
  }

  /** Σ over payees that are no pools, and pools that were not divided yet. */
  totalCredited(): bigint {
    let total = 0n;
    for (let payee = 1; payee < this.#count; payee++) total += this.lifetime(payee);
    return total;
  }

  /** Payees with a settled total, ascending by number. */
  settledTotals(): Map<number, bigint> {
    const totals = new Map<number, bigint>();
    for (let payee = 1; payee < this.#count; payee++)
      if (this.#settled[payee] !== 0n) totals.set(payee, this.#settled[payee]!);
    return totals;
  }

  /** Pools that were credited and not divided, ascending by number. */
  openPools(): number[] {
    const pools: number[] = [];
    for (let payee = 1; payee < this.#count; payee++)
      if (this.#isPool[payee] === 1 && this.#open[payee] !== 0) pools.push(payee);
    return pools;
  }

  /** From here on credits belong to the next epoch. A cut whose epoch was never closed is taken back first. */
  cut(): void {
    if (this.#closing !== undefined) this.#undoCut();
    this.#closing = this.#open;
    this.#open = new Float64Array(this.#closing.length);
  }

  /** The epoch that was cut is closed. */
  settle(): void {
    const closing = this.#closing;
    if (closing === undefined) return;
    for (let payee = 1; payee < this.#count; payee++)
      if (closing[payee] !== 0) this.#settled[payee]! += BigInt(closing[payee]!);
    this.#closing = undefined;
    for (const payees of this.#measured.values()) for (const [payee, amount] of payees) payees.set(payee, amount / 2);
  }

  /** What was settled so far is no balance any more: whoever is still owed a part of it is credited that part again. */
  forget(): void {
    this.#settled.fill(0n);
  }

  /** Evidence of its own earned `payee` this much from a datanet, which the datanet's asset seq names. */
  measure(datanet: number, payee: number, amount: number): void {
    const payees = this.#measured.get(datanet) ?? new Map<number, number>();
    this.#measured.set(datanet, payees);
    payees.set(payee, (payees.get(payee) ?? 0) + amount);
  }

  measured(datanet: number): ReadonlyMap<number, number> {
    return this.#measured.get(datanet) ?? new Map();
  }

  columns() {
    const count = this.#count;
    return {
      open: this.#open.slice(0, count),
      closing: this.#closing?.slice(0, count),
      settled: this.#settled.slice(0, count),
      isPool: this.#isPool.slice(0, count),
      measured: this.#measured,
    };
  }

  load(columns: ReturnType<Accruals["columns"]>): void {
    this.#open = new Float64Array(columns.open);
    this.#closing = columns.closing === undefined ? undefined : new Float64Array(columns.closing);
    this.#settled = new BigInt64Array(columns.settled);
    this.#isPool = new Uint8Array(columns.isPool);
    this.#count = this.#open.length;
    this.#measured = new Map(columns.measured);
  }

  #undoCut(): void {
    for (let payee = 1; payee < this.#count; payee++) this.#open[payee]! += this.#closing![payee] ?? 0;
    this.#closing = undefined;
  }

  #grow(): void {
    const size = Math.max(1_024, this.#open.length * 2);
    this.#open = widened(new Float64Array(size), this.#open);
    if (this.#closing !== undefined) this.#closing = widened(new Float64Array(size), this.#closing);
    this.#settled = widenedBig(new BigInt64Array(size), this.#settled);
    this.#isPool = widened(new Uint8Array(size), this.#isPool);
  }
}

function widened<T extends Float64Array | Uint8Array>(into: T, from: T): T {
  into.set(from);
  return into;
}

function widenedBig(into: BigInt64Array<ArrayBuffer>, from: BigInt64Array<ArrayBuffer>): BigInt64Array<ArrayBuffer> {
  into.set(from);
  return into;
}

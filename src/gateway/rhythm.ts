import { decodeEntry } from "../core/entry.ts";
import { ReceiptView } from "../core/receiptView.ts";
import { roleCode } from "../core/route.ts";
import type { Books } from "../ledger/ledger.ts";
import type { Beat, RhythmView } from "../protocol/service.ts";

const MINUTE_MS = 60_000;
const MINUTES_KEPT = 1_440;
/** At start the last so many entries of the journal are read back. */
const SEEDED_ENTRIES = 50_000;

/**
 * The rhythm: how often executions happen, contributors are compensated and fees are distributed, by the minute, for a day.
 * An execution is a receipt, a distribution a leg that carries something, a compensation such a leg to a contributor or a prior pool.
 */
export class Rhythm {
  readonly #minutes = new Map<number, Minute>();
  #seed: Promise<void> | undefined;

  /** `entry` is a receipt's, as it stands in the journal: it is counted where it stands, for decoding it would be a tenth of a request. */
  count(timeMs: number, entry: Uint8Array): void {
    const minute = this.#minuteAt(Math.floor(timeMs / MINUTE_MS));
    minute.executions += 1;
    let distributed = 0;
    new ReceiptView(entry).eachLeg((_payee, amount, _index, role) => {
      if (amount === 0) return;
      minute.distributions += 1;
      distributed += amount;
      if (role === roleCode.contributor || role === roleCode.prior) minute.compensations += 1;
    });
    // A fee is below 2^53, and so is what its legs add up to.
    minute.distributed += BigInt(distributed);
    if (this.#minutes.size > MINUTES_KEPT + 60) this.#forget(Math.floor(timeMs / MINUTE_MS) - MINUTES_KEPT);
  }

  /** Reads back what happened before this process started; once, however often it is asked for. */
  seed(books: Books, until: number): Promise<void> {
    this.#seed ??= this.#read(books, until);
    return this.#seed;
  }

  view(nowMs: number): RhythmView {
    const now = Math.floor(nowMs / MINUTE_MS);
    const over = (minutes: number): Beat => this.#sum(now - minutes + 1, now);
    const perMinute = Array.from({ length: 60 }, (_, i) => this.#sum(now - 59 + i, now - 59 + i));
    return { lastMinute: over(1), lastHour: over(60), lastDay: over(MINUTES_KEPT), perMinute };
  }

  async #read(books: Books, until: number): Promise<void> {
    for await (const bytes of books.entries(Math.max(0, until - SEEDED_ENTRIES), until)) {
      const entry = decodeEntry(bytes);
      if (entry.ok && entry.value.kind === "receipt") this.count(entry.value.timeMs, bytes);
    }
  }

  #sum(from: number, until: number): Beat {
    const sum = { executions: 0, compensations: 0, distributions: 0, distributed: 0n };
    for (const [at, minute] of this.#minutes) {
      if (at < from || at > until) continue;
      sum.executions += minute.executions;
      sum.compensations += minute.compensations;
      sum.distributions += minute.distributions;
      sum.distributed += minute.distributed;
    }
    return { ...sum, distributed: sum.distributed.toString(), untilMs: (until + 1) * MINUTE_MS };
  }

  #minuteAt(at: number): Minute {
    let minute = this.#minutes.get(at);
    if (minute === undefined) {
      minute = { executions: 0, compensations: 0, distributions: 0, distributed: 0n };
      this.#minutes.set(at, minute);
    }
    return minute;
  }

  #forget(before: number): void {
    for (const at of this.#minutes.keys()) if (at < before) this.#minutes.delete(at);
  }
}

interface Minute {
  executions: number;
  compensations: number;
  distributions: number;
  distributed: bigint;
}

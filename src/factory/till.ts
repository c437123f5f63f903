import { ok, type Result } from "../core/result.ts";
import type { Job } from "./job.ts";
import type { JobBook } from "./jobBook.ts";
import { type TrainingBooks, worstOf } from "./payment.ts";

/**
 * Pays for jobs. What a job owes is written with the change that ends a stretch of it, and posted afterwards: a node that dies in between posts it when it
 * starts again, and whoever posts it twice gets the same receipt.
 */
export class Till {
  readonly #books: TrainingBooks;
  readonly #book: JobBook;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(books: TrainingBooks, book: JobBook) {
    this.#books = books;
    this.#book = book;
  }

  /** No hold, no start. */
  async hold(job: Job): Promise<Result<void>> {
    const worst = worstOf(job);
    return worst === undefined ? ok(undefined) : this.#books.hold(job, worst);
  }

  /** A training that ran elsewhere is due as a whole. */
  async holdElsewhere(job: Job): Promise<Result<void>> {
    const worst = worstOf(job);
    return worst === undefined ? ok(undefined) : this.#books.hold(job, { ...worst, isElsewhere: true });
  }

  release(job: string): Promise<void> {
    return this.#books.release(job);
  }

  /** Posts what is owed, and gives back what is held beyond that. What is refused stays owed, and is asked for again. */
  settle(id: string): Promise<Result<Job>> {
    const settled = this.#turn.then(() => this.#settle(id));
    this.#turn = settled.catch(() => undefined);
    return settled;
  }

  async #settle(id: string): Promise<Result<Job>> {
    const job = await this.#book.find(id);
    if (!job.ok) return job;
    const { owed } = job.value;
    if (owed === undefined) {
      await this.#books.release(id);
      return job;
    }
    const posted = await this.#books.post(job.value, owed);
    if (!posted.ok) return posted;
    return this.#book.update(id, (now) => {
      const { owed: _posted, ...rest } = now;
      return ok({ ...rest, paid: [...now.paid, posted.value] });
    });
  }
}

import { ok, RefusalError, type Result, refuse } from "../core/result.ts";
import type { Job, JobEvent, Progress } from "./job.ts";
import type { FactoryPorts } from "./ports.ts";

/** Jobs as they are kept, one change after the other, with the progress of the one that runs. */
export class JobBook {
  readonly #ports: Pick<FactoryPorts, "store" | "nowMs">;
  readonly #live = new Map<string, Progress>();
  readonly #numbers = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: Pick<FactoryPorts, "store" | "nowMs">) {
    this.#ports = ports;
  }

  async find(id: string): Promise<Result<Job>> {
    const job = await this.#ports.store.job(id);
    return job === undefined ? unknownJob(id) : ok(this.withProgress(job));
  }

  withProgress(job: Job): Job {
    const progress = this.#live.get(job.id);
    return progress === undefined ? job : { ...job, progress };
  }

  /** Reads, changes and keeps the job; no other change comes between. What `change` refuses changes nothing. */
  update(id: string, change: (job: Job) => Result<Job>): Promise<Result<Job>> {
    return this.#inTurn(async () => {
      const job = await this.find(id);
      if (!job.ok) return job;
      const changed = change(job.value);
      if (!changed.ok) return changed;
      const saved = await this.#ports.store.saveJob(changed.value);
      return saved.ok ? changed : saved;
    });
  }

  /** Seen by whoever looks, and kept with the next change. */
  progress(id: string, progress: Progress | undefined): void {
    if (progress === undefined) this.#live.delete(id);
    else this.#live.set(id, progress);
  }

  event(id: string, level: JobEvent["level"], message: string, data?: JobEvent["data"]): void {
    const timeMs = this.#ports.nowMs();
    void this.#inTurn(async () => {
      const known = this.#numbers.get(id) ?? (await this.#ports.store.events(id, { limit: 1 }))[0]?.number ?? 0;
      const event: JobEvent = { number: known + 1, timeMs, level, message, ...(data === undefined ? {} : { data }) };
      // An event tells of the work; a store that is away shows itself at the next change of the job.
      const added = await guarded(() => this.#ports.store.addEvents(id, [event]));
      if (added.ok) this.#numbers.set(id, known + 1);
      else this.#numbers.delete(id);
    }).catch(() => this.#numbers.delete(id));
  }

  /** After everything that was begun before. */
  async settled(): Promise<void> {
    await this.#turn.catch(() => undefined);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

/** A store that throws as one that refuses. */
export async function guarded<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    throw error;
  }
}

export function unknownJob(id: string): Result<never> {
  return refuse("not_found", `there is no job ${id.slice(0, 80)}`, { hint: "openledger model jobs lists them" });
}

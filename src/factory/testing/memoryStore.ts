import { RefusalError, type Result, refuse } from "../../core/result.ts";
import { isOpen, type Job, type JobEvent } from "../job.ts";
import type { FactoryStore, Page, StoredFile } from "../store.ts";

/** A factory's store in memory. While `isAway` every method fails as a database does that cannot be reached. */
export class MemoryFactoryStore implements FactoryStore {
  readonly #files = new Map<string, { readonly file: StoredFile; readonly content: Uint8Array }>();
  readonly #jobs = new Map<string, Job>();
  readonly #events = new Map<string, JobEvent[]>();
  readonly #speeds = new Map<string, number>();
  isAway = false;

  async addFile(file: StoredFile, content: Uint8Array): Promise<Result<StoredFile>> {
    if (this.isAway) return away;
    if (!this.#files.has(file.id)) this.#files.set(file.id, { file, content: content.slice() });
    return { ok: true, value: this.#files.get(file.id)!.file };
  }

  async file(id: string): Promise<StoredFile | undefined> {
    this.#reach();
    return this.#files.get(id)?.file;
  }

  async files(account: string | undefined, page: Page): Promise<readonly StoredFile[]> {
    this.#reach();
    const files = [...this.#files.values()].map(({ file }) => file);
    return part(files, account, page);
  }

  async fileBytes(account: string): Promise<number> {
    this.#reach();
    const own = [...this.#files.values()].filter(({ file }) => file.account === account);
    return own.reduce((sum, { file }) => sum + file.bytes, 0);
  }

  async fileContent(id: string): Promise<Uint8Array | undefined> {
    this.#reach();
    return this.#files.get(id)?.content.slice();
  }

  async deleteFile(id: string): Promise<boolean> {
    this.#reach();
    return this.#files.delete(id);
  }

  async addJob(job: Job): Promise<Result<Job>> {
    if (this.isAway) return away;
    if (!this.#jobs.has(job.id)) this.#jobs.set(job.id, structuredClone(job));
    return { ok: true, value: structuredClone(this.#jobs.get(job.id)!) };
  }

  async saveJob(job: Job): Promise<Result<void>> {
    if (this.isAway) return away;
    if (!this.#jobs.has(job.id)) return refuse("not_found", `there is no job ${job.id}`);
    this.#jobs.set(job.id, structuredClone(job));
    return { ok: true, value: undefined };
  }

  async job(id: string): Promise<Job | undefined> {
    this.#reach();
    return structuredClone(this.#jobs.get(id));
  }

  async jobs(account: string | undefined, page: Page): Promise<readonly Job[]> {
    this.#reach();
    return structuredClone(part([...this.#jobs.values()], account, page));
  }

  async openJobs(): Promise<readonly Job[]> {
    this.#reach();
    return structuredClone([...this.#jobs.values()].filter(isOpen));
  }

  async deployedJobs(): Promise<readonly Job[]> {
    this.#reach();
    return structuredClone([...this.#jobs.values()].filter(({ deployments }) => deployments.length > 0));
  }

  async addEvents(job: string, events: readonly JobEvent[]): Promise<Result<void>> {
    if (this.isAway) return away;
    const kept = this.#events.get(job) ?? [];
    this.#events.set(job, kept);
    for (const event of events) if (!kept.some(({ number }) => number === event.number)) kept.push(event);
    kept.sort((a, b) => a.number - b.number);
    return { ok: true, value: undefined };
  }

  async events(
    job: string,
    { before = Number.POSITIVE_INFINITY, limit }: { readonly before?: number; readonly limit: number },
  ): Promise<readonly JobEvent[]> {
    this.#reach();
    const below = (this.#events.get(job) ?? []).filter(({ number }) => number < before);
    return below.reverse().slice(0, limit);
  }

  async speed(key: string): Promise<number | undefined> {
    this.#reach();
    return this.#speeds.get(key);
  }

  async saveSpeed(key: string, tokensPerSecond: number): Promise<Result<void>> {
    if (this.isAway) return away;
    this.#speeds.set(key, tokensPerSecond);
    return { ok: true, value: undefined };
  }

  #reach(): void {
    if (this.isAway) throw new RefusalError(away.error);
  }
}

const away = refuse("store_unavailable", "the store is away");

/** Newest first, behind `after`. */
function part<T extends { readonly id: string; readonly account: string }>(
  all: readonly T[],
  account: string | undefined,
  { after, limit }: Page,
): T[] {
  const newest = all.filter((one) => account === undefined || one.account === account).reverse();
  if (after === undefined) return newest.slice(0, limit);
  const at = newest.findIndex(({ id }) => id === after);
  return at < 0 ? [] : newest.slice(at + 1, at + 1 + limit);
}

import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import type { Prices } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Aftercare, type DeployRequest } from "./aftercare.ts";
import type { Evaluation } from "./evaluation.ts";
import { FileDesk, type Viewer } from "./fileDesk.ts";
import { type Deployment, isOver, type Job, type JobEvent, overAlready } from "./job.ts";
import { guarded, JobBook, unknownJob } from "./jobBook.ts";
import { JobQueue } from "./jobQueue.ts";
import { orderHash, type PreparedJob, prepareJob, type TrainingOrder } from "./order.ts";
import { worstOf } from "./payment.ts";
import { differsFrom } from "./peftExport.ts";
import type { AdapterFiles, FactoryPorts } from "./ports.ts";
import type { Page } from "./store.ts";
import type { TariffDesk } from "./tariff.ts";
import { Till } from "./till.ts";

/** Jobs of one account that are not over. */
export const OPEN_JOBS_MAX = 32;
/** Orders that wait to be prepared, which takes a while where there is much to read. */
const PREPARING_MAX = 16;
/** Jobs that are looked through at once for those that are wanted. */
const PAGE_LOOKED_THROUGH = 200;

export interface OrderedBy {
  readonly account: string;
  /** The API key, whose limits what it costs counts against. */
  readonly keyId?: string;
  /** The same key with the same order is the same job; with another order it is refused. */
  readonly key?: string;
}

/** The model factory, for whoever opens a door to it: files, jobs, and what is done with what they have made. */
export class Factory {
  readonly files: FileDesk;
  readonly tariff: TariffDesk;
  readonly #ports: FactoryPorts;
  readonly #book: JobBook;
  readonly #till: Till;
  readonly #queue: JobQueue;
  readonly #aftercare: Aftercare;
  readonly #closing = new AbortController();
  #preparing = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: FactoryPorts) {
    this.#ports = ports;
    this.files = new FileDesk(ports);
    this.tariff = ports.tariff;
    this.#book = new JobBook(ports);
    this.#aftercare = new Aftercare(ports, this.#book);
    this.#till = new Till(ports.books, this.#book);
    this.#queue = new JobQueue(ports, this.#book, this.#till, (job, signal) =>
      this.#aftercare.afterTraining(job, signal),
    );
  }

  /** Goes on with what an earlier run has left. */
  start(): Promise<Result<void>> {
    return guarded(() => this.#queue.start());
  }

  /** Begins what waits, if nothing runs: to be called now and then, since the store may have been away when it was asked. */
  pump(): void {
    this.#queue.pump();
  }

  /** Stops the running job at its next step; it goes on when the factory starts again. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#queue.close();
    await this.#book.settled();
  }

  /** What an order would take, before anything begins. */
  estimate(account: string, order: TrainingOrder): Promise<Result<PreparedJob>> {
    return this.#prepare(account, order);
  }

  /** Durable when it returns; `isNew` is false for a repeated order. */
  order(by: OrderedBy, order: TrainingOrder): Promise<Result<{ readonly job: Job; readonly isNew: boolean }>> {
    return guarded(async () => {
      const { store, randomBytes, nowMs, shop } = this.#ports;
      const hash = orderHash(order);
      const seed = by.key === undefined ? randomBytes(32) : sha256(utf8(JSON.stringify([by.account, by.key])));
      const id = `ftjob-${toHex(seed).slice(2, 26)}`;
      const known = await store.job(id);
      if (known !== undefined) return this.#repeated(known, by, order);
      const open = (await store.openJobs()).filter(({ account }) => account === by.account);
      const owing = open.find(({ owed }) => owed !== undefined);
      if (owing !== undefined)
        return refuse("insufficient_funds", `the job ${owing.id} was not paid for yet`, {
          hint: "add credit to the account; what is owed is posted then",
        });
      if (open.length >= OPEN_JOBS_MAX)
        return refuse("rate_limited", `an account has at most ${OPEN_JOBS_MAX} jobs that are not over`);
      const name = order.deploy?.name;
      if (name !== undefined && shop.isTaken(name))
        return refuse("already_exists", `there is a model ${name} already`, { field: "openledger.deploy.name" });
      // Said now and not after a training that was paid for.
      const rival = name === undefined ? undefined : open.find(({ deploy }) => deploy?.name === name);
      if (rival !== undefined)
        return refuse("already_exists", `the job ${rival.id} is to be served as ${name}`, {
          hint: "choose another name, or cancel that job",
          field: "openledger.deploy.name",
        });
      const prepared = await this.#prepare(by.account, order);
      if (!prepared.ok) return prepared;
      const ordered = { id, account: by.account, createdMs: nowMs(), orderHash: hash };
      const job = newJob({ ...ordered, ...(by.keyId === undefined ? {} : { keyId: by.keyId }) }, order, prepared.value);
      const held = job.status === "paused" ? ok(undefined) : await this.#till.hold(job);
      if (!held.ok) return held;
      const added = await guarded(() => store.addJob(job));
      if (!added.ok) {
        await this.#till.release(id);
        return added;
      }
      if (added.value.status !== "queued" && added.value.status !== "running") await this.#till.release(id);
      // Somebody with the same key may have been faster.
      if (added.value.orderHash !== hash || added.value.createdMs !== job.createdMs)
        return this.#repeated(added.value, by, order);
      this.#book.event(id, "info", `Created fine-tuning job: ${id}`);
      await this.#book.settled();
      this.pump();
      return ok({ job: added.value, isNew: true });
    });
  }

  job(viewer: Viewer, id: string): Promise<Result<Job>> {
    return guarded(async () => {
      const job = await this.#book.find(id);
      return job.ok && viewer !== undefined && job.value.account !== viewer ? unknownJob(id) : job;
    });
  }

  /** Newest first; where `isWanted` is given, of those alone that it takes. */
  jobs(viewer: Viewer, page: Page, isWanted: (job: Job) => boolean = () => true): Promise<Result<readonly Job[]>> {
    return guarded(async () => {
      const found: Job[] = [];
      let next: Page | undefined = page;
      while (next !== undefined) {
        const jobs: readonly Job[] = await this.#ports.store.jobs(viewer, next);
        found.push(...jobs.filter(isWanted));
        const last: Job | undefined = jobs.length === next.limit && found.length < page.limit ? jobs.at(-1) : undefined;
        next = last && { limit: PAGE_LOOKED_THROUGH, after: last.id };
      }
      return ok(found.slice(0, page.limit).map((job) => this.#book.withProgress(job)));
    });
  }

  /** Newest first. */
  events(
    viewer: Viewer,
    id: string,
    page: { readonly before?: number; readonly limit: number },
  ): Promise<Result<readonly JobEvent[]>> {
    return this.#of(viewer, id, async () => ok(await this.#ports.store.events(id, page)));
  }

  cancel(viewer: Viewer, id: string): Promise<Result<Job>> {
    return this.#of(viewer, id, () => this.#queue.cancel(id));
  }

  pause(viewer: Viewer, id: string): Promise<Result<Job>> {
    return this.#of(viewer, id, () => this.#queue.pause(id));
  }

  /** From now on it counts against the limits of `keyId`, where that key is its account's. Refuses `insufficient_funds`. */
  resume(viewer: Viewer, id: string, by?: Pick<OrderedBy, "account" | "keyId">): Promise<Result<Job>> {
    return this.#of(viewer, id, (job) => this.#queue.resume(id, by?.account === job.account ? by.keyId : undefined));
  }

  /** Measures the result, or a kept checkpoint, beside its base. */
  evaluate(viewer: Viewer, id: string, step?: number): Promise<Result<Evaluation>> {
    return this.#of(viewer, id, (job) => this.#aftercare.evaluate(job, step, this.#closing.signal));
  }

  deploy(viewer: Viewer, id: string, request: DeployRequest): Promise<Result<Deployment>> {
    return this.#of(viewer, id, async (job) => {
      const { owed } = job;
      const paid = owed === undefined ? ok(undefined) : await this.#till.settle(id);
      return paid.ok ? this.#aftercare.deploy(job, request) : paid;
    });
  }

  /** Another royalty for a deployed model, from the next request on; what is not named stays. */
  reprice(viewer: Viewer, name: string, changes: Partial<Prices>): Promise<Result<Deployment>> {
    return guarded(async () => {
      const found = (await this.#ports.store.deployedJobs()).find(
        (job) => (viewer === undefined || job.account === viewer) && job.deployments.some((one) => one.name === name),
      );
      const deployment = found?.deployments.find((one) => one.name === name);
      if (found === undefined || deployment === undefined)
        return refuse("model_not_found", `no job has deployed a model ${name.slice(0, 128)}`, { field: "model" });
      const repriced = { ...deployment, royalty: { ...deployment.royalty, ...changes } };
      const done = await this.#ports.shop.reprice(repriced);
      if (!done.ok) return done;
      const kept = await this.#book.update(found.id, (now) =>
        ok({ ...now, deployments: now.deployments.map((one) => (one.name === name ? repriced : one)) }),
      );
      return kept.ok ? ok(repriced) : kept;
    });
  }

  /** An adapter that was trained elsewhere becomes the job's result. The same again is the same result. */
  importAdapter(viewer: Viewer, id: string, files: AdapterFiles): Promise<Result<Job>> {
    return this.#of(viewer, id, async (job) => {
      if (job.status === "running") return refuse("conflict", "the job is running here", { hint: "pause it first" });
      if (isOver(job) && job.result?.reason !== "imported") return overAlready(job);
      const base = await this.#ports.bases.find(job.base.name);
      if (!base.ok) return base;
      const why = files.provenance && differsFrom(job, files.provenance);
      if (why !== undefined) return refuse("invalid_request", `this is not the job's adapter: ${why}`);
      const held = isOver(job) ? ok(undefined) : await this.#till.holdElsewhere(job);
      if (!held.ok) return held;
      const hash = await this.#ports.folders.putAdapter(job, base.value, files);
      if (!hash.ok) {
        if (!isOver(job)) await this.#till.release(id);
        return hash;
      }
      const { trainedTokens, steps } = job.estimate;
      const result = { hash: hash.value, kind: "adapter", steps, trainedTokens, reason: "imported" } as const;
      const done = await this.#book.update(id, (now) => {
        if (now.result?.hash === hash.value) return ok(now);
        if (isOver(now)) return overAlready(now);
        if (now.status === "running") return refuse("conflict", "the job is running meanwhile");
        const finishedMs = this.#ports.nowMs();
        const owed = worstOf(now);
        return ok({
          ...{ ...now, status: "succeeded", finishedMs, result: { ...result, build: "imported" } },
          ...(owed === undefined ? {} : { owed: { ...owed, isElsewhere: true } }),
        });
      });
      const paid = await this.#till.settle(id);
      if (!done.ok || job.result !== undefined) return done.ok && paid.ok ? paid : done;
      this.#book.event(id, "info", "Its adapter was imported.");
      await this.#aftercare.afterTraining(done.value, this.#closing.signal);
      return this.#book.find(id);
    });
  }

  #repeated(known: Job, { account }: OrderedBy, order: TrainingOrder) {
    if (known.account === account && known.orderHash === orderHash(order)) return ok({ job: known, isNew: false });
    return refuse("idempotency_mismatch", "this idempotency key was used for another order");
  }

  /** One after the other: reading and encoding take the processor from whoever is served. */
  async #prepare(account: string, order: TrainingOrder): Promise<Result<PreparedJob>> {
    if (this.#preparing >= PREPARING_MAX)
      return refuse("queue_full", "many orders are being prepared", { hint: "try again in a moment" });
    this.#preparing += 1;
    const prepared = this.#turn.then(() => guarded(() => prepareJob(this.#ports, account, order)));
    this.#turn = prepared.catch(() => undefined);
    return prepared.finally(() => {
      this.#preparing -= 1;
    });
  }

  #of<T>(viewer: Viewer, id: string, work: (job: Job) => Promise<Result<T>>): Promise<Result<T>> {
    return guarded(async () => {
      const job = await this.job(viewer, id);
      return job.ok ? work(job.value) : job;
    });
  }
}

function newJob(
  ordered: Pick<Job, "id" | "account" | "keyId" | "createdMs" | "orderHash">,
  { suffix, metadata, deploy, isPaused, wish: { learningRateMultiplier } }: TrainingOrder,
  prepared: PreparedJob,
): Job {
  return {
    ...{ ...ordered, ...prepared, status: isPaused === true ? "paused" : "queued" },
    ...(learningRateMultiplier === undefined ? {} : { rateMultiplier: learningRateMultiplier }),
    ...(suffix === undefined ? {} : { suffix }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(deploy === undefined ? {} : { deploy }),
  };
}

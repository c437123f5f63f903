import { describe, expect, it } from "vitest";
import { noPrices } from "../../core/quote.ts";
import { unwrap } from "../../core/result.ts";
import type { Job, JobEvent } from "../job.ts";
import type { FactoryStore, StoredFile } from "../store.ts";

/** What every {@link FactoryStore} does. An adapter's test calls this with a way to get an empty store; `close` ends it. */
export function describeFactoryStore(
  name: string,
  open: () => Promise<{ store: FactoryStore; close: () => Promise<void> }>,
): void {
  const withStore: WithStore = async (run) => {
    const { store, close } = await open();
    try {
      await run(store);
    } finally {
      await close();
    }
  };
  describe(`${name}: files`, () => fileTests(withStore));
  describe(`${name}: jobs`, () => jobTests(withStore));
  describe(`${name}: events and speeds`, () => eventTests(withStore));
}

type WithStore = (run: (store: FactoryStore) => Promise<void>) => Promise<void>;

function fileTests(withStore: WithStore): void {
  it("a file is kept once, whoever brings it again, and gives its bytes back", () =>
    withStore(async (store) => {
      const content = new Uint8Array(3_000_000).map((_zero, i) => (i * 31) % 256);
      const file = fileOf(1, "a", content.length);
      expect(unwrap(await store.addFile(file, content))).toEqual(file);
      expect(unwrap(await store.addFile({ ...file, createdMs: 99 }, content))).toEqual(file);
      expect(await store.file(file.id)).toEqual(file);
      expect(Buffer.from((await store.fileContent(file.id))!).equals(content)).toBe(true);
      expect(await store.fileBytes("a")).toBe(content.length);
      expect([await store.deleteFile(file.id), await store.deleteFile(file.id)]).toEqual([true, false]);
      expect([await store.file(file.id), await store.fileContent(file.id)]).toEqual([undefined, undefined]);
      expect(await store.fileBytes("a")).toBe(0);
    }));

  it("lists an account's files or everybody's, newest first, in parts", () =>
    withStore(async (store) => {
      for (let i = 0; i < 5; i++) unwrap(await store.addFile(fileOf(i, i % 2 === 0 ? "a" : "b", i), new Uint8Array(i)));
      const ids = async (account: string | undefined, limit: number, after?: string) => {
        const page = after === undefined ? { limit } : { limit, after };
        return (await store.files(account, page)).map(({ bytes }) => bytes);
      };
      expect(await ids(undefined, 9)).toEqual([4, 3, 2, 1, 0]);
      expect(await ids("a", 2)).toEqual([4, 2]);
      expect(await ids("a", 2, fileOf(2, "a", 2).id)).toEqual([0]);
      expect(await ids("a", 2, "file-none")).toEqual([]);
      expect(await store.fileBytes("b")).toBe(4);
    }));
}

function jobTests(withStore: WithStore): void {
  it("a job is kept once, read back whole, and overwritten", () =>
    withStore(async (store) => {
      const [small, whole] = [jobOf(1, "a"), wholeJob(2)];
      for (const job of [small, whole]) expect(unwrap(await store.addJob(job))).toEqual(job);
      expect(unwrap(await store.addJob({ ...small, status: "failed" }))).toEqual(small);
      expect(await store.job(whole.id)).toEqual(whole);
      unwrap(await store.saveJob({ ...whole, status: "cancelled", deployments: [] }));
      expect(await store.job(whole.id)).toEqual({ ...whole, status: "cancelled", deployments: [] });
      expect(await store.job("ftjob-none")).toBeUndefined();
      expect(await store.saveJob(jobOf(7, "a"))).toMatchObject({ ok: false, error: { code: "not_found" } });
    }));

  it("lists jobs in parts, those that are not over and those with something deployed, oldest first", () =>
    withStore(async (store) => {
      const statuses = ["queued", "running", "paused", "succeeded", "failed", "cancelled"] as const;
      for (const [i, status] of statuses.entries())
        unwrap(await store.addJob({ ...(i === 3 ? wholeJob(i) : jobOf(i, i < 4 ? "a" : "b")), status }));
      const numbers = (jobs: readonly Job[]) => jobs.map(({ createdMs }) => createdMs);
      // What is over and owes something is open.
      expect(numbers(await store.openJobs())).toEqual([0, 1, 2, 3]);
      expect(numbers(await store.deployedJobs())).toEqual([3]);
      expect(numbers(await store.jobs("b", { limit: 9 }))).toEqual([5, 4]);
      expect(numbers(await store.jobs(undefined, { limit: 2, after: jobOf(4, "b").id }))).toEqual([3, 2]);
      unwrap(await store.saveJob({ ...jobOf(1, "a"), status: "succeeded" }));
      unwrap(await store.saveJob({ ...wholeJob(0), status: "queued" }));
      const { owed: _owed, ...paid } = wholeJob(3);
      unwrap(await store.saveJob(paid));
      expect(numbers(await store.openJobs())).toEqual([0, 2]);
      expect(numbers(await store.deployedJobs())).toEqual([0, 3]);
    }));
}

function eventTests(withStore: WithStore): void {
  it("an event of a number is kept once; a part is newest first, below a number", () =>
    withStore(async (store) => {
      const job = jobOf(1, "a").id;
      unwrap(await store.addEvents(job, [eventOf(1), eventOf(2, { step: 1, train_loss: 0.5, name: "x" })]));
      unwrap(await store.addEvents(job, [{ ...eventOf(2), message: "other" }, eventOf(3)]));
      unwrap(await store.addEvents(jobOf(2, "a").id, [eventOf(1)]));
      expect(await store.events(job, { limit: 9 })).toEqual([
        eventOf(3),
        eventOf(2, { step: 1, train_loss: 0.5, name: "x" }),
        eventOf(1),
      ]);
      expect((await store.events(job, { before: 3, limit: 1 })).map(({ number }) => number)).toEqual([2]);
      expect(await store.events("ftjob-none", { limit: 9 })).toEqual([]);
    }));

  it("a speed is as it was measured last", () =>
    withStore(async (store) => {
      expect(await store.speed("k")).toBeUndefined();
      unwrap(await store.saveSpeed("k", 10.5));
      unwrap(await store.saveSpeed("k", 20.25));
      expect(await store.speed("k")).toBe(20.25);
    }));
}

const hex = `0x${"ab".repeat(32)}` as const;

function fileOf(i: number, account: string, bytes: number): StoredFile {
  return { id: `file-${i}`, account, name: `${i} “ü”.jsonl`, bytes, examples: i, hash: "ab".repeat(32), createdMs: i };
}

/** A job with nothing in it that may be left out. */
export function jobOf(i: number, account: string): Job {
  return {
    ...{ id: `ftjob-${i}`, account, createdMs: i, orderHash: hex, status: "queued", heldOutShare: 0.1 },
    ...{ base: { name: "tiny", hash: hex }, source: { kind: "file", file: "file-1" } },
    options: {
      ...{ epochs: 1, batchSize: 2, sequenceTokens: 64, learningRate: 1e-3, warmUp: 0.05, weightDecay: 0.01 },
      ...{ gradientNormMax: 1, seed: 1, patience: 0, checkpointEvery: 5, fitsInfluence: false },
    },
    estimate: {
      ...{ examples: 3, heldOut: 1, tokens: 10, trainedTokens: 10, steps: 1, tokensPerSecond: 5, isMeasured: false },
      ...{ seconds: 4, cost: 1, dataFee: 0 },
    },
    prices: { cost: noPrices, royalty: noPrices },
    ...{ paid: [], checkpoints: [], evaluations: [], deployments: [] },
  };
}

/** A job with everything in it. */
function wholeJob(i: number): Job {
  const measured = { loss: 1.5, tokens: 10, answers: 2, exactMatch: 0.5, grounding: 0.25 };
  const samples = [{ record: "r", prompt: "p\u0000\ud83d\ude00", expected: "e", base: "b", model: "m" }];
  const part = { name: "net", version: 1, examples: 2, base: measured, model: measured, samples };
  const royalty = { inPerMillion: 0, outPerMillion: 5, perCall: 1 };
  return {
    ...jobOf(i, "a"),
    source: { kind: "datanets", datanets: [{ name: "net", version: 1, id: hex, licence: "MIT", records: 2 }] },
    options: {
      ...jobOf(i, "a").options,
      adapter: { rank: 2, alpha: 4, dropout: 0.1, targets: ["q_proj", "up_proj"] },
    },
    ...{ rateMultiplier: 0.5, suffix: "s", metadata: { a: "b" }, deploy: { name: "n", royalty, parentsBps: 100 } },
    ...{ startedMs: 1, finishedMs: 2, status: "succeeded", keyId: "key_1", prices: { cost: royalty, royalty } },
    paid: [
      {
        ...{ receipt: `0x${"cd".repeat(16)}`, seq: 7, timeMs: 5, asset: hex, step: 1, tokens: 4, cost: 2, dataFee: 1 },
        credited: { operator: 2, model: 0, treasury: 1 },
      },
    ],
    owed: { step: 2, tokens: 5, isElsewhere: true },
    error: { code: "upstream_failed", message: "m", hint: "h", field: "f" },
    progress: { step: 1, steps: 2, loss: 0.5, tokensPerSecond: 100 },
    checkpoints: [{ step: 1, timeMs: 5, trainLoss: 0.1, heldOutLoss: 0.2, isKept: true }],
    result: {
      ...{ hash: hex, kind: "adapter", steps: 2, trainedTokens: 9, heldOutLoss: 0.3, reason: "done", build: "b" },
    },
    evaluations: [{ timeMs: 3, step: 1, parts: [part] }],
    deployments: [{ name: "n", step: 1, asset: hex, hash: hex, royalty, parentsBps: 100, createdMs: 4 }],
  };
}

function eventOf(number: number, data?: JobEvent["data"]): JobEvent {
  return { number, timeMs: number, level: "info", message: `event ${number}`, ...(data === undefined ? {} : { data }) };
}

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import type { Factory } from "./factory.ts";
import type { Job } from "./job.ts";
import type { TrainingOrder } from "./order.ts";
import { owedAt } from "./payment.ts";
import { SmallMachine, smallFile } from "./testing/smallFactory.ts";

const ann = "acct_ann";
const order = (file: string, changes: Partial<TrainingOrder> = {}): TrainingOrder => ({
  ...{ base: "tiny", source: { kind: "file", file }, wish: { sequenceTokens: 64 } },
  ...changes,
});

async function opened(credit = 1_000_000_000) {
  const machine = new SmallMachine();
  machine.books.credit.set(ann, credit);
  const factory = machine.open();
  const { id: file } = unwrap(await factory.files.add(ann, "train.jsonl", smallFile()));
  unwrap(await factory.start());
  return { machine, factory, file };
}

const ticks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Until nothing waits, runs or owes. */
async function idle({ store }: SmallMachine, factory: Factory): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if ((await store.openJobs()).every(({ status, owed }) => status === "paused" && owed === undefined)) return;
    factory.pump();
    await ticks(5);
  }
  throw new Error("something is open for ever");
}

async function reached(machine: SmallMachine, id: string, step: number): Promise<void> {
  while ((machine.checkpoints.get(`/factory/${id}`) ?? 0) < step) await ticks(1);
}

const paidTokens = ({ paid }: Job) => paid.reduce((sum, { tokens }) => sum + tokens, 0);

const happening = fc.oneof(
  fc.record({ do: fc.constantFrom("order", "cancel", "pause", "resume"), job: fc.nat({ max: 2 }) }),
  fc.record({ do: fc.constantFrom("kill", "stop", "booksAway", "booksBack", "full", "room"), job: fc.constant(0) }),
  fc.record({ do: fc.constant("wait"), job: fc.nat({ max: 25 }) }),
);

describe("what a training is charged", () => {
  it(
    "is what it learnt, once, whatever is killed, cancelled, set aside and asked for again",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(happening, { maxLength: 24 }), async (happenings) => {
          const { machine, factory: first, file } = await opened();
          let factory = first;
          const ids = new Map<number, string>();
          for (const { do: what, job } of happenings) {
            if (what === "wait") await ticks(job);
            else if (what === "booksAway" || what === "booksBack") machine.books.isAway = what === "booksAway";
            else if (what === "full" || what === "room")
              machine.fullAt = what === "full" ? 3 : Number.POSITIVE_INFINITY;
            else if (what === "kill" || what === "stop") {
              if (what === "stop") await factory.close();
              machine.kill();
              factory = machine.open();
              await factory.start();
            } else if (what === "order") {
              const made = await factory.order({ account: ann, key: `${job}` }, order(file));
              if (made.ok) ids.set(job, made.value.job.id);
              else expect(made.error.code).toBe("insufficient_funds");
            } else {
              const id = ids.get(job);
              if (id !== undefined) await factory[what](ann, id);
            }
          }
          machine.books.isAway = false;
          machine.fullAt = Number.POSITIVE_INFINITY;
          factory.pump();
          await idle(machine, factory);
          const jobs = await machine.store.jobs(undefined, { limit: 9 });
          let charged = 0;
          for (const job of jobs) {
            expect(job.owed).toBeUndefined();
            const receipts = [...machine.books.receipts].filter(([key]) => key.startsWith(job.id));
            expect(job.paid.map(({ receipt }) => receipt)).toEqual(receipts.map(([, { receipt }]) => receipt));
            if (job.status === "succeeded") expect(paidTokens(job)).toBe(job.estimate.trainedTokens);
            expect(paidTokens(job)).toBeLessThanOrEqual(job.estimate.trainedTokens);
            charged += job.paid.reduce((sum, { cost, dataFee }) => sum + cost + dataFee, 0);
          }
          expect(machine.books.available(ann)).toBe(1_000_000_000 - charged);
          expect(machine.books.held).toBe(0);
          await factory.close();
        }),
        { numRuns: 100 },
      ),
    60_000,
  );

  it("is estimated before, and for a training that is done to its end it is the estimate", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, order(file)));
    expect(machine.books.held).toBe(job.estimate.cost + job.estimate.dataFee);
    await idle(machine, factory);
    const done = unwrap(await factory.job(ann, job.id));
    expect(done.paid).toMatchObject([{ step: 6, tokens: job.estimate.trainedTokens, cost: job.estimate.cost }]);
  });

  it("is, of one that was set aside and went on, a receipt for each stretch", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, order(file)));
    await reached(machine, job.id, 2);
    const paused = unwrap(await factory.pause(ann, job.id));
    expect(paused.paid).toHaveLength(1);
    expect(paused.paid[0]!.tokens).toBe(owedAt({ ...paused, paid: [] }, paused.paid[0]!.step)?.tokens);
    expect(machine.books.held).toBe(0);
    unwrap(await factory.resume(ann, job.id));
    await idle(machine, factory);
    const done = unwrap(await factory.job(ann, job.id));
    expect(done.paid.map(({ step }) => step)).toEqual([paused.paid[0]!.step, 6]);
    expect(paidTokens(done)).toBe(job.estimate.trainedTokens);
  });

  it("is nothing where nothing was done, and what was done where it is cancelled", async () => {
    const { machine, factory, file } = await opened();
    machine.stepsPerJob = 600;
    const jobs = [];
    for (let i = 0; i < 2; i++) jobs.push(unwrap(await factory.order({ account: ann }, order(file))).job);
    await reached(machine, jobs[0]!.id, 4);
    expect(unwrap(await factory.cancel(ann, jobs[1]!.id)).paid).toEqual([]);
    const cancelled = unwrap(await factory.cancel(ann, jobs[0]!.id));
    expect(cancelled.paid).toHaveLength(1);
    expect(cancelled.paid[0]!.step).toBeGreaterThanOrEqual(4);
    expect(cancelled.paid[0]!.step).toBeLessThan(600);
    expect(unwrap(await factory.cancel(ann, jobs[0]!.id)).paid).toEqual(cancelled.paid);
    expect(machine.books.held).toBe(0);
  });

  it("is, where it broke, for what can still be served: up to the last kept checkpoint", async () => {
    const { machine, factory, file } = await opened();
    machine.breaksAt = 5;
    const { job } = unwrap(await factory.order({ account: ann }, order(file)));
    await idle(machine, factory);
    const failed = unwrap(await factory.job(ann, job.id));
    expect(failed).toMatchObject({ status: "failed", paid: [{ step: 4 }] });
    machine.breaksAt = 1;
    const { job: early } = unwrap(await factory.order({ account: ann }, order(file, { suffix: "e" })));
    await idle(machine, factory);
    expect(unwrap(await factory.job(ann, early.id))).toMatchObject({ status: "failed", paid: [] });
    expect(machine.books.held).toBe(0);
  });
});

describe("no hold, no start", () => {
  it("an order that the account cannot pay is refused, and nothing is kept of it", async () => {
    const { machine, factory, file } = await opened(5);
    const refused = await factory.order({ account: ann }, order(file));
    expect(refused).toMatchObject({ ok: false, error: { code: "insufficient_funds" } });
    expect(await machine.store.jobs(undefined, { limit: 9 })).toEqual([]);
    const { job } = unwrap(await factory.order({ account: ann }, order(file, { isPaused: true })));
    expect(await factory.resume(ann, job.id)).toMatchObject({ error: { code: "insufficient_funds" } });
    machine.books.credit.set(ann, 1_000_000);
    unwrap(await factory.resume(ann, job.id));
    await idle(machine, factory);
    expect(unwrap(await factory.job(ann, job.id)).status).toBe("succeeded");
  });

  it("a job whose money is gone when its node starts again is set aside and says why; credit lets it go on", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, order(file)));
    await reached(machine, job.id, 2);
    machine.kill();
    machine.books.credit.set(ann, 0);
    const next = machine.open();
    unwrap(await next.start());
    for (let i = 0; i < 50; i++) await ticks(1);
    const aside = unwrap(await next.job(ann, job.id));
    expect(aside).toMatchObject({ status: "paused", error: { code: "insufficient_funds" }, owed: { step: 2 } });
    expect(await next.deploy(ann, job.id, { step: 2 })).toMatchObject({ error: { code: "insufficient_funds" } });
    expect(await next.order({ account: ann }, order(file, { suffix: "x" }))).toMatchObject({
      error: { code: "insufficient_funds", message: expect.stringContaining(job.id) },
    });
    machine.books.credit.set(ann, 1_000_000);
    unwrap(await next.resume(ann, job.id));
    await idle(machine, next);
    const done = unwrap(await next.job(ann, job.id));
    expect(done.status).toBe("succeeded");
    expect("error" in done).toBe(false);
    expect(paidTokens(done)).toBe(job.estimate.trainedTokens);
  });

  it("an adapter that was trained elsewhere pays what the terms ask for, and no cost", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, order(file, { isPaused: true })));
    const files = { config: new Uint8Array(1), weights: new Uint8Array([1]) };
    const imported = unwrap(await factory.importAdapter(ann, job.id, files));
    expect(imported.paid).toMatchObject([{ cost: 0, tokens: job.estimate.trainedTokens }]);
    expect(unwrap(await factory.importAdapter(ann, job.id, files)).paid).toHaveLength(1);
    expect(machine.books.receipts.size).toBe(1);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { tinyShape } from "../models/testing/randomLlama.ts";
import type { Evaluator } from "./evaluator.ts";
import type { Factory } from "./factory.ts";
import { ACCOUNT_BYTES_MAX } from "./fileDesk.ts";
import { isOver, type Job, overAlready } from "./job.ts";
import type { TrainingOrder } from "./order.ts";
import { SmallMachine, smallBase, smallFile } from "./testing/smallFactory.ts";

const ann = "acct_ann";

function orderOf(file: string, changes: Partial<TrainingOrder> = {}): TrainingOrder {
  return { base: "tiny", source: { kind: "file", file }, wish: { sequenceTokens: 64 }, ...changes };
}

async function opened(
  machine = new SmallMachine(),
): Promise<{ machine: SmallMachine; factory: Factory; file: string }> {
  const factory = machine.open();
  const { id: file } = unwrap(await factory.files.add(ann, "train.jsonl", smallFile()));
  unwrap(await factory.start());
  return { machine, factory, file };
}

const ticks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Until no job waits or runs. */
async function idle({ store }: SmallMachine, factory: Factory): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if ((await store.openJobs()).every(({ status }) => status === "paused")) return;
    factory.pump();
    await ticks(5);
  }
  throw new Error("jobs wait for ever");
}

function setFull(machine: SmallMachine, isFull: boolean): void {
  machine.fullAt = isFull ? 0 : Number.POSITIVE_INFINITY;
  machine.freeBytes = isFull ? 0 : Number.MAX_SAFE_INTEGER;
}

async function numbersOf({ store }: SmallMachine, id: string): Promise<number[]> {
  return (await store.events(id, { limit: 10_000 })).map(({ number }) => number).reverse();
}

const step = fc.oneof(
  fc.record({ do: fc.constantFrom("order", "cancel", "pause", "resume"), job: fc.nat({ max: 3 }) }),
  fc.record({ do: fc.constantFrom("kill", "stop", "away", "back", "full", "room"), job: fc.constant(0) }),
  fc.record({ do: fc.constant("wait"), job: fc.nat({ max: 25 }) }),
);

describe("jobs", () => {
  it(
    "are never lost, doubled, or two at a time, however they are cancelled, set aside, killed and begun again",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
          const { machine, factory: first, file } = await opened();
          let factory = first;
          const ordered = new Map<number, string>();
          const cancelled = new Set<string>();
          for (const step of steps) {
            if (step.do === "wait") await ticks(step.job);
            else if (step.do === "away" || step.do === "back") machine.store.isAway = step.do === "away";
            else if (step.do === "full" || step.do === "room") setFull(machine, step.do === "full");
            else if (step.do === "kill" || step.do === "stop") {
              if (step.do === "stop") await factory.close();
              machine.kill();
              factory = machine.open();
              await factory.start();
            } else if (step.do === "order") {
              const made = await factory.order({ account: ann, key: `${step.job}` }, orderOf(file));
              if (!made.ok) expect(machine.store.isAway).toBe(true);
              else {
                expect(made.value.isNew).toBe(!ordered.has(step.job));
                ordered.set(step.job, made.value.job.id);
              }
            } else {
              const id = ordered.get(step.job);
              if (id === undefined) continue;
              const done = await factory[step.do](ann, id);
              if (step.do === "cancel" && done.ok) cancelled.add(id);
              if (done.ok) expect(statusesAfter[step.do]).toContain(done.value.status);
            }
          }
          machine.store.isAway = false;
          setFull(machine, false);
          for (const id of ordered.values()) await factory.resume(ann, id);
          await idle(machine, factory);
          const jobs = await machine.store.jobs(undefined, { limit: 100 });
          expect(new Set(jobs.map(({ id }) => id))).toEqual(new Set(ordered.values()));
          for (const job of jobs) {
            if (job.status !== "cancelled") expect(job.status).toBe("succeeded");
            if (cancelled.has(job.id)) expect(job.status).toBe("cancelled");
            if (job.status === "succeeded") expect(job.result?.steps).toBe(machine.stepsPerJob);
            expect(job.checkpoints.map((one) => one.step)).toEqual(
              [...new Set(job.checkpoints.map((one) => one.step))].sort((a, b) => a - b),
            );
            const numbers = await numbersOf(machine, job.id);
            expect(numbers).toEqual(numbers.map((_number, i) => i + 1));
          }
          expect(machine.atOnceMost).toBeLessThanOrEqual(1);
          await factory.close();
        }),
        { numRuns: 120 },
      ),
    60_000,
  );

  it("begin in the order in which they came", async () => {
    const { machine, factory, file } = await opened();
    const jobs: Job[] = [];
    for (let i = 0; i < 4; i++) jobs.push(unwrap(await factory.order({ account: ann }, orderOf(file))).job);
    await idle(machine, factory);
    expect(machine.begun).toEqual(jobs.map(({ id }) => `/factory/${id}`));
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(4);
  });

  it("go on from their checkpoint after a kill, and say so", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, orderOf(file)));
    while ((machine.checkpoints.get(`/factory/${job.id}`) ?? 0) < 4) await ticks(1);
    await ticks(1);
    machine.kill();
    const next = machine.open();
    unwrap(await next.start());
    await idle(machine, next);
    const messages = (await machine.store.events(job.id, { limit: 99 })).map(({ message }) => message);
    expect(messages).toContain("Training goes on at step 4.");
    expect(messages.filter((message) => message.startsWith("Step 6/6: training"))).toHaveLength(1);
    expect(unwrap(await next.job(ann, job.id))).toMatchObject({ status: "succeeded", result: { steps: 6 } });
  });

  it("are cancelled or set aside at whatever moment of their beginning that is asked for", async () => {
    for (const action of ["cancel", "pause"] as const)
      for (let moment = 0; moment < 40; moment++) {
        const { machine, factory, file } = await opened();
        machine.stepsPerJob = 500;
        const { job } = unwrap(await factory.order({ account: ann }, orderOf(file, { isPaused: true })));
        const resumed = factory.resume(ann, job.id);
        for (let i = 0; i < moment; i++) await Promise.resolve();
        const [done] = await Promise.all([factory[action](ann, job.id), resumed]);
        if (moment % 2 === 1) await ticks(moment);
        const now = unwrap(await factory.job(ann, job.id)).status;
        // Who resumes last goes on; whoever is cancelled never does.
        if (action === "cancel") expect([unwrap(done).status, now]).toEqual(["cancelled", "cancelled"]);
        else expect(["paused", "queued", "running"]).toContain(now);
        await factory.cancel(ann, job.id);
        expect(machine.atOnce).toBe(0);
        expect(machine.books.held).toBe(0);
        await factory.close();
      }
  });

  it("end as they have ended where a file cannot be removed, and say so", async () => {
    const { machine, file } = await opened();
    const folders = {
      ...machine.folders(),
      tidy: () => Promise.reject(new Error("EBUSY")),
      dropCheckpoint: () => Promise.reject(new Error("EBUSY")),
    };
    machine.stepsPerJob = 20;
    const factory = machine.open({ folders });
    const { job } = unwrap(await factory.order({ account: ann }, orderOf(file)));
    const { job: next } = unwrap(await factory.order({ account: ann }, orderOf(file, { suffix: "next" })));
    await idle(machine, factory);
    for (const { id } of [job, next]) expect(unwrap(await factory.job(ann, id)).status).toBe("succeeded");
    const said = (await machine.store.events(job.id, { limit: 99 })).filter(({ level }) => level === "warn");
    expect(said.map(({ message }) => message)).toEqual([expect.stringContaining("could not be removed: EBUSY")]);
    const { job: third } = unwrap(await factory.order({ account: ann }, orderOf(file, { isPaused: true })));
    expect(unwrap(await factory.cancel(ann, third.id)).status).toBe("cancelled");
  });

  it("keep the best and the latest checkpoints, and no more than eight", async () => {
    const { machine, factory, file } = await opened();
    machine.stepsPerJob = 20;
    const { job } = unwrap(await factory.order({ account: ann }, orderOf(file)));
    await idle(machine, factory);
    const { checkpoints } = unwrap(await factory.job(ann, job.id));
    const kept = checkpoints.filter(({ isKept }) => isKept).map((one) => one.step);
    expect(checkpoints).toHaveLength(10);
    expect(kept).toEqual([6, 8, 10, 12, 14, 16, 18, 20]);
    expect([...machine.kept.get(job.id)!].sort((a, b) => a - b)).toEqual(kept);
  });

  it("of all weights keep checkpoints too, fewer where those are large, and say which could not be kept", async () => {
    const { machine, file } = await opened();
    machine.stepsPerJob = 12;
    const order = orderOf(file, { wish: { sequenceTokens: 64, lora: false } });
    const kept = async (factory: Factory): Promise<number[]> => {
      const { job } = unwrap(await factory.order({ account: ann }, order));
      await idle(machine, factory);
      const { checkpoints } = unwrap(await factory.job(ann, job.id));
      return checkpoints.filter(({ isKept }) => isKept).map((one) => one.step);
    };
    expect(await kept(machine.open())).toEqual([2, 4, 6, 8, 10, 12]);
    // Three of its size fit.
    const base = { ...smallBase, shape: tinyShape({ vocabulary: 8_192, hidden: 16_384, layers: 1 }) };
    const large = machine.open({ bases: { list: async () => ["tiny"], find: async () => ok(base) } });
    expect(await kept(large)).toEqual([8, 10, 12]);
    const folders = { ...machine.folders(), keepCheckpoint: async () => refuse("disk_full", "no room") };
    const full = machine.open({ folders });
    expect(await kept(full)).toEqual([]);
    const [job] = unwrap(await full.jobs(ann, { limit: 1 }));
    const events = await machine.store.events(job!.id, { limit: 99 });
    expect(events.filter(({ level }) => level === "warn").map(({ message }) => message)).toContain(
      "The weights of step 4 are not kept: no room",
    );
  });

  it("are measured beside their base, and deployed where that was ordered; both can be asked for again", async () => {
    const { machine, factory, file } = await opened();
    const deploy = { name: "mine" };
    const order = orderOf(file, { deploy, heldOutShare: 0.4, suffix: "x" });
    const { job } = unwrap(await factory.order({ account: ann }, order));
    await idle(machine, factory);
    const done = unwrap(await factory.job(ann, job.id));
    expect(done.deployments).toMatchObject([{ name: "mine" }]);
    expect(done.evaluations).toHaveLength(1);
    expect(done.evaluations[0]!.parts[0]).toMatchObject({ name: file, base: { loss: 1 }, model: { loss: 0.5 } });
    expect(unwrap(await factory.deploy(ann, job.id, { step: 6 })).name).toBe(
      `ft:tiny:x:${job.id.slice(-8)}:ckpt-step-6`,
    );
    expect(await factory.deploy(ann, job.id, { step: 5 })).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect(await factory.evaluate(ann, job.id, 4)).toMatchObject({ ok: true, value: { step: 4 } });
    const royalty = { inPerMillion: 1, outPerMillion: 2, perCall: 3 };
    expect(unwrap(await factory.reprice(ann, "mine", royalty))).toMatchObject({ royalty });
    expect(await factory.reprice("acct_ben", "mine", royalty)).toMatchObject({ error: { code: "model_not_found" } });
    expect(unwrap(await factory.job(ann, job.id)).deployments).toMatchObject([{ royalty }, { step: 6 }]);
    expect(await factory.order({ account: ann }, order)).toMatchObject({ error: { code: "already_exists" } });
  });
});

describe("a training that has gained nothing", () => {
  const warned = async ({ store }: SmallMachine, id: string) =>
    (await store.events(id, { limit: 99 })).filter(({ level }) => level === "warn").map(({ message }) => message);

  it("says so, and is served by those alone who want it all the same", async () => {
    const { machine, factory, file } = await opened();
    // Of the steps 2, 4 and 6 the losses are 2, 1 and 0.67.
    machine.baseLoss = 4 / 6;
    const order = orderOf(file, { deploy: { name: "mine" } });
    const { job } = unwrap(await factory.order({ account: ann }, order));
    await idle(machine, factory);
    expect(unwrap(await factory.job(ann, job.id))).toMatchObject({
      status: "succeeded",
      baseLoss: 4 / 6,
      deployments: [],
    });
    expect(await warned(machine, job.id)).toEqual([
      "Nothing was gained over tiny: held-out loss 0.6667 before, 0.6667 after, the same on all of 6 records; it is not served unless it is deployed --anyway.",
    ]);
    const refused = { ok: false, error: { code: "conflict", field: "anyway" } };
    expect(await factory.deploy(ann, job.id, { name: "mine" })).toMatchObject(refused);
    expect(await factory.deploy(ann, job.id, { step: 4 })).toMatchObject(refused);
    expect(unwrap(await factory.deploy(ann, job.id, { name: "mine", anyway: true })).name).toBe("mine");
    expect(unwrap(await factory.deploy(ann, job.id, { name: "mine" })).name).toBe("mine");

    const anyway = orderOf(file, { deploy: { name: "second", anyway: true } });
    const { job: second } = unwrap(await factory.order({ account: ann }, anyway));
    await idle(machine, factory);
    expect(unwrap(await factory.job(ann, second.id)).deployments).toMatchObject([{ name: "second" }]);
    expect(await warned(machine, second.id)).toEqual([expect.stringContaining("served all the same, as ordered")]);
  });

  it("or something, by fewer records than can tell, is told as that", async () => {
    const { machine, factory, file } = await opened();
    machine.heldOutRecords = 4;
    const served: string[] = [];
    for (const baseLoss of [8, 0.5]) {
      machine.baseLoss = baseLoss;
      const order = orderOf(file, { deploy: { name: `of ${baseLoss}` } });
      const { job } = unwrap(await factory.order({ account: ann }, order));
      await idle(machine, factory);
      const { deployments } = unwrap(await factory.job(ann, job.id));
      served.push(...deployments.map(({ name }) => name));
      expect(await warned(machine, job.id)).toEqual([
        expect.stringMatching(
          /^It cannot be told whether anything was gained over tiny: .* on 4 of 4 records, which are too few to tell: 5 can/,
        ),
      ]);
    }
    expect(served).toEqual(["of 8"]);
  });

  it("elsewhere must be the job's own, where it says whose it is", async () => {
    const { machine, factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, orderOf(file, { isPaused: true })));
    const files = { config: utf8("{}"), weights: utf8("weights") };
    const said = { job: "ftjob-another", base: { hash: job.base.hash }, datanets: [] };
    const refused = await factory.importAdapter(ann, job.id, { ...files, provenance: utf8(JSON.stringify(said)) });
    expect(refused).toMatchObject({ ok: false, error: { message: expect.stringContaining("ftjob-another") } });
    expect(machine.books.held).toBe(0);
    const own = utf8(JSON.stringify({ ...said, job: job.id }));
    expect(unwrap(await factory.importAdapter(ann, job.id, { ...files, provenance: own })).status).toBe("succeeded");
  });

  it("elsewhere is measured before it is served", async () => {
    const { machine, file } = await opened();
    const evaluator: Evaluator = {
      losses: async ({ examples }) => ok(examples.map(({ record }) => ({ record, tokens: 4, loss: 4 }))),
      gradients: () => Promise.reject(new Error("not asked for")),
      curvature: () => Promise.reject(new Error("not asked for")),
    };
    const factory = machine.open({ evaluator });
    const order = orderOf(file, { deploy: { name: "mine" }, isPaused: true, heldOutShare: 0.4 });
    const { job } = unwrap(await factory.order({ account: ann }, order));
    const files = { config: utf8("{}"), weights: utf8("weights") };
    const done = unwrap(await factory.importAdapter(ann, job.id, files));
    expect(done).toMatchObject({ status: "succeeded", deployments: [], evaluations: [{}] });
    expect(await warned(machine, job.id)).toContainEqual(expect.stringContaining("it is not served"));
  });
});

it("a training whose model cannot be served or measured has still succeeded, and says why", async () => {
  const machine = new SmallMachine();
  const factory = machine.open({
    answers: { answer: async () => refuse("upstream_failed", "no engine here") },
    shop: {
      isTaken: () => false,
      deploy: async () => refuse("chain_unavailable", "no chain here"),
      reprice: async () => refuse("not_found", "nothing"),
    },
  });
  const { id: file } = unwrap(await factory.files.add(ann, "train.jsonl", smallFile()));
  const { job } = unwrap(await factory.order({ account: ann }, orderOf(file, { deploy: {}, heldOutShare: 0.4 })));
  await idle(machine, factory);
  expect(unwrap(await factory.job(ann, job.id))).toMatchObject({
    status: "succeeded",
    deployments: [],
    evaluations: [],
  });
  const warned = (await machine.store.events(job.id, { limit: 99 })).filter(({ level }) => level === "warn");
  expect(warned.map(({ message }) => message)).toEqual([
    "It could not be evaluated: no engine here",
    "It could not be deployed: no chain here",
  ]);
});

const statusesAfter = {
  cancel: ["cancelled"],
  pause: ["paused"],
  // Paused again, where the disk is full.
  resume: ["queued", "running", "succeeded", "paused"],
} as const satisfies Record<string, readonly Job["status"][]>;

describe("orders", () => {
  it("with one key are one job; another order under it is refused", async () => {
    const { machine, factory, file } = await opened();
    const by = { account: ann, key: "k" };
    const made = await Promise.all([1, 2, 3].map(() => factory.order(by, orderOf(file))));
    expect(new Set(made.map((one) => unwrap(one).job.id)).size).toBe(1);
    const other = orderOf(file, { suffix: "other" });
    expect(await factory.order(by, other)).toMatchObject({ error: { code: "idempotency_mismatch" } });
    unwrap(await factory.order({ account: "acct_ben", key: "k" }, orderOf(await bensFile(factory))));
    await idle(machine, factory);
    expect(await machine.store.jobs(undefined, { limit: 9 })).toHaveLength(2);
  });

  it.each([
    // what                            changes                                               code                field
    ["an unknown base", { base: "none" }, "model_not_found", undefined],
    ["an unknown file", { source: { kind: "file", file: "file-none" } }, "not_found", "training_file"],
    [
      "an unknown datanet",
      { source: { kind: "datanets", datanets: [{ name: "none" }] } },
      "not_found",
      "training_file",
    ],
    ["a rank above the base's width", { wish: { lora: { rank: 99 } } }, "invalid_request", "rank"],
    ["sequences beyond the base's", { wish: { sequenceTokens: 999 } }, "invalid_request", "sequence_tokens"],
    ["everything held out", { heldOutShare: 1 }, "invalid_request", "held_out_share"],
  ] as const)("refuse %s", async (_what, changes, code, field) => {
    const { factory, file } = await opened();
    const refused = await factory.order({ account: ann }, orderOf(file, changes));
    expect(refused).toMatchObject({ ok: false, error: { code, ...(field === undefined ? {} : { field }) } });
    expect(await factory.jobs(undefined, { limit: 9 })).toEqual({ ok: true, value: [] });
  });

  it("refuse a name that a job of the account, which is not over, is to be served as", async () => {
    const { factory, file } = await opened();
    const order = orderOf(file, { deploy: { name: "mine" }, isPaused: true });
    const { job } = unwrap(await factory.order({ account: ann }, order));
    const refused = await factory.order({ account: ann }, { ...order, suffix: "again" });
    expect(refused).toMatchObject({ error: { code: "already_exists", message: expect.stringContaining(job.id) } });
    // Others' plans are their own: who is served first has the name.
    unwrap(
      await factory.order(
        { account: "acct_ben" },
        { ...order, source: { kind: "file", file: await bensFile(factory) } },
      ),
    );
    unwrap(await factory.cancel(ann, job.id));
    unwrap(await factory.order({ account: ann }, { ...order, suffix: "again" }));
  });

  it("see the files and jobs of their own account only; the node's owner sees all", async () => {
    const { factory, file } = await opened();
    const { job } = unwrap(await factory.order({ account: ann }, orderOf(file, { isPaused: true })));
    const ben = "acct_ben";
    const unknown = { ok: false, error: { code: "not_found" } };
    expect(await factory.order({ account: ben }, orderOf(file))).toMatchObject(unknown);
    for (const ask of ["job", "cancel", "pause", "resume", "evaluate"] as const)
      expect(await factory[ask](ben, job.id)).toMatchObject(unknown);
    for (const ask of ["find", "content", "remove"] as const)
      expect(await factory.files[ask](ben, file)).toMatchObject(unknown);
    expect(unwrap(await factory.jobs(ben, { limit: 9 }))).toEqual([]);
    expect(unwrap(await factory.jobs(undefined, { limit: 9 })).map(({ id }) => id)).toEqual([job.id]);
    expect(unwrap(await factory.job(undefined, job.id)).status).toBe("paused");
    expect(await factory.files.remove(ann, file)).toMatchObject({ error: { code: "conflict" } });
    unwrap(await factory.cancel(ann, job.id));
    expect(unwrap(await factory.files.remove(ann, file)).id).toBe(file);
  });

  it("estimate at least what is trained: more examples, epochs or datanets never cost less", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 4 }), async (lines, epochs) => {
        const { factory, file } = await opened();
        const { id: more } = unwrap(await factory.files.add(ann, "more.jsonl", smallFile(40 + lines)));
        const of = async (id: string, count: number) =>
          unwrap(
            await factory.estimate(ann, orderOf(id, { wish: { epochs: count, sequenceTokens: 64 }, heldOutShare: 0 })),
          ).estimate;
        const [small, large, longer] = [await of(file, epochs), await of(more, epochs), await of(file, epochs + 1)];
        expect(small).toMatchObject({ examples: 20, heldOut: 0, isMeasured: false });
        expect(small.steps).toBeGreaterThanOrEqual(epochs);
        expect(small.trainedTokens).toBe(small.tokens * epochs);
        expect(small.cost).toBe(small.trainedTokens);
        expect(small.dataFee).toBe(Math.ceil(small.trainedTokens / 2));
        expect(large.cost).toBeGreaterThan(small.cost);
        expect(longer.trainedTokens).toBeGreaterThan(small.trainedTokens);
        expect(longer.seconds).toBeGreaterThanOrEqual(small.seconds);
      }),
      { numRuns: 8 },
    ));
});

it("an estimate says how many conversations are cut, and of how many nothing is learnt", async () => {
  const { factory } = await opened();
  const long = "one two three four five six ".repeat(20);
  const lines = [
    { prompt: "Short?", completion: "Yes." },
    { prompt: "Long?", completion: long },
    { prompt: long, completion: "Yes." },
    { text: long },
  ];
  const { id } = unwrap(await factory.files.add(ann, "long", utf8(lines.map((one) => JSON.stringify(one)).join("\n"))));
  const estimated = await factory.estimate(ann, orderOf(id, { heldOutShare: 0 }));
  expect(unwrap(estimated).estimate).toMatchObject({ examples: 4, cut: 2, unlearnt: 1 });
});

describe("files", () => {
  it("are the same file when they are the same, and refuse what cannot be learnt from, with its line", async () => {
    const { factory, file } = await opened();
    expect(unwrap(await factory.files.add(ann, "train.jsonl", smallFile())).id).toBe(file);
    expect(unwrap(await factory.files.add(ann, "other.jsonl", smallFile())).id).not.toBe(file);
    expect(unwrap(await factory.files.content(ann, file))).toEqual(smallFile());
    for (const [text, message] of [
      ["", /no lines/],
      ['{"text":"a"}\n\n{"text":" "}', /line 3: its text is empty/],
      ['{"messages":[{"role":"user","content":"x"}]}', /line 1: it has no answer/],
      ["[1]", /line 1: it is not a JSON object/],
    ] as const) {
      const refused = await factory.files.add(ann, "x.jsonl", utf8(text));
      expect(refused).toMatchObject({
        ok: false,
        error: { code: "invalid_request", message: expect.stringMatching(message) },
      });
    }
    expect(await factory.files.add(ann, "a\nb", smallFile())).toMatchObject({ error: { code: "invalid_request" } });
  });

  it("of one account are bounded", async () => {
    const machine = new SmallMachine();
    const factory = machine.open();
    machine.store.fileBytes = async () => ACCOUNT_BYTES_MAX - 10;
    expect(await factory.files.add(ann, "a", smallFile())).toMatchObject({ error: { code: "payload_too_large" } });
    expect(await factory.files.add(ann, "a", utf8('{"text":1}'))).toMatchObject({ error: { code: "invalid_request" } });
  });
});

async function bensFile(factory: Factory): Promise<string> {
  return unwrap(await factory.files.add("acct_ben", "ben.jsonl", smallFile())).id;
}

it("a job that is over is over", () => {
  const statuses = ["queued", "running", "paused", "succeeded", "failed", "cancelled"] as const;
  const over = statuses.filter((status) => isOver({ status }));
  expect(over).toEqual(["succeeded", "failed", "cancelled"]);
  expect(over.map((status) => overAlready({ status })).map((one) => !one.ok && one.error.message)).toEqual([
    "the job has succeeded already",
    "the job has failed already",
    "the job was cancelled already",
  ]);
});

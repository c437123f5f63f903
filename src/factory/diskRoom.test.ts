import { describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import { LOOK_AGAIN_MS, roomWanted } from "./diskRoom.ts";
import type { Factory } from "./factory.ts";
import type { Job } from "./job.ts";
import { SmallMachine, smallBase, smallFile } from "./testing/smallFactory.ts";

const ann = "acct_ann";

const ticks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function until(factory: Factory, id: string, status: Job["status"]): Promise<Job> {
  for (let i = 0; i < 2_000; i++) {
    const job = unwrap(await factory.job(ann, id));
    if (job.status === status) return job;
    factory.pump();
    await ticks(5);
  }
  throw new Error(`the job is never ${status}`);
}

/** A job whose checkpoint of step 4 found no room. */
async function setAside() {
  const machine = new SmallMachine();
  const factory = machine.open();
  const { id: file } = unwrap(await factory.files.add(ann, "train.jsonl", smallFile()));
  unwrap(await factory.start());
  machine.fullAt = 4;
  machine.freeBytes = 0;
  const order = { base: "tiny", source: { kind: "file", file }, wish: { sequenceTokens: 64 } } as const;
  const { id } = unwrap(await factory.order({ account: ann }, order)).job;
  const job = await until(factory, id, "paused");
  return { machine, factory, id, job };
}

async function messages({ store }: SmallMachine, id: string): Promise<string[]> {
  return (await store.events(id, { limit: 99 })).map(({ message }) => message).reverse();
}

describe("a job that finds the disk full", () => {
  it("is set aside with its last checkpoint, says why, and pays for what is not lost", async () => {
    const { machine, id, job } = await setAside();
    expect(job).toMatchObject({ progress: { step: 2, steps: 6 }, paid: [{ step: 2 }] });
    expect(job.error).toMatchObject({ code: "disk_full", hint: expect.stringContaining("by itself within 5 minutes") });
    expect(machine.checkpoints.get(`/factory/${id}`)).toBe(2);
    expect(machine.books.held).toBe(0);
    expect((await messages(machine, id)).at(-1)).toMatch(
      /^The job is set aside: The disk is full; free some space: it goes on by itself/,
    );
  });

  it("goes on by itself once there is room, after a while, and pays for each step once", async () => {
    const { machine, factory, id, job } = await setAside();
    machine.fullAt = Number.POSITIVE_INFINITY;
    machine.timeMs += LOOK_AGAIN_MS;
    for (let i = 0; i < 20; i++) {
      factory.pump();
      await ticks(5);
    }
    expect(unwrap(await factory.job(ann, id)).status).toBe("paused");
    machine.freeBytes = roomWanted(smallBase.shape, job.options);
    const done = await until(factory, id, "succeeded");
    expect(done.error).toBeUndefined();
    expect(done.paid.map(({ step }) => step)).toEqual([2, 6]);
    expect(done.paid.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(done.estimate.trainedTokens);
    const said = await messages(machine, id);
    expect(said).toContain("The disk has room again; the job goes on from its checkpoint.");
    expect(said).toContain("Training goes on at step 2.");
  });

  it("looks again no sooner than after a while, where there seems to be room and is none", async () => {
    const { machine, factory, id } = await setAside();
    machine.freeBytes = Number.MAX_SAFE_INTEGER;
    const seen: number[] = [];
    for (const waited of [0, 0.5, 1, 0.5, 1]) {
      machine.timeMs += waited * LOOK_AGAIN_MS;
      for (let i = 0; i < 20; i++) {
        factory.pump();
        await ticks(5);
      }
      seen.push((await messages(machine, id)).filter((said) => said.startsWith("The disk has room")).length);
    }
    expect(seen).toEqual([0, 0, 1, 1, 2]);
  });

  it("goes on when its node starts again, and when it is resumed", async () => {
    for (const isRestarted of [true, false]) {
      const { machine, factory: first, id } = await setAside();
      machine.fullAt = Number.POSITIVE_INFINITY;
      let factory = first;
      if (isRestarted) {
        machine.kill();
        factory = machine.open();
        unwrap(await factory.start());
      } else unwrap(await factory.resume(ann, id));
      expect((await until(factory, id, "succeeded")).result?.steps).toBe(6);
    }
  });

  it("stays set aside where somebody set it aside", async () => {
    const { machine, factory, id } = await setAside();
    machine.fullAt = Number.POSITIVE_INFINITY;
    machine.freeBytes = Number.MAX_SAFE_INTEGER;
    machine.timeMs += LOOK_AGAIN_MS;
    const paused = await factory.pause(ann, id);
    expect(unwrap(paused).error).toBeUndefined();
    for (let i = 0; i < 20; i++) {
      factory.pump();
      await ticks(5);
    }
    expect(unwrap(await factory.job(ann, id)).status).toBe("paused");
  });
});

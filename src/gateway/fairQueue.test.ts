import fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue, OUTPUT_WEIGHT, type Ticket } from "./fairQueue.ts";

interface Job extends Ticket {
  readonly id: number;
}
const any = () => true;

function fresh(waitingMax = 100, perAccountMax = 50): FairQueue<Job> {
  return new FairQueue<Job>({ waitingMax, perAccountMax });
}

test("each account's own tickets come in order, and every ticket that was pushed comes once", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 30 }), fc.array(fc.nat(5)), (accounts, costs) => {
      const queue = fresh();
      const pushed = accounts.map((account, id) => ({ account, id }));
      for (const job of pushed) expect(queue.push(job)).toBe(true);
      const taken: Job[] = [];
      for (let job = queue.take(any); job !== undefined; job = queue.take(any)) {
        taken.push(job);
        queue.begin(job.account, costs[taken.length] ?? 0);
        queue.end(job.account);
      }
      expect(taken.map((job) => job.id).toSorted((a, b) => a - b)).toEqual(pushed.map((job) => job.id));
      for (const account of ["a", "b", "c"]) {
        const ids = taken.filter((job) => job.account === account).map((job) => job.id);
        expect(ids).toEqual(ids.toSorted((a, b) => a - b));
      }
      expect(queue.waiting).toBe(0);
    }),
  );
});

test("while two accounts wait, their service differs by at most one request of each (Sheng et al. 2024, theorem 4.4)", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.nat(9), (costA, costB, out) => {
      const queue = fresh();
      for (let id = 0; id < 40; id++) for (const account of ["a", "b"]) queue.push({ account, id });
      const served = { a: 0, b: 0 };
      while (queue.waitingOf("a") > 0 && queue.waitingOf("b") > 0) {
        const job = queue.take(any);
        if (job?.account !== "a" && job?.account !== "b") throw new Error("nobody came");
        const tokensIn = job.account === "a" ? costA : costB;
        queue.begin(job.account, tokensIn);
        queue.charge(job.account, out);
        queue.end(job.account);
        served[job.account] += tokensIn + OUTPUT_WEIGHT * out;
        expect(Math.abs(served.a - served.b)).toBeLessThanOrEqual(2 * (Math.max(costA, costB) + OUTPUT_WEIGHT * out));
      }
    }),
  );
});

test("a pause saves up nothing: who comes back starts level with those who wait", () => {
  const queue = fresh();
  for (let id = 0; id < 10; id++) queue.push({ account: "busy", id });
  for (let i = 0; i < 6; i++) {
    queue.take(any);
    queue.begin("busy", 100);
    queue.end("busy");
  }
  for (let id = 100; id < 110; id++) queue.push({ account: "late", id });
  const order = Array.from({ length: 6 }, () => {
    const job = queue.take(any)!;
    queue.begin(job.account, 100);
    queue.end(job.account);
    return job.account;
  });
  expect(order.filter((account) => account === "busy").length).toBeGreaterThanOrEqual(2);
});

test("bounds: the whole queue and each account's part of it", () => {
  const queue = fresh(3, 2);
  const push = (account: string) => queue.push({ account, id: 0 });
  expect([push("a"), push("a"), push("a"), push("b"), push("c")]).toEqual([true, true, false, true, false]);
  expect(queue.waiting).toBe(3);
});

test("a ticket that does not fit holds nobody up", () => {
  const queue = fresh();
  for (const [id, account] of ["a", "a", "b"].entries()) queue.push({ account, id });
  expect(queue.take((job) => job.id === 1)?.id).toBe(1);
  expect(queue.take((job) => job.account === "b")?.id).toBe(2);
  expect(queue.take((job) => job.id === 9)).toBeUndefined();
  expect(queue.waiting).toBe(1);
});

test("a withdrawn ticket is gone, once", () => {
  const queue = fresh();
  const job = { account: "a", id: 1 };
  queue.push(job);
  expect([queue.withdraw(job), queue.withdraw(job), queue.waiting]).toEqual([true, false, 0]);
});

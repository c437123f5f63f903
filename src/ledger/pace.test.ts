import { expect, test } from "vitest";
import { Pace } from "./pace.ts";

test("after a commit of one job, nobody waits for company", () => {
  const pace = new Pace();
  expect(pace.pause).toBeUndefined();
  pace.committed(1);
  expect(pace.pause).toBeUndefined();
});

test("after a commit of several, the next waits until enough jobs do", async () => {
  const pace = new Pace();
  pace.committed(2);
  const { pause } = pace;
  pace.waiting(63);
  expect(pace.pause).toBe(pause);
  pace.waiting(64);
  expect(pace.pause).toBeUndefined();
  await pause;
});

test("and else until a moment has passed, each time anew", async () => {
  const pace = new Pace();
  for (const jobs of [2, 500]) {
    pace.committed(jobs);
    expect(pace.pause).toBeInstanceOf(Promise);
    await pace.pause;
    expect(pace.pause).toBeUndefined();
  }
});

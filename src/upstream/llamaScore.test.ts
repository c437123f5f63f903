import { expect, test } from "vitest";
import { isLate } from "./llamaScore.ts";

test.each([
  // done  total  passed  left  late
  [0, 1_000, 0, 10_000, false],
  [0, 1_000, 0, 0, true], // waited too long for its turn
  [100, 1_000, 1_000, 9_000, false], // just in time
  [100, 1_000, 1_500, 9_000, false], // the rest may be shorter
  [100, 1_000, 1_600, 9_000, true],
  [999, 1_000, 9_999, 8, false],
])("%i of %i tokens in %i ms, %i ms left: late %s", (done, total, passedMs, leftMs, late) => {
  expect(isLate(done, total, passedMs, leftMs)).toBe(late);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { refusedLines } from "./refusedLines.ts";

const refused = (row: number, reason: string, hint?: string) => ({
  ...{ row, outcome: "refused" as const, reason, ...(hint === undefined ? {} : { hint }) },
});

test("a reason is said once, with the rows that it is of", () => {
  const rows = [1, 2, 3, 5].map((row) => refused(row, "no model", "register it"));
  expect(refusedLines([refused(4, "no time"), ...rows, refused(8, "no id"), refused(9, "no id")], 8)).toEqual([
    "row 4: no time",
    "4 rows, 1, 2, 3 …: no model – register it",
    "rows 8, 9: no id",
    "and 1 more",
  ]);
  expect(refusedLines([], 0)).toEqual([]);
});

test("every refused row is in one line, however many reasons there are, and no more lines than a screen has", () => {
  const rows = fc.array(
    fc.record({ row: fc.nat(), reason: fc.integer({ min: 0, max: 40 }).map((n) => `reason ${n}`) }),
  );
  fc.assert(
    fc.property(rows, fc.nat(5), (drawn, unkept) => {
      const lines = refusedLines(
        drawn.map(({ row, reason }) => refused(row, reason)),
        drawn.length + unkept,
      );
      expect(lines.length).toBeLessThanOrEqual(21);
      const countOf = (line: string) => {
        const [, many, named, more] = /^(?:(\d+) rows, |rows? ([\d, ]+)|and (\d+) more)/.exec(line) ?? [];
        return Number(many ?? more ?? named?.split(", ").length);
      };
      expect(lines.reduce((sum, line) => sum + countOf(line), 0)).toBe(drawn.length + unkept);
    }),
  );
});

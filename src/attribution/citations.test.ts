import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Citations, passAlongCitations } from "./citations.ts";

const retention = fc.double({ min: 0.05, max: 1, noNaN: true });
const graphs = fc.integer({ min: 1, max: 9 }).chain((count) => {
  const edge = fc.record({ to: fc.nat(count - 1), weight: fc.integer({ min: 1, max: 5 }) });
  return fc.array(fc.array(edge, { maxLength: 4 }), { minLength: count, maxLength: count });
});
const credits = fc.infiniteStream(fc.integer({ min: 0, max: 1_000_000 }));

test("credit is conserved to 1e-12 in any graph, cycles and self-citations included, and nobody owes any", () => {
  fc.assert(
    fc.property(graphs, credits, retention, (cites, numbers, keep) => {
      const credit = cites.map(() => numbers.next().value as number);
      const kept = passAlongCitations(credit, cites, keep);
      const whole = sum(credit);
      expect(Math.abs(sum(kept) - whole)).toBeLessThanOrEqual(1e-12 * Math.max(1, whole));
      expect(kept.every((one) => one >= 0)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test("it is the absorbing chain: kept = retention · (I − (1 − retention) · P)⁻¹ · credit, one that cites nothing keeping all", () => {
  fc.assert(
    fc.property(graphs, credits, retention, (cites, numbers, keep) => {
      const credit = cites.map(() => numbers.next().value as number);
      const visits = solve(passing(cites, keep), credit);
      const kept = passAlongCitations(credit, cites, keep);
      for (const [i, list] of cites.entries())
        expect(kept[i]! / (1 + sum(credit))).toBeCloseTo(
          (visits[i]! * (list.length === 0 ? 1 : keep)) / (1 + sum(credit)),
          10,
        );
    }),
    { numRuns: 300 },
  );
});

test("what still moves after the last round is kept where it is", () => {
  const kept = passAlongCitations([1, 0], [[{ to: 1, weight: 1 }], [{ to: 0, weight: 1 }]], 1e-6);
  expect(sum(kept)).toBeCloseTo(1, 12);
});

test("by hand: a cites b, b and c cite each other", () => {
  const one = (to: number) => [{ to, weight: 1 }];
  const kept = passAlongCitations([64, 0, 0], [one(1), one(2), one(1)], 0.5);
  expect([...kept].map((part) => Math.round(part * 1e9) / 1e9)).toEqual([32, 21.333333333, 10.666666667]);
  expect([...passAlongCitations([3, 4], [[], one(0)], 1)]).toEqual([3, 4]);
});

test("what proposals for Ethereum require, two of them each other, passes on with nothing lost", () => {
  const file = path.resolve(import.meta.dirname, "../../../shared/data/eips.jsonl.gz");
  if (!existsSync(file)) {
    console.info("skipped: ../shared/data/eips.jsonl.gz is not here");
    return;
  }
  const proposals = gunzipSync(readFileSync(file))
    .toString("utf8")
    .trim()
    .split("\n")
    .map((line): { id: string; requires: string[] } => JSON.parse(line));
  const numbers = new Map(proposals.map(({ id }, i) => [id.replace(/^.*-/, ""), i]));
  const cites = proposals.map(({ requires }) =>
    requires.flatMap((name) => {
      const to = numbers.get(String(name).replace(/^.*-/, ""));
      return to === undefined ? [] : [{ to, weight: 1 }];
    }),
  );
  expect(sum(cites.map((list) => list.length))).toBeGreaterThan(500);
  expect(cites.some((list, i) => list.some(({ to }) => cites[to]!.some((back) => back.to === i)))).toBe(true);
  const credit = proposals.map(() => 1);
  for (const keep of [0.5, 0.1]) {
    const kept = passAlongCitations(credit, cites, keep);
    expect(Math.abs(sum(kept) / proposals.length - 1)).toBeLessThan(1e-12);
    expect(Math.max(...kept)).toBeGreaterThan(10);
  }
});

function sum(values: Iterable<number>): number {
  let [total, lost] = [0, 0];
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

/** I − what each node passes to each. */
function passing(cites: Citations, keep: number): number[][] {
  const rows = cites.map((_, i) => cites.map((_other, j) => (i === j ? 1 : 0)));
  for (const [from, list] of cites.entries()) {
    const total = list.reduce((all, { weight }) => all + weight, 0);
    for (const { to, weight } of list) rows[to]![from]! -= ((1 - keep) * weight) / total;
  }
  return rows;
}

function solve(matrix: number[][], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let column = 0; column < rows.length; column++) {
    const pivot = rows
      .slice(column)
      .reduce((best, row, k) => (Math.abs(row[column]!) > Math.abs(rows[best]![column]!) ? column + k : best), column);
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (const [i, row] of rows.entries()) {
      if (i === column) continue;
      const factor = row[column]! / rows[column]![column]!;
      for (let k = column; k < row.length; k++) row[k]! -= factor * rows[column]![k]!;
    }
  }
  return rows.map((row, i) => row.at(-1)! / row[i]!);
}

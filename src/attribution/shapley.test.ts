import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomOf } from "../models/training/random.ts";
import { shapleyValues, type Worths } from "./shapley.ts";

const options = { exactMax: 4, evaluationsMax: 32, draw: (below: number) => below >> 1 };
const exact = { ...options, exactMax: 10 };
/** A game as a table of what each coalition is worth. */
const game = (count: number) =>
  fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 2 ** count, maxLength: 2 ** count });
const games = fc.integer({ min: 1, max: 4 }).chain((count) => fc.tuple(fc.constant(count), game(count)));

describe("up to four players", () => {
  test("the values are the mean of what a player adds over all orders", async () => {
    await fc.assert(
      fc.asyncProperty(games, async ([count, table]) => {
        const values = await shapleyValues(count, worthIn(table), options);
        const orders = permutations(count);
        for (let player = 0; player < count; player++) {
          const added = orders.map((order) => {
            const before = order.slice(0, order.indexOf(player));
            return table[bitsOf([...before, player])]! - table[bitsOf(before)]!;
          });
          expect(values[player]).toBeCloseTo(added.reduce((a, b) => a + b, 0) / orders.length, 9);
        }
      }),
    );
  });

  test("nobody is asked about a coalition twice", async () => {
    const asked: string[] = [];
    const worths = async (sets: readonly (readonly number[])[]) => sets.map((members) => asked.push(members.join()));
    await shapleyValues(4, worths, options);
    expect(asked.length).toBe(16);
    expect(new Set(asked).size).toBe(16);
    expect(await shapleyValues(0, worths, options)).toEqual([]);
  });
});

describe("more players", () => {
  const many = fc.integer({ min: 5, max: 10 });

  test("cost at most 32 evaluations, and the values sum to what all are worth beyond nobody", async () => {
    await fc.assert(
      fc.asyncProperty(many, fc.infiniteStream(fc.integer({ min: -9, max: 9 })), async (count, numbers) => {
        const table = Array.from({ length: 2 ** count }, () => numbers.next().value as number);
        let evaluations = 0;
        const counted = (sets: readonly (readonly number[])[]) => {
          evaluations += sets.length;
          return worthIn(table)(sets);
        };
        const values = await shapleyValues(count, counted, options);
        expect(evaluations).toBeLessThanOrEqual(32);
        expect(values.reduce((a, b) => a + b, 0)).toBeCloseTo(table.at(-1)! - table[0]!, 6);
      }),
      { numRuns: 40 },
    );
  });

  test("who add independently of each other are paid exactly what they add", async () => {
    await fc.assert(
      fc.asyncProperty(
        many,
        fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 10, maxLength: 10 }),
        async (count, adds) => {
          const worths = each((members) => members.reduce((sum, i) => sum + adds[i]!, 3));
          const values = await shapleyValues(count, worths, options);
          for (const [i, value] of values.entries()) expect(value).toBeCloseTo(adds[i]!, 6);
        },
      ),
      { numRuns: 40 },
    );
  });

  test.each([
    [32, 0.06, 0.25],
    [14, 0.09, 0.35],
  ])("%s evaluations say nearly what all of them say, where passages overlap", async (evaluationsMax, mean, most) => {
    // Each passage holds some facts; an answer is likelier by each fact that some passage holds.
    const { uniform: random } = randomOf(11);
    const apart: number[] = [];
    for (let round = 0; round < 200; round++) {
      const held = Array.from({ length: 6 }, () => Math.floor(random() * 256) & Math.floor(random() * 256));
      const worths = each((members) => countBits(members.reduce((all, i) => all | held[i]!, 0)));
      const [some, all] = [
        await shapleyValues(6, worths, { ...options, evaluationsMax, draw: (below) => Math.floor(random() * below) }),
        await shapleyValues(6, worths, exact),
      ];
      const total = all.reduce((a, b) => a + b, 0);
      if (total > 0) apart.push(some.reduce((sum, value, i) => sum + Math.abs(value - all[i]!), 0) / total);
    }
    expect(apart.reduce((a, b) => a + b, 0) / apart.length).toBeLessThan(mean);
    expect(Math.max(...apart)).toBeLessThan(most);
  });

  test("each alone and left out, beside all and none, is exact where players act on each other by twos", async () => {
    const pairs = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 100, maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 5, max: 8 }), pairs, async (count, acts) => {
        const worths = each((members) =>
          members.flatMap((i) => members.map((j) => acts[10 * i + j]!)).reduce((a, b) => a + b, 0),
        );
        const few = await shapleyValues(count, worths, { ...options, evaluationsMax: 2 * count + 2 });
        const all = await shapleyValues(count, worths, exact);
        for (const [i, value] of few.entries()) expect(value).toBeCloseTo(all[i]!, 6);
      }),
      { numRuns: 30 },
    );
  });
});

function countBits(value: number): number {
  return value.toString(2).replaceAll("0", "").length;
}

function worthIn(table: readonly number[]): Worths {
  return each((members) => table[bitsOf(members)]!);
}

function each(worth: (members: readonly number[]) => number): Worths {
  return async (sets) => sets.map(worth);
}

function bitsOf(members: readonly number[]): number {
  return members.reduce((bits, i) => bits | (1 << i), 0);
}

function permutations(count: number): number[][] {
  if (count === 0) return [[]];
  return permutations(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, at) => [...order.slice(0, at), count - 1, ...order.slice(at)]),
  );
}

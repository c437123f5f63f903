import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { type Hex, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { anchorsOf, findLineage, type Output, SHINGLES_MIN, sketchOf } from "../datanets/outputs.ts";
import { type OpenOutputStore, openOutputStore } from "./outputStore.ts";

let database: TestDatabase;
let store: OpenOutputStore;
beforeAll(async () => {
  database = await testDatabase();
  store = unwrap(await openOutputStore(database));
});
afterAll(async () => {
  await store.close();
  await database.drop();
});
beforeEach(() => store.forget({ nowMs: Number.MAX_SAFE_INTEGER, countMax: 0 }));

const receipt = (i: number): Hex => toHex(new Uint8Array(16).fill(i));
const words =
  "harbour lantern saffron escapement walnut heron sluice kettle tide quay loaf brass moon eel odour phase".split(" ");
/** Texts of a few words are often in one another, and often not. */
const text = fc.array(fc.constantFrom(...words), { minLength: 16, maxLength: 60 }).map((some) => some.join(" "));
const query = { beforeMs: 100, nowMs: 100, limit: 9 };

describe("earlier answers in PostgreSQL", () => {
  test("those that share an anchor, were given before and have not expired are found, those with the most first", async () => {
    const rows = fc.array(
      fc.record({ text, timeMs: fc.integer({ min: 1, max: 200 }), livesMs: fc.integer({ min: 1, max: 200 }) }),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(rows, text, async (list, asked) => {
        await store.forget({ nowMs: Number.MAX_SAFE_INTEGER, countMax: 0 });
        const outputs = list.map(({ text: said, timeMs, livesMs }, i) => outputOf(i + 1, said, timeMs, livesMs));
        await store.remember(outputs);
        await store.remember(outputs.map((output) => ({ ...output, timeMs: 1 })));
        const anchors = new Set(anchorsOf(sketchOf(asked)!));
        const shared = ({ sketch }: Output) => anchorsOf(sketch).filter((anchor) => anchors.has(anchor)).length;
        const naive = outputs
          .filter((output) => shared(output) > 0 && output.timeMs < 100 && output.expiresMs > 100)
          .sort((a, b) => shared(b) - shared(a) || a.timeMs - b.timeMs || (a.receipt < b.receipt ? -1 : 1));
        expect(await store.sharing([...anchors], query)).toEqual(naive);
        for (const output of outputs) expect(await store.output(output.receipt)).toEqual(output);
        const ids = [...outputs.map((output) => output.receipt), receipt(99)];
        expect(await store.missing(ids)).toEqual([receipt(99)]);
      }),
      { numRuns: 60 },
    );
  });

  test("what has expired is forgotten, and the oldest beyond a number", async () => {
    await store.remember([1, 2, 3, 4].map((i) => outputOf(i, words.join(" "), 10 * i, i === 4 ? 1 : 1_000)));
    expect(await store.forget({ nowMs: 100, countMax: 2 })).toBe(2);
    expect((await store.sharing(anchorsOf(sketchOf(words.join(" "))!), query)).map((one) => one.receipt)).toEqual([
      receipt(2),
      receipt(3),
    ]);
  });
});

const answer =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return to the quay in the evening light.";
const own =
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, which is left to stand for one hour exactly before it is rinsed off.";

describe("lineage", () => {
  const found = async (record: string, declared: readonly Hex[] = [], timeMs = 1_000) =>
    (await findLineage(store, [{ id: receipt(200), text: record }], { timeMs, partMinPpm: 200_000, declared })).map(
      ({ receipt: from, partPpm, isDeclared }) => [from, Math.round(partPpm / 10_000), isDeclared],
    );
  beforeEach(() => store.remember([outputOf(1, answer, 10, 10_000), outputOf(2, `${answer} ${own}`, 20, 10_000)]));

  test.each([
    ["an answer, word for word", answer, [[receipt(1), 100, false]]],
    ["in other letters", `${answer.toUpperCase()}!`, [[receipt(1), 100, false]]],
    [
      "half of it own",
      `${answer} ${"Nobody has said any of these words before in this order, that much is certain, and more of them follow until it is half."}`,
      [[receipt(1), 49, false]],
    ],
    [
      "two answers: each shingle is the first's",
      `${answer} ${own}`,
      [
        [receipt(1), 46, false],
        [receipt(2), 54, false],
      ],
    ],
    [
      "nothing that was said",
      "Seventeen clockmakers argued about brass escapements until the museum closed its heavy walnut doors for good.",
      [],
    ],
    [
      "a phrase of it",
      `The sluice gate of the eastern canal opens ${"and then a great deal else is told that no answer ever held, of bees and of hives ".repeat(2)}`,
      [],
    ],
    ["too little to be anybody's", "The sluice gate opens at dawn.", []],
  ])("of %s", async (_what, record, expected) => {
    expect(await found(record)).toEqual(expected);
  });

  test("runs forward in time only, and ends with the answer's expiry", async () => {
    expect(await found(answer, [], 10)).toEqual([]);
    expect(await found(answer, [receipt(1)], 10)).toEqual([[receipt(1), 100, true]]);
    expect(await found(answer, [], 10_011)).toEqual([[receipt(2), 100, false]]);
    expect(await found(answer, [], 10_021)).toEqual([]);
  });

  test("takes a declaration at its word, and what is found besides it too", async () => {
    expect(await found(own.slice(0, 60), [receipt(9)])).toEqual([[receipt(9), 100, true]]);
    expect(await found(answer, [receipt(1)])).toEqual([[receipt(1), 100, true]]);
    const halves = `${answer} Nobody has said any of these words before in this order, that much is certain, and more of them follow until half.`;
    expect(await found(halves, [receipt(9)])).toEqual([
      [receipt(1), 51, false],
      [receipt(9), 49, true],
    ]);
  });

  test("a record's parts never sum to more than the record", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 4 }),
        text,
        fc.subarray([7, 8, 9]),
        async (said, record, declared) => {
          await store.forget({ nowMs: Number.MAX_SAFE_INTEGER, countMax: 0 });
          await store.remember(said.map((one, i) => outputOf(i + 1, one, i, 10_000)));
          const lineage = await findLineage(store, [{ id: receipt(200), text: record }], {
            ...{ timeMs: 500, partMinPpm: 100_000, declared: declared.map(receipt) },
          });
          expect(lineage.reduce((sum, { partPpm }) => sum + partPpm, 0)).toBeLessThanOrEqual(1_000_000);
          expect(lineage.every(({ partPpm }) => Number.isInteger(partPpm) && partPpm > 0)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("an answer of a few words is not remembered", () => {
    expect(sketchOf("Yes, at dawn.")).toBeUndefined();
    expect(sketchOf(Array.from({ length: SHINGLES_MIN + 4 }, (_, i) => `word${i}`).join(" "))?.length).toBe(
      SHINGLES_MIN,
    );
  });
});

function outputOf(i: number, said: string, timeMs: number, livesMs: number): Output {
  return { receipt: receipt(i), timeMs, expiresMs: timeMs + livesMs, sketch: sketchOf(said) ?? new Uint32Array() };
}

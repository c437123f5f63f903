import { expect, test } from "vitest";
import { combinationHash, defaultPolicy } from "../attribution/policy.ts";
import { toHex } from "../core/bytes.ts";
import type { Passage } from "../core/engine.ts";
import { ok, refuse } from "../core/result.ts";
import { sealRecord } from "../datanets/record.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { groundModel } from "./grounding.ts";
import { People } from "./people.ts";
import { drawsOf, neuralCombination, readingOf, type ScoringEngine } from "./reading.ts";

const texts = [
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.",
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.",
  "Seventeen clockmakers argued about brass escapements until the museum closed its heavy walnut doors.",
];
const names = ["ann", "ben", "cat"];
/** What the first record says, in none of its words. */
const answer = "They lift that barrier early, once each week.";
const prompt = JSON.stringify([{ role: "user", content: "When is the gate lifted?" }]);

const scope = {
  chainId: 31_337,
  registry: new Uint8Array(20),
  datanet: new Uint8Array(32),
  secret: new Uint8Array(32),
};
const records = texts.map((text, i) => {
  const content = { title: "Notes", headingPath: [], text, source: `notes ${i}`, licence: "MIT", date: null };
  return sealRecord(
    { ...content, authors: [{ identity: `git:${names[i]}@example.org`, name: names[i]! }] },
    toHex(new Uint8Array(32)),
  );
});
const people = new People({ scope, records });
const index = buildIndex(houseTokenizer(), records);
const passages = records.map(
  ({ id, text }, number): Passage => ({
    ...{ record: id, number, title: "Notes", headings: [], text, source: "notes", score: 1 },
  }),
);
const combination = neuralCombination(defaultPolicy);

async function attributed(engine: ScoringEngine, { read = passages, said = answer, of = prompt } = {}) {
  const reading = readingOf(defaultPolicy, engine, "a model");
  const grounding = groundModel({ datanets: ["notes"], records, index, people, combination, reading });
  const attribution = await grounding.attribute({
    receipt: new Uint8Array(16).fill(3),
    prompt: of,
    answer: said,
    passages: read,
  });
  const credited = attribution.shares.map(({ payee, weight }) => [people.labelOf(payee), Math.round(weight / 10_000)]);
  return { attribution, credited, reading };
}

/** Surprised by 40 nats, and by so many less where it has read a record. */
function engineOf(gains: readonly number[], asked: number[][] = []): ScoringEngine {
  return {
    score: async ({ reads, messages, text }) => {
      expect(messages).toEqual([{ role: "user", content: "When is the gate lifted?" }]);
      expect(text).toBe(answer);
      asked.push(...reads.map((read) => read.map(({ number }) => number)));
      return ok({
        logProbabilities: reads.map((read) => read.reduce((sum, { number }) => sum + gains[number]!, -40)),
      });
    },
  };
}

test("a record is credited for how much likelier it makes the answer, though no word of it is in the answer", async () => {
  const asked: number[][] = [];
  const { credited, attribution, reading } = await attributed(engineOf([20, 0, -5], asked));
  // Together they take 15 of 40 nats away; what made it less likely explains nothing.
  expect(credited).toEqual([["ann", 37]]);
  expect(attribution.methodsHash).toEqual(combinationHash(reading.combination));
  expect(attribution.grounds?.stated).toHaveLength(1);
  expect(asked).toHaveLength(8);
  expect(new Set(asked.map(String)).size).toBe(8);
});

test("two records that say the same share what they say", async () => {
  const together: ScoringEngine = {
    score: async ({ reads }) =>
      ok({ logProbabilities: reads.map((read) => (read.some(({ number }) => number < 2) ? -10 : -40)) }),
  };
  const { credited } = await attributed(together);
  expect(credited.map(([, part]) => part)).toEqual([38, 37]);
});

test.each<[string, ScoringEngine, Parameters<typeof attributed>[1]]>([
  ["an engine that cannot tell", { score: async () => refuse("upstream_failed", "no") }, {}],
  [
    "an engine that says what is no number",
    { score: async ({ reads }) => ok({ logProbabilities: reads.map(() => Number.NaN) }) },
    {},
  ],
  ["an engine that answers for one set alone", { score: async () => ok({ logProbabilities: [-1] }) }, {}],
  ["nothing that was read", engineOf([1, 1, 1]), { read: [] }],
  ["the bare text of a completion", engineOf([1, 1, 1]), { of: "Once upon a time" }],
])("with %s the words that match count, as far as they are trusted", async (_what, engine, changes) => {
  const said = `As it is written: ${texts[0]}`;
  const { attribution, credited } = await attributed(engine, { ...changes, said });
  expect(attribution.methodsHash).toBeUndefined();
  expect(credited[0]![0]).toBe("ann");
  expect(attribution.unattributed).toBeGreaterThanOrEqual(500_000);
});

test("what is drawn follows from the receipt, and lies in its bounds", () => {
  const [a, b, c] = [1, 1, 2].map((id) => drawsOf(new Uint8Array(16).fill(id)));
  const draws = Array.from({ length: 300 }, (_, i) => [a!(i + 1), b!(i + 1), c!(i + 1)]);
  expect(draws.every(([x, y]) => x === y)).toBe(true);
  expect(draws.some(([x, , z]) => x !== z)).toBe(true);
  expect(draws.every(([x], i) => x! >= 0 && x! <= i && Number.isInteger(x))).toBe(true);
});

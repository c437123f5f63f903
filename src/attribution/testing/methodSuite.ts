import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { EVIDENCE_TOTAL, type Share } from "../../core/route.ts";
import { buildIndex, type CorpusIndex } from "../../models/corpusIndex.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import type { Attribution } from "../attributor.ts";
import type { MethodDescription } from "../description.ts";
import { evidenceRoot, packEvidence, parseEvidence } from "../evidence.ts";
import { weighPayees } from "../payeeWeights.ts";

/** Records, what was answered, and what was read for it: what a method is tried on. */
export interface SuiteWorld {
  readonly index: CorpusIndex;
  readonly texts: readonly string[];
  readonly answer: string;
  /** Records that were read, best first. */
  readonly context: readonly number[];
  /** Near-duplicate → first registered. */
  readonly clusters: ReadonlyMap<number, number>;
}

export interface MethodUnderTest {
  readonly method: MethodDescription;
  /** Evidence of this method alone. */
  attribute(world: SuiteWorld): Attribution | Promise<Attribution>;
}

/** Texts without a word in common, so that it is plain what is whose. */
const notes = [
  "The quiet harbour master counts painted lanterns before the northern tide returns to a stone quay.",
  "Copper kettles whistle whenever mountain bakers fold saffron into their braided winter loaves.",
  "Seventeen clockmakers argued about brass escapements until dusk closed heavy walnut doors.",
  "Glass eels migrate upstream at night, guided by faint odours of freshwater and lunar phases.",
] as const;

const parts = fc.array(fc.tuple(fc.nat(notes.length - 1), fc.nat(50), fc.integer({ min: 20, max: 90 })), {
  maxLength: 5,
});
const answers = parts.map((some) => some.map(([i, from, length]) => notes[i]!.slice(from, from + length)).join(" — "));
const contexts = fc.subarray([0, 1, 2, 3]);
const runs = { numRuns: 60 };

/** What every method must do, whatever it measures. */
export function methodSuite({ method, attribute }: MethodUnderTest): void {
  describe(`${method.id}, as every method`, () => {
    test("says what it measures and what it does not", () => {
      expect(method.id).toMatch(/^[!-~]+$/);
      expect(method.version).toBeGreaterThanOrEqual(1);
      expect(["match", "use", "cause"]).toContain(method.measures);
      for (const sentence of [method.says, method.doesNotSay]) expect(sentence).toMatch(/^[A-Z].{20,}\.$/);
    });

    test("explains no unit twice, in whole positive weights, and the same again in the same bits", async () => {
      await fc.assert(
        fc.asyncProperty(answers, contexts, async (answer, context) => {
          const world = worldOf(notes, answer, context);
          const { evidence, totalUnits, explainedUnits } = await attribute(world);
          for (const item of evidence) {
            expect(item.kind).toBe(method.kind);
            expect(Number.isInteger(item.weight) && item.weight > 0, `${item.weight}`).toBe(true);
            expect(item.output.from).toBeLessThanOrEqual(item.output.until);
            expect(item.output.until).toBeLessThanOrEqual(answer.length);
          }
          expect(evidence.reduce((sum, { weight }) => sum + weight, 0)).toBe(explainedUnits);
          expect(explainedUnits).toBeLessThanOrEqual(totalUnits);
          const again = await attribute(worldOf(notes, answer, context));
          expect(evidenceRoot(again.evidence, again.totalUnits)).toEqual(evidenceRoot(evidence, totalUnits));
          expect(parseEvidence(packEvidence(evidence, totalUnits), () => 0).ok).toBe(true);
        }),
        runs,
      );
    });

    test("does not depend on the order in which unrelated records were registered, or evidence was found", async () => {
      await fc.assert(
        fc.asyncProperty(
          answers,
          contexts,
          fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
          async (answer, context, order) => {
            const place = (record: number): number => order.indexOf(record);
            const [here, there] = [
              await attribute(worldOf(notes, answer, context)),
              await attribute(
                worldOf(
                  order.map((i) => notes[i]!),
                  answer,
                  context.map(place),
                ),
              ),
            ];
            const [sums, others] = [byText(here, (record) => record), byText(there, (record) => order[record]!)];
            // A unit is 1/256 bit: who gets the odd one follows the numbers.
            for (let i = 0; i < 4; i++) expect(Math.abs((sums[i] ?? 0) - (others[i] ?? 0))).toBeLessThanOrEqual(1);
            const options = {
              payeesOf: (record: number) => [{ payee: record + 1, weight: 1 }],
              receiptId,
              payeesMax: 9,
            };
            const backwards = { ...here, evidence: here.evidence.toReversed() };
            expect(weighPayees(backwards, options)).toEqual(weighPayees(here, options));
          },
        ),
        runs,
      );
    });

    test("pays a contributor who is split into identities what it would have been paid, in sum", async () => {
      await fc.assert(
        fc.asyncProperty(
          answers,
          contexts,
          fc.array(fc.nat(1), { minLength: 4, maxLength: 4 }),
          async (answer, context, owners) => {
            const found = await attribute(worldOf(notes, answer, context));
            const weights = (identities: number) => {
              const payeesOf = (record: number): Share[] => [
                {
                  payee: 1 + owners[record % 4]! * 10 + (owners[record % 4] === 0 ? record % identities : 0),
                  weight: 1,
                },
              ];
              const { shares } = weighPayees(found, { payeesOf, receiptId, payeesMax: 40 });
              return shares.filter(({ payee }) => payee <= 10).reduce((sum, { weight }) => sum + weight, 0);
            };
            // Systematic rounding puts each sum of neighbours within one part of its quota.
            expect(Math.abs(weights(4) - weights(1))).toBeLessThanOrEqual(2);
          },
        ),
        runs,
      );
    });

    test("pays the first registered of near-duplicates, and its copies nothing", async () => {
      const edited = notes[0].replace("painted", "gilded");
      const texts = [...notes, edited, notes[0], `${notes[0]} Mine.`];
      const clusters = new Map([4, 5, 6].map((copy) => [copy, 0]));
      for (const answer of [notes[0], edited, `${notes[1]} ${edited}`]) {
        const { evidence } = await attribute(worldOf(texts, answer, [5, 4, 1, 0], clusters));
        expect(evidence.length).toBeGreaterThan(0);
        expect(evidence.filter(({ recordNumber }) => clusters.has(recordNumber))).toEqual([]);
      }
    });

    test.each([
      ["an empty answer", notes, "", [0, 1]],
      ["no records", [], notes[0], []],
      ["an answer of one word", notes, "The", []],
    ])("finds nothing in %s", async (_what, texts, answer, context) => {
      const { evidence, explainedUnits } = await attribute(worldOf(texts, answer, context));
      expect(evidence).toEqual([]);
      expect(explainedUnits).toBe(0);
      const options = { payeesOf: () => [], receiptId, payeesMax: 4 };
      expect(weighPayees(await attribute(worldOf(texts, answer, context)), options).unattributed).toBe(EVIDENCE_TOTAL);
    });
  });
}

const receiptId = new Uint8Array(16).fill(7);

function worldOf(
  texts: readonly string[],
  answer: string,
  context: readonly number[],
  clusters: ReadonlyMap<number, number> = new Map(),
): SuiteWorld {
  const key = texts.join("\n");
  const index =
    indexes.get(key) ??
    buildIndex(
      houseTokenizer(),
      texts.map((text) => ({ id: toHex(sha256(utf8(text))), text })),
    );
  indexes.set(key, index);
  return { index, texts, answer, context, clusters };
}

const indexes = new Map<string, CorpusIndex>();

function byText({ evidence }: Attribution, original: (record: number) => number): Record<number, number> {
  const sums: Record<number, number> = {};
  for (const { recordNumber, weight } of evidence) {
    const key = recordNumber < 4 ? original(recordNumber) : recordNumber;
    sums[key] = (sums[key] ?? 0) + weight;
  }
  return sums;
}

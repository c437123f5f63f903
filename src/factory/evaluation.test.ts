import { expect, it, test } from "vitest";
import { memoryCorpus } from "../attribution/corpus.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { sealRecord } from "../datanets/record.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { evaluatePart, groundingScore, isSameAnswer, type Prompt } from "./evaluation.ts";

const text =
  "Dissolve two spoons of citric acid in a litre of cold water, and let it stand for an hour without heating it.";
const corpus = memoryCorpus(
  buildIndex(houseTokenizer(), [
    sealRecord(
      { title: "Kettle", headingPath: [], text, source: "s", licence: "MIT", date: null, authors: [] },
      `0x${"00".repeat(32)}`,
    ),
  ]),
);

test.each([
  ["Yes.", " yes ", true],
  ["a  b\nc", "A b c!", true],
  ["yes", "yes, no", false],
  ["", " . ", true],
  ["So 40 + 32.\n#### 72", "48 + 24 = 72\n#### 72", true],
  ["#### 72 ", "48 + 24 = 72\n#### 72.", true],
  ["48 + 24 = 72\n#### 73", "48 + 24 = 72\n#### 72", false],
  ["72", "48 + 24 = 72\n#### 72", false],
  ["#### 72", "72", false],
])("%j and %j are the same answer: %s", (a, b, same) => expect(isSameAnswer(a, b)).toBe(same));

it("what the records say is grounded, what they do not say is not, and half is between", () => {
  const invented = "Bicycles should never be washed with a pressure hose because bearings rust from inside.";
  const [whole, none, half] = [[text], [invented], [text, invented]].map((texts) => groundingScore(corpus, texts));
  expect(whole).toBeGreaterThan(0.9);
  expect(none).toBeLessThan(0.2);
  expect(half).toBeGreaterThan(none!);
  expect(half).toBeLessThan(whole!);
  expect(groundingScore(corpus, [""])).toBe(0);
});

const heldOut: readonly TrainingExample[] = [
  ...["one", "two", "three"].map((record) => ({
    record,
    messages: [
      { role: "user" as const, content: `Say ${record}.` },
      { role: "assistant" as const, content: record },
    ],
  })),
  { record: "plain", text },
];
const plan = {
  ...{ base: { base: "/base" }, model: { base: "/base", adapter: "/adapter" }, sequenceTokens: 64 },
  ...{ lossesMax: 4, answersMax: 4, answerTokens: { least: 8, most: 60 } },
  countTokens: (text: string) => text.split(" ").length,
};
const never = new AbortController().signal;
const evaluator = {
  losses: async ({ adapter, examples }: { adapter?: string; examples: readonly TrainingExample[] }) =>
    ok(
      examples.map(({ record }) => ({ record, tokens: record === "one" ? 0 : 2, loss: adapter === undefined ? 4 : 1 })),
    ),
  gradients: () => Promise.reject(new Error("not asked for")),
  curvature: () => Promise.reject(new Error("not asked for")),
};

it("sets base and model side by side: loss a token, exact answers, grounding, samples", async () => {
  const asked: Prompt[] = [];
  const answers = {
    answer: async ({ adapter }: { adapter?: string }, prompt: Prompt) => {
      asked.push(prompt);
      const content = prompt.messages.at(-1)?.content ?? "";
      const said = adapter === undefined ? "I do not know" : `${content.replace(/^Say |\.$/g, "")}!`;
      return ok({ text: said, isCut: false });
    },
  };
  const part = unwrap(
    await evaluatePart({ name: "net", version: 2, heldOut, corpus }, plan, { evaluator, answers }, never),
  );
  expect(part).toMatchObject({ name: "net", version: 2, examples: 4 });
  expect([part.base.loss, part.model.loss]).toEqual([16 / 6, 4 / 6]);
  // Of the questions alone; a text that is continued has no answer of its own.
  expect([part.base.exactMatch, part.model.exactMatch]).toEqual([0, 1]);
  expect(part.model.grounding).toBeGreaterThan(part.base.grounding ?? 1);
  expect(part.samples[0]).toEqual({
    record: "one",
    prompt: "Say one.",
    expected: "one",
    base: "I do not know",
    model: "one!",
  });
  expect(asked.map(({ mode }) => mode)).toEqual(["chat", "chat", "chat", "text", "chat", "chat", "chat", "text"]);
  expect(asked.every(({ messages }) => messages.every(({ role }) => role !== "assistant"))).toBe(true);
});

it("lets an answer to a question be as long as the expected one, within bounds, and says how many were cut all the same", async () => {
  const words = (count: number) => Array.from({ length: count }, (_unused, i) => `w${i}`).join(" ");
  const asking = (count: number): TrainingExample => ({
    record: `${count}`,
    messages: [
      { role: "user", content: `Say ${count} words.` },
      { role: "assistant", content: words(count) },
    ],
  });
  const asked: number[] = [];
  const answers = {
    answer: async (_weights: object, { maxTokens, messages, mode }: Prompt) => {
      asked.push(maxTokens);
      const count = Number(/\d+/.exec(messages.at(-1)!.content)?.[0] ?? 99);
      return ok({ text: words(Math.min(maxTokens, count)), isCut: mode === "text" || count > maxTokens });
    },
  };
  const examples = [asking(2), asking(30), asking(100), { record: "plain", text }];
  const part = unwrap(await evaluatePart({ name: "net", heldOut: examples }, plan, { evaluator, answers }, never));
  expect(asked.slice(0, 4)).toEqual([8, 46, 60, 8]);
  // A text that is continued is always cut, and matches nothing anyway.
  expect(part.model).toMatchObject({ exactMatch: 2 / 3, cut: 1, answers: 4 });
});

it("refuses as the answers do", async () => {
  const answers = { answer: async () => refuse("upstream_failed", "no engine") };
  const part = await evaluatePart({ name: "net", heldOut }, plan, { evaluator, answers }, never);
  expect(part).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
});

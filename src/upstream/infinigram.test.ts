import { afterAll, expect, test } from "vitest";
import type { EngineRequest, Passage } from "../core/engine.ts";
import { cannotAnswer } from "../models/answer.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { InfinigramEngine, tokensOf } from "./infinigram.ts";
import { embeddedInfinigram } from "./infinigramHost.ts";
import { collect, requestOf, textOf } from "./testing/engineSuite.ts";

const texts = [
  "The tar command packs files. Use `tar -cf archive.tar folder` to create an archive of a folder.",
  "The cat command prints files. Use `cat file` to print a file to the terminal.",
];
const records = texts.map((text, i) => ({ id: `${i + 1}`.repeat(64), text }));
const index = buildIndex(houseTokenizer(), records);
const models = new Map([["docs", index]]);
const direct = new InfinigramEngine(models);
const embedded = embeddedInfinigram(models);
afterAll(() => embedded.close());

const passages: Passage[] = texts.map((text, number) => ({
  ...{
    record: records[number]?.id ?? "",
    number,
    title: "Commands",
    headings: [],
    text,
    source: "npm:x",
    score: 2 - number,
  },
}));
const ask = (question: string, changes: Partial<EngineRequest> = {}) =>
  requestOf(question, { model: "docs", passages, ...changes });

test.each([
  ["direct", direct],
  ["embedded", embedded],
] as const)("%s: answers from the records and counts its tokens", async (_, engine) => {
  const request = ask("How do I create an archive with tar?");
  const events = await collect(engine, request);
  expect(textOf(events)).toContain("tar -cf archive.tar folder");
  expect(events.at(-2)).toMatchObject({ type: "usage", tokensIn: tokensOf(index, request) });
  expect(events.at(-1)).toEqual({ type: "end", reason: "stop" });
});

test("says that it cannot answer what the records do not say", async () => {
  expect(textOf(await collect(direct, ask("Who won the football championship?")))).toBe(cannotAnswer);
});

test("stops at max tokens, and before a stop sequence", async () => {
  const short = await collect(direct, ask("How do I create an archive with tar?", { maxTokens: 3 }));
  expect(short.slice(-2)).toMatchObject([{ tokensOut: 3 }, { reason: "length" }]);
  const stopped = textOf(await collect(direct, ask("How do I create an archive with tar?", { stop: ["archive.tar"] })));
  expect(stopped).toContain("tar -cf ");
  expect(stopped).not.toContain("archive.tar");
});

test("continues a text as the corpus does", async () => {
  const events = await collect(direct, ask("The cat command", { mode: "text", passages: [] }));
  expect(textOf(events)).toBe(" prints files. Use `cat file` to print a file to the terminal.");
});

test("the direct and the embedded engine say the same", async () => {
  const request = ask("How do I print a file?", { mode: "chat" });
  expect(textOf(await collect(embedded, request))).toBe(textOf(await collect(direct, request)));
});

test("an unknown model is a failure of the engine, not of the caller", async () => {
  expect(await collect(direct, ask("x", { model: "nope" }))).toMatchObject([{ refusal: { code: "upstream_failed" } }]);
});

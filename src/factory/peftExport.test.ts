import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { encode } from "../models/bpe.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { tinyShape } from "../models/testing/randomLlama.ts";
import { encodeExample } from "../models/training/chatTemplate.ts";
import { microBatches, planEpoch, windowsOf } from "../models/training/packing.ts";
import { learningRateAt } from "../models/training/schedule.ts";
import type { TrainingExample } from "../models/training/task.ts";
import type { Job } from "./job.ts";
import { differsFrom, type JobSources, peftFiles, stepsOf } from "./peftExport.ts";
import { parseTrainingFile } from "./trainingFile.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-peft-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.log("there is no python3 here: the script is not run");
const hash = `0x${"01".repeat(32)}` as const;
const examples: readonly TrainingExample[] = [
  { record: hash, text: "A text that is longer than one window, so that it goes on in the next one, and in the next." },
  {
    record: hash,
    messages: [
      { role: "user", content: " How? " },
      { role: "assistant", content: "So.\n" },
    ],
  },
  {
    record: hash,
    messages: [
      ...[
        { role: "system" as const, content: "Be short." },
        { role: "user" as const, content: "é 🙂?" },
      ],
      ...[
        { role: "assistant" as const, content: "One." },
        { role: "user" as const, content: "" },
      ],
      ...[
        { role: "user" as const, content: "More" },
        { role: "assistant" as const, content: "Two, and more of it" },
      ],
    ],
  },
];
const hashOf = (n: number) => toHex(new Uint8Array(32).fill(n));
const job: Pick<Job, "id" | "options" | "source"> = {
  id: "ftjob-0123456789abcdef01234567",
  options: {
    ...{ adapter: { rank: 4, alpha: 8, dropout: 0, targets: ["q_proj"] }, epochs: 1, batchSize: 2, sequenceTokens: 16 },
    ...{ learningRate: 0.01, warmUp: 0.1, weightDecay: 0.01, gradientNormMax: 1, seed: 7, patience: 0 },
    ...{ checkpointEvery: 5, fitsInfluence: false },
  },
  source: { kind: "datanets", datanets: [{ name: "pages", version: 3, id: hash, licence: "CC0-1.0", records: 3 }] },
};
const source = { train: examples, heldOut: [{ name: "pages", version: 3, examples: examples.slice(0, 1) }] };
const sources: JobSources = {
  base: {
    ...{ name: "house", hash, asset: hashOf(2), licence: "CC-BY-4.0", shape: tinyShape(), figures: {} },
    madeFrom: [{ name: "tldr", licence: "CC-BY-4.0", source: "s", records: 9, contributors: 4, hash: hashOf(3) }],
  },
  datanets: [
    {
      ...{ name: "pages", version: 3, id: hash, contentRoot: hashOf(4), asset: hashOf(5), licence: "CC0-1.0" },
      ...{ summary: "pages of a book", records: 3 },
      contributors: [{ payee: hashOf(6), name: "Ann | Ä", records: 3 }],
      lineage: [{ record: hashOf(7), receipt: hashOf(8), partPpm: 500_000, isDeclared: true }],
    },
  ],
};
const train = examples.map((example) => encodeExample(houseTokenizer(), example));
const files = peftFiles(job, sources, source, train);
const textOf = (name: string): string => files.find((file) => file.name === name)!.text;
beforeAll(() => {
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
});

test("the folder says what it is, and its examples are read back as they were", async () => {
  expect(files.map(({ name }) => name).sort()).toEqual(
    [
      ...["README.md", "config.json", "heldout.jsonl", "openledger.json", "plan.jsonl", "requirements.txt"],
      ...["train.jsonl", "train.py"],
    ].sort(),
  );
  expect(JSON.parse(textOf("config.json"))).toMatchObject({ job: job.id, base: { hash }, options: job.options });
  expect(textOf("README.md")).toContain(`openledger model import-adapter ${job.id} adapter`);
  const lines = textOf("train.jsonl").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(examples);
  const again = await parseTrainingFile(new TextEncoder().encode(textOf("train.jsonl")), async () => undefined);
  expect(again.ok && again.value.length).toBe(examples.length);
});

test("the folder names base, datanet versions, content roots, parents and everybody who contributed", () => {
  const provenance = JSON.parse(textOf("openledger.json"));
  const { shape: _shape, figures: _figures, ...base } = sources.base;
  expect(provenance).toEqual({
    ...{ job: job.id, base, datanets: sources.datanets },
    parents: [
      { kind: "base", name: "house", asset: hashOf(2), weight: 1 },
      { kind: "datanet", name: "pages", version: 3, asset: hashOf(5), weight: 1 },
    ],
  });
  for (const said of [
    "Ann \\| Ä (3)",
    "| pages | 3 | CC0-1.0 | 3 | 1 |",
    "| tldr | CC-BY-4.0 |",
    "repeat earlier answers: 1",
  ])
    expect(textOf("README.md")).toContain(said);
});

test("what lies beside an adapter says whose it is", () => {
  const own = { ...job, base: { name: "house", hash } };
  const beside = (changes: object) => utf8(JSON.stringify({ ...JSON.parse(textOf("openledger.json")), ...changes }));
  expect(differsFrom(own, utf8(textOf("openledger.json")))).toBeUndefined();
  for (const [provenance, why] of [
    [beside({ job: "ftjob-another" }), /trained for ftjob-another/],
    [beside({ job: 1 }), /no job that is named/],
    [beside({ base: { hash: hashOf(9) } }), /another base/],
    [beside({ datanets: [] }), /other datanet versions/],
    [beside({ datanets: [{ id: hashOf(9) }] }), /other datanet versions/],
    [utf8("{"), /no job that is named/],
    [new Uint8Array([255, 0]), /no job that is named/],
  ] as const)
    expect(differsFrom(own, provenance)).toMatch(why);
});

test("the steps are those of our trainer: in each epoch every window once, in its order", () => {
  const options = { ...job.options, epochs: 3 };
  const windows = train.flatMap((example) => windowsOf(example, options.sequenceTokens));
  const steps = stepsOf(train, options);
  const ours = [0, 1, 2].flatMap((epoch) => planEpoch(windows, options, epoch));
  expect(steps.map((numbers) => numbers.map((number) => windows[number]!.tokens))).toEqual(
    ours.map((sequences) => sequences.flat().map(({ tokens }) => tokens)),
  );
  const seen = steps.flat().toSorted((a, b) => a - b);
  expect(seen).toEqual(windows.flatMap((_window, number) => [number, number, number]));
  expect(
    textOf("plan.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(stepsOf(train, job.options));
});

test.skipIf(!hasPython)("the script compiles", () => {
  execFileSync("python3", ["-m", "py_compile", join(folder, "train.py")]);
});

test.skipIf(!hasPython)(
  "the script makes of each example the tokens, targets and windows that our trainer makes of it",
  () => {
    const tokenizer = houseTokenizer();
    const texts = new Map<string, readonly number[]>();
    for (const example of examples) {
      const said = "text" in example ? [example.text] : piecesOf(example.messages);
      for (const text of said) texts.set(text, Array.from(encode(tokenizer, text)));
    }
    writeFileSync(join(folder, "texts.json"), JSON.stringify([...texts]));
    const program = `
import json, sys
sys.path.insert(0, ${JSON.stringify(folder)})
import train
texts = dict((text, ids) for text, ids in json.load(open(${JSON.stringify(join(folder, "texts.json"))})))
out = [[[t, [int(x) for x in m]] for t, m in train.windows(*train.encode_example(texts.__getitem__, e), 16)] for e in train.read_jsonl("train.jsonl")]
print(json.dumps(out))`;
    const said = JSON.parse(execFileSync("python3", ["-c", program], { encoding: "utf8" }));
    const ours = examples.map((example) =>
      windowsOf(encodeExample(tokenizer, example), 16).map(({ tokens, isTarget }) => [[...tokens], [...isTarget]]),
    );
    expect(said).toEqual(ours);
    expect(ours[0]!.length).toBeGreaterThan(1);
  },
);

test.skipIf(!hasPython)("the script's rate of each step is ours", () => {
  const plan = fc.record({
    steps: fc.integer({ min: 1, max: 500 }),
    warmUp: fc.constantFrom(0, 0.05, 0.5, 1),
    learningRate: fc.constantFrom(1e-4, 0.003),
  });
  const plans = fc.sample(plan, 60).map((one) => ({ ...one, step: Math.floor(one.steps / 3) }));
  writeFileSync(join(folder, "plans.json"), JSON.stringify(plans));
  const program = `
import json, sys
sys.path.insert(0, ${JSON.stringify(folder)})
import train
plans = json.load(open(${JSON.stringify(join(folder, "plans.json"))}))
print(json.dumps([train.learning_rate(p["step"], p["steps"], p["warmUp"], p["learningRate"]) for p in plans]))`;
  const said: number[] = JSON.parse(execFileSync("python3", ["-c", program], { encoding: "utf8" }));
  for (const [i, { step, ...rest }] of plans.entries()) expect(said[i]).toBeCloseTo(learningRateAt(step, rest), 12);
});

test.skipIf(!hasPython)("the script runs as much at once as our trainer does", () => {
  const windows = fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 20 });
  const rows = fc.sample(fc.record({ windows, most: fc.integer({ min: 10, max: 90 }) }), 40);
  writeFileSync(join(folder, "rows.json"), JSON.stringify(rows));
  const program = `
import json, sys
sys.path.insert(0, ${JSON.stringify(folder)})
import train
rows = json.load(open(${JSON.stringify(join(folder, "rows.json"))}))
print(json.dumps([[len(part) for part in train.micro_batches([([0] * n, []) for n in r["windows"]], r["most"])] for r in rows]))`;
  const said: number[][] = JSON.parse(execFileSync("python3", ["-c", program], { encoding: "utf8" }));
  for (const [i, { windows: lengths, most }] of rows.entries()) {
    const sequences = lengths.map((length) => [
      { record: "", tokens: new Uint16Array(length), isTarget: new Uint8Array(length) },
    ]);
    expect(said[i]).toEqual(microBatches(sequences, most).map((part) => part.length));
  }
});

/** What the template asks the tokenizer for. */
function piecesOf(messages: Extract<TrainingExample, { messages: unknown }>["messages"]): string[] {
  const said = messages
    .map(({ role, content }) => ({ role, content: content.trim() }))
    .filter(({ content }) => content);
  return said.flatMap(({ role, content }, i) => {
    const marker = `${i === 0 ? "" : "\n\n"}### ${role[0]!.toUpperCase()}${role.slice(1)}:\n`;
    return role === "assistant" ? [marker, content] : [marker + content];
  });
}

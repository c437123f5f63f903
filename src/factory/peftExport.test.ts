import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encode } from "../models/bpe.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { encodeExample } from "../models/training/chatTemplate.ts";
import { windowsOf } from "../models/training/packing.ts";
import { learningRateAt } from "../models/training/schedule.ts";
import type { TrainingExample } from "../models/training/task.ts";
import type { Job } from "./job.ts";
import { peftFiles } from "./peftExport.ts";
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
const files = peftFiles(job, { name: "house", hash, licence: "CC-BY-4.0" }, source);
const textOf = (name: string): string => files.find((file) => file.name === name)!.text;
beforeAll(() => {
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
});

test("the folder says what it is, and its examples are read back as they were", async () => {
  expect(files.map(({ name }) => name).sort()).toEqual(
    ["README.md", "config.json", "heldout.jsonl", "requirements.txt", "train.jsonl", "train.py"].sort(),
  );
  expect(JSON.parse(textOf("config.json"))).toMatchObject({ job: job.id, base: { hash }, options: job.options });
  expect(textOf("README.md")).toContain(`openledger model import-adapter ${job.id} adapter`);
  expect(textOf("README.md")).toContain("- pages, version 3: CC0-1.0");
  const lines = textOf("train.jsonl").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(examples);
  const again = await parseTrainingFile(new TextEncoder().encode(textOf("train.jsonl")), async () => undefined);
  expect(again.ok && again.value.length).toBe(examples.length);
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

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryCorpus } from "../../attribution/corpus.ts";
import type { Evidence } from "../../attribution/evidence.ts";
import { likelihoodOf } from "../../attribution/likelihood.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import { unwrap } from "../../core/result.ts";
import type { DatanetRecord } from "../../datanets/record.ts";
import type { Job } from "../../factory/job.ts";
import { deployDefaults } from "../../factory/order.ts";
import { ScriptedEngine } from "../../gateway/testing/scriptedEngine.ts";
import { smallJournal } from "../../ledger/testing/smallJournal.ts";
import { buildIndex } from "../../models/corpusIndex.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { answerScores, drawsOf, lengthsOf } from "../../node/reading.ts";
import { neuralWorld, trainedJob } from "../../node/testing/neuralWorld.ts";
import type { Opening } from "../../protocol/receipts.ts";
import { LlamaEngine } from "../../upstream/llama.ts";
import { engineChecks } from "./openedEngine.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-test-"));
const { receipt } = smallJournal().receipt;
const zero = toHex(new Uint8Array(16));
const units = 100_000;
let world: Awaited<ReturnType<typeof neuralWorld>>;
let job: Job;
let records: readonly DatanetRecord[];
beforeAll(async () => {
  world = await neuralWorld(folder, new ScriptedEngine([]));
  job = await trainedJob(world.folders, world.base, [world.datanet]);
  const node = await world.start();
  unwrap(await node.shelf.deploy(job, world.base, { name: "ft:tiny:x", ...deployDefaults }));
  await node.stop();
  records = await world.store.versionRecords(world.datanet.name, world.datanet.version);
  const lines = records.map(({ id, title, text }) => JSON.stringify({ id, title, text }));
  writeFileSync(join(folder, "records.jsonl"), `${lines.join("\n")}\n`);
  writeFileSync(join(folder, "half.jsonl"), lines[0]!);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the node's engine said of an answer that it gave after reading both records. */
async function said(): Promise<{ readonly opening: Opening; readonly stated: readonly Evidence[] }> {
  const engine = new LlamaEngine({
    ...{ cacheFolder: join(folder, "llama") },
    find: () => ({ base: world.base.folder, adapter: world.folders.weights(job, undefined) }),
  });
  const prompt = JSON.stringify([{ role: "user", content: "How?" }]);
  const passages = records.map(({ id, title, text, source }, number) => ({
    ...{ record: id, number, title, headings: ["How to cook"], text, source, score: 2 - number },
  }));
  // Random weights have no opinion of their own: the answer is taken that either record makes likelier.
  for (const answer of [records[0]!.text, records[1]!.text, "Knead.", "Salt them at the end.", "bay bay bay bay"]) {
    const stated = await likelihoodOf({
      ...{ corpus: corpusOf(), context: [0, 1], canonicalOf: (record) => record, answerLength: answer.length },
      ...{ scores: answerScores(engine, "it", { prompt, passages, answer }, 240_000), draw: drawsOf(receipt.id) },
      lengthOf: lengthsOf(passages),
    }).explain(units);
    if (stated.length === 0) continue;
    await engine.close();
    const context = records.map(({ id }) => id);
    return { stated, opening: { v: 1, promptSalt: zero, answerSalt: zero, prompt, answer, context, evidence: [] } };
  }
  throw new Error("no answer is likelier with a record");
}

function corpusOf() {
  return memoryCorpus(buildIndex(houseTokenizer(), records));
}

test("what a model owes to what it read is asked of it again, where it and the texts are at hand", async () => {
  const { opening, stated } = await said();
  const check = async (own: readonly Evidence[], file?: string, contentRoot = fromHex(job.result!.hash)) => {
    const numberOf = (id: string) => records.findIndex((record) => record.id === id);
    const { methods, checks } = engineChecks(
      {
        ...{ data: folder, contentRoot, corpus: corpusOf(), numberOf, opening, receipt },
        ...{ versionOf: () => undefined, records: file && join(folder, file) },
      },
      [{ kind: "passage", explain: () => own }],
    );
    expect(await methods[0]!.explain(units)).toEqual(own);
    return checks();
  };
  const [check0] = unwrap(await check(stated, "records.jsonl"));
  expect(check0).toMatchObject({ kind: "passage", pieces: stated.length });
  expect(check0!.distance).toBeLessThan(0.02);
  const doubled = stated.map((item) => ({ ...item, weight: 2 * item.weight }));
  expect(await check(doubled, "records.jsonl")).toMatchObject({ ok: false, error: { code: "verification_failed" } });

  const whys = [
    await check(stated),
    await check(stated, "none.jsonl"),
    await check(stated, "half.jsonl"),
    await check(stated, "records.jsonl", new Uint8Array(32)),
  ].map((result) => unwrap(result)[0]!);
  expect(whys.map(({ distance }) => distance)).toEqual([undefined, undefined, undefined, undefined]);
  expect(whys.map(({ why }) => why)).toEqual([
    "what was read is not at hand: name the datanet's records.jsonl with --records",
    `there is no file ${join(folder, "none.jsonl")}`,
    `${join(folder, "half.jsonl")} lacks records that were read`,
    `the model is not at hand in ${folder}`,
  ]);
}, 240_000);

test("an opening that states nothing asks nothing", async () => {
  const { checks } = engineChecks(
    {
      ...{ data: join(folder, "none"), contentRoot: undefined, corpus: corpusOf(), numberOf: () => undefined, receipt },
      ...{ opening: { v: 1, promptSalt: zero, answerSalt: zero, prompt: "", answer: "", evidence: [] }, records: "x" },
      versionOf: () => undefined,
    },
    [],
  );
  expect(unwrap(await checks())).toEqual([]);
});

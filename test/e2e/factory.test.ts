import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { unwrap } from "../../src/core/result.ts";
import { smallFile } from "../../src/factory/testing/smallFactory.ts";
import { until } from "../../src/host/processes.ts";
import { writeLlamaFolder } from "../../src/models/formats/huggingFaceFile.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";
import { randomLlama, tinyShape } from "../../src/models/testing/randomLlama.ts";
import { settlementSchema } from "../../src/protocol/completions.ts";
import { jobViewSchema } from "../../src/protocol/jobs.ts";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

const shape = tinyShape({ vocabulary: 8_192, hidden: 16, intermediate: 32, heads: 2, keyValueHeads: 1 });
let place: Awaited<ReturnType<typeof folder>>;
let data: string;
let node: Program;
let client: OpenAI;

async function up(): Promise<void> {
  node = start(["up", "--credit", "--port", "0", "--data", data]);
  const [, url] = await node.says(/is up at (\S+)/);
  const { secret } = z.object({ secret: z.string() }).parse(await cli("key", "create", account, "laptop"));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: secret, maxRetries: 0 });
}

let account = "me";
const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);
const jobs = () => client.fineTuning.jobs;

async function ended(id: string) {
  const job = async () => jobs().retrieve(id);
  expect(await until(async () => ["succeeded", "failed"].includes((await job()).status), 120_000, 100)).toBe(true);
  return job();
}

const own = async (id: string) => jobViewSchema.parse(await cli("model", "job", id));

async function stepsOf(id: string): Promise<number> {
  const progress = z.looseObject({
    openledger: z.looseObject({ progress: z.looseObject({ step: z.number() }).optional() }),
  });
  return progress.parse(await jobs().retrieve(id)).openledger.progress?.step ?? 0;
}

beforeAll(async () => {
  place = await folder();
  data = join(place.path, "data");
  const base = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  node = start(["up", "--credit", "--port", "0", "--data", data]);
  const [, url] = await node.says(/is up at (\S+)/);
  unwrap(await writeLlamaFolder(join(data, "bases", "tiny"), base));
  account = z.object({ id: z.string() }).parse(await cli("account", "create", "builder")).id;
  await cli("account", "credit", account, "5");
  const { secret } = z.object({ secret: z.string() }).parse(await cli("key", "create", account, "laptop"));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: secret, maxRetries: 0 });
}, 120_000);

afterAll(async () => {
  await endAll();
  await place.remove();
});

const upload = async () =>
  client.files.create({ file: await toFile(smallFile(40), "questions.jsonl"), purpose: "fine-tune" });

test("the openai client uploads, trains, follows and asks what came of it", async () => {
  const file = await upload();
  const job = await jobs().create({ model: "tiny", training_file: file.id, suffix: "first" });
  const done = await ended(job.id);
  expect(done).toMatchObject({ status: "succeeded", error: null, trained_tokens: expect.any(Number) });
  const events = [];
  for await (const event of jobs().listEvents(job.id, { limit: 50 })) events.push(event.message);
  expect(events.at(-1)).toBe(`Created fine-tuning job: ${job.id}`);
  expect(events[0]).toBe("The job has successfully completed.");
  expect(events.some((message) => message.startsWith("It could not"))).toBe(false);
  const { data: checkpoints } = await jobs().checkpoints.list(job.id);
  expect(checkpoints.length).toBeGreaterThan(1);
  const model = done.fine_tuned_model ?? "";
  const answer = await client.chat.completions.create({
    model,
    max_tokens: 8,
    messages: [{ role: "user", content: "What is 3?" }],
  });
  expect(settlementSchema.parse(Reflect.get(answer, "openledger")).fee.amount).toBeGreaterThan(0);
  const { evaluations } = await own(job.id);
  const [part] = evaluations[0]?.parts ?? [];
  expect(part?.model.loss).toBeLessThan(part?.base.loss ?? 0);
  const step = checkpoints[1]?.step_number ?? 0;
  await cli("model", "deploy", job.id, "--step", String(step), "--name", "early");
  await cli("model", "price", "early", "--royalty-in", "0", "--royalty-out", "0", "--royalty-call", "0.001");
  const early = await client.chat.completions.create({
    model: "early",
    max_tokens: 1,
    messages: [{ role: "user", content: "Hm?" }],
  });
  expect(settlementSchema.parse(Reflect.get(early, "openledger")).fee.royalty).toBe(1_000_000);
});

test("a job that is killed with its node goes on from its checkpoint and ends with the hash of one that was not", async () => {
  const file = await upload();
  const order = {
    ...{ model: "tiny", training_file: file.id, hyperparameters: { n_epochs: 60, batch_size: 1 } },
    openledger: { checkpointEvery: 20, patience: 0, deploy: false },
  };
  const create = async () =>
    z.object({ id: z.string() }).parse(await client.post("/fine_tuning/jobs", { body: order }));
  const [whole, killed, third] = [await create(), await create(), await create()];
  await ended(whole.id);
  expect((await jobs().cancel(third.id)).status).toBe("cancelled");
  expect(await until(async () => (await stepsOf(killed.id)) > 60, 60_000, 20)).toBe(true);
  node.signal("SIGKILL");
  await node.ended();
  await up();
  expect((await ended(killed.id)).status).toBe("succeeded");
  const messages: string[] = [];
  for await (const { message } of jobs().listEvents(killed.id, { limit: 100 })) messages.push(message);
  expect(messages).toContain("The node was restarted; the job goes on from its checkpoint.");
  expect(messages.some((message) => /^Training goes on at step [1-9]/.test(message))).toBe(true);
  const [one, other] = [await own(whole.id), await own(killed.id)];
  expect(other.result?.hash).toBe(one.result?.hash);
  // The kill cost nobody anything: each is charged once, for all that it learnt.
  for (const { paid, estimate } of [one, other])
    expect(paid).toMatchObject([
      { tokens: estimate.trainedTokens, cost: estimate.cost, dataFee: estimate.dataFee, step: one.result?.steps },
    ]);
  expect(await own(third.id)).toMatchObject({ paid: [] });
  const { receipt } = other.paid[0]!;
  expect(await cli("receipt", "show", receipt)).toMatchObject({
    ...{ model: { name: "training of tiny" }, flags: { reported: false, undeclared: true } },
    usage: { tokensIn: other.estimate.trainedTokens },
  });
  // What was exported comes back as the result of the same order, and is the same adapter.
  const exported = join(place.path, "adapter");
  await cli("model", "export", whole.id, exported);
  const same = { ...order, openledger: { ...order.openledger, paused: true } };
  const { id } = z.object({ id: z.string() }).parse(await client.post("/fine_tuning/jobs", { body: same }));
  expect(await cli("model", "import-adapter", id, exported)).toMatchObject({
    result: { hash: one.result?.hash, reason: "imported" },
  });
  expect(await jobs().retrieve(third.id)).toMatchObject({ status: "cancelled", trained_tokens: null });
  const listed = [];
  for await (const job of jobs().list({ limit: 2 })) listed.push(job.id);
  expect(listed.filter((id) => id === killed.id)).toHaveLength(1);
});

test("from a published datanet to an answering, priced adapter of the house model, credited to its authors", async () => {
  const repo = makeRepository(place.path);
  await cli("datanet", "create", "handbook", "--summary", "How we work", "--licence", "CC-BY-4.0", "--review", "open");
  await cli("datanet", "import", "handbook", "--git", repo);
  await cli("datanet", "publish", "handbook");
  const args = ["model", "train", "house", "--datanet", "handbook@1", "--epochs", "2", "--held-out", "0.3"];
  const shown = await run([...args, "--name", "handbook-ft", "--royalty-out", "0.5", "--yes", "--data", data]);
  expect(shown.code, shown.stderr).toBe(0);
  for (const text of ["data fees", "held-out loss", "handbook@1", "served as handbook-ft", "charged"])
    expect(shown.stdout).toContain(text);
  const { data: trained } = z.object({ data: z.array(jobViewSchema) }).parse(await cli("model", "jobs"));
  const { credited } = trained[0]!.paid[0]!;
  for (const role of ["operator", "model", "context", "contributor"] as const)
    expect(credited[role]).toBeGreaterThan(0);
  const asked = await run([
    "ask",
    "handbook-ft",
    "How is the office kettle descaled?",
    "--max-tokens",
    "20",
    "--data",
    data,
  ]);
  expect(asked.code, asked.stderr).toBe(0);
  expect(await cli("model", "card", "handbook-ft")).toMatchObject({ card: expect.stringContaining("handbook") });
});

/**
 * Starts a whole node on a temporary folder, and trains an adapter of the house model through the official OpenAI client: upload, job, events, checkpoints.
 * The adapter is then asked, as any model is. Nothing is downloaded; a processor is enough.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI, { toFile } from "openai";
import { assert, unwrap } from "../src/core/result.ts";
import { Children } from "../src/node/children.ts";
import { startNode } from "../src/node/node.ts";

const data = await mkdtemp(join(tmpdir(), "openledger-example-"));
await chmod(data, 0o711); // started by root, PostgreSQL is another user's process, who has to get into the folder
const children = new Children(process, (text) => console.error(text));
try {
  const say = (text: string) => console.error(`  ${text}`);
  const node = unwrap(await startNode({ data, port: 0, isCredit: true, say }, children));
  const client = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: node.adminKey });

  const lines = Array.from({ length: 60 }, (_unused, i) => ({
    messages: [
      { role: "user", content: `What is the code of room ${i}?` },
      { role: "assistant", content: `The code of room ${i} is ${(i * 37) % 100}.` },
    ],
  }));
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  const file = await client.files.create({
    file: await toFile(Buffer.from(text), "rooms.jsonl"),
    purpose: "fine-tune",
  });

  let job = await client.fineTuning.jobs.create({
    ...{ model: "house", training_file: file.id, suffix: "rooms" },
    method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 3 } } },
  });
  while (!["succeeded", "failed", "cancelled"].includes(job.status)) {
    await sleep(500);
    job = await client.fineTuning.jobs.retrieve(job.id);
  }
  for await (const { message } of client.fineTuning.jobs.listEvents(job.id)) console.log(message);
  for await (const { step_number, metrics } of client.fineTuning.jobs.checkpoints.list(job.id))
    console.log(`checkpoint at step ${step_number}: held-out loss ${metrics.valid_loss?.toFixed(3)}`);
  assert(job.status === "succeeded" && job.fine_tuned_model !== null, "the adapter was trained, and is served");

  const answer = await client.chat.completions.create({
    ...{ model: job.fine_tuned_model, max_tokens: 16 },
    messages: [{ role: "user", content: "What is the code of room 7?" }],
  });
  console.log(`${job.fine_tuned_model}: ${answer.choices[0]?.message.content}`);
} finally {
  await children.stopAll();
  await rm(data, { recursive: true, force: true });
}

import fc from "fast-check";
import OpenAI, { toFile } from "openai";
import { afterEach, expect, test } from "vitest";
import { SmallMachine, smallFile } from "../factory/testing/smallFactory.ts";
import { problemSchema } from "../protocol/errors.ts";
import { estimateSchema, evaluationSchema, jobViewSchema, lossesSchema } from "../protocol/jobs.ts";
import { readForm } from "./form.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const nodes: TestNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

async function start() {
  const machine = new SmallMachine();
  const factory = machine.open();
  await factory.start();
  const node = await startNode({ engines: {}, parts: { factory: () => factory } });
  nodes.push(node);
  const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${node.url}/v1`, apiKey, maxRetries: 0 });
  const ask = async (method: string, path: string, body?: unknown, key = node.secret) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return (await fetch(node.url + path, { method, headers, ...sent })).json();
  };
  return { machine, factory, node, client: clientOf(node.secret), clientOf, ask };
}

type Started = Awaited<ReturnType<typeof start>>;

const upload = ({ client }: Pick<Started, "client">, lines = 20, name = "train.jsonl") =>
  toFile(smallFile(lines), name).then((file) => client.files.create({ file, purpose: "fine-tune" }));

async function ended({ client }: Pick<Started, "client">, id: string) {
  for (let i = 0; i < 500; i++) {
    const job = await client.fineTuning.jobs.retrieve(id);
    if (["succeeded", "failed", "cancelled"].includes(job.status)) return job;
  }
  throw new Error("the job does not end");
}

test("files: upload, list in pages, retrieve, content, delete", async () => {
  const started = await start();
  const { client } = started;
  const names = ["a.jsonl", "ü “b”.jsonl", "c.jsonl"];
  const files = [];
  for (const name of names) files.push(await upload(started, 20, name));
  expect(files[1]).toMatchObject({ object: "file", filename: names[1], purpose: "fine-tune", status: "processed" });
  expect(files[0]!.id).toMatch(/^file-[0-9a-f]{24}$/);
  expect((await upload(started, 20, "a.jsonl")).id).toBe(files[0]!.id);
  const listed = [];
  for await (const file of client.files.list({ limit: 2, order: "asc" })) listed.push(file.id);
  expect(listed).toEqual(files.map(({ id }) => id));
  expect((await client.files.list({ purpose: "batch" })).data).toEqual([]);
  expect(await client.files.retrieve(files[2]!.id)).toEqual(files[2]);
  const content = await client.files.content(files[0]!.id);
  expect(new Uint8Array(await content.arrayBuffer())).toEqual(smallFile());
  expect(await client.files.waitForProcessing(files[0]!.id)).toMatchObject({ status: "processed" });
  expect(await client.files.delete(files[0]!.id)).toEqual({ id: files[0]!.id, object: "file", deleted: true });
  await expect(client.files.retrieve(files[0]!.id)).rejects.toMatchObject({ status: 404 });
});

test("a job: create, retrieve, list, events and checkpoints in pages, each as OpenAI shapes them", async () => {
  const started = await start();
  const { client } = started;
  const { id: training_file } = await upload(started);
  const hyperparameters = { n_epochs: 3, batch_size: 2, learning_rate_multiplier: 0.5 };
  const job = await client.fineTuning.jobs.create({
    ...{ model: "tiny", training_file, suffix: "mine", seed: 7, metadata: { team: "a" } },
    method: { type: "supervised", supervised: { hyperparameters } },
  });
  expect(job).toMatchObject({
    ...{ object: "fine_tuning.job", model: "tiny", training_file, validation_file: null, seed: 7, error: null },
    ...{ fine_tuned_model: null, finished_at: null, trained_tokens: null, result_files: [], hyperparameters },
    ...{ method: { type: "supervised", supervised: { hyperparameters } }, metadata: { team: "a" } },
  });
  expect(["queued", "running"]).toContain(job.status);
  const done = await ended(started, job.id);
  expect(done).toMatchObject({ status: "succeeded", fine_tuned_model: `ft:tiny:mine:${job.id.slice(-8)}` });
  expect(done.trained_tokens).toBeGreaterThan(0);
  const events = [];
  for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 3 })) events.push(event);
  expect(events.at(-1)?.message).toBe(`Created fine-tuning job: ${job.id}`);
  expect(events[0]?.message).toBe("The job has successfully completed.");
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(events.find(({ type }) => type === "metrics")?.data).toMatchObject({ step: 6, total_steps: 6 });
  const checkpoints = [];
  for await (const one of client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 })) checkpoints.push(one);
  expect(checkpoints.map(({ step_number }) => step_number)).toEqual([6, 4, 2]);
  expect(checkpoints[0]).toMatchObject({
    ...{ object: "fine_tuning.job.checkpoint", fine_tuning_job_id: job.id },
    ...{ fine_tuned_model_checkpoint: `ft:tiny:mine:${job.id.slice(-8)}:ckpt-step-6` },
    metrics: { step: 6, train_loss: 0.5, valid_loss: 4 / 6 },
  });
  const second = await client.fineTuning.jobs.create({ model: "tiny", training_file });
  const jobs = [];
  for await (const one of client.fineTuning.jobs.list({ limit: 1 })) jobs.push(one.id);
  expect(jobs).toEqual([second.id, job.id]);
});

test("jobs are listed by their metadata, as OpenAI's client asks for it", async () => {
  const started = await start();
  const { client, ask } = started;
  const { id: training_file } = await upload(started);
  const ids: string[] = [];
  for (const metadata of [{ team: "a", run: "1" }, { team: "b" }, { team: "a" }, null])
    ids.push((await client.fineTuning.jobs.create({ model: "tiny", training_file, metadata })).id);
  const listed = async (metadata: Record<string, string> | null, limit = 20) => {
    const found = [];
    for await (const { id } of client.fineTuning.jobs.list({ metadata, limit })) found.push(ids.indexOf(id));
    return found;
  };
  expect(await listed({ team: "a" })).toEqual([2, 0]);
  expect(await listed({ team: "a" }, 1)).toEqual([2, 0]);
  expect(await listed({ team: "a", run: "1" })).toEqual([0]);
  expect(await listed({ __proto__: "x", constructor: "y" })).toEqual([]);
  expect(await listed(null)).toEqual([3]);
  for (const query of ["metadata=x", "metadata[a][b]=c", "team=a", "metadata=null&metadata[a]=b", "metadata[]=a"])
    expect(await ask("GET", `/v1/fine_tuning/jobs?${query}`)).toMatchObject({ error: { code: "invalid_request" } });
});

test("what a training was charged stands in the job, and money that is not there is said before it begins", async () => {
  const started = await start();
  const { client, machine, ask, node } = started;
  const { id: training_file } = await upload(started);
  const { id } = await client.fineTuning.jobs.create({ model: "tiny", training_file });
  await ended(started, id);
  const job = jobViewSchema.parse(await ask("GET", `/api/jobs/${id}`));
  expect(job.paid).toMatchObject([{ tokens: job.estimate.trainedTokens, cost: job.estimate.cost }]);
  expect(await client.fineTuning.jobs.retrieve(id)).toMatchObject({ openledger: { paid: job.paid } });
  machine.books.usual = 0;
  machine.books.credit.clear();
  const refused = client.fineTuning.jobs.create({ model: "tiny", training_file });
  await expect(refused).rejects.toMatchObject({ status: 402, code: "insufficient_quota" });
  const dearer = { cost: 7, data: 9 };
  expect(await ask("POST", "/api/jobs/prices", dearer)).toMatchObject({ code: "forbidden" });
  const tariff = await ask("POST", "/api/jobs/prices", dearer, node.adminSecret);
  expect(tariff).toEqual({ ...dearer, base: 500_000 });
  expect(await (await fetch(`${node.url}/api/jobs/prices`)).json()).toEqual(tariff);
  for (const bad of [{ cost: -1 }, { cost: 1.5 }, { price: 1 }, [], "x"])
    expect(await ask("POST", "/api/jobs/prices", bad, node.adminSecret)).toMatchObject({ code: "invalid_request" });
});

test("a job is set aside, goes on, and is cancelled once; with one idempotency key it is ordered once", async () => {
  const started = await start();
  const { client, machine } = started;
  machine.stepsPerJob = 100_000;
  const { id: training_file } = await upload(started);
  const once = { idempotencyKey: "k", headers: { "idempotency-key": "k" } };
  const order = { model: "tiny", training_file };
  const { id } = await client.fineTuning.jobs.create(order, once);
  expect((await client.fineTuning.jobs.create(order, once)).id).toBe(id);
  const other = client.fineTuning.jobs.create({ ...order, seed: 9 }, once);
  await expect(other).rejects.toMatchObject({ status: 422, code: "idempotency_mismatch" });
  expect((await client.fineTuning.jobs.pause(id)).status).toBe("paused");
  expect((await client.fineTuning.jobs.resume(id)).status).toBe("queued");
  expect((await client.fineTuning.jobs.cancel(id)).status).toBe("cancelled");
  expect((await client.fineTuning.jobs.cancel(id)).status).toBe("cancelled");
  await expect(client.fineTuning.jobs.resume(id)).rejects.toMatchObject({ status: 409, code: "conflict" });
  expect((await client.fineTuning.jobs.list()).data).toHaveLength(1);
});

test("another account's key sees nothing of it; an admin key sees all", async () => {
  const started = await start();
  const { client, node, clientOf } = started;
  const { id: training_file } = await upload(started);
  const { id } = await client.fineTuning.jobs.create({ model: "tiny", training_file });
  const stranger = clientOf(await node.key({ funds: 1 }));
  expect((await stranger.files.list()).data).toEqual([]);
  expect((await stranger.fineTuning.jobs.list()).data).toEqual([]);
  const missing = { status: 404, code: "not_found" };
  await expect(stranger.files.content(training_file)).rejects.toMatchObject(missing);
  await expect(stranger.fineTuning.jobs.cancel(id)).rejects.toMatchObject(missing);
  await expect(stranger.fineTuning.jobs.create({ model: "tiny", training_file })).rejects.toMatchObject(missing);
  expect((await clientOf(node.adminSecret).fineTuning.jobs.retrieve(id)).id).toBe(id);
});

test.each([
  // what                          body                                                                status  param
  ["another method", { method: { type: "dpo" } }, 400, "method.type"],
  ["an integration", { integrations: [{ type: "wandb", wandb: { project: "x" } }] }, 400, "integrations"],
  ["no epochs", { hyperparameters: { n_epochs: 0 } }, 400, "hyperparameters.n_epochs"],
  ["an unknown model", { model: "gpt-none" }, 404, null],
  ["an unknown file", { training_file: "file-none" }, 404, "training_file"],
  ["no datanet's name", { training_file: "datanet:a b" }, 400, "training_file"],
  ["an unknown datanet", { training_file: "datanet:none@3" }, 404, "training_file"],
  ["a suffix with spaces", { suffix: "a b" }, 400, "suffix"],
  ["a rank of nothing", { openledger: { rank: 0 } }, 400, "openledger.rank"],
  ["a word that is not ours", { openledger: { ranks: 4 } }, 400, "openledger"],
])("refuses %s as OpenAI does", async (_what, body, status, param) => {
  const started = await start();
  const { id: training_file } = await upload(started);
  const whole = { model: "tiny", training_file, ...body };
  await expect(started.client.post("/fine_tuning/jobs", { body: whole })).rejects.toMatchObject({ status, param });
});

test("refuses uploads for other purposes, without a file, of what cannot be learnt, and of broken forms", async () => {
  const { client, node } = await start();
  const file = await toFile(smallFile(), "a.jsonl");
  await expect(client.files.create({ file, purpose: "batch" })).rejects.toMatchObject({
    status: 400,
    param: "purpose",
  });
  const wrong = client.files.create({ file: await toFile(new Uint8Array([0xff]), "a"), purpose: "fine-tune" });
  await expect(wrong).rejects.toMatchObject({ status: 400, param: "file", message: expect.stringContaining("UTF-8") });
  const expires = { anchor: "created_at" as const, seconds: 3_600 };
  const expiring = client.files.create({ file, purpose: "fine-tune", expires_after: expires });
  await expect(expiring).rejects.toMatchObject({ status: 400, param: expect.stringContaining("expires_after") });
  const send = async (type: string, body: string) => {
    const headers = { authorization: `Bearer ${node.secret}`, "content-type": type };
    return (await fetch(`${node.url}/v1/files`, { method: "POST", headers, body })).status;
  };
  expect(await send("application/json", "{}")).toBe(415);
  expect(await send("multipart/form-data", "x")).toBe(415);
  expect(await send("multipart/form-data; boundary=b", "no form")).toBe(400);
  expect(await send("multipart/form-data; boundary=b", "--b\r\n".repeat(1_000))).toBe(400);
});

test("our own API: what a training would take, its losses, evaluations, deployments and prices", async () => {
  const started = await start();
  const { ask, client, node } = started;
  const { id: training_file } = await upload(started);
  const body = { model: "tiny", training_file, openledger: { rank: 2, heldOut: 0.4, deploy: { name: "mine" } } };
  const estimate = estimateSchema.parse(await ask("POST", "/api/jobs/estimate", body));
  expect(estimate).toMatchObject({ base: { name: "tiny" }, options: { adapter: { rank: 2, alpha: 4 } } });
  expect(estimate.estimate.cost).toBeGreaterThan(0);
  expect((await client.fineTuning.jobs.list()).data).toEqual([]);
  const { id } = await client.post<{ id: string }>("/fine_tuning/jobs", { body });
  await ended(started, id);
  const job = jobViewSchema.parse(await ask("GET", `/api/jobs/${id}`));
  expect(job).toMatchObject({ status: "succeeded", deployments: [{ name: "mine" }], evaluations: [{ parts: [{}] }] });
  const { data } = lossesSchema.parse(await ask("GET", `/api/jobs/${id}/losses?after=4`));
  expect(data).toEqual([
    { step: 5, loss: 3 / 5 },
    { step: 6, loss: 0.5, heldOutLoss: 4 / 6 },
  ]);
  const evaluated = evaluationSchema.parse(await ask("POST", `/api/jobs/${id}/evaluations`, { step: 4 }));
  expect(evaluated).toMatchObject({ step: 4, parts: [{ base: { loss: 1 }, model: { loss: 0.5 } }] });
  expect(await ask("POST", `/api/jobs/${id}/deployments`, { step: 6 })).toMatchObject({ step: 6 });
  const royalty = { inPerMillion: 1, outPerMillion: 2, perCall: 3 };
  expect(await ask("POST", "/api/models/mine/price", { royalty })).toMatchObject({ name: "mine", royalty });
  const dearer = { royalty: { outPerMillion: 5 } };
  expect(await ask("POST", "/api/models/mine/price", dearer)).toMatchObject({
    royalty: { ...royalty, outPerMillion: 5 },
  });
  const missing = problemSchema.parse(await ask("POST", `/api/jobs/${id}/deployments`, { step: 3 }));
  expect(missing).toMatchObject({ status: 404, field: "step" });
  const document = JSON.stringify(await ask("GET", "/api/openapi.json"));
  for (const path of ["/v1/files", "/v1/fine_tuning/jobs/{id}/events", "/api/jobs/estimate", "multipart/form-data"])
    expect(document).toContain(path);
  expect(node.log.filter(({ level }) => level === "error")).toEqual([]);
});

test("a form's fields come through whole, whatever bytes they are, and no bytes break the reader", () => {
  const part = fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), bytes: fc.uint8Array({ maxLength: 200 }) });
  const parts = fc.uniqueArray(part, { maxLength: 5, selector: ({ name }) => name });
  return fc.assert(
    fc.asyncProperty(parts, fc.nat(), fc.uint8Array({ maxLength: 3 }), async (fields, at, noise) => {
      const form = new FormData();
      for (const { name, bytes } of fields) form.set(name, new File([bytes.slice()], `${name}.bin`));
      const response = new Response(form);
      const [type, body] = [response.headers.get("content-type") ?? "", new Uint8Array(await response.arrayBuffer())];
      const read = await readForm(type, body);
      if (fields.length > 0) {
        expect(read.ok).toBe(true);
        if (!read.ok) return;
        for (const { name, bytes } of fields) expect(read.value.get(name)).toEqual({ bytes, fileName: `${name}.bin` });
      }
      const broken = body.slice();
      broken.set(noise.subarray(0, Math.max(0, broken.length - 3)), at % Math.max(1, broken.length - 2));
      expect(typeof (await readForm(type, broken)).ok).toBe("boolean");
    }),
    { numRuns: 200 },
  );
});

import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { commandOf, isSameProcess, type ProcessName, until } from "../../src/host/processes.ts";
import { settlementSchema } from "../../src/protocol/completions.ts";
import { testDatabase } from "../support/testDatabase.ts";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { ben, bensText, makeClone, makeRepository } from "./repository.ts";

const question = "How is the office kettle descaled?";
const model = "handbook";
const bicycle = `# Bicycle

## Oiling the bicycle chain

Turn the pedals backwards and let one drop of oil fall on each link of the chain, wait five minutes, and wipe off what is left
with an old towel, because oil on the outside only gathers sand from the road.
`;
const payees = z.object({ data: z.array(z.object({ payee: z.string(), accrued: z.string() })).min(1) });
let place: Awaited<ReturnType<typeof folder>>;
let data: string;
let node: Program;
let url: string;
let client: OpenAI;

async function up(...more: string[]): Promise<Program> {
  const program = start(["up", "--port", "0", "--data", data, ...more]);
  const [, address] = await program.says(/is up at (\S+)/);
  url = address ?? "";
  return program;
}

const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);

beforeAll(async () => {
  place = await folder();
  data = join(place.path, "data");
  const repo = makeRepository(place.path);
  node = await up();
  await cli("datanet", "create", model, "--summary", "How we work", "--licence", "CC-BY-4.0", "--review", "open");
  await cli("datanet", "import", model, "--git", repo);
  await cli("datanet", "publish", model);
  await cli("model", "create", model, "--datanet", model);
  const account = z.object({ id: z.string() }).parse(await cli("account", "create", "reader"));
  await cli("account", "credit", account.id, "5");
  const key = z.object({ secret: z.string() }).parse(await cli("key", "create", account.id, "laptop"));
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key.secret, maxRetries: 0 });
}, 120_000);

afterAll(async () => {
  await endAll();
  await place.remove();
});

const order = { model, messages: [{ role: "user" as const, content: question }] };
const settlementOf = (answer: object) => settlementSchema.parse(Reflect.get(answer, "openledger"));

test("the openai client works unmodified: models, chat, completions, streaming", async () => {
  const models = [];
  for await (const one of client.models.list()) models.push(one.id);
  expect(models).toEqual([model]);
  expect((await client.models.retrieve(model)).id).toBe(model);
  const chat = await client.chat.completions.create(order);
  expect(chat.choices[0]?.message.content).toMatch(/citric acid/);
  const { fee, credited, promise } = settlementOf(chat);
  expect(fee.amount).toBe(fee.cost + fee.royalty);
  expect(credited?.map(({ label }) => label).join()).toContain(ben.name);
  expect(promise?.amount).toBe(fee.amount);
  const text = await client.completions.create({ model, prompt: "Dissolve two spoons of citric", max_tokens: 12 });
  expect(text.choices[0]?.text.length).toBeGreaterThan(0);
  expect(text.usage?.completion_tokens).toBeLessThanOrEqual(12);
  const chunks = [];
  const stream = { ...order, stream: true as const, stream_options: { include_usage: true } };
  for await (const chunk of await client.chat.completions.create(stream)) chunks.push(chunk);
  const streamed = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  expect(chunks.length).toBeGreaterThan(2);
  expect(streamed).toMatch(/citric acid/);
  expect(settlementOf(chunks.at(-1) ?? {}).promise?.seq).toBeGreaterThan(promise?.seq ?? Number.POSITIVE_INFINITY);
  expect(chunks.at(-1)?.usage?.total_tokens).toBeGreaterThan(0);
});

test("its refusals are OpenAI error objects, and change nothing", async () => {
  const before = await cli("status");
  const totals = z.object({ totals: z.object({ receipts: z.number(), debited: z.string() }) });
  const refusals = [
    [{ ...order, model: "gpt-none" }, 404, "model_not_found"],
    [{ ...order, messages: [] }, 400, "invalid_request"],
    [{ ...order, max_tokens: 0 }, 400, "invalid_request"],
    [{ ...order, n: 2 }, 400, "invalid_request"],
  ] as const;
  for (const [wrong, status, code] of refusals) {
    const error = await client.chat.completions.create({ ...wrong, messages: [...wrong.messages] }).catch((e) => e);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, code });
  }
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "ol_nobody", maxRetries: 0 });
  await expect(stranger.chat.completions.create(order)).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
  expect(totals.parse(await cli("status"))).toEqual(totals.parse(before));
});

test("what a person types: credit, ask, receipts, statement, epoch, verify against the chain", async () => {
  await cli("account", "credit", "me", "1");
  const asked = await run(["ask", model, question, "--data", data]);
  expect(asked.code, asked.stderr).toBe(0);
  expect(asked.stdout).toMatch(/citric acid/);
  expect(asked.stdout).toContain(ben.name);
  const receipts = z.object({ data: z.array(z.looseObject({ id: z.string() })).min(1) });
  const [latest] = receipts.parse(await cli("receipt", "list")).data;
  expect(await cli("receipt", "show", latest?.id ?? "")).toMatchObject({ opening: { prompt: expect.any(String) } });
  expect(await cli("account", "statement")).toMatchObject({ lines: [{ kind: "spent" }] });
  const closed = z.object({ epoch: z.number() }).parse(await cli("epoch", "close"));
  const verified = await cli("verify");
  expect(verified).toMatchObject({ epochs: [{ epoch: closed.epoch, chain: expect.stringMatching(/proposed|final/) }] });
});

test("an epoch that is closed becomes final by itself, and an author who proves to be one is paid", async () => {
  const address = "0x00000000000000000000000000000000000a11ce";
  const [notes, identity] = [join(place.path, "notes"), "repo:github.com/ann/tool"];
  await mkdir(notes);
  await writeFile(join(notes, "bicycle.md"), bicycle);
  await cli("datanet", "create", "tool", "--summary", "A tool", "--licence", "MIT", "--review", "open");
  await cli("datanet", "import", "tool", "--folder", notes, "--licence", "MIT", "--author", `Ann <${identity}>`);
  await cli("datanet", "publish", "tool");
  await cli("model", "create", "tool", "--datanet", "tool");
  await cli("ask", "tool", "How is the bicycle chain oiled?");
  const { data: people } = payees.parse(await cli("datanet", "contributors", "tool"));
  const payee = people[0]?.payee ?? "";
  const { epoch } = z.object({ epoch: z.number() }).parse(await cli("epoch", "close"));
  const isFinal = async () => z.object({ status: z.string() }).parse(await cli("epoch", "show", String(epoch))).status;
  expect(await until(async () => (await isFinal()) === "final", 20_000, 500)).toBe(true);
  expect((await run(["claim", payee, "--send", "--data", data])).code).toBe(77);
  const clone = makeClone(place.path, address);
  await cli("binding", "notice", "tool", identity, address, "--funding-json", "--clone", clone);
  const bound = async () => JSON.stringify(await cli("binding", "list")).includes('"bound"');
  expect(await until(bound, 20_000, 500)).toBe(true);
  const claimed = z.object({ sent: z.object({ paid: z.string() }) }).parse(await cli("claim", payee, "--send"));
  expect(BigInt(claimed.sent.paid)).toBe(BigInt(people[0]?.accrued ?? 0));
  await cli("verify");
}, 90_000);

test("without a server, a text's spans are found in an exported datanet", async () => {
  const out = join(place.path, "exported");
  await cli("datanet", "export", model, out);
  await writeFile(join(place.path, "answer.txt"), bensText);
  const found = await ask(["attribute", "--datanet", out, "--text", join(place.path, "answer.txt")]);
  expect(found).toMatchObject({ spans: [{ kind: "span", author: expect.stringContaining(ben.email) }] });
});

test("the same folder is refused to a second node, and a taken port to any, in plain words", async () => {
  const second = await run(["up", "--port", "0", "--data", data]);
  expect(second.code).toBe(73);
  expect(second.stderr).toContain(`is in use by process ${node.pid}`);
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? String(address.port) : "";
  const other = join(place.path, "other");
  const refused = await run(["up", "--port", port, "--data", other]);
  taken.close();
  expect(refused.code).toBe(73);
  expect(refused.stderr).toMatch(new RegExp(`port ${port}.*port_in_use`, "s"));
  expect(existsSync(join(other, "postgres"))).toBe(false);
  for (const { stderr } of [second, refused]) expect(stderr).not.toMatch(/\n\s+at .+:\d+:\d+/);
}, 60_000);

test.each([
  [["frobnicate"], 64, /unknown command/],
  [["up", "--port", "seventy"], 64, /--port/],
  [["up", "--port", "70000"], 64, /--port/],
  [["demo", "--repo", "/nowhere/at/all", "--once", "--port", "0"], 66, /\/nowhere\/at\/all/],
  [["ask"], 64, /model/],
  [["ask", "no-such-model", "why?"], 66, /no-such-model/],
  [["ask", model, " "], 64, /question/],
  [["datanet", "create", "Not A Name", "--summary", "s", "--licence", "MIT"], 64, /name/],
  [["datanet", "create", model, "--summary", "s", "--licence", "MIT"], 73, /handbook/],
  [["datanet", "import", model, "--git", "/nowhere/at/all"], 66, /\/nowhere\/at\/all/],
  [["datanet", "show", "none"], 66, /none/],
  [["model", "create", "m", "--datanet", "none"], 66, /none/],
  [["receipt", "show", "xyz"], 64, /id/],
  [["receipt", "show", "0x00000000000000000000000000000000"], 66, /receipt/],
  [["account", "credit", "acct_000000000000000000000000", "much"], 64, /much/],
  [["epoch", "show", "99"], 66, /99/],
  [["claim", "0x12"], 64, /payee/],
  [["verify", "/nowhere/at/all"], 66, /\/nowhere\/at\/all/],
  [["attribute", "--datanet", "none", "--text", "/nowhere"], 66, /\/nowhere/],
  [["probe", "--datanet", "none", "--as", "git:a@b.c"], 66, /none/],
] as const)("%j is refused with exit code %i", async (args, code, words) => {
  // The demonstration starts a node of its own.
  const where = args[0] === "demo" ? join(place.path, "demo") : data;
  const refused = await run([...args, "--data", where]);
  expect(refused.code, refused.stderr).toBe(code);
  expect(refused.stderr).toMatch(words);
  expect(refused.stderr).not.toMatch(/\n\s+at .+:\d+:\d+/);
});

test("after kill -9 in the middle of answers, every acknowledged receipt is there and the journal verifies", async () => {
  const acknowledged: string[] = [];
  const asking = Array.from({ length: 4 }, async () => {
    for (;;) {
      const answer = await client.chat.completions.create(order).catch(() => undefined);
      if (answer === undefined) return;
      acknowledged.push(settlementOf(answer).receipt);
    }
  });
  await until(() => acknowledged.length >= 20, 30_000);
  const before = node.children();
  node.signal("SIGKILL");
  await Promise.all([...asking, node.ended()]);
  expect(acknowledged.length).toBeGreaterThanOrEqual(20);
  node = await up();
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: client.apiKey, maxRetries: 0 });
  expect(before.filter(isSameProcess)).toEqual([]);
  const found = await Promise.all(acknowledged.map((id) => fetch(`${url}/api/receipts/${id.replace(/^0x/, "")}`)));
  expect(found.filter(({ status }) => status !== 200)).toEqual([]);
  const status = z.object({ totals: z.object({ credited: z.string(), debited: z.string(), held: z.string() }) });
  const { totals } = status.parse(await cli("status"));
  expect(totals.held).toBe("0");
  expect(totals.credited).toBe(totals.debited);
  await cli("verify");
  expect((await client.chat.completions.create(order)).choices[0]?.message.content).toMatch(/citric acid/);
}, 120_000);

test("a killed PostgreSQL and a killed chain come back, and nothing is lost", async () => {
  const { size } = z.object({ size: z.number() }).parse(await cli("verify"));
  const parts = node.children().filter(({ pid }) => /postgres -D |\/anvil /.test(commandOf(pid)));
  expect(parts).toHaveLength(2);
  for (const { pid } of parts) process.kill(pid, "SIGKILL");
  const answers = () => client.chat.completions.create(order).catch(() => undefined);
  expect(await until(async () => (await answers()) !== undefined, 30_000, 250)).toBe(true);
  await cli("epoch", "close");
  const verdict = z.object({ size: z.number(), epochs: z.array(z.object({ chain: z.string() })) });
  const { epochs, size: now } = verdict.parse(await cli("verify"));
  expect(now).toBeGreaterThan(size);
  expect(epochs.map(({ chain }) => chain)).not.toContain("absent");
}, 90_000);

test("on a PostgreSQL of the user's no other is started", async () => {
  const database = await testDatabase();
  const theirs = start(["up", "--port", "0", "--data", join(place.path, "theirs")], { DATABASE_URL: database.url });
  await theirs.says(/is up at/);
  expect(theirs.said()).not.toContain("starting PostgreSQL");
  expect(theirs.children().map(({ pid }) => commandOf(pid))).toEqual([expect.stringMatching(/anvil/)]);
  theirs.signal("SIGINT");
  expect((await theirs.ended()).code).toBe(130);
  await database.drop();
}, 60_000);

test("Ctrl-C ends the node and everything that it has started", async () => {
  const family: ProcessName[] = node.children();
  expect(family.length).toBeGreaterThanOrEqual(2);
  node.signal("SIGINT");
  const { code } = await node.ended();
  expect(code).toBe(130);
  expect(await until(() => !family.some(isSameProcess), 5_000)).toBe(true);
  const away = await run(["status", "--data", data]);
  expect(away.code).toBe(69);
  expect(away.stderr).toMatch(/no node runs/);
});

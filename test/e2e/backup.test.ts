import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import OpenAI from "openai";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

const model = "handbook";
const place = await folder();
const [data, copy, file] = ["data", "copy", "node.backup"].map((name) => join(place.path, name)) as [
  string,
  string,
  string,
];
const totals = z.object({ totals: z.looseObject({ credited: z.string() }).optional() }).loose();

afterAll(async () => {
  await endAll();
  await place.remove();
});

async function up(folderPath: string, ...more: string[]): Promise<{ readonly node: Program; readonly url: string }> {
  const node = start(["up", "--port", "0", "--data", folderPath, "--epoch", "0", ...more]);
  const [, url = ""] = await node.says(/is up at (\S+)/);
  return { node, url };
}

async function stop(node: Program): Promise<void> {
  node.signal("SIGTERM");
  await node.ended();
}

const sums = async (url: string): Promise<unknown> => totals.parse(await (await fetch(`${url}/api/totals`)).json());

test("a node is backed up while it answers, and comes back whole: books, people, models, keys", async () => {
  const { node, url } = await up(data, "--credit");
  const repo = makeRepository(place.path);
  const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);
  await cli("datanet", "create", model, "--summary", "How we work", "--licence", "CC-BY-4.0", "--review", "open");
  await cli("datanet", "import", model, "--git", repo);
  await cli("datanet", "publish", model);
  await cli("model", "create", model, "--datanet", model);
  const account = z.object({ id: z.string() }).parse(await cli("account", "create", "reader"));
  await cli("account", "credit", account.id, "5");
  const { secret } = z.object({ secret: z.string() }).parse(await cli("key", "create", account.id, "laptop"));
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: secret, maxRetries: 0 });
  const question = [{ role: "user" as const, content: "How is the office kettle descaled?" }];
  const asking = async (on: OpenAI) =>
    (await on.chat.completions.create({ model, messages: question })).choices[0]?.message.content;
  const said = await asking(client);
  await cli("epoch", "close");
  // Stands for a development chain's.
  mkdirSync(join(data, "anvil"));
  writeFileSync(join(data, "anvil", "state.json.gz"), "chain");
  // Answers go on while it is read.
  let isOver = false;
  let during = 0;
  const busy = (async () => {
    for (; !isOver; during++) await asking(client);
  })();
  const taken = await run(["backup", file, "--data", data]);
  isOver = true;
  await busy;
  expect(taken.stdout).toMatch(/backed up ledger 0x/);
  expect(taken.code).toBe(0);
  expect(during).toBeGreaterThan(0);
  // As near to the instant of the rows as can be: a chain with an epoch that they have not closed would not start.
  const parts = gunzipSync(readFileSync(file)).toString().split("\n");
  expect(parts.findIndex((line) => line.startsWith("F") && line.includes("anvil/state.json.gz"))).toBe(1);
  expect(await run(["backup", file, "--data", data])).toMatchObject({ code: 73 });
  await stop(node);

  const restored = z
    .object({ entries: z.number(), credits: z.string() })
    .parse(await ask(["restore", file, "--data", copy]));
  expect(restored.entries).toBeGreaterThan(0);
  const again = await up(copy);
  expect(again.node.said()).not.toMatch(/anvil/);
  const there = new OpenAI({ baseURL: `${again.url}/v1`, apiKey: secret, maxRetries: 0 });
  expect(await asking(there)).toBe(said);
  const verdict = z.object({ credits: z.string() }).parse(await ask(["verify", "--data", copy]));
  expect(verdict.credits).toBe(restored.credits);
  expect(await run(["restore", file, "--data", copy])).toMatchObject({ code: 73 });
  await stop(again.node);
});

test("a node that is down is backed up, too; both copies say the same sums", async () => {
  const second = join(place.path, "second.backup");
  const third = join(place.path, "third");
  expect(await run(["backup", second, "--data", copy])).toMatchObject({ code: 0 });
  await ask(["restore", second, "--data", third]);
  const [a, b] = [await up(copy), await up(third)];
  expect(await sums(b.url)).toEqual(await sums(a.url));
  await stop(a.node);
  await stop(b.node);
});

test("what is damaged or not there is refused, and makes no ledger", async () => {
  const broken = join(place.path, "broken.backup");
  writeFileSync(broken, readFileSync(file).subarray(0, 5_000));
  const target = join(place.path, "nothing");
  const refused = await run(["restore", broken, "--data", target]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toMatch(/not a whole backup/);
  expect(existsSync(join(target, "ledger.json"))).toBe(false);
  expect((await run(["restore", join(place.path, "absent"), "--data", target])).stderr).toMatch(/there is no file/);
  expect((await run(["backup", join(place.path, "x.backup"), "--data", join(place.path, "none")])).stderr).toMatch(
    /holds no ledger/,
  );
});

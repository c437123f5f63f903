import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { SmallMachine, smallFile } from "../../factory/testing/smallFactory.ts";
import { startNode, type TestNode } from "../../gateway/testing/node.ts";
import { jobViewSchema } from "../../protocol/jobs.ts";
import { type Ended, runLine } from "../testing/commandLine.ts";
import type { World } from "./command.ts";

let folder = "";
let file = "";
const nodes: TestNode[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-train-"));
  file = join(folder, "train.jsonl");
  await writeFile(file, smallFile());
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

async function start(stepsPerJob = 6) {
  const machine = new SmallMachine();
  machine.stepsPerJob = stepsPerJob;
  const factory = machine.open();
  await factory.start();
  const node = await startNode({ engines: {}, parts: { factory: () => factory } });
  nodes.push(node);
  const line = (args: readonly string[], changes: Partial<World> = {}): Promise<Ended> =>
    runLine([...args, "--url", node.url, "--key", node.adminSecret], { sleep: soon, ...changes });
  const json = async (...args: string[]): Promise<unknown> => {
    const { code, out, err } = await line([...args, "--json"]);
    expect([code, err]).toEqual([0, ""]);
    return JSON.parse(out);
  };
  return { machine, line, json };
}

const soon = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
const train = () => ["model", "train", "tiny", "--file", file];

test("says what it takes, trains, shows losses as they come, and what to do next", async () => {
  const { line, json } = await start();
  const { code, out } = await line([...train(), "--name", "mine", "--rank", "2", "--yes"]);
  expect(code).toBe(0);
  for (const text of ["tiny, an adapter of rank 2, alpha 4", "cost", "data fees", "step 6: held-out loss 0.667"])
    expect(out).toContain(text);
  for (const text of ["has succeeded", "Measured on held-out records", "openledger ask mine"])
    expect(out).toContain(text);
  expect(out.indexOf("data fees")).toBeLessThan(out.indexOf("was ordered"));
  const jobs = z.object({ data: z.array(jobViewSchema) }).parse(await json("model", "jobs"));
  expect(jobs.data).toMatchObject([{ status: "succeeded", deployments: [{ name: "mine" }] }]);
});

test("prices of trainings are shown, and set where the node's owner says so", async () => {
  const { line, json } = await start();
  expect((await line(["model", "training-prices"])).out).toMatch(/cost +base +records\n +0\.001 +0\.0005 +0\.002/);
  expect(await json("model", "training-prices", "--records", "0.5")).toEqual({
    ...{ cost: 1_000_000, base: 500_000, data: 500_000_000 },
  });
  const { out } = await line([...train(), "--yes"]);
  expect(out).toMatch(/held until then +0\.\d+ OPEN; charged is what is used/);
  expect(out).toMatch(
    /charged 0\.\d+ OPEN of 0\.\d+ OPEN that were estimated\n {2}receipt 0x[0-9a-f]{32}: \d+ tokens, to step 6/,
  );
});

test("begins nothing without a yes", async () => {
  const { line, json } = await start();
  const asked: string[] = [];
  const confirm = (answer: boolean | undefined) => async (question: string) => {
    asked.push(question);
    return answer;
  };
  expect(await line(train())).toMatchObject({ code: 64, err: expect.stringContaining("--yes") });
  expect((await line([...train(), "--json"], { confirm: confirm(true) })).code).toBe(64);
  expect((await line(train(), { confirm: confirm(false) })).code).toBe(130);
  expect(asked).toEqual(["Begin?"]);
  expect(await json(...train(), "--estimate")).toMatchObject({ estimate: { examples: expect.any(Number) } });
  expect(await json("model", "jobs")).toEqual({ data: [] });
  expect((await line(train(), { confirm: confirm(true) })).code).toBe(0);
});

test("Ctrl-C leaves the job running and says how to go on", async () => {
  const { line, json, machine } = await start(100_000);
  const heard = new Set<() => void>();
  const hooks: World["hooks"] = {
    ...{ exit: () => undefined, kill: () => undefined },
    on: (event, listener) => event === "SIGINT" && heard.add(listener),
    off: (event, listener) => event === "SIGINT" && heard.delete(listener),
  };
  const following = line([...train(), "--yes"], { hooks });
  while (heard.size === 0 || machine.begun.length === 0) await soon();
  for (const listener of heard) listener();
  const { code, out } = await following;
  expect([code, heard.size]).toEqual([0, 0]);
  const id = /openledger model cancel (ftjob-[0-9a-f]{24})/.exec(out)?.[1] ?? "";
  expect(out).toContain(`The job goes on.\n  follow it: openledger model follow ${id}`);
  expect(await json("model", "job", id)).toMatchObject({ status: "running" });
  expect(await json("model", "pause", id)).toMatchObject({ status: "paused" });
  expect(await json("model", "resume", id)).toMatchObject({ status: "queued" });
  expect(await json("model", "cancel", id)).toMatchObject({ status: "cancelled" });
  expect((await line(["model", "follow", id])).out).toContain("was cancelled");
});

test("a job is measured, deployed at a step, priced, and takes an adapter from elsewhere", async () => {
  const { line, json } = await start();
  const { id } = jobViewSchema.parse(await json(...train(), "--no-deploy", "--held-out", "0.4", "--yes"));
  const evaluated = await line(["model", "eval", id, "--step", "4"]);
  expect(evaluated.out).toMatch(/Step 4 on held-out records[\s\S]*base[\s\S]*1\.0000[\s\S]*model[\s\S]*0\.5000/);
  expect(await json("model", "deploy", id, "--step", "6", "--name", "six")).toMatchObject({ name: "six", step: 6 });
  expect((await line(["model", "deploy", id, "--step", "3"])).code).toBe(66);
  expect((await line(["model", "price", "six", "--royalty-out", "0.5"])).out).toMatch(/six +0 +0\.5 +0/);
  // What is not named stays.
  expect((await line(["model", "price", "six", "--royalty-in", "0.25"])).out).toMatch(/six +0\.25 +0\.5 +0/);
  expect((await line(["model", "price", "six"])).code).toBe(64);
  const { id: set } = z.object({ id: z.string() }).parse(await json(...train(), "--paused", "--yes", "--seed", "3"));
  expect((await line(["model", "import-adapter", set, folder])).err).toContain("adapter_config.json");
  await writeFile(join(folder, "adapter_config.json"), "{}");
  await writeFile(join(folder, "adapter_model.safetensors"), "weights");
  const imported = await json("model", "import-adapter", set, folder);
  expect(imported).toMatchObject({ status: "succeeded", result: { reason: "imported" }, deployments: [{}] });
  expect(await json("model", "import-adapter", set, folder)).toMatchObject({ result: { reason: "imported" } });
  expect((await line(["model", "import-adapter", id, folder])).code).toBe(65);
});

test.each([
  [["--file", "nowhere.jsonl"], 66, "there is no file"],
  [[], 64, "--datanet NAME, or --file PATH"],
  [["--datanet", "none"], 66, "datanet none"],
  [["--datanet", "a", "--rank", "0"], 64, "--rank"],
  [["--datanet", "a b"], 64, "datanet:NAME@VERSION"],
])("model train with %j is refused", async (options, code, message) => {
  const { line } = await start();
  const ended = await line(["model", "train", "tiny", ...options, "--yes"]);
  expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(message)]);
});

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { until } from "../../src/host/processes.ts";
import { statementSchema } from "../../src/protocol/accounts.ts";
import { claimSchema } from "../../src/protocol/epochs.ts";
import { bankPayoutSchema } from "../../src/protocol/payouts.ts";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { makeClone } from "./repository.ts";

const place = await folder();
const data = join(place.path, "data");
const [name, identity, address] = ["tool", "repo:github.com/ann/tool", "0x00000000000000000000000000000000000a11ce"];
const move = ["ledger", "move", "--to-chain"] as const;
let node: Program;
let url = "";

afterAll(async () => {
  await endAll();
  await place.remove();
});

const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);
const refused = async (...args: string[]): Promise<string> => (await run([...args, "--data", data])).stderr;

async function up(...more: string[]): Promise<void> {
  node = start(["up", "--port", "0", "--data", data, "--epoch", "0", ...more]);
  [, url = ""] = await node.says(/is up at (\S+)/);
}

async function down(): Promise<void> {
  node.signal("SIGTERM");
  await node.ended();
}

/** As the command line would, without a program for each. */
async function post(path: string, body: unknown = {}): Promise<unknown> {
  const key = readFileSync(join(data, "secrets", "admin-key"), "utf8").trim();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  expect([path, answer.ok ? "done" : await answer.text()]).toEqual([path, "done"]);
  return answer.json();
}

async function credited(): Promise<z.infer<typeof claimSchema>> {
  const people = z.object({ data: z.array(z.object({ payee: z.string() })) });
  const [person] = people.parse(await (await fetch(`${url}/api/datanets/${name}/contributors`)).json()).data;
  return claimSchema.parse(await (await fetch(`${url}/api/claims/${person?.payee}`)).json());
}

const question = { model: name, messages: [{ role: "user", content: "How is the bicycle chain oiled?" }] };
const verdict = z.object({
  epochs: z.array(z.object({ chain: z.string() })),
  moved: z.object({ at: z.number(), owed: z.string(), credited: z.string() }).optional(),
});

test("a ledger on credit is moved to a chain by one command, whatever kills it, and pays there what it still owes", async () => {
  await up("--credit");
  const notes = join(place.path, "notes");
  mkdirSync(notes);
  writeFileSync(
    join(notes, "bicycle.md"),
    "# Bicycle\n\nWipe the bicycle chain with a rag, then put one drop of oil on each link.\n",
  );
  await cli("datanet", "create", name, "--summary", "A tool", "--licence", "MIT", "--review", "open");
  await cli("datanet", "import", name, "--folder", notes, "--licence", "MIT", "--author", `Ann <${identity}>`);
  await cli("datanet", "publish", name);
  await cli("model", "create", name, "--datanet", name);
  await post("/v1/chat/completions", question);
  await post("/api/epochs");
  await post("/api/epochs/1/funding", { reference: "transfer 1" });
  await post("/api/epochs/1/settlement", { reference: "approved" });
  const { payee } = await credited();
  await cli("payee", "set", payee, "--name", "Ann", "--country", "DE", "--iban", "DE89370400440532013000");
  const order = { currency: "EUR", nanoPerUnit: 100_000, minimum: 1 };
  const paid = BigInt(bankPayoutSchema.parse(await post("/api/payouts", order)).sums.nano);
  expect(paid).toBeGreaterThan(0n);
  expect(await refused(...move)).toMatch(/stop the node first/);
  await post("/api/payouts/1/end", { status: "paid", reference: "bank 9" });
  await post("/v1/chat/completions", question);
  const before = await credited();
  const owed = BigInt(before.lifetime) - paid;
  await down();

  const plan = z.object({
    state: z.string(),
    plan: z.object({ owed: z.string(), paid: z.string(), open: z.string() }),
  });
  const planned = plan.parse(await cli(...move, "--dry-run"));
  expect(planned).toMatchObject({ state: "planned", plan: { paid: String(paid) } });
  expect(BigInt(planned.plan.open)).toBeGreaterThan(0n);

  const moving = start([...move, "--data", data]);
  await moving.says(/registering assets/);
  moving.signal("SIGKILL");
  await moving.ended();
  const moved = z.object({ movedAt: z.number() }).parse(await cli(...move));
  expect(await cli(...move)).toMatchObject({ state: "moved before", movedAt: moved.movedAt });

  await up();
  expect((await credited()).stages).toMatchObject({ claimed: "0" });
  await cli("binding", "notice", name, identity, address, "--funding-json", "--clone", makeClone(place.path, address));
  const isBound = async () => JSON.stringify(await cli("binding", "list")).includes('"bound"');
  expect(await until(isBound, 30_000, 500)).toBe(true);
  expect(await until(async () => (await credited()).stages.settled === String(owed), 30_000, 500)).toBe(true);
  const claimed = z.object({ sent: z.object({ paid: z.string() }) }).parse(await cli("claim", payee, "--send"));
  expect(BigInt(claimed.sent.paid)).toBe(owed);
  expect(await refused("payout", "create", "--rate", "100000")).toMatch(/moved to a chain/);
  const statement = statementSchema.parse(await cli("account", "statement", "--payee", payee));
  expect(statement.lines.filter(({ kind }) => kind === "paid").map(({ amount }) => amount)).toEqual([-Number(paid)]);
  expect(BigInt(statement.total)).toBe(owed);

  await post("/v1/chat/completions", question);
  await post("/api/epochs");
  const whole = verdict.parse(await cli("verify"));
  expect(whole.epochs.map(({ chain }) => chain)).toEqual(["on credit", "on credit", "final", "proposed"]);
  expect(whole.moved).toMatchObject({ at: moved.movedAt, owed: planned.plan.owed });
  expect((await credited()).lifetime).not.toBe(String(owed));
}, 120_000);

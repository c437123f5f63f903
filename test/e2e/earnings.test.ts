import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { until } from "../../src/host/processes.ts";
import { accountSchema, ownedAccountSchema, statementSchema } from "../../src/protocol/accounts.ts";
import { explanationSchema } from "../../src/protocol/explanation.ts";
import { receiptDetailSchema } from "../../src/protocol/receipts.ts";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { makeClone } from "./repository.ts";

const place = await folder();
const data = join(place.path, "data");
const [name, identity] = ["tool", "repo:github.com/ann/tool"];
const privateKey = generatePrivateKey();
const address = privateKeyToAccount(privateKey).address.toLowerCase();
const question = "How is the bicycle chain oiled?";
let node: Program;
let url = "";

afterAll(async () => {
  await endAll();
  await place.remove();
});

const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);

async function up(): Promise<void> {
  node = start(["up", "--port", "0", "--data", data, "--epoch", "0"]);
  [, url = ""] = await node.says(/is up at (\S+)/);
}

/** As somebody elsewhere would, who has no folder of the node's. */
async function by<T>(secret: string, schema: z.ZodType<T>, ...args: string[]): Promise<T> {
  const where = ["--url", url, ...(secret === "" ? [] : ["--key", secret])];
  return schema.parse(await ask([...args, ...where, "--data", join(place.path, "elsewhere")]));
}

async function asked(secret: string): Promise<{ readonly status: number; readonly receipt: string }> {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: name, messages: [{ role: "user", content: question }], max_tokens: 64 });
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
  await answer.text();
  return { status: answer.status, receipt: answer.headers.get("openledger-receipt") ?? "" };
}

const receiptOf = (id: string) => by("", receiptDetailSchema, "receipt", "show", id);
const ofKey = (secret: string) => by(secret, accountSchema, "account", "show");

test("from a record to spending what it earned: bound by proof, spent before it is settled, and every nano is accounted for", async () => {
  await up();
  const notes = join(place.path, "notes");
  mkdirSync(notes);
  writeFileSync(
    join(notes, "bicycle.md"),
    "# Bicycle\n\nTurn the pedals backwards and let one drop of oil fall on each link of the bicycle chain.\n",
  );
  const keyFile = join(place.path, "wallet.key");
  writeFileSync(keyFile, privateKey);
  await cli("datanet", "create", name, "--summary", "A tool", "--licence", "MIT", "--review", "open");
  await cli("datanet", "import", name, "--folder", notes, "--licence", "MIT", "--author", `Ann <${identity}>`);
  await cli("datanet", "publish", name);
  await cli("model", "create", name, "--datanet", name, "--royalty-call", "0.01");
  await cli("account", "credit", "me", "1");
  const reader = z.object({ id: z.string() }).parse(await cli("account", "create", "reader"));
  const { secret: readers } = z.object({ secret: z.string() }).parse(await cli("key", "create", reader.id, "laptop"));
  const me = await ofKey(readFileSync(join(data, "secrets", "admin-key"), "utf8").trim());
  const buyer = z.object({ secret: z.string() }).parse(await cli("key", "create", me.id, "buyer")).secret;
  const sold: string[] = [];
  for (let i = 0; i < 6; i++) sold.push((await asked(buyer)).receipt);

  const own = ["account", "own", address, "--key-file", keyFile] as const;
  expect((await run([...own, "--url", url])).code).toBe(66);
  await cli("binding", "notice", name, identity, address, "--funding-json", "--clone", makeClone(place.path, address));
  // After the notice the node makes the binding final on chain, and then in its books.
  const bindings = z.object({ data: z.array(z.object({ state: z.string() })) });
  let opened: z.infer<typeof ownedAccountSchema> | undefined;
  const tryToOpen = async () => {
    const [listed] = bindings.parse(await cli("binding", "list")).data;
    const { code, stdout } = await run([...own, "--url", url, "--json"]);
    // What is listed as bound is bound.
    if (listed?.state === "bound") expect(code).toBe(0);
    if (code === 0) opened = ownedAccountSchema.parse(JSON.parse(stdout));
    return code === 0;
  };
  expect(await until(tryToOpen, 60_000, 500)).toBe(true);
  const anns = opened!.secret;
  const before = await ofKey(anns);
  expect(before.balance).toMatchObject({ credited: "0", available: "0" });
  const [, bound] = before.earners ?? [];
  expect(BigInt(bound?.available ?? 0)).toBeGreaterThan(0n);
  expect(before.balance.earnedAvailable).toBe(bound?.available);
  const explained = await by(anns, explanationSchema, "receipt", "explain", sold[0]!);
  expect(explained).toMatchObject({ view: "contributor", evidence: [{ source: expect.stringContaining("bicycle") }] });
  expect(JSON.stringify(explained)).not.toContain("How is the");

  const spent = await asked(anns);
  expect(spent.status).toBe(200);
  const receipt = await receiptOf(spent.receipt);
  expect(receipt.fee.earned).toBe(receipt.fee.amount);
  expect(receipt.earner?.payee).toBe(bound?.payee);

  expect((await asked(readers)).status).toBe(402);
  await by(readers, accountSchema, "account", "link", "me", address, "--key-file", keyFile);
  expect((await asked(readers)).status).toBe(200);
  await by(anns, z.object({}), "account", "unlink", reader.id);
  expect((await asked(readers)).status).toBe(402);

  node.signal("SIGKILL");
  await node.ended();
  await up();
  expect((await asked(readers)).status).toBe(402);
  expect((await asked(anns)).status).toBe(200);
  const statement = await by(anns, statementSchema, "account", "statement");
  const shown = await ofKey(anns);
  expect([statement.total, shown.balance.spent]).toEqual([shown.earners?.[1]?.lifetime, "0"]);
  expect(statement.lines.filter(({ role }) => role === "earnings").length).toBe(3);

  await cli("epoch", "close");
  const totals = z.object({ totals: z.object({ credited: z.string(), debited: z.string() }) });
  const { credited, debited } = totals.parse(await cli("status")).totals;
  expect(credited).toBe(debited);
  await cli("verify");
  // What is settled is claimed, and is spent here no more.
  expect((await ofKey(anns)).balance.earnedAvailable).toBe("0");
  expect((await asked(anns)).status).toBe(402);
}, 240_000);

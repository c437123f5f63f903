import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { correctionSchema } from "../../src/protocol/corrections.ts";
import { claimSchema } from "../../src/protocol/epochs.ts";
import { bankPayoutSchema, payoutPlanSchema } from "../../src/protocol/payouts.ts";
import { ask, endAll, folder, type Program, run, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

const model = "handbook";
const contributors = z.object({ data: z.array(z.object({ payee: z.string() })).min(1) });
let place: Awaited<ReturnType<typeof folder>>;
let data: string;
let node: Program;
let url: string;
let reported = 0;

async function up(...more: string[]): Promise<void> {
  node = start(["up", "--port", "0", "--data", data, ...more]);
  const [, address] = await node.says(/is up at (\S+)/);
  url = address ?? "";
}

const cli = (...args: string[]): Promise<unknown> => ask([...args, "--data", data]);

/** The payees' lifetime credits by stage, summed. */
async function stages(): Promise<Readonly<Record<string, bigint>>> {
  const { data: people } = contributors.parse(await (await fetch(`${url}/api/datanets/${model}/contributors`)).json());
  const sums: Record<string, bigint> = { accrued: 0n, funded: 0n, settled: 0n, claimed: 0n };
  for (const { payee } of people) {
    const found = await fetch(`${url}/api/claims/${payee}`);
    if (found.status === 404) continue;
    const claim = claimSchema.parse(await found.json());
    for (const [stage, nano] of Object.entries(claim.stages)) sums[stage] = (sums[stage] ?? 0n) + BigInt(nano);
  }
  return sums;
}

beforeAll(async () => {
  place = await folder();
  data = join(place.path, "data");
  const repo = makeRepository(place.path);
  await up("--credit", "--epoch", "0");
  await cli("datanet", "create", model, "--summary", "How we work", "--licence", "CC-BY-4.0", "--review", "open");
  await cli("datanet", "import", model, "--git", repo);
  await cli("datanet", "publish", model);
  await cli("model", "create", model, "--datanet", model);
}, 120_000);

afterAll(async () => {
  await endAll();
  await place.remove();
});

test("a ledger on credit starts no chain, and takes the same questions", async () => {
  expect(node.said()).not.toMatch(/anvil|contracts/);
  const account = z.object({ id: z.string() }).parse(await cli("account", "create", "reader"));
  await cli("account", "credit", account.id, "5");
  const key = z.object({ secret: z.string() }).parse(await cli("key", "create", account.id, "laptop"));
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key.secret, maxRetries: 0 });
  const content = "How is the office kettle descaled?";
  const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  expect(answer.choices[0]?.message.content).toMatch(/vinegar|citric|kettle/i);
});

test("a receipt is given back once under a key, and its payees give back what they got", async () => {
  const list = z.object({ data: z.array(z.object({ id: z.string(), fee: z.object({ own: z.number() }) })) });
  const { data: receipts } = list.parse(await (await fetch(`${url}/api/receipts`)).json());
  const [receipt] = receipts;
  const give = ["receipt", "correct", receipt?.id ?? "", "--reason", "refund", "--refund", "0.000000009"] as const;
  const [once, again] = [await cli(...give, "--once", "case 1"), await cli(...give, "--once", "case 1")];
  expect(again).toEqual(once);
  const { refund, legs } = correctionSchema.parse(once);
  expect(refund).toBe(9);
  expect(legs.reduce((sum, { amount }) => sum + amount, 0)).toBe(-9);
});

test("credits are accrued, then funded, then settled, each by a reference and in order", async () => {
  expect((await run(["epoch", "fund", "1", "--reference", "x", "--data", data])).stderr).toMatch(/not closed/);
  await cli("epoch", "close");
  const before = await stages();
  expect(before["accrued"]).toBeGreaterThan(0n);
  expect((await run(["epoch", "settle", "1", "--reference", "x", "--data", data])).stderr).toMatch(/accrued/);
  await cli("epoch", "fund", "1", "--reference", "transfer 17");
  expect(await stages()).toEqual({ ...before, accrued: 0n, funded: before["accrued"] });
  await cli("epoch", "fund", "1", "--reference", "transfer 17");
  expect((await run(["epoch", "fund", "1", "--reference", "another", "--data", data])).stderr).toMatch(/transfer 17/);
  await cli("epoch", "settle", "1", "--reference", "approved");
  expect(await stages()).toEqual({ ...before, accrued: 0n, settled: before["accrued"] });
});

test("what is settled is paid by bank once, and what the bank refuses is due again", async () => {
  const planned = payoutPlanSchema.parse(await cli("payout", "create", "--dry-run", "--rate", "100", "--minimum", "1"));
  expect(planned.lines).toEqual([]);
  const { data: people } = contributors.parse(await (await fetch(`${url}/api/datanets/${model}/contributors`)).json());
  const due = planned.waiting.filter(({ payee }) => people.some((person) => person.payee === payee));
  expect(due.length).toBeGreaterThan(0);
  for (const { payee } of due)
    await cli("payee", "set", payee, "--name", "Ann Ames", "--country", "DE", "--iban", "DE89370400440532013000");
  const order = ["payout", "create", "--rate", "100", "--minimum", "1", "--currency", "EUR"] as const;
  const first = bankPayoutSchema.parse(await cli(...order));
  expect(first.lines).toHaveLength(due.length);
  expect((await run([...order, "--data", data])).stderr).toMatch(/nobody can be paid/);
  await cli("payout", "cancel", "1", "--reference", "wrong day");
  const second = bankPayoutSchema.parse(await cli(...order));
  expect(second.lines).toEqual(first.lines);
  const path = join(place.path, "payout.xml");
  const debtor = ["--debtor-name", "Node", "--debtor-iban", "DE89370400440532013000", "--on", "2027-01-31"];
  await cli("payout", "file", "2", path, "--format", "pain.001", ...debtor);
  expect(readFileSync(path, "utf8")).toContain("<ReqdExctnDt><Dt>2027-01-31</Dt></ReqdExctnDt>");
  const before = await stages();
  await cli("payout", "paid", "2", "--reference", "bank 9");
  const nano = BigInt(second.sums.nano);
  expect(await stages()).toEqual({
    ...before,
    settled: (before["settled"] ?? 0n) - nano,
    claimed: (before["claimed"] ?? 0n) + nano,
  });
  expect((await run(["payout", "file", "2", path, "--format", "pain.001", ...debtor, "--data", data])).stderr).toMatch(
    /must not be sent again/,
  );
});

test("a month that is not over has no statements yet", async () => {
  const month = new Date().toISOString().slice(0, 7);
  expect((await run(["statement", "issue", month, "--data", data])).stderr).toMatch(/not over/);
  expect(await cli("statement", "issue", "2025-01")).toEqual({ issued: 0, known: 0 });
});

test("what another gateway served is booked once, whatever is killed on the way", async () => {
  const manifest = join(place.path, "adapters.json");
  writeFileSync(manifest, JSON.stringify([{ name: "support-de", royaltyBps: 3_000, trainedOn: [{ datanet: model }] }]));
  await cli("model", "import", manifest);
  const file = join(place.path, "spend.jsonl");
  const row = (i: number) => ({
    ...{ request_id: `r${i}`, endTime: "2027-01-05 10:00:00", team_id: `team-${i % 3}`, model_group: "support-de" },
    ...{ prompt_tokens: 900, completion_tokens: 120, spend: `0.00000${1_000 + (i % 9_000)}` },
  });
  const rows = Array.from({ length: 24_000 }, (_, i) => row(i));
  writeFileSync(file, rows.map((one) => `${JSON.stringify(one)}\n`).join(""));
  const sending = start(["ingest", file, "--format", "litellm", "--data", data]);
  await sending.says(/\d booked/);
  node.signal("SIGKILL");
  await node.ended();
  expect((await sending.ended()).stderr).toMatch(/go on with --from|no node runs/);
  await up();
  const counts = z.object({ booked: z.number(), known: z.number(), refused: z.number() });
  const { booked, known, refused } = counts.parse(await cli("ingest", file, "--format", "litellm"));
  expect([booked + known, refused]).toEqual([rows.length, 0]);
  expect(counts.parse(await cli("ingest", file, "--format", "litellm"))).toEqual({
    booked: 0,
    known: rows.length,
    refused: 0,
  });
  const accounts = z.object({
    data: z.array(z.object({ name: z.string(), balance: z.object({ spent: z.string() }) })),
  });
  const { data: all } = accounts.parse(await cli("account", "list"));
  const spent = all
    .filter(({ name }) => name.startsWith("team-"))
    .reduce((sum, { balance }) => sum + BigInt(balance.spent), 0n);
  expect(spent).toBe(rows.reduce((sum, { spend }) => sum + BigInt(spend.slice(2)), 0n));
  await cli("epoch", "close");
  reported = rows.length;
}, 120_000);

test("it verifies without a chain, survives a restart as what it is, and what needs a chain is refused", async () => {
  const verdict = z.object({ kinds: z.looseObject({ receipt: z.number() }) });
  const settled = await stages();
  node.signal("SIGTERM");
  await node.ended();
  expect(verdict.parse(await ask(["verify", "--data", data])).kinds.receipt).toBe(1 + reported);
  await up();
  expect(node.said()).not.toMatch(/anvil|contracts/);
  expect(await stages()).toEqual(settled);
  const { data: people } = contributors.parse(await (await fetch(`${url}/api/datanets/${model}/contributors`)).json());
  const claims = await Promise.all(people.map(({ payee }) => run(["claim", payee, "--send", "--data", data])));
  expect(claims.map(({ stderr }) => stderr).join("")).toMatch(/on credit/);
});

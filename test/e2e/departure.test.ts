import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { arrivedSchema, signedDepartureSchema } from "../../src/protocol/departures.ts";
import { claimSchema } from "../../src/protocol/epochs.ts";
import { ask, endAll, folder, run, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

const name = "handbook";
const place = await folder();
const [from, to, taken] = ["from", "to", "taken"].map((part) => join(place.path, part)) as [string, string, string];

afterAll(async () => {
  await endAll();
  await place.remove();
});

interface Books {
  readonly url: string;
  cli(...args: string[]): Promise<unknown>;
  refused(...args: string[]): Promise<string>;
  /** What the datanet's people are owed, by name and stage. */
  owed(): Promise<Readonly<Record<string, Readonly<Record<string, string>>>>>;
}

async function books(data: string): Promise<Books> {
  const node = start(["up", "--port", "0", "--data", data, "--epoch", "0", "--credit"]);
  const [, url = ""] = await node.says(/is up at (\S+)/);
  const people = z.object({ data: z.array(z.object({ payee: z.string(), label: z.string() })) });
  return {
    url,
    cli: (...args) => ask([...args, "--data", data]),
    refused: async (...args) => (await run([...args, "--data", data])).stderr,
    owed: async () => {
      const { data: list } = people.parse(await (await fetch(`${url}/api/datanets/${name}/contributors`)).json());
      const found = list.map(async ({ payee, label }) => {
        const claim = await fetch(`${url}/api/claims/${payee}`);
        return [label, claim.status === 404 ? {} : claimSchema.parse(await claim.json()).stages] as const;
      });
      return Object.fromEntries((await Promise.all(found)).filter(([, stages]) => Object.keys(stages).length > 0));
    },
  };
}

test("a datanet leaves its ledger with what its people are owed, and arrives at another with nothing lost", async () => {
  const old = await books(from);
  const repo = makeRepository(place.path);
  await old.cli("datanet", "create", name, "--summary", "How we work", "--licence", "CC-BY-4.0", "--review", "open");
  await old.cli("datanet", "import", name, "--git", repo);
  await old.cli("datanet", "publish", name);
  await old.cli("model", "create", name, "--datanet", name);
  const reader = z.object({ id: z.string() }).parse(await old.cli("account", "create", "reader"));
  await old.cli("account", "credit", reader.id, "5");
  const { secret } = z.object({ secret: z.string() }).parse(await old.cli("key", "create", reader.id, "laptop"));
  const client = new OpenAI({ baseURL: `${old.url}/v1`, apiKey: secret, maxRetries: 0 });
  const content = "How is the office kettle descaled?";
  await client.chat.completions.create({ model: name, messages: [{ role: "user", content }] });

  const leave = ["datanet", "leave", name, taken, "--to", "our new books"] as const;
  expect(await old.refused(...leave)).toMatch(/accrued in the open epoch/);
  await old.cli("epoch", "close");
  expect(await old.refused(...leave)).toMatch(/epoch 1 is not settled/);
  await old.cli("epoch", "fund", "1", "--reference", "transfer 1");
  await old.cli("epoch", "settle", "1", "--reference", "approved");
  const before = await old.owed();
  await old.cli(...leave);
  const after = await old.owed();
  for (const [person, stages] of Object.entries(before))
    expect(after[person]).toEqual({ ...stages, settled: "0", claimed: stages["settled"] ?? "0" });
  const first = readFileSync(join(taken, "balances.json"), "utf8");
  // What was interrupted after the statement is had again: the same one.
  await old.cli(...leave);
  expect(readFileSync(join(taken, "balances.json"), "utf8")).toBe(first);

  const fresh = await books(to);
  const payer = z.object({ id: z.string() }).parse(await fresh.cli("account", "create", "the new keeper"));
  const arrive = ["datanet", "arrive", taken, "--account", payer.id] as const;
  expect(await fresh.refused(...arrive)).toMatch(/insufficient_funds/);
  await fresh.cli("account", "credit", payer.id, "1");
  const arrived = arrivedSchema.parse(await fresh.cli(...arrive));
  const settled = Object.values(before).reduce((sum, stages) => sum + BigInt(stages["settled"] ?? 0), 0n);
  expect(settled).toBeGreaterThan(0n);
  expect(arrived).toMatchObject({ nano: String(settled), entries: 1, known: 0 });
  expect(arrivedSchema.parse(await fresh.cli(...arrive))).toEqual({ ...arrived, known: 1 });
  const here = await fresh.owed();
  for (const [person, stages] of Object.entries(before)) expect(here[person]?.["accrued"]).toBe(stages["settled"]);
  await fresh.cli("epoch", "close");
  const verdict = z.object({ credits: z.string(), kinds: z.looseObject({ transfer: z.number() }) });
  expect(verdict.parse(await ask(["verify", "--data", to]))).toMatchObject({ credits: String(settled) });

  const departure = signedDepartureSchema.parse(JSON.parse(first));
  const [line] = departure.statement.lines;
  const lines = [{ ...line, nano: "999999999" }];
  const forged = { ...departure, statement: { ...departure.statement, lines } };
  writeFileSync(join(taken, "balances.json"), JSON.stringify(forged));
  expect(await fresh.refused(...arrive)).toMatch(/not what its ledger has signed/);
  writeFileSync(join(taken, "balances.json"), first);
  expect(await old.refused(...arrive)).toMatch(/of this very ledger/);
});

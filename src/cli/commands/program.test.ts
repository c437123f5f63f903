import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { RefusalError } from "../../core/result.ts";
import { smallJournal } from "../../ledger/testing/smallJournal.ts";
import { type MemoryNode, startMemoryNode } from "../../node/testing/memoryNode.ts";
import { runLine } from "../testing/commandLine.ts";

let node: MemoryNode;
let folder: string;

const first =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.";
const second =
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.";

beforeAll(async () => {
  node = await startMemoryNode();
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  await mkdir(join(folder, "notes"));
  await writeFile(join(folder, "notes", "canal.md"), `# Canal\n\n${first}\n`);
  await writeFile(join(folder, "notes", "kettles.md"), `# Kettles\n\n${second}\n`);
  await writeFile(join(folder, "answer.txt"), `As it is written: ${first} That is all.`);
});
afterAll(async () => {
  await node.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What a command prints under `--json`; it must have succeeded and said nothing else. */
async function json(...args: string[]): Promise<unknown> {
  const where = ["--url", node.url, "--key", node.adminSecret, "--data", folder];
  const { code, out, err } = await runLine([...args, ...where, "--json"]);
  expect({ code, err, out }).toMatchObject({ code: 0, err: "" });
  expect(out.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(out);
}

async function lines(...args: string[]): Promise<string> {
  const where = ["--url", node.url, "--key", node.adminSecret, "--data", folder];
  const { code, out, err } = await runLine([...args, ...where]);
  expect({ code, err }).toMatchObject({ code: 0 });
  return out;
}

const someContributions = z.object({ contributions: z.array(z.object({ id: z.string() })).min(1) });
const withId = z.object({ id: z.string() });

test("a datanet: created, imported into, reviewed, published, looked at", async () => {
  await json("datanet", "create", "notes", "--summary", "Field notes", "--licence", "CC-BY-4.0", "--tag", "field");
  const author = "Ann <git:ann@example.org>";
  const notes = [
    "datanet",
    "import",
    "notes",
    "--folder",
    join(folder, "notes"),
    "--licence",
    "MIT",
    "--author",
    author,
  ];
  const imported = await json(...notes);
  expect(imported).toMatchObject({ records: 2, known: 0, leftOut: [], contributions: [{ status: "pending" }] });
  expect(await json(...notes)).toMatchObject({ records: 0, known: 1, contributions: [] });
  const id = someContributions.parse(imported).contributions[0]!.id;
  expect(await json("datanet", "review", "notes")).toMatchObject({ data: [{ id, state: "open" }] });
  const decided = await json("datanet", "review", "notes", id, "--approve", "--reason", "read them all");
  expect(decided).toMatchObject({ state: "approved" });
  expect(await json("datanet", "publish", "notes")).toMatchObject({ version: 1, records: 2 });
  expect(await json("datanet", "show", "notes")).toMatchObject({
    records: 2,
    tags: ["field"],
    versions: [{ version: 1 }],
  });
  expect(await json("datanet", "list")).toMatchObject({ data: [{ name: "notes" }] });
  expect(await json("datanet", "records", "notes", "--limit", "1")).toMatchObject({
    total: 2,
    data: [{ title: "Canal" }],
  });
  expect(await json("datanet", "contributors", "notes")).toMatchObject({ data: [{ label: "Ann", records: 2 }] });
  expect(await json("datanet", "diff", "notes", "1", "1")).toMatchObject({ added: [], removed: [], unchanged: 2 });
});

test("a datanet leaves and comes back the same, and an answer is attributed to it without a server", async () => {
  const away = join(folder, "away");
  expect(await json("datanet", "export", "notes", away)).toMatchObject({ records: 2, contributions: 1, versions: 1 });
  const other = await startMemoryNode();
  const where = ["--url", other.url, "--key", other.adminSecret, "--json"];
  const restored = await runLine(["datanet", "restore", away, ...where]);
  expect(JSON.parse(restored.out)).toMatchObject({ name: "notes", records: 2, contributions: 1, versions: 1 });
  expect(await other.store.versions("notes")).toEqual(await node.store.versions("notes"));
  await other.stop();
  const text = join(folder, "answer.txt");
  const offline = await runLine(["attribute", "--datanet", away, "--text", text, "--json", "--data", folder]);
  expect(offline.code).toBe(0);
  const spans = z.object({ spans: z.array(z.object({ text: z.string(), author: z.string(), weight: z.number() })) });
  const best = spans.parse(JSON.parse(offline.out)).spans[0]!;
  expect(best).toMatchObject({ author: "git:ann@example.org" });
  expect(best.text).toContain("sluice gate of the eastern canal opens at dawn");
  expect(best.weight).toBeGreaterThan(1_000);
  expect(await json("attribute", "--datanet", "notes", "--text", text)).toEqual(JSON.parse(offline.out));
});

test("a model is made and asked, whole and streamed, and its receipt shows the route", async () => {
  const made = await json("model", "create", "notes-model", "--datanet", "notes", "--royalty-call", "0.000001");
  expect(made).toMatchObject({ name: "notes-model", royalty: { perCall: 1_000 } });
  expect(await json("model", "show", "notes-model")).toMatchObject({ datanets: [], royalty: { perCall: 1_000 } });
  expect(await json("model", "list")).toMatchObject({ data: [{ name: "npm-docs" }, { name: "notes-model" }] });
  await json("account", "credit", "me", "1");
  const asked = z.object({ receipt: withId }).parse(await json("ask", "npm-docs", "Who", "is", "there?"));
  expect(asked).toMatchObject({ receipt: { id: expect.stringMatching(/^0x/) } });
  const whole = await lines("ask", "npm-docs", "Who is there?");
  const streamed = await lines("ask", "npm-docs", "Who is there?", "--stream");
  for (const said of [whole, streamed]) {
    for (const part of ["Hello, world!", "Credited passages and people", "span", "contributor", "treasury"])
      expect(said).toContain(part);
  }
  const shown = await json("receipt", "show", asked.receipt.id);
  expect(shown).toMatchObject({ id: asked.receipt.id, opening: { answer: "Hello, world!" } });
  expect(await json("receipt", "list", "--mine")).toMatchObject({ data: [{}, {}, { id: asked.receipt.id }] });
});

test("accounts and keys", async () => {
  const { id } = withId.parse(await json("account", "create", "research"));
  expect(await json("account", "credit", id, "1.25", "--once", "may")).toMatchObject({ credited: "1250000000" });
  expect(await json("account", "credit", id, "1.25", "--once", "may")).toMatchObject({ credited: "1250000000" });
  expect(await json("account", "show", id)).toMatchObject({ name: "research" });
  expect(await json("account", "list")).toMatchObject({
    data: expect.arrayContaining([expect.objectContaining({ id })]),
  });
  expect(await json("account", "statement", id)).toMatchObject({ truncated: false });
  const made = await json("key", "create", id, "laptop", "--requests-per-minute", "6", "--open-per-day", "0.5");
  expect(made).toMatchObject({ key: { account: id, limits: { requestsPerMinute: 6, nanoPerDay: 500_000_000 } } });
  const { key } = z.object({ key: withId }).parse(made);
  expect(await json("key", "revoke", key.id)).toMatchObject({ revokedMs: expect.any(Number) });
  expect(await json("key", "list")).toMatchObject({ data: expect.arrayContaining([expect.objectContaining(key)]) });
});

test("bindings carry their proof", async () => {
  const identity = "repo:github.com/ann/tool";
  const address = `0x${"1".repeat(40)}`;
  const noticed = await json("binding", "notice", "notes", identity, address, "--funding-json");
  expect(noticed).toMatchObject({ identity, state: "noticed", to: address });
  const proof = join(folder, "answer.txt");
  expect(await json("binding", "refuse", "notes", identity, "--commit", proof)).toMatchObject({ state: "refused" });
  expect(await json("binding", "list")).toMatchObject({ data: [{ state: "noticed" }, { state: "refused" }] });
});

test("status and epochs", async () => {
  expect(await json("status")).toMatchObject({ health: { status: "ok" }, datanets: [{ name: "notes" }] });
  expect(await json("epoch", "list")).toMatchObject({ data: [] });
});

test("a journal is verified from its folder and over HTTP, and a changed one names its first fault", async () => {
  const { files, size } = smallJournal();
  const write = async (at: string, journal: ReadonlyMap<string, Uint8Array>): Promise<string> => {
    for (const [path, bytes] of journal) {
      await mkdir(dirname(join(folder, at, path)), { recursive: true });
      await writeFile(join(folder, at, path), bytes);
    }
    return join(folder, at);
  };
  expect(await json("verify", node.url)).toMatchObject({ size, kinds: { receipt: 1 }, rpc: null });
  const trust = await (await fetch(`${node.url}/api/ledger`)).text();
  await writeFile(join(folder, "trust.json"), trust);
  const keys = ["--trust", join(folder, "trust.json")];
  expect(await json("verify", await write("journal", files), ...keys)).toMatchObject({ size, credits: "1041" });
  expect(await json("verify", ...keys)).toMatchObject({ where: join(folder, "journal") });
  const skimmed = smallJournal({
    receipt: (receipt) => ({
      ...receipt,
      legs: receipt.legs.map((leg, i) => ({ ...leg, amount: leg.amount + (i === 0 ? 1 : 0) })),
    }),
  });
  const ended = await runLine(["verify", await write("skimmed", skimmed.files), ...keys, "--json"]);
  expect(ended.code).toBe(1);
  expect(JSON.parse(ended.out)).toMatchObject({
    error: { code: "verification_failed", seq: skimmed.receipt.seq, message: expect.stringContaining("leg 0 pays") },
  });
});

test("up and demo hand their options on", async () => {
  const calls = { started: [], shown: [] };
  const world = { environment: { isDebug: false, databaseUrl: "postgres://x" } };
  const up = await runLine(["up", "--port", "0", "--data", folder, "--json"], world, calls);
  expect(JSON.parse(up.out)).toMatchObject({ url: "http://127.0.0.1:1" });
  await runLine(
    [
      ...["up", "--port", "0", "--allow-host", "A.example", "--allow-host", "[::2]", "--data", folder],
      ...["--relay-hours", "0", "--relay-subsidy", "1000"],
    ],
    world,
    calls,
  );
  const wrong = await runLine(["up", "--allow-host", "a.example:80", "--data", folder, "--json"], world, calls);
  expect(JSON.parse(wrong.out)).toMatchObject({ error: { code: "invalid_request" } });
  const once = await runLine(["demo", "--once", "--repo", folder, "--data", folder], world, calls);
  expect(JSON.parse(once.out.trimEnd().split("\n").at(-1)!)).toEqual({ credits: "1000000000000000000" });
  expect(calls).toEqual({
    started: [
      { data: folder, port: 0, databaseUrl: "postgres://x", relay: {} },
      {
        ...{ data: folder, port: 0, databaseUrl: "postgres://x", hostNames: ["a.example", "[::2]"] },
        relay: { everyMs: 0, subsidyBps: 1_000 },
      },
    ],
    shown: [{ data: folder, port: expect.any(Number), once: true, repo: folder }],
  });
});

test("a data folder's admin key goes to its own node and to no other address", async () => {
  await mkdir(join(folder, "secrets"));
  await writeFile(join(folder, "secrets", "admin-key"), `${node.adminSecret}\n`);
  await writeFile(join(folder, "node.json"), JSON.stringify({ url: node.url, pid: process.pid }));
  const seen: (string | null)[] = [];
  const spy: typeof fetch = async (input, init) => {
    seen.push(new Headers(init?.headers).get("authorization"));
    return fetch(input, init);
  };
  const own = await runLine(["account", "list", "--data", folder, "--json"], { fetch: spy });
  expect(own).toMatchObject({ code: 0 });
  const named = await runLine(["account", "list", "--data", folder, "--url", node.url, "--json"], { fetch: spy });
  expect(named).toMatchObject({ code: 0 });
  const other = await startMemoryNode();
  const elsewhere = await runLine(["account", "list", "--data", folder, "--url", other.url, "--json"], { fetch: spy });
  await other.stop();
  expect(elsewhere).toMatchObject({ code: 77 });
  expect(seen).toEqual([`Bearer ${node.adminSecret}`, `Bearer ${node.adminSecret}`, null]);
});

test("what was not expected is one line, and a stack only for who asks", async () => {
  const broken = { runDemo: () => Promise.reject(new Error("a bug\nat length")) };
  const quiet = await runLine(["demo"], broken);
  expect(quiet.code).toBe(70);
  expect(quiet.err).toContain("something broke here: Error: a bug\nOPENLEDGER_DEBUG=1 shows where\n");
  const loud = await runLine(["demo"], { ...broken, environment: { isDebug: true } });
  expect(loud.err).toContain("program.test.ts");
  const refused = { runDemo: () => Promise.reject(new RefusalError({ code: "disk_full", message: "full" })) };
  expect(await runLine(["demo"], refused)).toMatchObject({
    code: 74,
    err: expect.stringContaining("full (disk_full)"),
  });
});

test("an argument that is called as an option of all commands stands for itself alone", async () => {
  const asked: unknown[] = [];
  const noting: typeof fetch = async (input, init) => {
    asked.push([String(input), init?.body]);
    return Response.json({}, { status: 503 });
  };
  const where = ["--url", "http://127.0.0.1:9", "--key", "ol_k"];
  await runLine(["webhook", "add", "https://example.org/hooks", ...where], { fetch: noting });
  expect(asked).toEqual([
    ["http://127.0.0.1:9/api/webhooks", JSON.stringify({ url: "https://example.org/hooks", types: [] })],
  ]);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { defaultPolicy } from "../attribution/policy.ts";
import { fromHex, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { createDatanet } from "../datanets/datanet.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { publishVersion, submitContribution } from "../datanets/intake.ts";
import { MemoryDatanetStore } from "../datanets/memoryStore.ts";
import { Gateway } from "../gateway/gateway.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { assets, parties, smallLedger, verified } from "../ledger/testing/smallLedger.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { chatCompletionSchema } from "../protocol/completions.ts";
import { type OpenOutputStore, openOutputStore } from "../store/outputStore.ts";
import { groundModel } from "./grounding.ts";
import { scopeOf } from "./modelShelf.ts";
import { OutputMemory } from "./outputMemory.ts";
import { People } from "./people.ts";
import { loadUpstream } from "./upstream.ts";

const annWrote =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes again when the grey herons return to the stone quay below the lighthouse.";
const nobodyWrote =
  "Beyond that, visitors often ask about parking, opening hours, picnic benches, guided walks, local bus timetables, and where one may rent bicycles for small children.";
const answer = `${annWrote} ${nobodyWrote}`;

const combinations = { policy: defaultPolicy };
let database: TestDatabase;
let outputs: OpenOutputStore;
beforeAll(async () => {
  database = await testDatabase();
  outputs = unwrap(await openOutputStore(database));
});
beforeEach(() => outputs.forget({ nowMs: Number.MAX_SAFE_INTEGER, countMax: 0 }));
afterAll(async () => {
  await outputs.close();
  await database.drop();
});

async function town() {
  const store = new MemoryDatanetStore();
  const { ledger, world } = await smallLedger();
  const { books } = ledger;
  const provenance = { ledger, chain: creditChain(parties.node.slice(12)) };
  const said: string[] = [];
  const later = (): number => {
    world.timeMs += 1_000;
    return world.timeMs;
  };
  const memory = new OutputMemory({
    outputs,
    books,
    combinations,
    nowMs: () => world.timeMs,
    say: (text) => said.push(text),
  });
  const gatewayWorld = {
    nowMs: later,
    elapsedMs: () => performance.now(),
    log: () => undefined,
  };
  const gateway = new Gateway(
    { ...{ ledger, answers: memory }, world: { ...gatewayWorld, randomBytes: (size) => world.randomBytes(size) } },
    { timeouts: { receiptMs: 60_000 } },
  );
  const { url } = unwrap(await gateway.listen(0));
  const { id } = unwrap(await ledger.accounts.open({ name: "asker" }));
  unwrap(await ledger.accounts.credit({ account: id, amount: 10_000_000_000, key: "1", note: "test" }));
  const { secret } = unwrap(await ledger.accounts.createKey({ account: id, name: "test" }));

  /** A datanet of one contribution, and a model that says what stands in it, or something else. */
  const publish = async (
    name: string,
    author: string,
    text: string,
    says: string,
    derivedFrom: readonly string[] = [],
  ) => {
    const owner = toHex(parties.owner);
    const draft = { name, summary: "of a town", licence: "CC-BY-4.0", rules: { review: "open" as const } };
    unwrap(await store.createDatanet(unwrap(createDatanet(draft, owner, 1)), new Uint8Array(32).fill(name.length)));
    const record = { title: "Notes", headingPath: [], text, source: "notes", licence: "CC-BY-4.0", date: null };
    const records = [{ ...record, authors: [{ identity: `git:${author}@example.org`, name: author }] }];
    const finder = unwrap(await memory.finder(derivedFrom));
    const contribution = { by: owner, label: name, licence: "CC-BY-4.0", records };
    const taken = unwrap(await submitContribution(store, name, contribution, later(), finder));
    const built = unwrap(await publishVersion(store, name, owner, world.timeMs));
    const upstream = await loadUpstream(store, books, [name], built.records);
    const scope = await scopeOf(store, provenance, name);
    const people = new People({ scope, records: built.records }, ...upstream.answers.values());
    const index = buildIndex(houseTokenizer(), built.records);
    const prices = { inPerMillion: 0, outPerMillion: 0, perCall: 1_000_000 };
    gateway.catalog.put({
      ...{
        name,
        asset: assets.model,
        ownedBy: "the town",
        createdMs: 1,
        contextTokens: 32_768,
        unit: "nano",
        royalty: prices,
      },
      grounding: groundModel({ datanets: [name], records: built.records, index, people, upstream }),
    });
    const engine = new ScriptedEngine([{ say: says }, { end: "stop" }]);
    gateway.operators.put({
      ...{
        name,
        payee: parties.operator,
        engine,
        models: { [name]: name },
        unit: "nano",
        cost: prices,
        concurrency: 4,
      },
    });
    return { lineage: taken.contribution.lineage, payee: identityPayeeId(scope, `git:${author}@example.org`) };
  };
  const ask = async (model: string, headers: Record<string, string> = {}) => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "What is there?" }], max_tokens: 200 });
    const all = { authorization: `Bearer ${secret}`, "content-type": "application/json", ...headers };
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: all, body });
    const reply: unknown = await response.json();
    const receipt = chatCompletionSchema.parse(reply).openledger!.receipt;
    await memory.settled();
    return receipt;
  };
  /** What a receipt credits, in millionths of the contributors' part. */
  const credits = async (receipt: string) => {
    const { legs } = (await books.receipt(fromHex(receipt)))!.receipt;
    return new Map(
      legs
        .filter(({ role }) => role === "contributor")
        .map(({ payee, weight }) => [toHex(books.payee(payee)!.id), weight]),
    );
  };
  return { ledger, memory, publish, ask, credits, said, world, stop: () => gateway.drain(10) };
}

test("whoever contributes an answer again passes half of its credited part on to those behind it, and their receipts verify", async () => {
  const { publish, ask, credits, ledger, said, stop } = await town();
  const ann = await publish("canal", "ann", annWrote, answer);
  const first = await ask("canal");
  const byAnn = (await credits(first)).get(toHex(ann.payee))!;
  expect(byAnn).toBeGreaterThan(300_000);
  expect(byAnn).toBeLessThan(700_000);

  const ben = await publish("notes", "ben", answer, answer);
  expect(ben.lineage).toEqual([expect.objectContaining({ receipt: first, partPpm: 1_000_000, isDeclared: false })]);
  const second = await credits(await ask("notes"));
  expect(Math.abs(second.get(toHex(ann.payee))! - byAnn / 2)).toBeLessThan(20);
  expect(Math.abs(second.get(toHex(ben.payee))! - (1_000_000 - byAnn / 2))).toBeLessThan(20);

  const reworded =
    "At daybreak, once in a week, they lift the barrier on the waterway to the east; with the birds it falls again.";
  const cat = await publish("reworded", "cat", reworded, reworded, [first]);
  expect(cat.lineage).toEqual([expect.objectContaining({ receipt: first, isDeclared: true })]);
  expect(Math.abs((await credits(await ask("reworded"))).get(toHex(ann.payee))! - byAnn / 2)).toBeLessThan(20);
  await verified({ ledger });
  expect(said).toEqual([]);
  await stop();
});

test("an answer that its payer forbids to remember, or to keep, is not", async () => {
  const { publish, ask, memory, stop } = await town();
  await publish("canal", "ann", annWrote, answer);
  const receipts = [
    await ask("canal", { "openledger-lineage": "forbid" }),
    await ask("canal", { "openledger-audit": "forbid" }),
  ];
  await memory.begin();
  for (const receipt of receipts) expect(await outputs.output(`0x${receipt.slice(2)}`)).toBeUndefined();
  await stop();
});

test("what an end of the process came before is remembered at the next start", async () => {
  const { publish, ask, ledger, world, stop } = await town();
  await publish("canal", "ann", annWrote, answer);
  const receipt = await ask("canal");
  await outputs.forget({ nowMs: Number.MAX_SAFE_INTEGER, countMax: 0 });
  const parts = {
    outputs,
    books: ledger.books,
    combinations,
    nowMs: () => world.timeMs,
    say: () => undefined,
  };
  await new OutputMemory(parts).begin();
  expect(await outputs.output(`0x${receipt.slice(2)}`)).toMatchObject({ receipt });
  await stop();
});

test("a receipt that this ledger never gave is refused", async () => {
  const { memory, stop } = await town();
  const refused = await memory.finder([`0x${"ab".repeat(16)}`]);
  expect(refused).toMatchObject({ ok: false, error: { code: "not_found", field: "derivedFrom" } });
  await stop();
});

test("a store that fails loses answers and nothing else", async () => {
  const said: string[] = [];
  const { ledger, world, stop } = await town();
  const broken = { ...outputs, remember: () => Promise.reject(new Error("no disk")), missing: async () => [] };
  const parts = {
    books: ledger.books,
    combinations,
    nowMs: () => world.timeMs,
    say: (text: string) => said.push(text),
  };
  const memory = new OutputMemory({
    outputs: { ...broken, sharing: async () => [], output: async () => undefined, forget: async () => 0 },
    ...parts,
  });
  memory.remember({ receipt: new Uint8Array(16), answer, timeMs: 1 });
  await memory.settled();
  expect(said).toEqual(["answers could not be remembered: no disk"]);
  await stop();
});

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareBytes, equalBytes, fromHex, toHex } from "../core/bytes.ts";
import { ok, unwrap } from "../core/result.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { deployDefaults } from "../factory/order.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { parties } from "../ledger/testing/smallLedger.ts";
import { scopeOf } from "./modelShelf.ts";
import { neuralWorld, recipes, trainedJob } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-neural-"));
const engine = new ScriptedEngine([{ say: recipes[0]!.text }, { usage: [12, 20] }, { end: "stop" }]);
let world: Awaited<ReturnType<typeof neuralWorld>>;
let node: Awaited<ReturnType<typeof world.start>>;
beforeAll(async () => {
  world = await neuralWorld(folder, engine);
  node = await world.start();
});
afterAll(async () => {
  await node.stop();
  rmSync(folder, { recursive: true, force: true });
});
const order = { name: "ft:tiny:cook", ...deployDefaults };

test("a deployed adapter is an asset whose royalty reaches base and datanet, and its answers pay who wrote what they say", async () => {
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  const deployed = unwrap(await node.shelf.deploy(job, world.base, order));
  const asset = world.ledger.assets.get(fromHex(deployed.asset))!;
  expect(toHex(asset.contentRoot)).toBe(job.result?.hash);
  const parents = asset.parents.map(({ id }) => world.ledger.assets.get(id)!);
  expect(parents.map(({ kind }) => kind).sort()).toEqual(["datanet", "model"]);
  expect(parents.map(({ contentRoot }) => toHex(contentRoot)).sort()).toEqual(
    [world.base.hash, world.datanet.id].sort(),
  );

  const { openledger } = await world.ask(node.url, order.name);
  const scope = await scopeOf(world.store, world.provenance, "recipes");
  const ann = identityPayeeId(scope, "git:ann@example.org");
  expect(openledger.credited?.map(({ payee }) => payee)).toEqual([toHex(ann)]);
  const { receipt } = (await world.ledger.books.recent({ limit: 1 }))[0]!;
  const paid = (role: string) => receipt.legs.filter((leg) => leg.role === role);
  expect(receipt.fee.royalty).toBeGreaterThan(0);
  expect(paid("contributor").reduce((sum, { amount }) => sum + amount, 0)).toBeGreaterThan(0);
  expect(paid("model")).toHaveLength(1);
  expect(node.shelf.labelOf(asset.royaltyPayee)).toContain(order.name);
  expect(paid("context")).toHaveLength(1);
  expect(receipt.flags.undeclared).toBe(false);
});

test("what is declared of records while a model runs counts from its next answer on", async () => {
  const [ann, ben] = await world.store.versionRecords("recipes", 1);
  const scope = await scopeOf(world.store, world.provenance, "recipes");
  const credited = async () =>
    (await world.ask(node.url, order.name)).openledger.credited?.map(({ payee }) => payee).sort();
  const of = (author: string) => toHex(identityPayeeId(scope, `git:${author}@example.org`));
  expect(await credited()).toEqual([of("ann")]);
  const documents = [
    { id: "kneading", records: [ann!.id], cites: ["simmering"] },
    { id: "simmering", records: [ben!.id], cites: [] },
  ];
  unwrap(await world.store.declare("recipes", ann!.contributionId, { documents }));
  await node.shelf.refresh("recipes");
  expect(await credited()).toEqual([of("ann"), of("ben")].sort());
  unwrap(await world.store.declare("recipes", ann!.contributionId, { documents: [] }));
  await node.shelf.refresh("recipes");
  expect(await credited()).toEqual([of("ann")]);
});

test("a model that has no room for records says nothing of a method that needs them read", async () => {
  const place = mkdtempSync(join(tmpdir(), "openledger-unread-"));
  const engine = Object.assign(new ScriptedEngine([]), { score: async () => ok({ logProbabilities: [-1] }) });
  const unread = await neuralWorld(place, engine);
  const { shelf, stop } = await unread.start();
  const job = await trainedJob(unread.folders, unread.base, [unread.datanet]);
  unwrap(await shelf.deploy(job, unread.base, order));
  expect(shelf.methods(order.name)?.map(({ method }) => method.id)).toEqual(["span", "passage", "lineage"]);
  await stop();
  rmSync(place, { recursive: true, force: true });
});

test("the same deployment again is the same one; another under its name, and another share of the same asset, are refused", async () => {
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  const again = unwrap(await node.shelf.deploy(job, world.base, order));
  expect(again.name).toBe(order.name);
  const other = await trainedJob(world.folders, world.base, [], "ftjob-x123456789abcdef01234567");
  expect(await node.shelf.deploy(other, world.base, order)).toMatchObject({
    ok: false,
    error: { code: "already_exists" },
  });
  const share = await node.shelf.deploy(job, world.base, { ...order, name: "other", parentsBps: 1 });
  expect(share).toMatchObject({ ok: false, error: { code: "conflict", field: "parentsBps" } });
});

test("two at once under one name: one is served", async () => {
  const [one, two] = await Promise.all(
    ["a", "b"].map((letter) => trainedJob(world.folders, world.base, [], `ftjob-${letter}bcdefabcdefabcdefabcdef`)),
  );
  const both = await Promise.all(
    [one!, two!].map((job) => node.shelf.deploy(job, world.base, { ...order, name: "wanted-by-two" })),
  );
  expect(both.filter(({ ok }) => ok)).toHaveLength(1);
});

test("reprice counts from the next request on, and a node that starts again serves the same at that price", async () => {
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  const deployed = unwrap(await node.shelf.deploy(job, world.base, order));
  const royalty = { inPerMillion: 0, outPerMillion: 0, perCall: 77 };
  unwrap(await node.shelf.reprice({ ...deployed, royalty }));
  expect((await world.ask(node.url, order.name)).openledger.fee.royalty).toBe(77);
  const later = await world.start();
  expect(later.said).toEqual([]);
  const { openledger } = await world.ask(later.url, order.name);
  expect(openledger.fee.royalty).toBe(77);
  expect(openledger.credited).toHaveLength(1);
  expect(later.shelf.find(order.name)).toEqual(node.shelf.find(order.name));
  await later.stop();
  // The data folder may be moved, or restored elsewhere.
  const kept = readFileSync(join(folder, "models", "neural", `${encodeURIComponent(order.name)}.json`), "utf8");
  expect(kept).not.toContain(folder);
});

test("a base is served as it is: what is its contributors' is reserved for datanets", async () => {
  unwrap(await node.shelf.serveBase(world.base, { name: "tiny" }));
  await world.ask(node.url, "tiny");
  const { receipt } = (await world.ledger.books.recent({ limit: 1 }))[0]!;
  expect(receipt.flags.undeclared).toBe(true);
  const reserve = receipt.legs.find(({ role }) => role === "reserve")!;
  expect(reserve.amount).toBeGreaterThan(0);
});

test("payees of several datanets are numbered by id, whatever the order of the datanets", async () => {
  const records = await world.store.versionRecords("recipes", 1);
  const scope = await scopeOf(world.store, world.provenance, "recipes");
  const elsewhere = { ...scope, datanet: parties.ann };
  const { People } = await import("./people.ts");
  const other = records.map((record) => ({ ...record, id: toHex(fromHex(record.id).reverse()) }));
  const forth = new People({ scope, records }, { scope: elsewhere, records: other });
  const back = new People({ scope: elsewhere, records: other }, { scope, records });
  const payees = [1, 2, 3, 4].map((number) => forth.payee(number).payee);
  expect(payees.toSorted(compareBytes)).toEqual(payees);
  for (const record of [...records, ...other]) expect(forth.sharesOf(record)).toEqual(back.sharesOf(record));
  const [mine, theirs] = [records[0]!, other[0]!].map((record) => forth.payee(forth.sharesOf(record)[0]!.payee).payee);
  expect(equalBytes(mine!, theirs!)).toBe(false);
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ok, unwrap } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import { deployDefaults } from "../factory/order.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { ModelExports } from "./modelExports.ts";
import { ModelLibrary } from "./modelLibrary.ts";
import { neuralWorld, trainedJob } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-library-"));
let library: ModelLibrary;
let datanets: Awaited<ReturnType<typeof neuralWorld>>["store"];
let node: Awaited<ReturnType<Awaited<ReturnType<typeof neuralWorld>>["start"]>>;
let job: Job;
beforeAll(async () => {
  const world = await neuralWorld(folder, new ScriptedEngine([]));
  node = await world.start();
  job = await trainedJob(world.folders, world.base, [world.datanet]);
  const { bases, folders, provenance } = world;
  datanets = world.store;
  const { shelf, gateway } = node;
  library = new ModelLibrary({
    ...{ bases, folders, shelf, gateway, datanets, provenance, indexes: () => undefined },
    exports: new ModelExports({
      nowMs: Date.now,
      ...{ data: folder, bases, pause: async () => undefined },
      source: async () => ok({ train: [{ record: "1", text: "Knead." }], heldOut: [] }),
    }),
    job: async (id) => (id === job.id ? job : undefined),
  });
  unwrap(await shelf.deploy(job, world.base, { name: "cook", ...deployDefaults }));
});
afterAll(async () => {
  await node.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("card and bill of materials of a served adapter and of its job are complete with datanets and contributors", async () => {
  const [served, made] = [unwrap(await library.facts("cook")), unwrap(await library.jobFacts(job.id))];
  expect(served.datanets).toEqual(made.datanets);
  expect(served.datanets[0]?.contributors.map(({ name }) => name).sort()).toEqual(["ann", "ben"]);
  expect(served.licence).toBe("NOASSERTION AND CC-BY-4.0");
  expect(served.training?.result?.hash).toBe(served.hash);
  for (const card of [unwrap(await library.card("cook")), unwrap(await library.jobCard(job.id))]) {
    for (const part of ["recipes", "ann", "ben", "CC-BY-4.0", "LoRA, rank 2", "0x", "2.5"])
      expect(card).toContain(part);
  }
  for (const bom of [unwrap(await library.bom("cook")), unwrap(await library.jobBom(job.id))])
    expect(JSON.stringify(bom)).toMatch(/"type":"dataset".*ann|ann.*"type":"dataset"/);
});

test("what records repeat of earlier answers is in both, and so in every export", async () => {
  const [ann] = await datanets.versionRecords("recipes", 1);
  const receipt = `0x${"ab".repeat(16)}` as const;
  const lineage = [{ record: ann!.id, receipt, partPpm: 700_000, isDeclared: false }];
  unwrap(await datanets.declare("recipes", ann!.contributionId, { lineage }));
  expect(unwrap(await library.facts("cook")).datanets[0]?.lineage).toEqual(lineage);
  expect(unwrap(await library.card("cook"))).toContain(
    "Records of recipes that repeat earlier answers: 1, of one answer,",
  );
  const bom = JSON.stringify(unwrap(await library.bom("cook")));
  for (const part of [`openledger:repeats:${ann!.id}`, receipt, "700000"]) expect(bom).toContain(part);
});

test("what is not served, and what was never ordered, is refused", async () => {
  expect(await library.card("none")).toMatchObject({ ok: false, error: { code: "model_not_found" } });
  expect(await library.bom("none")).toMatchObject({ ok: false, error: { code: "model_not_found" } });
  expect(await library.jobCard("ftjob-none")).toMatchObject({ ok: false, error: { code: "not_found" } });
});

test("bases are taken up from folders, and served under a name of their own", async () => {
  const place = join(folder, "bases", "tiny");
  const taken = unwrap(await library.registerBase({ name: "again", folder: place, licence: "MIT" }));
  expect(taken).toMatchObject({ name: "again", licence: "MIT", layers: 2, contextTokens: 128, vocabulary: 8_192 });
  expect((await library.bases()).map(({ name }) => name)).toEqual(["again", "tiny"]);
  expect(unwrap(await library.serveBase("again", { as: "plain" }))).toMatchObject({ name: "plain", datanets: [] });
  expect(unwrap(await library.card("plain"))).toContain("A base model, as it is.");
  expect(await library.serveBase("again", { as: "cook" })).toMatchObject({
    ok: false,
    error: { code: "already_exists" },
  });
});

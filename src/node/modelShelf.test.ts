import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { parties } from "../ledger/testing/smallLedger.ts";
import { CombinationShelf } from "./combinationShelf.ts";
import { embeddedCost, ModelShelf } from "./modelShelf.ts";
import { neuralWorld } from "./testing/neuralWorld.ts";

test("models that are made at once are made one after the other: each is served, and a name is given once", async () => {
  const data = await mkdtemp(join(tmpdir(), "openledger-test-"));
  onTestFinished(() => rm(data, { recursive: true, force: true }));
  const world = await neuralWorld(data, new ScriptedEngine([]));
  const node = await world.start();
  const shelf = new ModelShelf({
    ...{ data, store: world.store, provenance: world.provenance, gateway: node.gateway, nowMs: () => 1 },
    ...{ combinations: unwrap(await CombinationShelf.open(data)), operator: parties.operator, cost: embeddedCost },
  });
  onTestFinished(async () => {
    await node.stop();
    await shelf.close();
  });
  unwrap(await shelf.restore(() => undefined));
  const names = ["bread", "lentils", "bread"];
  const made = await Promise.all(
    names.map((name) => shelf.create({ name, datanet: world.datanet.name }, () => undefined)),
  );
  expect(made.map((one) => (one.ok ? one.value.name : one.error.code))).toEqual(["bread", "lentils", "already_exists"]);
  for (const name of ["bread", "lentils"]) {
    const { choices } = await world.ask(node.url, name);
    expect(choices[0]?.message.content).toContain("Knead the dough");
  }
});

import pg from "pg";
import { expect, test } from "vitest";
import { callNode } from "../../src/chain/rpc.ts";
import { unwrap } from "../../src/core/result.ts";
import { testChain } from "./testChain.ts";
import { testDatabase } from "./testDatabase.ts";

test("each test database is its own, and is gone once dropped, open sessions or not", async () => {
  const [one, two] = await Promise.all([testDatabase(), testDatabase()]);
  const client = new pg.Client({ connectionString: one.url });
  const cut = new Promise((resolve) => client.on("error", resolve));
  await client.connect();
  await client.query("CREATE TABLE mine (n int)");
  const other = new pg.Client({ connectionString: two.url });
  await other.connect();
  expect((await other.query("SELECT to_regclass('mine') AS found")).rows).toEqual([{ found: null }]);
  await other.end();
  await Promise.all([one.drop(), two.drop()]);
  await cut;
  await expect(new pg.Client({ connectionString: one.url }).connect()).rejects.toThrow("does not exist");
});

test("each test chain is its own", async () => {
  const [one, two] = await Promise.all([testChain(), testChain()]);
  unwrap(await callNode(one.rpcUrl, "anvil_mine", [3]));
  const heights = await Promise.all(
    [one, two].map(async ({ rpcUrl }) => unwrap(await callNode(rpcUrl, "eth_blockNumber"))),
  );
  expect(heights).toEqual(["0x4", "0x1"]);
  await Promise.all([one.stop(), two.stop()]);
});

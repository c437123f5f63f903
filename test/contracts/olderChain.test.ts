import { expect, onTestFinished, test } from "vitest";
import { callNode } from "../../src/chain/rpc.ts";
import { unwrap } from "../../src/core/result.ts";
import { id32 } from "../../src/ledger/testing/smallLedger.ts";
import { openChainWorld } from "./chainWorld.ts";

test("a chain that was set back behind a final epoch is refused by name; one that is as new is not", async () => {
  const world = await openChainWorld();
  onTestFinished(() => world.chain.stop());
  const { settlement, chain } = world;
  await world.earn([id32(50)], 1_000);
  await world.settle();
  unwrap(await settlement.resume());
  const then = unwrap(await callNode(chain.rpcUrl, "evm_snapshot"));
  await world.earn([id32(50)], 1_000);
  const epoch = await world.settle();
  unwrap(await settlement.resume());
  expect(unwrap(await callNode(chain.rpcUrl, "evm_revert", [then]))).toBe(true);
  const refused = await settlement.resume();
  expect(refused).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(refused).toHaveProperty("error.message", expect.stringContaining(`epoch ${epoch} is final, and chain 31337`));
  expect(refused).toHaveProperty("error.hint", expect.stringContaining("openledger restore"));
});

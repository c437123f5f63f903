import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../../test/support/folders.ts";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { until } from "../host/processes.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import { type ChainPartOptions, openChainPart } from "./chainPart.ts";
import { Children } from "./children.ts";
import { openPlace } from "./place.ts";
import { termsOf } from "./provenance.ts";
import { keepSecrets } from "./secrets.ts";

test("what was sent to the development chain is there however it ends; what it does not know is said", async () => {
  const data = await temporaryFolder();
  const events: ChildEvent[] = [];
  const children = new Children({ on: () => {}, off: () => {}, exit: () => {}, kill: () => {} }, () => {});
  onTestFinished(() => children.stopAll());
  const secrets = await keepSecrets(data, randomBytes);
  const onEvent = (event: ChildEvent) => void events.push(event);
  const { chain } = unwrap(await openChainPart({ data, secrets, children, randomBytes, onEvent, say: () => {} }));
  const id = unwrap(
    await chain.registerAsset({
      ...{ kind: "model", contentRoot: new Uint8Array(32).fill(1), parents: [], terms: termsOf("MIT", 0) },
      ...{ uri: "openledger:model/x", salt: new Uint8Array(32) },
    }),
  );

  const { pid } = z.object({ pid: z.number() }).parse(JSON.parse(readFileSync(join(data, "anvil/anvil.pid"), "utf8")));
  process.kill(pid, "SIGKILL");
  expect(await until(() => events.some((event) => event.kind === "restarted"), 15_000)).toBe(true);

  expect(unwrap(await chain.ownerOf(id))).toEqual(chain.node);
  const unknown = await chain.ownerOf(new Uint8Array(32).fill(9));
  expect(unknown).toMatchObject({ error: { code: "conflict", message: expect.stringContaining("was set back") } });
});

test("a ledger stays on its chain and under its key: another is not begun in its data folder", async () => {
  const data = await temporaryFolder();
  const secrets = await keepSecrets(data, randomBytes);
  const opened = async <T>(work: (options: Omit<ChainPartOptions, "kept" | "moved">) => Promise<T>): Promise<T> => {
    const children = new Children({ on: () => {}, off: () => {}, exit: () => {}, kill: () => {} }, () => {});
    try {
      return await work({ data, secrets, children, randomBytes, onEvent: () => {}, say: () => {} });
    } finally {
      await children.stopAll();
    }
  };
  const ledgerOf = (kept?: ChainPartOptions["kept"]) =>
    opened(async (options) => {
      const part = await openChainPart({ ...options, ...(kept && { kept }) });
      return part.ok ? part.value.chain.openLedger() : part;
    });
  const ledger = toHex(unwrap(await ledgerOf()));
  expect(await ledgerOf({ chainId: 5, ledger })).toHaveProperty("error", {
    ...{ code: "conflict", message: "the ledger is on chain 5, and this is chain 31337" },
    hint: expect.stringContaining("CHAIN_RPC_URL"),
  });
  expect(toHex(unwrap(await ledgerOf({ chainId: 31_337, ledger })))).toBe(ledger);
  const other = await ledgerOf({ chainId: 31_337, ledger: `0x${"1".repeat(64)}` });
  expect(other).toHaveProperty("error.message", expect.stringContaining("this key opens another one"));
  const address = ledger.slice(0, 42);
  const trust = { ledger, chainId: 777, settlement: address, signer: address, logKey: ledger };
  await writeFile(join(data, "ledger.json"), JSON.stringify(trust));
  const forgotten = await opened((options) => openPlace(options, false));
  expect(forgotten).toHaveProperty("error.hint", expect.stringContaining("CHAIN_RPC_URL"));
});

import { randomBytes } from "node:crypto";
import { existsSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createWalletClient, defineChain, http } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ownProcess } from "../../test/support/ownProcess.ts";
import { type Result, unwrap } from "../core/result.ts";
import { isAlive, until } from "../host/processes.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import { type Anvil, type AnvilOptions, startAnvil } from "./anvil.ts";
import { callNode } from "./rpc.ts";

const events: ChildEvent[] = [];
const notes = (): string => events.map((event) => ("note" in event ? event.note : event.kind)).join("\n");
const STRANGER = "0x00000000000000000000000000000000000000aa";

async function tryStart(data: string, more: Partial<AnvilOptions> = {}): Promise<Result<Anvil>> {
  events.length = 0;
  const result = await startAnvil({ data, randomBytes, onEvent: (event) => events.push(event), accounts: 2, ...more });
  if (result.ok) onTestFinished(() => result.value.stop());
  return result;
}

async function start(data: string, more: Partial<AnvilOptions> = {}): Promise<Anvil> {
  return unwrap(await tryStart(data, more));
}

const ask = async (url: string, method: string, params: unknown[] = []): Promise<unknown> =>
  unwrap(await callNode(url, method, params));
const height = async (url: string): Promise<number> => Number(await ask(url, "eth_blockNumber"));
const mine = (url: string, blocks: number): Promise<unknown> => ask(url, "anvil_mine", [blocks]);

/** Pays the stranger one wei from the first account of the mnemonic; the transaction's hash, not yet mined. */
async function pay(chain: Anvil): Promise<string> {
  const account = mnemonicToAccount(chain.mnemonic);
  const local = defineChain({
    id: chain.chainId,
    name: "local",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [chain.rpcUrl] } },
  });
  const wallet = createWalletClient({ account, chain: local, transport: http() });
  return wallet.sendTransaction({ to: STRANGER, value: 1n });
}

describe("a new chain", () => {
  test("belongs to its own mnemonic, unlocks nothing, and mines only when told", async () => {
    const data = await temporaryFolder();
    const chain = await start(data);
    expect(await ask(chain.rpcUrl, "eth_chainId")).toBe("0x7a69");
    expect(await ask(chain.rpcUrl, "eth_accounts")).toEqual([]);
    expect(statSync(join(data, "anvil", "mnemonic")).mode & 0o777).toBe(0o600);
    const hash = await pay(chain);
    expect(await ask(chain.rpcUrl, "eth_getTransactionReceipt", [hash])).toBeNull();
    await ask(chain.rpcUrl, "evm_mine");
    expect(await ask(chain.rpcUrl, "eth_getTransactionReceipt", [hash])).toMatchObject({ status: "0x1" });
  });

  test("stops within two seconds, and continues with its receipts, balances and accounts", async () => {
    const data = await temporaryFolder();
    const first = await start(data);
    const hash = await pay(first);
    await mine(first.rpcUrl, 3);
    const before = await height(first.rpcUrl);
    const pid = first.pid() ?? 0;
    await first.stop();
    await first.stop();
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(join(data, "anvil", "anvil.pid"))).toBe(false);
    const second = await start(data);
    expect(second.mnemonic).toBe(first.mnemonic);
    expect(await height(second.rpcUrl)).toBe(before);
    expect(await ask(second.rpcUrl, "eth_getTransactionReceipt", [hash])).toMatchObject({ status: "0x1" });
    expect(await ask(second.rpcUrl, "eth_getBalance", [STRANGER, "latest"])).toBe("0x1");
  });

  test("lets no web page read it", async () => {
    const chain = await start(await temporaryFolder());
    const headers = { "content-type": "application/json", origin: "https://example.org" };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
    const response = await fetch(chain.rpcUrl, { method: "POST", headers, body });
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("after a kill", () => {
  test("of the chain: it continues from the last snapshot and says from which block", async () => {
    const chain = await start(await temporaryFolder());
    await mine(chain.rpcUrl, 4);
    const { blockNumber } = unwrap(await chain.snapshot());
    await mine(chain.rpcUrl, 2);
    process.kill(chain.pid() ?? 0, "SIGKILL");
    expect(await until(() => events.some((event) => event.kind === "restarted"), 15_000)).toBe(true);
    expect(notes()).toContain(`from the snapshot at block ${blockNumber}`);
    expect(await height(chain.rpcUrl)).toBe(Number(blockNumber));
  });

  test("of the chain: what others have sent and mined is there, once it was tended to", async () => {
    const chain = await start(await temporaryFolder());
    const sent = await pay(chain);
    unwrap(await chain.tend());
    await mine(chain.rpcUrl, 2);
    unwrap(await chain.tend());
    const before = await height(chain.rpcUrl);
    unwrap(await chain.tend());
    expect(await height(chain.rpcUrl)).toBe(before);
    process.kill(chain.pid() ?? 0, "SIGKILL");
    expect(await until(() => events.some((event) => event.kind === "restarted"), 15_000)).toBe(true);
    expect(await height(chain.rpcUrl)).toBe(before);
    expect(await ask(chain.rpcUrl, "eth_getTransactionReceipt", [sent])).toMatchObject({ status: "0x1" });
  });

  test("of the process that started it: the chain left behind is saved, not lost, and stopped", async () => {
    const data = await temporaryFolder();
    const parent = await ownProcess("./holdAnvil.ts", [data]);
    const said = parent.said;
    if (typeof said !== "object" || said === null || !("url" in said) || !("pid" in said)) throw new Error("no url");
    await parent.kill();
    await mine(String(said.url), 5);
    const before = await height(String(said.url));
    const chain = await start(data);
    expect(isAlive(Number(said.pid))).toBe(false);
    expect(notes()).toContain(`left behind (pid ${said.pid})`);
    expect(await height(chain.rpcUrl)).toBe(before);
  });
});

describe("a damaged state", () => {
  test("falls back to the previous one; with both damaged it is refused and nothing is begun anew", async () => {
    const data = await temporaryFolder();
    const first = await start(data);
    await mine(first.rpcUrl, 2);
    const { blockNumber } = unwrap(await first.snapshot());
    await mine(first.rpcUrl, 2);
    await first.stop();
    const current = join(data, "anvil", "state.json.gz");
    truncateSync(current, statSync(current).size - 20);
    const second = await start(data);
    expect(notes()).toContain("state.json.gz is damaged");
    expect(await height(second.rpcUrl)).toBe(Number(blockNumber));
    await second.stop();
    for (const file of ["state.json.gz", "state.previous.json.gz"]) writeFileSync(join(data, "anvil", file), "no gzip");
    expect(await tryStart(data)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
  });
});

test("a fixed port that is taken is refused", async () => {
  const other = createServer();
  const port = await new Promise<number>((resolve) => {
    other.listen(0, "127.0.0.1", () => {
      const address = other.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
  onTestFinished(() => void other.close());
  const result = await tryStart(await temporaryFolder(), { port });
  expect(result).toMatchObject({ ok: false, error: { code: "port_in_use", field: "port" } });
});

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { mnemonicToAccount } from "viem/accounts";
import { z } from "zod";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import {
  closeLog,
  keepSecret,
  openLog,
  readIfThere,
  refuseOnDisk,
  sizeOf,
  tailOf,
  writeAtomically,
} from "../host/files.ts";
import { choosePort } from "../host/ports.ts";
import { commandOf, endProcess, isSameProcess, nameProcess, type ProcessName, until } from "../host/processes.ts";
import { type ChildEvent, type Life, Supervisor } from "../host/supervisor.ts";
import { forgetLoaded, keepState, loadState } from "./chainState.ts";
import { mnemonicOf } from "./mnemonic.ts";
import { callNode } from "./rpc.ts";

export interface AnvilOptions {
  /** The data folder; the chain keeps everything in its `anvil`. */
  readonly data: string;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly onEvent: (event: ChildEvent) => void;
  /** A fixed port on 127.0.0.1; without it any free one. */
  readonly port?: number;
  /** How many accounts of the mnemonic own coins from the first block on. */
  readonly accounts?: number;
}

/** A development chain that is a child of this process. It mines only when it is told to. */
export interface Anvil {
  readonly rpcUrl: string;
  readonly chainId: 31337;
  /** Ours alone: the chain itself holds no keys and unlocks no account. */
  readonly mnemonic: string;
  /** Undefined while the chain is down. */
  pid(): number | undefined;
  /** Makes what was mined so far outlive any crash. The block that was reached. */
  snapshot(): Promise<Result<{ readonly blockNumber: bigint }>>;
  /** Mines what others have sent, and makes outlive a crash what was mined since the last time, by whomever. */
  tend(): Promise<Result<unknown>>;
  /** Takes a last snapshot and ends the chain. Idempotent. */
  stop(): Promise<void>;
}

const poolSchema = z.object({ pending: z.string().transform(Number) });
const NAME = "anvil";
export const DEVELOPMENT_CHAIN_ID = 31_337;
const COINS_WEI = 10_000n * 10n ** 18n;
const READY_WAIT_MS = 20_000;
/** Nothing is lost by being quick: the state is on disk before any of these is sent. */
const SHUTDOWN = [
  { signal: "SIGTERM", waitMs: 1_000 },
  { signal: "SIGKILL", waitMs: 2_000 },
] as const;

/**
 * Starts the chain from its last sound snapshot, or a new one. What a killed process left running is saved and
 * stopped first. A chain that dies later is restarted from the last snapshot, and an event says from which block.
 * Refuses with `port_in_use`, `disk_full`, `forbidden`, `data_folder_damaged` or `chain_unavailable`.
 */
export async function startAnvil(options: AnvilOptions): Promise<Result<Anvil>> {
  const started = await refuseOnDisk(options.data, () => start(options));
  return started.ok ? started.value : started;
}

async function start(options: AnvilOptions): Promise<Result<Anvil>> {
  const program = findProgram();
  if (!program.ok) return program;
  const folder = join(resolve(options.data), "anvil");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const mnemonic = await keepSecret(join(folder, "mnemonic"), () => mnemonicOf(options.randomBytes(16)));
  const orphan = await stopOrphan(folder);
  if (orphan !== undefined) options.onEvent({ kind: "recovered", name: NAME, note: orphan });
  const port = await choosePort(options.port, NAME);
  if (!port.ok) return port;

  const node: Node = { program: program.value, folder, port: port.value, url: `http://127.0.0.1:${port.value}` };
  const saver = new Saver(node);
  const supervisor = new Supervisor({
    name: NAME,
    unavailable: "chain_unavailable",
    launch: async () => {
      const launched = await refuseOnDisk(folder, () => launch(node, mnemonic, options));
      return launched.ok ? launched.value : launched;
    },
    halt: async ({ child }) => {
      const saved = await saver.save();
      if (!saved.ok) options.onEvent({ kind: "stopped_unsaved", name: NAME, refusal: saved.error });
      await end(child, folder);
    },
    onEvent: options.onEvent,
  });
  const serving = await supervisor.start();
  if (!serving.ok) return serving;
  return ok({
    rpcUrl: node.url,
    chainId: DEVELOPMENT_CHAIN_ID,
    mnemonic,
    pid: () => supervisor.pid,
    snapshot: () => saver.save(),
    tend: () => saver.tend(),
    stop: () => supervisor.stop(),
  });
}

interface Node {
  readonly program: string;
  readonly folder: string;
  readonly port: number;
  readonly url: string;
}

/** One dump at a time: two at once would write the same files. */
class Saver {
  readonly #node: Node;
  #last: Promise<unknown> = Promise.resolve();
  /** The block that is on disk. */
  #kept = -1n;

  constructor(node: Node) {
    this.#node = node;
  }

  save(): Promise<Result<{ readonly blockNumber: bigint }>> {
    const next = this.#last.then(async () => {
      const saved = await saveState(this.#node.folder, this.#node.url);
      if (saved.ok) this.#kept = saved.value.blockNumber;
      return saved;
    });
    this.#last = next;
    return next;
  }

  async tend(): Promise<Result<unknown>> {
    const { url } = this.#node;
    const pool = await callNode(url, "txpool_status");
    if (!pool.ok) return pool;
    const waits = poolSchema.safeParse(pool.value);
    const mined =
      waits.data === undefined || waits.data.pending === 0 ? ok(undefined) : await callNode(url, "evm_mine");
    if (!mined.ok) return mined;
    const height = await callNode(url, "eth_blockNumber");
    // A chain that somebody has set back is not written over one that knows more.
    return height.ok && BigInt(String(height.value)) > this.#kept ? this.save() : height;
  }
}

async function saveState(folder: string, url: string): Promise<Result<{ readonly blockNumber: bigint }>> {
  const dump = await callNode(url, "anvil_dumpState");
  if (!dump.ok) return dump;
  const kept = await refuseOnDisk(folder, () => keepState(folder, dump.value));
  return kept.ok ? kept.value : kept;
}

async function launch(node: Node, mnemonic: string, options: AnvilOptions): Promise<Result<Life>> {
  const state = await loadState(node.folder);
  if (!state.ok) return state;
  if (state.value?.note !== undefined) options.onEvent({ kind: "recovered", name: NAME, note: state.value.note });
  const logPath = join(node.folder, "anvil.log");
  const log = openLog(logPath);
  const logStart = sizeOf(logPath);
  const child = spawn(node.program, flags(node, state.value?.path), {
    cwd: node.folder,
    // Its own home: what it caches stays in the data folder.
    env: { HOME: node.folder },
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeLog(log);
  const spawned = new Promise<boolean>((resolve) => {
    child.once("spawn", () => resolve(true));
    child.once("error", () => resolve(false));
  });
  if (!(await spawned)) return refuse("chain_unavailable", `${node.program} cannot be run on this system`);
  const name = child.pid === undefined ? undefined : nameProcess(child.pid);
  if (name !== undefined) await writeAtomically(pidFile(node.folder), JSON.stringify({ ...name, url: node.url }));
  const answers = async (): Promise<boolean> => (await callNode(node.url, "eth_chainId", [], 1_000)).ok;
  await until(async () => ended(child) || (await answers()), READY_WAIT_MS);
  await forgetLoaded(state.value);
  if (ended(child)) return { ok: false, error: explain(node, await tailOf(logPath, 8, logStart)) };
  const funded = state.value === undefined ? await fund(node, mnemonic, options.accounts ?? 10) : ok(undefined);
  if (!funded.ok) {
    await end(child, node.folder);
    return funded;
  }
  const from = state.value === undefined ? "a new chain" : `from the snapshot at block ${state.value.blockNumber}`;
  return ok({ child, note: from });
}

/** No account of its own, no cross-origin access: a web page that guesses the port can spend nothing. */
function flags(node: Node, statePath: string | undefined): string[] {
  const fixed = ["--host", "127.0.0.1", "--port", String(node.port), "--chain-id", String(DEVELOPMENT_CHAIN_ID)];
  const quiet = ["--accounts", "0", "--no-mining", "--no-cors", "--hardfork", "cancun", "--color", "never", "--quiet"];
  const cache = ["--cache-path", join(node.folder, "cache")];
  return [...fixed, ...quiet, ...cache, ...(statePath === undefined ? [] : ["--load-state", statePath])];
}

async function fund(node: Node, mnemonic: string, accounts: number): Promise<Result<void>> {
  for (let addressIndex = 0; addressIndex < accounts; addressIndex += 1) {
    const { address } = mnemonicToAccount(mnemonic, { addressIndex });
    const set = await callNode(node.url, "anvil_setBalance", [address, `0x${COINS_WEI.toString(16)}`]);
    if (!set.ok) return set;
  }
  // In a block and on disk, so that no crash leaves a chain whose owner has no coins.
  const mined = await callNode(node.url, "evm_mine");
  if (!mined.ok) return mined;
  const saved = await saveState(node.folder, node.url);
  return saved.ok ? ok(undefined) : saved;
}

/** A chain that a killed process left behind knows more than the last snapshot: it is saved before it is stopped. */
async function stopOrphan(folder: string): Promise<string | undefined> {
  const left = parsePidFile(await readIfThere(pidFile(folder)));
  if (left === undefined || !isSameProcess(left.name) || !commandOf(left.name.pid).includes(join(folder, "cache")))
    return;
  const saved = await saveState(folder, left.url);
  await endProcess(left.name, SHUTDOWN);
  const kept = saved.ok ? `its state at block ${saved.value.blockNumber} was kept` : "it did not answer";
  return `stopped the chain that an earlier run left behind (pid ${left.name.pid}); ${kept}`;
}

function parsePidFile(text: string | undefined): { readonly name: ProcessName; readonly url: string } | undefined {
  try {
    const left: unknown = JSON.parse(text ?? "");
    if (typeof left !== "object" || left === null || !("pid" in left) || !("start" in left) || !("url" in left)) return;
    return { name: { pid: Number(left.pid), start: String(left.start) }, url: String(left.url) };
  } catch {
    return undefined;
  }
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  const name = child.pid === undefined ? undefined : nameProcess(child.pid);
  if (name !== undefined) await endProcess(name, SHUTDOWN);
  await rm(pidFile(folder), { force: true });
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function explain(node: Node, said: string): Refusal {
  if (/Address already in use/.test(said)) {
    return refuse("port_in_use", `port ${node.port} on 127.0.0.1 was taken before anvil could`, { field: "port" })
      .error;
  }
  const hint = `see ${join(node.folder, "anvil.log")}`;
  return refuse("chain_unavailable", `anvil did not start: ${said.split("\n").at(-1) ?? ""}`, { hint }).error;
}

function pidFile(folder: string): string {
  return join(folder, "anvil.pid");
}

/** The platform's binary itself: npm's wrapper exits before its child does. */
function findProgram(): Result<string> {
  const machine = process.arch === "x64" ? "amd64" : process.arch;
  try {
    const wrapper = createRequire(import.meta.url).resolve("@foundry-rs/anvil/package.json");
    const manifest = createRequire(wrapper).resolve(`@foundry-rs/anvil-${process.platform}-${machine}/package.json`);
    const program = join(dirname(manifest), "bin", process.platform === "win32" ? "anvil.exe" : "anvil");
    if (existsSync(program)) return ok(program);
  } catch {
    // Said below.
  }
  return refuse("chain_unavailable", `there is no anvil in npm for ${process.platform}-${process.arch} here`, {
    hint: "install again without --omit=optional, or set CHAIN_RPC_URL to a chain of your own",
  });
}

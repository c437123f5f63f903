import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Memory of a node that has nothing to do, in MB: of its own process, of all its children, and what of it nobody shares (proc(5), smaps_rollup). */
export interface IdleMemory {
  readonly ownMb: number;
  readonly residentMb: number;
  readonly proportionalMb: number;
}

const SETTLE_MS = 15_000;

/** Starts the compiled program in a folder of its own, waits until it is quiet, reads, and stops it. */
export async function idleMemory(...options: readonly string[]): Promise<IdleMemory> {
  const main = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
  const data = await mkdtemp(join(tmpdir(), "openledger-idle-"));
  const env = { ...process.env, DATABASE_URL: "", CHAIN_RPC_URL: "", NO_COLOR: "1" };
  const arguments_ = [main, "up", "--port", "0", "--data", data, ...options];
  const child = spawn(process.execPath, arguments_, { env, stdio: ["ignore", "pipe", "ignore"] });
  const isGone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (chunk: Buffer) => (String(chunk).includes("is up at") ? resolve() : undefined));
      child.once("close", () => reject(new Error("the node did not come up")));
    });
    await sleep(SETTLE_MS);
    const pids = await familyOf(child.pid!);
    const [own = 0, ...others] = await Promise.all(pids.map((pid) => kilobytes(pid, "Rss")));
    const shares = await Promise.all(pids.map((pid) => kilobytes(pid, "Pss")));
    const sum = (parts: readonly number[]) => Math.round(parts.reduce((total, part) => total + part, 0) / 1_000);
    return { ownMb: sum([own]), residentMb: sum([own, ...others]), proportionalMb: sum(shares) };
  } finally {
    child.kill("SIGTERM");
    await isGone;
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The process, first, and all that descend from it. */
async function familyOf(pid: number): Promise<number[]> {
  const family = [pid];
  const parents = new Map<number, number>();
  for (const name of (await readdir("/proc")).filter((one) => /^\d+$/.test(one))) {
    const status = await readFile(`/proc/${name}/status`, "utf8").catch(() => "");
    const parent = /^PPid:\s*(\d+)$/m.exec(status)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  for (const one of family) for (const [each, parent] of parents) if (parent === one) family.push(each);
  return family;
}

async function kilobytes(pid: number, field: "Rss" | "Pss"): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, "m").exec(text)?.[1] ?? 0);
}

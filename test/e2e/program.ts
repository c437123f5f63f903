import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isAlive, isSameProcess, nameProcess, type ProcessName, until } from "../../src/host/processes.ts";

/** The compiled program, as a user starts it. */
const MAIN = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run of the program. */
export interface Program {
  readonly pid: number;
  /** All that it has said so far, both streams as they came. */
  said(): string;
  /** Waits until it says something that matches; fails when it ends first or says nothing of it in time. */
  says(pattern: RegExp, waitMs?: number): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  ended(waitMs?: number): Promise<Ended>;
  /** The processes that it has started, and those that these have. */
  children(): ProcessName[];
}

const started = new Set<{ readonly child: ChildProcess; readonly program: Program }>();

export function start(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  [file, ...first]: readonly [string, ...string[]] = [process.execPath, MAIN],
): Program {
  const env = { ...process.env, NO_COLOR: "1", DATABASE_URL: "", CHAIN_RPC_URL: "", ...variables };
  const child = spawn(file, [...first, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const pid = child.pid;
  if (pid === undefined) throw new Error("the program does not start");
  const [out, err, all]: [string[], string[], string[]] = [[], [], []];
  child.stdout.setEncoding("utf8").on("data", (text: string) => all.push(text) && out.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => all.push(text) && err.push(text));
  let end: Ended | undefined;
  child.once("close", (code, signal) => {
    end = { code, signal, stdout: out.join(""), stderr: err.join("") };
  });
  const program: Program = {
    pid,
    said: () => all.join(""),
    says: async (pattern, waitMs = 60_000) => {
      await until(() => pattern.test(program.said()) || end !== undefined, waitMs, 25);
      const found = pattern.exec(program.said());
      if (found === null) throw new Error(`${args.join(" ")} did not say ${pattern}, but: ${program.said()}`);
      return found;
    },
    signal: (signal) => void child.kill(signal),
    ended: async (waitMs = 60_000) => {
      await until(() => end !== undefined, waitMs, 25);
      if (end === undefined) throw new Error(`${args.join(" ")} did not end, and said: ${program.said()}`);
      return end;
    },
    children: () => descendants(pid).flatMap((one) => nameProcess(one) ?? []),
  };
  started.add({ child, program });
  return program;
}

/** Runs a command to its end. */
export function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return start(args, variables).ended();
}

/** Runs a command with `--json`; its result. */
export async function ask(args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run([...args, "--json"]);
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return JSON.parse(stdout);
}

/** Ends what a test has left running: the program, and what it has started. Nothing else. */
export async function endAll(): Promise<void> {
  for (const { child, program } of started) {
    const all = isAlive(program.pid) ? [...program.children()] : [];
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    await until(() => child.exitCode !== null || child.signalCode !== null, 20_000, 25);
    child.kill("SIGKILL");
    for (const one of all) if (isSameProcess(one)) process.kill(one.pid, "SIGKILL");
  }
  started.clear();
}

/** A folder that PostgreSQL's user may enter, when the tests run as root. */
export async function folder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = mkdtempSync(join(tmpdir(), "openledger-e2e-"));
  await chmod(path, 0o755);
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** From /proc; empty on systems without one. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of listed("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = /^PPid:\s*(\d+)$/m.exec(read(`/proc/${name}/status`))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found.slice(1);
}

function listed(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A process named so that it cannot be mistaken for a later one: pids are reused within hours on a busy
 * machine, the pair of pid and start is not.
 */
export interface ProcessName {
  readonly pid: number;
  /** Opaque; equal for one process however often it is asked. */
  readonly start: string;
}

/** True while the pid names a process that is not a zombie, whoever owns it. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  return procStat(pid)?.[0] !== "Z";
}

/** The process's name, or undefined if there is none such. */
export function nameProcess(pid: number): ProcessName | undefined {
  if (!isAlive(pid)) return undefined;
  const start = startOf(pid);
  return start === undefined ? undefined : { pid, start };
}

/** True while exactly this process lives, not a later one with the same pid. */
export function isSameProcess(name: ProcessName): boolean {
  return nameProcess(name.pid)?.start === name.start;
}

/** The command line, arguments joined by spaces; empty if it cannot be read. */
export function commandOf(pid: number): string {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
    return ps(pid, "command=");
  } catch {
    return "";
  }
}

/**
 * Sends each signal in turn and waits for the process to be gone, at most `waitMs` after each.
 * True when it is gone.
 */
export async function endProcess(
  name: ProcessName,
  steps: readonly { readonly signal: NodeJS.Signals; readonly waitMs: number }[],
): Promise<boolean> {
  for (const { signal, waitMs } of steps) {
    if (!isSameProcess(name)) return true;
    try {
      process.kill(name.pid, signal);
    } catch {
      // Gone between the question and the signal, or not ours to signal: the wait below tells which.
    }
    if (await until(() => !isSameProcess(name), waitMs)) return true;
  }
  return !isSameProcess(name);
}

/** Asks every few milliseconds until it holds or the time is over; says whether it held. */
export async function until(holds: () => boolean | Promise<boolean>, waitMs: number, everyMs = 10): Promise<boolean> {
  for (let waited = 0; waited < waitMs; waited += everyMs) {
    if (await holds()) return true;
    await sleep(everyMs);
  }
  return holds();
}

function startOf(pid: number): string | undefined {
  try {
    if (process.platform !== "linux") return ps(pid, "lstart=") || undefined;
    // proc(5): field 22 is the start in ticks since boot, so the boot is named too.
    const ticks = procStat(pid)?.[19];
    return ticks === undefined
      ? undefined
      : `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${ticks}`;
  } catch {
    return undefined;
  }
}

/** Fields 3 and later of proc(5) stat: the command (field 2) may itself hold spaces and brackets. */
function procStat(pid: number): string[] | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function ps(pid: number, column: string): string {
  return execFileSync("ps", ["-o", column, "-p", String(pid)], { encoding: "utf8" }).trim();
}

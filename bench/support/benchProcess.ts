import { type ChildProcess, fork } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Starts `bench/support/NAME` as a child, from source or compiled, as the caller itself runs. */
export function startScript(
  name: string,
  arguments_: readonly string[],
  nodeFlags: readonly string[] = [],
): ChildProcess {
  const isSource = import.meta.url.endsWith(".ts");
  const script = new URL(`./${name}.${isSource ? "ts" : "js"}`, import.meta.url);
  return fork(script, [...arguments_], { execArgv: [...nodeFlags, ...(isSource ? ["--import", "tsx"] : [])] });
}

/** The child's next message. */
export function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a child of the bench ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (value: T) => {
      child.off("exit", onExit);
      resolve(value);
    });
  });
}

export function ended(child: ChildProcess, stop: () => void): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    stop();
  });
}

const TICK_MICROS = 10_000;

/** CPU of a process and of all that it started, in microseconds, from /proc in ticks of 10 ms; 0 where there is no /proc. */
export function treeCpuMicros(pid: number): number {
  const mine = statOf(pid);
  if (mine === undefined) return 0;
  let ticks = mine.own + mine.waitedFor;
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat?.parent === pid) ticks += stat.own + stat.waitedFor;
  }
  return ticks * TICK_MICROS;
}

/** proc(5): fields 4 and 14 to 17 of stat. */
function statOf(
  pid: number,
): { readonly parent: number; readonly own: number; readonly waitedFor: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    return { parent: fields[1]!, own: fields[11]! + fields[12]!, waitedFor: fields[13]! + fields[14]! };
  } catch {
    return undefined;
  }
}

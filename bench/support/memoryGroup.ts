import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A control group of Linux that holds what runs in it to so much memory, the pages of the files that it reads included. */
export interface MemoryGroup {
  /** What it is, for people. */
  readonly name: string;
  /** The same command, to be run inside. */
  inside(command: readonly string[]): string[];
  /** The most that it has ever held, in bytes. */
  peakBytes(): number;
  /** Only once nothing runs in it. */
  remove(): void;
}

/** A group below this process's own, by either version of control groups; undefined where none may be made. */
export function makeMemoryGroup(bytesMax: number): MemoryGroup | undefined {
  for (const { folder, limit, peak, name } of candidates()) {
    const made = join(folder, `openledger-bench-${process.pid}`);
    try {
      mkdirSync(made);
    } catch {
      continue;
    }
    const remove = (): void => rmdirSync(made);
    try {
      writeFileSync(join(made, limit), String(bytesMax));
      if (!existsSync(join(made, peak))) throw new Error("the kernel does not tell a peak");
    } catch {
      remove();
      continue;
    }
    return {
      name,
      inside: (command) => ["sh", "-c", `echo $$ > '${join(made, "cgroup.procs")}' && exec "$@"`, "sh", ...command],
      peakBytes: () => Number(readFileSync(join(made, peak), "utf8")),
      remove,
    };
  }
  return undefined;
}

function candidates(): { folder: string; limit: string; peak: string; name: string }[] {
  if (!existsSync("/proc/self/cgroup")) return [];
  return readFileSync("/proc/self/cgroup", "utf8")
    .trim()
    .split("\n")
    .flatMap((line) => {
      const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (controllers === "memory") {
        const folder = join("/sys/fs/cgroup/memory", path);
        const files = { limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" };
        return [{ folder, ...files, name: "memory control group, version 1" }];
      }
      if (controllers !== "") return [];
      const folder = join("/sys/fs/cgroup", path);
      return [{ folder, limit: "memory.max", peak: "memory.peak", name: "memory control group, version 2" }];
    });
}

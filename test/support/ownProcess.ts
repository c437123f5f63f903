import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** A Node process of its own that runs a TypeScript file of this folder, so that a test can kill it. */
export interface OwnProcess {
  readonly child: ChildProcess;
  /** Its first line of output, parsed as JSON. */
  readonly said: unknown;
  /** Kills it as the kernel would, and waits until it is gone. */
  kill(): Promise<void>;
}

export async function ownProcess(file: string, args: readonly string[]): Promise<OwnProcess> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const said = await new Promise<unknown>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", (line) => resolve(JSON.parse(line)));
    child.once("exit", (code) =>
      reject(new Error(`${file} exited with ${code} before it said anything: ${complaints}`)),
    );
  });
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  return { child, said, kill };
}

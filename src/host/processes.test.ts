import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { commandOf, endProcess, isAlive, isSameProcess, nameProcess, type ProcessName, until } from "./processes.ts";

async function node(script: string): Promise<ProcessName> {
  const child = spawn(process.execPath, ["-e", `${script};setInterval(()=>0,1e3);console.log(1)`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  const name = nameProcess(child.pid ?? 0);
  if (name === undefined) throw new Error("it has no name");
  return name;
}

const QUICK = [
  { signal: "SIGTERM", waitMs: 300 },
  { signal: "SIGKILL", waitMs: 2_000 },
] as const;

test("a process is named by its pid and its start", async () => {
  const name = await node("");
  expect(isSameProcess(name)).toBe(true);
  expect(isSameProcess({ ...name, start: "another" })).toBe(false);
  expect(commandOf(name.pid)).toContain("setInterval");
  expect(nameProcess(2 ** 30)).toBeUndefined();
});

test.each([0, -1, 1.5, Number.NaN])("pid %d is nobody, and never our own group", (pid) => {
  expect(isAlive(pid)).toBe(false);
});

test("one that ignores the first signal is ended by the next", async () => {
  const stubborn = await node("process.on('SIGTERM',()=>0)");
  expect(await endProcess(stubborn, QUICK)).toBe(true);
  expect(isAlive(stubborn.pid)).toBe(false);
});

test("a later process with the same pid is not signalled", async () => {
  const name = await node("");
  expect(await endProcess({ ...name, start: "earlier" }, QUICK)).toBe(true);
  expect(isSameProcess(name)).toBe(true);
});

test("until gives up after its time", async () => {
  expect(await until(() => false, 30)).toBe(false);
  let asked = 0;
  expect(await until(() => ++asked === 3, 1_000)).toBe(true);
});

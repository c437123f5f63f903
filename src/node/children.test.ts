import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { type OwnProcess, ownProcess } from "../../test/support/ownProcess.ts";
import { isAlive, until } from "../host/processes.ts";
import { Children, type ProcessHooks } from "./children.ts";

function pids({ said }: OwnProcess): number[] {
  if (typeof said !== "object" || said === null || !("store" in said) || !("chain" in said)) throw new Error("no pids");
  return [Number(said.store), Number(said.chain)];
}

const exitOf = async (node: OwnProcess): Promise<unknown> => (await once(node.child, "exit"))[0];

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s stops every real child cleanly and exits with %i", async (signal, code) => {
  const data = await temporaryFolder();
  const node = await ownProcess("./holdNode.ts", [data]);
  const exited = exitOf(node);
  node.child.kill(signal);
  expect(await exited).toBe(code);
  expect(pids(node).filter(isAlive)).toEqual([]);
  expect(["lock", "postgres/postmaster.pid", "anvil/anvil.pid"].filter((file) => existsSync(join(data, file)))).toEqual(
    [],
  );
});

test("the Ctrl-C that npm passes on, right behind the terminal's own, is no second one", async () => {
  const data = await temporaryFolder();
  const node = await ownProcess("./holdNode.ts", [data]);
  const exited = exitOf(node);
  node.child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 20));
  node.child.kill("SIGINT");
  expect(await exited).toBe(130);
  expect(pids(node).filter(isAlive)).toEqual([]);
  expect(["lock", "postgres/postmaster.pid"].filter((file) => existsSync(join(data, file)))).toEqual([]);
});

test("a second Ctrl-C does not wait for a part that hangs, and leaves no child", async () => {
  const node = await ownProcess("./holdNode.ts", [await temporaryFolder(), "hang"]);
  const exited = exitOf(node);
  node.child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(node.child.exitCode).toBeNull();
  node.child.kill("SIGINT");
  expect(await exited).toBe(130);
  expect(await until(() => pids(node).every((pid) => !isAlive(pid)), 5_000)).toBe(true);
});

test("a process that simply ends takes its children with it", async () => {
  const node = await ownProcess("./holdNode.ts", [await temporaryFolder(), "end"]);
  expect(await until(() => pids(node).every((pid) => !isAlive(pid)), 10_000)).toBe(true);
});

test("stops in reverse order and once, whatever fails on the way", async () => {
  const said: string[] = [];
  const hooks: ProcessHooks = { on: () => 0, off: () => 0, exit: () => undefined, kill: () => 0 };
  const children = new Children(hooks, (message) => said.push(message));
  const part = (name: string, stop: () => Promise<void>): void => {
    children.add({ name, stop: () => stop().finally(() => said.push(name)) });
  };
  part("first", async () => undefined);
  part("second", () => Promise.reject(new Error("stuck")));
  part("third", async () => undefined);
  await Promise.all([children.stopAll(), children.stopAll()]);
  expect(said).toEqual(["third", "second", "second did not stop: stuck", "first"]);
});

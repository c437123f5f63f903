import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isSameProcess } from "../../src/host/processes.ts";
import { endAll, folder, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

let place: Awaited<ReturnType<typeof folder>>;
let repo: string;
beforeAll(async () => {
  place = await folder();
  repo = makeRepository(place.path);
});
afterAll(async () => {
  await endAll();
  await place.remove();
});

// A service manager signals the process that it has started, npm, and no other.
test.each([
  // script                                       signal    code  it runs when it says
  ["start -- --port 0 --repo REPO", "SIGTERM", 143, /1 · A datanet/],
  ["start -- --port 0 --repo REPO", "SIGINT", 130, /1 · A datanet/],
  ["run -s openledger -- up --port 0 --credit", "SIGTERM", 143, /is up at/],
] as const)("npm %s: %s ends all of it, and the folder is free", async (script, signal, code, running) => {
  const data = join(place.path, `data-${script.length}-${code}`);
  const words = script.split(" ").map((word) => (word === "REPO" ? repo : word));
  const npm = start([...words, "--data", data], {}, ["npm"]);
  await npm.says(running, 180_000);
  const started = npm.children();
  npm.signal(signal);
  expect((await npm.ended()).code).toBe(code);
  expect(started.length).toBeGreaterThan(1);
  expect(started.filter(isSameProcess)).toEqual([]);
  expect(existsSync(join(data, "lock"))).toBe(false);
});

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ownProcess } from "../../test/support/ownProcess.ts";
import { unwrap } from "../core/result.ts";
import { nameProcess } from "../host/processes.ts";
import { openDataFolder } from "./dataFolder.ts";

test("a new folder is made, marked, locked by pid, and let go", async () => {
  const path = join(await temporaryFolder(), "a", "b");
  const folder = unwrap(await openDataFolder({ path }));
  expect(folder.notes).toEqual([]);
  expect(JSON.parse(readFileSync(join(path, "layout.json"), "utf8"))).toEqual({ layout: 1 });
  expect(await openDataFolder({ path })).toMatchObject({
    ok: false,
    error: { code: "data_folder_in_use", message: `${path} is in use by process ${process.pid}` },
  });
  await folder.release();
  await folder.release();
  expect(readdirSync(path).sort()).toEqual([".gitignore", "layout.json"]);
  await unwrap(await openDataFolder({ path })).release();
});

test.each([
  [(parent: string) => join(parent, "file"), "it is a file"],
  [(parent: string) => join(parent, "x".repeat(300)), "ENAMETOOLONG"],
  [() => "/proc/openledger/data", "ENOENT"],
])("a path that can be no folder is refused: %#", async (pathIn, why) => {
  const parent = await temporaryFolder();
  writeFileSync(join(parent, "file"), "");
  const refused = await openDataFolder({ path: pathIn(parent) });
  expect(refused).toMatchObject({ error: { code: "invalid_request", message: expect.stringContaining(why) } });
});

test("the lock of a live process keeps others out; that of a killed one does not", async () => {
  const path = await temporaryFolder();
  const holder = await ownProcess("./holdFolder.ts", [path]);
  const refused = await openDataFolder({ path });
  expect(refused).toMatchObject({ ok: false, error: { code: "data_folder_in_use" } });
  expect(refused.ok ? "" : refused.error.message).toContain(`process ${holder.child.pid}`);
  await holder.kill();
  const folder = unwrap(await openDataFolder({ path }));
  expect(folder.notes.join()).toContain(`took over from process ${holder.child.pid}`);
  await folder.release();
});

test.each([
  // what the lock file holds                                                  why it is stale
  [(): string => JSON.stringify({ pid: process.pid, start: "another boot/1" }), "the pid was used again"],
  [(): string => JSON.stringify({ ...nameProcess(process.pid), pid: 2 ** 30 }), "no such process"],
  [(): string => "", "cut short"],
] as const)("a stale lock is taken over: %#", async (text, why) => {
  const path = await temporaryFolder();
  writeFileSync(join(path, "lock"), text());
  const folder = unwrap(await openDataFolder({ path }));
  expect(folder.notes, why).toHaveLength(1);
  await folder.release();
});

test("of many who find one stale lock at the same time, one gets the folder", async () => {
  const path = await temporaryFolder();
  writeFileSync(join(path, "lock"), JSON.stringify({ pid: 2 ** 30, start: "gone" }));
  const holders = await Promise.allSettled(Array.from({ length: 6 }, () => ownProcess("./holdFolder.ts", [path])));
  expect(holders.filter((holder) => holder.status === "fulfilled")).toHaveLength(1);
});

test("a half-made folder is completed; what it holds stays", async () => {
  const path = await temporaryFolder();
  mkdirSync(join(path, "postgres.making-7"));
  writeFileSync(join(path, "layout.json"), '{"lay');
  const folder = unwrap(await openDataFolder({ path }));
  expect(folder.notes).toEqual([`${path} was left half made; it is completed`]);
  expect(existsSync(join(path, "postgres.making-7"))).toBe(true);
  await folder.release();
});

test("a folder of someone else, or of a later version, is refused and not touched", async () => {
  const path = await temporaryFolder();
  writeFileSync(join(path, "thesis.tex"), "");
  expect(await openDataFolder({ path })).toMatchObject({
    ok: false,
    error: { code: "data_folder_damaged", field: "data" },
  });
  expect(readdirSync(path)).toEqual(["thesis.tex"]);
  const later = await temporaryFolder();
  writeFileSync(join(later, "layout.json"), '{"layout":2}');
  expect(await openDataFolder({ path: later })).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
  expect(readdirSync(later)).toEqual(["layout.json"]);
});

test("too little space, and a path that is a file, are refused", async () => {
  const path = await temporaryFolder();
  const full = await openDataFolder({ path, freeBytesMin: Number.MAX_SAFE_INTEGER });
  expect(full).toMatchObject({ ok: false, error: { code: "disk_full" } });
  expect(readdirSync(path)).toEqual([]);
  writeFileSync(join(path, "file"), "");
  expect(await openDataFolder({ path: join(path, "file", "data") })).toMatchObject({
    ok: false,
    error: { code: "forbidden" },
  });
});

test.skipIf(process.getuid?.() === 0)("a folder that may not be written is refused", async () => {
  const path = await temporaryFolder();
  chmodSync(path, 0o555);
  expect(await openDataFolder({ path })).toMatchObject({ ok: false, error: { code: "forbidden" } });
});

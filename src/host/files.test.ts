import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { closeLog, diskRefusal, keepSecret, openLog, refuseOnDisk, sizeOf, tailOf, writeAtomically } from "./files.ts";

test("a file is replaced whole, the previous one kept, and no draft is left", async () => {
  const folder = await temporaryFolder();
  const [path, previous] = [join(folder, "state"), join(folder, "previous")];
  for (const content of ["one", "two", "three"]) await writeAtomically(path, content, { previous });
  expect(readFileSync(path, "utf8")).toBe("three");
  expect(readFileSync(previous, "utf8")).toBe("two");
  expect(readdirSync(folder).sort()).toEqual(["previous", "state"]);
});

test("a write that fails leaves the old file and no draft", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, "state");
  await writeAtomically(path, "old");
  await expect(writeAtomically(path, "new", { previous: folder })).rejects.toThrow("directory");
  expect(readFileSync(path, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(["state"]);
});

test("a secret is made once and readable by its owner only; an empty file is no secret", async () => {
  const path = join(await temporaryFolder(), "deep", "secret");
  expect(await keepSecret(path, () => "first")).toBe("first");
  expect(await keepSecret(path, () => "second")).toBe("first");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(path, "\n");
  expect(await keepSecret(path, () => "third")).toBe("third");
});

test("a long log is set aside; the tail begins where it is told to", async () => {
  const path = join(await temporaryFolder(), "log");
  writeFileSync(path, Buffer.alloc(8 * 1024 * 1024 + 1, "x"));
  closeLog(openLog(path));
  expect(sizeOf(path)).toBe(0);
  writeFileSync(path, "a\nb\nc\n");
  expect(await tailOf(path, 2)).toBe("b\nc");
  expect(await tailOf(path, 9, 4)).toBe("c");
});

test.each([
  // what was said                                          refusal
  ["ENOSPC", "disk_full"],
  ["EDQUOT", "disk_full"],
  ["PANIC:  could not write: No space left on device", "disk_full"],
  ["EACCES", "forbidden"],
  ["EROFS", "forbidden"],
  ["FATAL:  lock file already exists", undefined],
])("%s", (text, code) => {
  expect(diskRefusal("/data", text)?.code).toBe(code);
});

test("what is not the disk's fault is thrown on", async () => {
  await expect(refuseOnDisk("/data", () => Promise.reject(new Error("a bug")))).rejects.toThrow("a bug");
  const full = Object.assign(new Error("write"), { code: "ENOSPC" });
  expect(await refuseOnDisk("/data", () => Promise.reject(full))).toMatchObject({
    ok: false,
    error: { code: "disk_full" },
  });
});

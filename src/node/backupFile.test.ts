import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ok } from "../core/result.ts";
import { type BackupPart, BackupWriter, checkBackup, withBackup } from "./backupFile.ts";

const begin = { format: "openledger-backup-1" as const, timeMs: 1, ledger: "0xaa", steps: { ledger: 3 } };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-backup-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function written(name: string, rows: readonly string[], file: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await rm(path, { force: true });
  const writer = new BackupWriter(path, begin);
  await writer.addRows("ledger.entry", rows);
  await writer.addFile("secrets/signer", 0o600, chunksOf(file));
  await writer.addRows("ledger.account", rows);
  await writer.end();
  return path;
}

async function* chunksOf(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
}

test("what was written comes back, row by row and byte by byte", async () => {
  const row = fc.json().map((text) => text.replaceAll("\n", " "));
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 20 }), fc.uint8Array({ maxLength: 500 }), async (rows, bytes) => {
      const path = await written("round", rows, bytes);
      const parts: BackupPart[] = [];
      await withBackup(path, async (reader) => {
        expect(reader.begin).toEqual(begin);
        for await (const part of reader.parts) parts.push(part);
        return ok(undefined);
      });
      const of = (table: string) =>
        parts.flatMap((part) => (part.kind === "row" && part.table === table ? [part.row] : []));
      expect(of("ledger.entry")).toEqual(rows);
      expect(of("ledger.account")).toEqual(rows);
      const data = parts.flatMap((part) => (part.kind === "data" ? [part.bytes] : []));
      expect(new Uint8Array(Buffer.concat(data))).toEqual(bytes);
      expect(parts.at(-1)).toMatchObject({ kind: "end", rows: 2 * rows.length, files: 1 });
    }),
    { numRuns: 40 },
  );
});

test("a file that is cut anywhere, or in which a byte of the text is another, is no backup", async () => {
  const path = await written("damaged", ['{"a":1}', '{"b":2}'], Uint8Array.of(1, 2, 3));
  expect((await checkBackup(path)).ok).toBe(true);
  const whole = await readFile(path);
  const text = gunzipSync(whole);
  for (let at = 0; at < whole.length; at += 3) {
    await writeFile(path, whole.subarray(0, at));
    expect((await checkBackup(path)).ok, `cut at ${at}`).toBe(false);
  }
  for (let at = 0; at < text.length; at++) {
    const other = Buffer.from(text);
    other[at] = other[at]! ^ 1;
    await writeFile(path, gzipSync(other));
    expect((await checkBackup(path)).ok, `another byte at ${at}`).toBe(false);
  }
});

test.each([
  ["nothing", ""],
  ["not gzip", "once upon a time"],
])("%s is refused", async (_name, content) => {
  const path = join(folder, "garbage");
  await writeFile(path, content);
  expect(await checkBackup(path)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
});

test("a path that leads out of the folder is refused, and so is a file that is not there", async () => {
  const path = join(folder, "outside");
  const writer = new BackupWriter(path, begin);
  await writer.addFile("../elsewhere", 0o600, chunksOf(Uint8Array.of(1)));
  await writer.end();
  expect(await checkBackup(path)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  expect(await checkBackup(join(folder, "absent"))).toMatchObject({ ok: false, error: { code: "not_found" } });
});

test("one that was given up leaves nothing behind", async () => {
  const writer = new BackupWriter(join(folder, "given-up"), begin);
  await writer.addRows("ledger.entry", ["{}"]);
  await writer.abandon();
  expect((await readdir(folder)).filter((name) => name.startsWith("given-up"))).toEqual([]);
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { openReportFile } from "./reportFile.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("every record comes once and under its number, however a file is written, packed and cut", async () => {
  const values = fc.array(fc.record({ a: fc.integer(), b: fc.string({ unit: "grapheme" }) }), {
    minLength: 1,
    maxLength: 30,
  });
  await fc.assert(
    fc.asyncProperty(
      values,
      fc.boolean(),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom("json", "jsonl"),
      async (rows, isPacked, size, as) => {
        const text = as === "json" ? JSON.stringify(rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join("");
        const { spelling, found } = await read(isPacked ? gzipSync(text) : text, size);
        expect(spelling).toBe(as);
        expect(found).toEqual(rows.map((row, i) => [i + 1, row]));
      },
    ),
    { numRuns: 40 },
  );
});

test("what cannot be read is named by its number, and counted with the others", async () => {
  const { found, broken } = await read('{"a":1}\n{broken\n\n{"a":2}\n', 2);
  expect(found).toEqual([
    [1, { a: 1 }],
    [4, { a: 2 }],
  ]);
  expect(broken).toEqual([{ row: 2, reason: "the line is not JSON" }]);
});

test("pages of an API: each on a line, or one over many lines", async () => {
  const pages = [[{ a: 1 }, { a: 2 }], [{ a: 3 }]].map((data, page) => ({ data, total: 3, page: page + 1 }));
  const records = [1, 2, 3].map((a) => [a, { a }]);
  expect((await read(pages.map((page) => JSON.stringify(page)).join("\n"), 2)).found).toEqual(records);
  expect(await read(JSON.stringify(pages[0], undefined, 2), 2)).toMatchObject({
    spelling: "json",
    found: records.slice(0, 2),
  });
});

test("a table: quotes, line ends inside of them, and a header", async () => {
  const { spelling, found } = await read('id,who\n1,"Acme,\nInc"\n2,b\n', 1);
  expect(spelling).toBe("csv");
  expect(found).toEqual([
    [1, { id: "1", who: "Acme,\nInc" }],
    [2, { id: "2", who: "b" }],
  ]);
});

test("what is no file, no list, no table or no gzip is refused", async () => {
  expect((await openReportFile(join(folder, "none"))).ok).toBe(false);
  expect((await openReportFile(folder)).ok).toBe(false);
  await expect(read("[1,", 1)).rejects.toThrow("the file is not JSON");
  await expect(read('id\n"1', 1)).rejects.toThrow("not CSV");
});

async function read(bytes: string | Uint8Array, size: number) {
  const path = join(folder, "file");
  await writeFile(path, bytes);
  const { spelling, chunks } = unwrap(await openReportFile(path));
  const [found, broken]: [[number, unknown][], object[]] = [[], []];
  for await (const chunk of chunks(size)) {
    expect(chunk.records.length).toBeLessThanOrEqual(size);
    broken.push(...chunk.broken);
    for (const [i, record] of chunk.records.entries()) if (record !== undefined) found.push([chunk.first + i, record]);
  }
  return { spelling, found, broken };
}

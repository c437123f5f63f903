import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { createDatanet } from "./datanet.ts";
import { exportDatanet } from "./export.ts";
import { importExport } from "./importExport.ts";
import { folderSink } from "./importFolderSink.ts";
import { publishVersion, submitContribution } from "./intake.ts";
import { MemoryDatanetStore } from "./memoryStore.ts";
import type { RecordContent } from "./record.ts";

let root = "";
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "exchange-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const owner: Hex = `0x${"aa".repeat(32)}`;
const secret = new Uint8Array(32).fill(7);
const page = "https://example.org/net";

function record(n: number, title = `t${n}`): RecordContent {
  const text = Array.from({ length: 12 }, (_, i) => `word${n}x${i}`).join(" ");
  const authors = [{ identity: `npm:author${n % 3}`, name: `Ünï ${n % 3}` }];
  return {
    title,
    headingPath: ["a\nb", `"${n}"`],
    text,
    source: `repo@c${n % 2} file ${n}`,
    licence: "MIT",
    date: n % 2 === 0 ? null : "2020-01-02",
    authors,
  };
}

/** Each inner list is a contribution; a version is published after each. */
async function filled(contributions: readonly (readonly number[])[]): Promise<MemoryDatanetStore> {
  const store = new MemoryDatanetStore();
  const rules = { review: "open" } as const;
  const draft = { name: "net", summary: "A net", description: "Long", tags: ["x"], licence: "CC-BY-4.0", rules };
  unwrap(await store.createDatanet(unwrap(createDatanet(draft, owner, 1)), secret));
  for (const [i, numbers] of contributions.entries()) {
    const records = numbers.map((n) => record(n, `t${n}c${i}`));
    unwrap(
      await submitContribution(store, "net", { by: `npm:party${i}`, label: `c${i}`, licence: "MIT", records }, 10 + i),
    );
    await publishVersion(store, "net", owner, 100 + i);
  }
  return store;
}

async function exported(store: MemoryDatanetStore): Promise<string> {
  const folder = path.join(root, `export${made++}`);
  unwrap(await exportDatanet(store, "net", await folderSink(folder), page));
  return folder;
}

describe("export and import", () => {
  it("gives back every id, author, source, decision and version", async () => {
    const numbers = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(numbers, { minLength: 1, maxLength: 4 }), async (contributions) => {
        const store = await filled(contributions.map((numbers) => [...new Set(numbers)]));
        const copy = new MemoryDatanetStore();
        unwrap(await importExport(copy, await exported(store), new Uint8Array(32).fill(9)));
        expect(await copy.datanet("net")).toEqual(await store.datanet("net"));
        expect(await copy.contributions("net")).toEqual(await store.contributions("net"));
        expect(await copy.versions("net")).toEqual(await store.versions("net"));
        for (const { id } of await store.contributions("net")) {
          expect(await copy.contributionRecords("net", id)).toEqual(await store.contributionRecords("net", id));
        }
        for (const { number, context } of await store.versions("net")) {
          expect(await copy.versionRecords("net", number)).toEqual(await store.versionRecords("net", number));
          expect(await copy.context(context)).toEqual(await store.context(context));
        }
        const [first, second] = [await exported(store), await exported(copy)];
        for (const file of await readdir(first)) {
          expect(await readFile(path.join(second, file), "utf8")).toBe(await readFile(path.join(first, file), "utf8"));
        }
      }),
      { numRuns: 15 },
    );
  });

  it("leaves the secret and what was not approved at home", async () => {
    const store = await filled([[1]]);
    const folder = await exported(store);
    const all = (
      await Promise.all((await readdir(folder)).map((file) => readFile(path.join(folder, file), "utf8")))
    ).join("");
    expect(all).not.toContain(Buffer.from(secret).toString("hex"));
    expect((await readdir(folder)).sort()).toEqual([
      "contributions.jsonl",
      "metadata.json",
      "records.jsonl",
      "versions.jsonl",
    ]);
    expect(await readdir(root)).not.toContainEqual(expect.stringContaining(".export-"));
  });

  it("refuses to write over a folder, and to export what has no version", async () => {
    const store = await filled([[1]]);
    const folder = await exported(store);
    expect(await exportDatanet(store, "net", await folderSink(folder), page)).toMatchObject({
      ok: false,
      error: { code: "already_exists" },
    });
    expect(await exportDatanet(store, "other", await folderSink(folder), page)).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
    expect(await exportDatanet(await filled([]), "net", await folderSink(`${folder}x`), page)).toMatchObject({
      ok: false,
      error: { code: "conflict" },
    });
    const again = await importExport(store, folder, secret);
    expect(again).toMatchObject({ ok: false, error: { code: "already_exists" } });
  });

  const withSum = async (folder: string, file: string, change: (text: string) => string) => {
    const text = change(await readFile(path.join(folder, file), "utf8"));
    await writeFile(path.join(folder, file), text);
    const metadata = await readFile(path.join(folder, "metadata.json"), "utf8");
    const sum = createHash("sha256").update(text).digest("hex");
    const at = metadata.indexOf(`"sha256": "`, metadata.indexOf(`"contentUrl": "${file}"`)) + 11;
    await writeFile(path.join(folder, "metadata.json"), metadata.slice(0, at) + sum + metadata.slice(at + 64));
  };

  it.each<[string, string, (text: string) => string]>([
    ["an author is swapped", "records.jsonl", (text) => text.replace("npm:author1", "npm:thief")],
    ["a word is changed", "records.jsonl", (text) => text.replace("word1x0", "wordZx0")],
    ["a record is dropped", "records.jsonl", (text) => text.split("\n").slice(1).join("\n")],
    ["a record is repeated", "records.jsonl", (text) => `${text.split("\n")[0]}\n${text}`],
    ["a party is swapped", "contributions.jsonl", (text) => text.replace("npm:party0", "npm:thief")],
    ["a contribution is dropped", "contributions.jsonl", (text) => text.split("\n").slice(1).join("\n")],
    ["a status is changed", "contributions.jsonl", (text) => text.replace('"approved"', '"pending"')],
    ["a version is dropped", "versions.jsonl", (text) => text.split("\n").slice(1).join("\n")],
    [
      "a content root is changed",
      "versions.jsonl",
      (text) => text.replace(/"contentRoot":"0x../, '"contentRoot":"0x00'),
    ],
    ["a line is no JSON", "versions.jsonl", () => "{"],
    ["the datanet's owner is changed", "metadata.json", (text) => text.replace(owner, `0x${"ee".repeat(32)}`)],
    ["the metadata is empty", "metadata.json", () => "{}"],
  ])("refuses an export in which %s, checksum or not, and stores nothing of it", async (_, file, change) => {
    const folder = await exported(await filled([[1, 2], [3]]));
    if (file === "metadata.json")
      await writeFile(path.join(folder, file), change(await readFile(path.join(folder, file), "utf8")));
    else await withSum(folder, file, change);
    const copy = new MemoryDatanetStore();
    const result = await importExport(copy, folder, secret);
    expect(result.ok).toBe(false);
    expect(await copy.datanets()).toEqual([]);
  });

  it("refuses a file whose checksum is not that of the metadata, and a folder that is no export", async () => {
    const folder = await exported(await filled([[1]]));
    await writeFile(
      path.join(folder, "records.jsonl"),
      `${await readFile(path.join(folder, "records.jsonl"), "utf8")}\n`,
    );
    const changed = await importExport(new MemoryDatanetStore(), folder, secret);
    expect(changed).toMatchObject({
      ok: false,
      error: { code: "verification_failed", message: expect.stringContaining("checksum") },
    });
    expect(await importExport(new MemoryDatanetStore(), root, secret)).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
  });
});

describe("Croissant 1.1", () => {
  it("has every property that the specification requires, and files and fields that exist", async () => {
    const folder = await exported(await filled([[1, 2, 3]]));
    const metadata = JSON.parse(await readFile(path.join(folder, "metadata.json"), "utf8"));
    for (const key of [
      "@context",
      "@type",
      "conformsTo",
      "description",
      "license",
      "name",
      "url",
      "creator",
      "datePublished",
      "distribution",
    ]) {
      expect(metadata, key).toHaveProperty([key]);
    }
    expect(metadata).toMatchObject({
      "@type": "sc:Dataset",
      conformsTo: "http://mlcommons.org/croissant/1.1",
      license: "https://spdx.org/licenses/CC-BY-4.0",
      url: page,
      version: "1.0.0",
      keywords: ["x"],
    });
    expect(metadata["@context"]).toMatchObject({
      "@vocab": "http://schema.org/",
      cr: "http://mlcommons.org/croissant/",
      conformsTo: "dct:conformsTo",
      dct: "http://purl.org/dc/terms/",
    });
    expect(metadata.creator.length).toBe(3);
    for (const file of metadata.distribution) {
      const bytes = await readFile(path.join(folder, file.contentUrl));
      expect(file).toMatchObject({
        "@type": "cr:FileObject",
        contentSize: `${bytes.length} B`,
        sha256: createHash("sha256").update(bytes).digest("hex"),
      });
    }
    const ids: string[] = metadata.recordSet[0].field.map((field: { "@id": string }) => field["@id"]);
    const line = JSON.parse((await readFile(path.join(folder, "records.jsonl"), "utf8")).split("\n")[0]!);
    expect(ids.sort()).toEqual(
      Object.keys(line)
        .map((key) => `records/${key}`)
        .sort(),
    );
    expect(metadata["prov:wasDerivedFrom"].map((origin: { "@id": string }) => origin["@id"])).toEqual([
      "urn:openledger:origin:repo%40c0",
      "urn:openledger:origin:repo%40c1",
    ]);
  });
});

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import { contributorsOf } from "./contributors.ts";
import { importFolder } from "./importFolder.ts";
import { collectImport, importLimits } from "./importing.ts";
import { importJsonl } from "./importJsonl.ts";
import { importNpm } from "./importNpm.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "imports-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function files(folder: string, contents: Record<string, string | Uint8Array>): Promise<string> {
  for (const [name, content] of Object.entries(contents)) {
    const file = path.join(root, folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  return path.join(root, folder);
}

const manifest = (more: Record<string, unknown>) => JSON.stringify({ version: "1.0.0", license: "MIT", ...more });

describe("importNpm", () => {
  it("takes README and docs of every package, nested and scoped, with its people; platform packages last", async () => {
    const folder = await files("npm", {
      "@bin/tool-linux/package.json": manifest({ name: "@bin/tool-linux", os: ["linux"], repository: "o/tool" }),
      "@bin/tool-linux/README.md": "# tool\n\nThe same words.",
      "tool/package.json": manifest({ name: "tool", author: "Ann <a@x.org>", repository: "o/tool" }),
      "tool/README.md": "# tool\n\nThe same words.",
      "tool/docs/guide/start.md": "# Start\n\nBegin here.",
      "tool/docs/image.png": "png",
      "tool/src/README.md": "not at the top",
      "tool/node_modules/inner/package.json": manifest({ name: "inner" }),
      "tool/node_modules/inner/readme": "Inner words.",
      "closed/package.json": manifest({ name: "closed", license: "UNLICENSED" }),
      "closed/README.md": "Secret.",
      "broken/package.json": "{",
      ".bin/x": "x",
    });
    const { groups, leftOut } = unwrap(await collectImport(importNpm({ folder })));
    expect(groups.map(({ label }) => label)).toEqual(["inner@1.0.0", "tool@1.0.0", "@bin/tool-linux@1.0.0"]);
    expect(groups[1]!.records).toEqual([
      {
        title: "tool",
        headingPath: ["tool"],
        text: "The same words.",
        source: "npm:tool@1.0.0 README.md",
        licence: "MIT",
        date: null,
        authors: [{ identity: "repo:github.com/o/tool", name: "Ann" }],
      },
      expect.objectContaining({
        title: "tool docs/guide/start",
        headingPath: ["Start"],
        source: "npm:tool@1.0.0 docs/guide/start.md",
      }),
    ]);
    expect(groups[0]!.records[0]!.authors).toEqual([{ identity: "npm:inner", name: "inner" }]);
    expect(leftOut.map(({ what }) => what)).toEqual(["broken", "closed"]);
    expect(leftOut[1]!.reason).toContain("UNLICENSED");
  });

  it("reads what is installed here", async () => {
    const folder = path.resolve(import.meta.dirname, "../../node_modules");
    const accept = (name: string) => ["commander", "undici", "zod", "openai", "esbuild"].includes(name);
    const { groups, records } = unwrap(await collectImport(importNpm({ folder, accept })));
    expect(groups.map(({ label }) => label.split("@")[0])).toEqual(
      expect.arrayContaining(["commander", "undici", "zod"]),
    );
    expect(records).toBeGreaterThan(300);
    const all = groups.flatMap((group) => group.records);
    expect(all.every(({ text, authors }) => text.trim() !== "" && authors.length === 1)).toBe(true);
    expect(all.every(({ authors }) => !authors[0]!.name.includes("@"))).toBe(true);
    expect(contributorsOf(all).map(({ identity }) => identity)).toContain("repo:github.com/tj/commander.js");
  });

  it("refuses a folder that is not there", async () => {
    expect(await collectImport(importNpm({ folder: path.join(root, "nothing") }))).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
  });
});

describe("importFolder", () => {
  const authors = [{ identity: "npm:me", name: "Me" }];
  it("reads documents, and never through a link, a device, or beyond its limits", async () => {
    await files("outside", { "secret.md": "# Secret\n\nNot yours." });
    const folder = await files("docs", {
      "a.md": "# A\n\nFirst words.",
      "sub/b.txt": "Second words.",
      "code.ts": "export const x = 1;",
      "big.md": "x".repeat(2_000),
      "binary.md": Uint8Array.of(0xff, 0xfe, 0x00, 0x41),
      ".hidden/c.md": "hidden",
    });
    await symlink(path.join(root, "outside"), path.join(folder, "link"));
    await symlink(path.join(root, "outside/secret.md"), path.join(folder, "secret.md"));
    const options = {
      folder,
      licence: "MIT",
      authors,
      label: "my docs",
      limits: { ...importLimits, fileBytesMax: 1_000 },
    };
    const { groups, leftOut } = unwrap(await collectImport(importFolder(options)));
    expect(groups[0]!.records.map(({ text, source, title }) => [title, text, source])).toEqual([
      ["A", "First words.", "my docs a.md"],
      ["b.txt", "Second words.", "my docs sub/b.txt"],
    ]);
    expect(leftOut).toEqual([
      { what: "big.md", reason: "larger than 1000 bytes" },
      { what: "binary.md", reason: "not UTF-8 text" },
    ]);
    const withCode = unwrap(await collectImport(importFolder({ ...options, withCode: true })));
    expect(withCode.records).toBe(3);
    const two = unwrap(await collectImport(importFolder({ ...options, limits: { ...importLimits, filesMax: 1 } })));
    expect(two.leftOut[0]!.reason).toContain("1 files");
    const bytes = unwrap(
      await collectImport(importFolder({ ...options, limits: { ...importLimits, totalBytesMax: 30 } })),
    );
    expect(bytes.leftOut.map(({ reason }) => reason)).toContain("the import has reached its limit of bytes");
  });

  it("refuses a licence that cannot be used", async () => {
    const folder = await files("docs2", { "a.md": "words" });
    const refused = await collectImport(importFolder({ folder, licence: "GPL-3.0-only", authors, label: "x" }));
    expect(refused).toMatchObject({ ok: false, error: { code: "licence_refused" } });
  });
});

describe("importJsonl", () => {
  const good = {
    id: "x/1",
    authors: ["Ann Lee"],
    date: "2020-01-02",
    license: "MIT",
    source: "Owner/Name@abc a.md",
    title: "One",
    text: "Some words.",
  };
  const lines = [
    JSON.stringify(good),
    "",
    "not json",
    JSON.stringify({ ...good, text: "" }),
    JSON.stringify({ ...good, license: "GPL-3.0-only" }),
    JSON.stringify({ ...good, date: "yesterday" }),
    JSON.stringify({ ...good, authors: [] }),
    JSON.stringify({ ...good, authors: [{ identity: "user:x", name: "X" }] }),
    JSON.stringify({
      ...good,
      authors: [{ identity: "git:B@x.org", name: "B" }, "Cy"],
      license: "CC0-1.0",
      text: `# A\n\n${"word ".repeat(600)}\n\n# B\n\nEnd.`,
    }),
    `"${"x".repeat(6_000)}"`,
  ];
  const limits = { ...importLimits, fileBytesMax: 5_000 };

  it.each<[what: string, line: object, text: string]>([
    ["a question with its answer", { question: " Why? ", answer: "So." }, "Question: Why?\nAnswer: So."],
    [
      "both, and a text of both",
      { question: "Why?", answer: "So.", text: "Why?\n So.\n" },
      "Question: Why?\nAnswer: So.",
    ],
    [
      "both, and a text that says more",
      { question: "Why?", answer: "So.", text: "Why? So. Indeed." },
      "Why? So. Indeed.",
    ],
    ["a question without an answer", { question: "Why?", answer: " ", text: "Why?" }, "Why?"],
  ])("takes %s", async (_, line, text) => {
    const folder = await files("asked", { "one.jsonl": JSON.stringify({ ...good, text: undefined, ...line }) });
    const { groups } = unwrap(await collectImport(importJsonl({ file: path.join(folder, "one.jsonl"), label: "set" })));
    expect(groups.flatMap(({ records }) => records.map((record) => record.text))).toEqual([text]);
  });

  it.each(["plain.jsonl", "packed.jsonl.gz"])(
    "takes the good lines of %s and reports the others by number",
    async (name) => {
      const bytes = Buffer.from(lines.join("\n"));
      await files("jsonl", { [name]: name.endsWith("gz") ? gzipSync(bytes) : bytes });
      const report = unwrap(
        await collectImport(importJsonl({ file: path.join(root, "jsonl", name), label: "set", limits })),
      );
      expect(report.leftOut.map(({ what }) => what)).toEqual([3, 4, 5, 6, 7, 8, 10].map((line) => `set line ${line}`));
      expect(report.groups.map(({ label, licence }) => [label, licence])).toEqual([
        ["set (MIT)", "MIT"],
        ["set (CC0-1.0)", "CC0-1.0"],
      ]);
      expect(report.groups[0]!.records).toEqual([
        {
          title: "One",
          headingPath: [],
          text: "Some words.",
          source: "Owner/Name@abc a.md",
          licence: "MIT",
          date: "2020-01-02",
          authors: [{ identity: "author:github.com/owner/name#ann lee", name: "Ann Lee" }],
        },
      ]);
      expect(report.groups[1]!.records.map(({ headingPath }) => headingPath)).toEqual([["A"], ["B"]]);
      expect(report.groups[1]!.records[0]!.authors.map(({ identity }) => identity)).toEqual([
        "git:b@x.org",
        "author:github.com/owner/name#cy",
      ]);
    },
  );

  it("ends at its limit of unpacked bytes, however small the file is", async () => {
    const line = `${JSON.stringify(good)}\n`;
    await files("jsonl", { "bomb.gz": gzipSync(line.repeat(20_000)) });
    const options = {
      file: path.join(root, "jsonl/bomb.gz"),
      label: "bomb",
      limits: { ...importLimits, totalBytesMax: 300_000 },
    };
    const report = unwrap(await collectImport(importJsonl(options)));
    expect(report.leftOut.at(-1)!.reason).toContain("300000 bytes");
    expect(report.records).toBeLessThan(2_500);
  });

  it("reports a damaged archive and refuses a missing file", async () => {
    await files("jsonl", { "cut.gz": gzipSync(lines.join("\n")).subarray(0, 60) });
    const cut = unwrap(await collectImport(importJsonl({ file: path.join(root, "jsonl/cut.gz"), label: "cut" })));
    expect(cut.leftOut.at(-1)!.what).toContain("after line");
    expect(await collectImport(importJsonl({ file: path.join(root, "no"), label: "x" }))).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
  });

  const tldr = path.resolve(import.meta.dirname, "../../../shared/data/tldr.jsonl.gz");
  if (!existsSync(tldr)) console.info("skipped: ../shared/data/tldr.jsonl.gz is not here");
  it.skipIf(!existsSync(tldr))("reads 7,425 real pages by some 1,780 people", async () => {
    const report = unwrap(await collectImport(importJsonl({ file: tldr, label: "tldr" })));
    expect(report).toMatchObject({ records: 7_425, leftOut: [] });
    expect(contributorsOf(report.groups[0]!.records).length).toBeGreaterThan(1_700);
  });
});

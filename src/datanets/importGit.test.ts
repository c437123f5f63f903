import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import { cloneReader } from "./importClone.ts";
import { importGit } from "./importGit.ts";
import { openRepository, runGit, signedCommits } from "./importGitRun.ts";
import { collectImport } from "./importing.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "git-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function git(folder: string, args: string[], who = "Ann <ann@x.org>", at = "2020-01-01T00:00:00Z"): string {
  const [, name, email] = /^(.*) <(.*)>$/.exec(who)!;
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
    GIT_AUTHOR_DATE: at,
    GIT_COMMITTER_DATE: at,
  };
  return execFileSync("git", args, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

async function repository(name: string): Promise<string> {
  const folder = path.join(root, name);
  await mkdir(folder, { recursive: true });
  git(folder, ["init", "-q", "-b", "main"]);
  return folder;
}

async function commit(
  folder: string,
  files: Record<string, string>,
  message: string,
  who: string,
  at: string,
): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }
  git(folder, ["add", "-A"]);
  git(folder, ["commit", "-q", "-m", message], who, at);
}

const section = (name: string) =>
  `## ${name}\n\n${[1, 2, 3].map((n) => `Sentence ${n} of ${name}, long enough for git to know it again.`).join("\n")}\n`;

describe("importGit", () => {
  it("credits those whose lines survive, through renames, edits, white space, co-authors and the mailmap", async () => {
    const folder = await repository("history");
    const licence =
      "Permission is hereby granted, free of charge, to any person. The above copyright notice and this permission notice shall be included";
    await commit(
      folder,
      { LICENSE: licence, "guide.md": `# Guide\n\n${section("one")}\n${section("two")}` },
      "first",
      "Ann <ann@x.org>",
      "2020-01-01T00:00:00Z",
    );
    await commit(
      folder,
      { "guide.md": `# Guide\n\n${section("one")}\n${section("two")}\n${section("three")}` },
      "three\n\nCo-authored-by: Cy <CY@old.org>\nCo-authored-by: nonsense",
      "Bob <bob@x.org>",
      "2021-01-01T00:00:00Z",
    );
    await mkdir(path.join(folder, "docs"));
    await rename(path.join(folder, "guide.md"), path.join(folder, "docs/manual.md"));
    await commit(
      folder,
      { ".mailmap": "Cyrus <cy@new.org> <cy@old.org>\n" },
      "move",
      "Mover <mover@x.org>",
      "2022-01-01T00:00:00Z",
    );
    const spaced = `# Guide\n\n${section("one").replaceAll("Sentence", "  Sentence")}\n${section("two").replace("Sentence 2 of two", "Other words about two")}\n${section("three")}`;
    await commit(folder, { "docs/manual.md": spaced }, "edit", "Dee <DEE@x.org>", "2023-01-01T00:00:00Z");

    const { groups } = unwrap(await collectImport(importGit({ folder: path.join(folder, "docs") })));
    const records = groups[0]!.records;
    expect(
      records.map(({ headingPath, authors }) => [headingPath.at(-1), ...authors.map(({ identity }) => identity)]),
    ).toEqual([
      ["one", "git:ann@x.org"],
      ["two", "git:ann@x.org", "git:dee@x.org"],
      ["three", "git:bob@x.org", "git:cy@new.org"],
    ]);
    expect(records[2]!.authors[1]!.name).toBe("Cyrus");
    expect(records.map(({ date }) => date?.slice(0, 4))).toEqual(["2020", "2023", "2021"]);
    expect(records[0]!.title).toBe("Guide");
    expect(records[0]!.source).toMatch(/^history@[0-9a-f]{12} docs\/manual\.md$/);
    expect(groups[0]!.licence).toBe("MIT");
  });

  it("keeps a record as it is when something else changes", async () => {
    const folder = await repository("stable");
    await commit(folder, { "a.md": section("one") }, "a", "Ann <ann@x.org>", "2020-01-01T00:00:00Z");
    const before = unwrap(await collectImport(importGit({ folder, licence: "MIT" })));
    await commit(folder, { "b.md": section("two") }, "b", "Bob <bob@x.org>", "2021-01-01T00:00:00Z");
    const after = unwrap(await collectImport(importGit({ folder, licence: "MIT" })));
    expect(after.groups[0]!.records[0]).toEqual(before.groups[0]!.records[0]);
    expect(after.records).toBe(2);
  });

  it("runs no program that the repository names", async () => {
    const folder = await repository("hostile");
    const marker = path.join(root, "ran");
    const program = path.join(folder, "evil.sh");
    await writeFile(program, `#!/bin/sh\ntouch ${marker}\ncat "$1" 2>/dev/null\n`, { mode: 0o755 });
    await commit(
      folder,
      { "a.md": section("one"), ".gitattributes": "*.md diff=evil\n" },
      "a",
      "Ann <ann@x.org>",
      "2020-01-01T00:00:00Z",
    );
    // A bare repository reads no .gitattributes of its tree, but it does read these.
    await writeFile(path.join(folder, ".git/info/attributes"), "*.md diff=evil\n");
    for (const [key, value] of [
      ["diff.evil.textconv", program],
      ["diff.external", program],
      ["core.fsmonitor", program],
      ["core.pager", program],
      ["core.sshCommand", program],
      ["gpg.program", program],
      ["log.showSignature", "true"],
      ["alias.blame", `!${program}`],
    ]) {
      git(folder, ["config", key!, value!]);
    }
    await writeFile(path.join(folder, ".git/hooks/post-checkout"), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
    await rm(marker, { force: true });
    expect(unwrap(await collectImport(importGit({ folder, licence: "MIT" }))).records).toBe(1);
    expect(existsSync(marker)).toBe(false);
  });

  it("takes a file name for a file name", async () => {
    const folder = await repository("names");
    await commit(
      folder,
      { "--output=x.md": section("one"), ":(top)y.md": section("two"), "ünï cödé.md": section("three") },
      "a",
      "Ann <ann@x.org>",
      "2020-01-01T00:00:00Z",
    );
    const { groups, leftOut } = unwrap(await collectImport(importGit({ folder, licence: "MIT" })));
    expect(leftOut).toEqual([]);
    expect(groups[0]!.records.map(({ source }) => source.split(" ").slice(1).join(" ")).sort()).toEqual([
      "--output=x.md",
      ":(top)y.md",
      "ünï cödé.md",
    ]);
  });

  it.each([
    ["no licence", { "a.md": "words" }, "licence_refused"],
    ["a licence that is not allowed", { "a.md": "words", "package.json": '{"license":"GPL-3.0"}' }, "licence_refused"],
  ])("refuses a repository with %s", async (name, files, code) => {
    const folder = await repository(`refused-${name.replaceAll(" ", "-")}`);
    await commit(folder, files, "a", "Ann <ann@x.org>", "2020-01-01T00:00:00Z");
    expect(await collectImport(importGit({ folder }))).toMatchObject({ ok: false, error: { code } });
  });

  it("refuses what is no repository and one without commits, and is bounded in time and output", async () => {
    expect(await collectImport(importGit({ folder: tmpdir(), licence: "MIT" }))).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
    const folder = await repository("empty");
    expect(await collectImport(importGit({ folder, licence: "MIT" }))).toMatchObject({
      ok: false,
      error: { code: "conflict" },
    });
    await commit(folder, { "a.md": section("one") }, "a", "Ann <ann@x.org>", "2020-01-01T00:00:00Z");
    const opened = unwrap(await openRepository(folder));
    const long = await runGit(opened, ["cat-file", "blob", "HEAD:a.md"], undefined, {
      timeoutMs: 5_000,
      outputBytesMax: 10,
    });
    expect(long).toMatchObject({ ok: false, error: { message: expect.stringContaining("more than 10 bytes") } });
    const slow = await runGit(opened, ["-c", "alias.wait=!exec sleep 2", "wait"], undefined, {
      timeoutMs: 50,
      outputBytesMax: 10,
    });
    expect(slow.ok ? "" : slow.error.message).toContain("longer than 50 ms");
  });
});

describe("signedCommits", () => {
  it("lists the raw objects of signed commits only, newest first", async () => {
    const folder = await repository("signed");
    await commit(folder, { "a.md": "words" }, "unsigned", "Ann <ann@x.org>", "2020-01-01T00:00:00Z");
    const tree = git(folder, ["rev-parse", "HEAD^{tree}"]).trim();
    const signed = (n: number, parent: string) =>
      `tree ${tree}\nparent ${parent}\nauthor A <a@x.org> 160000000${n} +0000\ncommitter A <a@x.org> 160000000${n} +0000\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n\nsigned ${n}\n`;
    const objects: string[] = [];
    for (const n of [1, 2]) {
      const file = path.join(root, `object${n}`);
      objects.unshift(signed(n, git(folder, ["rev-parse", "HEAD"]).trim()));
      await writeFile(file, objects[0]!);
      git(folder, ["update-ref", "HEAD", git(folder, ["hash-object", "-t", "commit", "-w", file]).trim()]);
    }
    const found = unwrap(await signedCommits(unwrap(await openRepository(folder))));
    expect(found.map((object) => Buffer.from(object).toString())).toEqual(objects);
  });
});

describe("cloneReader", () => {
  it("reads the remote's default branch of the node's own clone, and of no other repository", async () => {
    const origin = await repository("origin");
    await commit(origin, { "FUNDING.json": '{"drips":{}}' }, "a", "Ann <ann@x.org>", "2020-01-01T00:00:00Z");
    git(root, ["clone", "-q", origin, "clone"]);
    const clone = path.join(root, "clone");
    await commit(clone, { "FUNDING.json": '{"mine":true}' }, "local only", "Eve <eve@x.org>", "2021-01-01T00:00:00Z");
    git(clone, ["config", "remote.origin.url", "https://github.com/o/tool.git"]);
    const read = cloneReader(clone);
    const found = unwrap(await read("github.com/o/tool", "FUNDING.json"));
    expect(Buffer.from(found.bytes).toString()).toBe('{"drips":{}}');
    expect(await read("github.com/o/other", "FUNDING.json")).toMatchObject({
      ok: false,
      error: { code: "binding_refused" },
    });
    expect(await read("github.com/o/tool", "NOTHING.json")).toMatchObject({
      ok: false,
      error: { code: "proof_invalid" },
    });
  });
});

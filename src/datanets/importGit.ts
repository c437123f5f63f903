import path from "node:path";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { documentFormat, documentTitle, splitDocument } from "./document.ts";
import { type CommitFacts, commitFacts, LOG_FORMAT, parseBlame, parseLog, survivors } from "./gitHistory.ts";
import { repositoryIdentity } from "./identity.ts";
import { decodeText } from "./importFiles.ts";
import { type GitRepository, gitLimits, openRepository, readCommitted, runGit } from "./importGitRun.ts";
import { type Import, type ImportLimits, importLimits, type LeftOut } from "./importing.ts";
import { electLicence, permissiveLicences, recogniseLicence } from "./licence.ts";
import { statedLicence } from "./packageJson.ts";
import { cleanContent, isObject, type RecordContent } from "./record.ts";

/**
 * The documents of a git repository at HEAD, each record by the people whose lines survive in it: `git blame -w -M -C`, which follows renames, moves
 * and copies and does not count white space; `.mailmap` of HEAD honoured; `Co-authored-by` trailers count as authors. A record's source names the
 * newest commit of its lines, so that it stays the same record until somebody changes it. One group.
 */
export interface GitImport {
  /** Any folder of the repository. */
  readonly folder: string;
  /** SPDX expression; undefined: that of package.json, or of a LICENSE file that is recognised. */
  readonly licence?: string;
  readonly limits?: ImportLimits;
  readonly licences?: readonly string[];
  /** Also source code, not documents only. */
  readonly withCode?: boolean;
}

interface Opened {
  readonly repository: GitRepository;
  readonly head: string;
  readonly name: string;
  readonly licence: string;
  readonly facts: ReadonlyMap<string, CommitFacts>;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly leftOut: readonly LeftOut[];
}

const FILES_AT_ONCE = 2;

export async function* importGit(options: GitImport): Import {
  const limits = options.limits ?? importLimits;
  yield { kind: "progress", done: 0, total: null, label: "reading the history" };
  const opened = await openHistory(options, limits);
  if (!opened.ok) return yield { kind: "refused", refusal: opened.error };
  const { files, licence, name } = opened.value;
  for (const left of opened.value.leftOut) yield { kind: "leftOut", ...left };
  const records: RecordContent[] = [];
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    const batch = files.slice(at, at + FILES_AT_ONCE);
    yield { kind: "progress", done: at, total: files.length, label: batch[0]!.path };
    for (const [i, read] of (await Promise.all(batch.map((file) => fileRecords(opened.value, file.path)))).entries()) {
      if (read.ok) records.push(...read.value);
      else yield { kind: "leftOut", what: batch[i]!.path, reason: read.error.message };
    }
  }
  if (records.length > 0) yield { kind: "group", group: { label: name, licence, records } };
  yield { kind: "progress", done: files.length, total: files.length, label: "" };
}

async function openHistory(options: GitImport, limits: ImportLimits): Promise<Result<Opened>> {
  const found = await openRepository(options.folder);
  if (!found.ok) return found;
  const repository = found.value;
  const head = await gitText(repository, ["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"]);
  if (!head.ok) return refuse("conflict", `${options.folder} has no commit yet`);
  const commit = head.value.trim();
  const licence = await repositoryLicence(repository, commit, options);
  if (!licence.ok) return licence;
  const facts = await readHistory(repository, commit);
  if (!facts.ok) return facts;
  const listed = await listFiles(repository, commit, limits, options.withCode === true);
  if (!listed.ok) return listed;
  const leftOut = [...listed.value.leftOut];
  const shallow = await gitText(repository, ["rev-parse", "--is-shallow-repository"]);
  if (shallow.ok && shallow.value.trim() === "true") {
    leftOut.push({
      what: "history",
      reason: "the clone is shallow: lines older than its first commit count as that commit's author's",
    });
  }
  const name = await repositoryName(repository);
  return ok({
    repository,
    head: commit,
    name,
    licence: licence.value,
    facts: facts.value,
    files: listed.value.files,
    leftOut,
  });
}

async function fileRecords(opened: Opened, file: string): Promise<Result<RecordContent[]>> {
  const { repository, head, facts, licence, name } = opened;
  const args = ["blame", "-w", "-M", "-C", "--porcelain", "--no-textconv", head, "--", file];
  const printed = await gitText(repository, args);
  if (!printed.ok) return printed;
  const blame = parseBlame(printed.value);
  if (!blame.ok) return blame;
  const format = documentFormat(file) ?? "plain";
  const text = blame.value.lines.join("\n");
  const title = documentTitle(file, text, format);
  return ok(
    splitDocument(text, format).flatMap((section) => {
      const { authors, commit, date } = survivors(blame.value, section.first, section.last, facts);
      if (authors.length === 0 || commit === undefined) return [];
      const source = `${name}@${commit.slice(0, 12)} ${file}`;
      return [
        cleanContent({ title, headingPath: section.headingPath, text: section.text, source, licence, date, authors }),
      ];
    }),
  );
}

async function readHistory(repository: GitRepository, head: string): Promise<Result<ReadonlyMap<string, CommitFacts>>> {
  const log = await gitText(repository, [
    "log",
    "-z",
    "--no-show-signature",
    "--use-mailmap",
    `--format=${LOG_FORMAT}`,
    "--end-of-options",
    head,
    "--",
  ]);
  if (!log.ok) return log;
  const commits = parseLog(log.value);
  const named = [...new Set(commits.flatMap(({ coAuthors }) => coAuthors))];
  const mapped = new Map<string, string>();
  if (named.length > 0) {
    const checked = await runGit(repository, ["check-mailmap", "--stdin"], Buffer.from(`${named.join("\n")}\n`));
    if (!checked.ok) return checked;
    const lines = Buffer.from(checked.value).toString("utf8").split("\n");
    for (const [i, person] of named.entries()) mapped.set(person, lines[i] ?? person);
  }
  return ok(commitFacts(commits, mapped));
}

/** Regular files only: links and submodules are other people's trees. */
async function listFiles(
  repository: GitRepository,
  head: string,
  limits: ImportLimits,
  withCode: boolean,
): Promise<Result<{ files: { path: string; bytes: number }[]; leftOut: LeftOut[] }>> {
  const listed = await gitText(repository, ["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", head]);
  if (!listed.ok) return listed;
  const [files, leftOut]: [{ path: string; bytes: number }[], LeftOut[]] = [[], []];
  let total = 0;
  for (const entry of listed.value.split("\0")) {
    const match = /^100(?:644|755) blob [0-9a-f]+ +(\d+)\t(.+)$/s.exec(entry);
    if (match === null) continue;
    const [bytes, file] = [Number(match[1]), match[2]!];
    const format = documentFormat(file);
    if (format === undefined || (format === "code" && !withCode) || /(?:^|\/)(?:node_modules|vendor)\//.test(file))
      continue;
    total += bytes;
    if (bytes > limits.fileBytesMax) leftOut.push({ what: file, reason: `larger than ${limits.fileBytesMax} bytes` });
    else if (files.length >= limits.filesMax || total > limits.totalBytesMax)
      leftOut.push({ what: file, reason: "the import has reached its limit" });
    else files.push({ path: file, bytes });
  }
  return ok({ files, leftOut });
}

async function repositoryLicence(repository: GitRepository, head: string, options: GitImport): Promise<Result<string>> {
  const allowed = options.licences ?? permissiveLicences;
  if (options.licence !== undefined) return electLicence(options.licence, allowed);
  const hint = "say under which licence its texts may be used";
  const manifest = await readCommitted(repository, head, "package.json");
  const parsed = manifest.ok ? parseJson(manifest.value) : undefined;
  const stated = isObject(parsed) ? statedLicence(parsed) : "";
  if (stated !== "") return withHint(electLicence(stated, allowed), hint);
  for (const name of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING", "license", "license.md"]) {
    const file = await readCommitted(repository, head, name);
    const known = file.ok ? recogniseLicence(decodeText(file.value) ?? "") : undefined;
    if (known !== undefined) return withHint(electLicence(known, allowed), hint);
  }
  return refuse("licence_refused", "the repository states no licence that is recognised", { hint, field: "licence" });
}

/** `host/owner/name` of the origin; else the name of the folder that holds the repository. */
async function repositoryName(repository: GitRepository): Promise<string> {
  const origin = await gitText(repository, ["config", "--local", "--get", "remote.origin.url"]);
  const identity = origin.ok ? repositoryIdentity(origin.value.trim()) : undefined;
  const folder = repository.gitDir.replace(/(?:\/|^)\.git$/, "").replace(/\.git$/, "");
  return identity?.slice("repo:".length) ?? path.basename(folder).replace(/[\s@]+/g, "-");
}

async function gitText(repository: GitRepository, args: readonly string[]): Promise<Result<string>> {
  const output = await runGit(repository, args, undefined, gitLimits);
  if (!output.ok) return output;
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(output.value));
  } catch {
    return refuse("invalid_request", "not UTF-8 text");
  }
}

function withHint<T>(result: Result<T>, hint: string): Result<T> {
  if (result.ok) return result;
  const refusal: Refusal = { ...result.error, hint };
  return { ok: false, error: refusal };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}

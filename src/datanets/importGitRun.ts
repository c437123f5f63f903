import { spawn } from "node:child_process";
import { ok, type Result, refuse } from "../core/result.ts";

/**
 * Running git on a repository that somebody else made. A repository's own configuration can name programs (hooks, pagers, text converters, signature
 * checkers, fsmonitor); none of them is ever started: no shell, no system or user configuration, the dangerous keys overridden on the command line,
 * no protocol allowed, no prompt, and a bound on time and output.
 */
export interface GitLimits {
  readonly timeoutMs: number;
  readonly outputBytesMax: number;
}

export const gitLimits: GitLimits = { timeoutMs: 60_000, outputBytesMax: 256 * 1024 * 1024 };

export interface GitRepository {
  /** Absolute path of the git directory. */
  readonly gitDir: string;
}

/** The repository that holds `folder`. */
export async function openRepository(folder: string, limits = gitLimits): Promise<Result<GitRepository>> {
  const found = await spawnGit([...safeConfig, "-C", folder, "rev-parse", "--absolute-git-dir"], undefined, limits);
  if (!found.ok) {
    if (found.error.code === "store_unavailable") return found;
    return refuse("not_found", `${folder} is not in a git repository`, { hint: found.error.message.slice(0, 200) });
  }
  return ok({ gitDir: Buffer.from(found.value).toString("utf8").replace(/\n$/, "") });
}

/** Standard output of a git command on the repository, without a work tree: only committed things are read. */
export async function runGit(
  repository: GitRepository,
  args: readonly string[],
  input?: Uint8Array,
  limits = gitLimits,
): Promise<Result<Uint8Array>> {
  return spawnGit([...safeConfig, `--git-dir=${repository.gitDir}`, "-c", "core.bare=true", ...args], input, limits);
}

/** A file at a commit; refuses one that is not there. */
export async function readCommitted(
  repository: GitRepository,
  commit: string,
  path: string,
  limits = gitLimits,
): Promise<Result<Uint8Array>> {
  return runGit(repository, ["cat-file", "blob", `${commit}:${path}`], undefined, limits);
}

/** The raw objects of every signed commit that HEAD can reach, newest first, for `signersOf`. */
export async function signedCommits(
  repository: GitRepository,
  commitsMax = 100_000,
  limits = gitLimits,
): Promise<Result<Uint8Array[]>> {
  const listed = await runGit(repository, ["rev-list", `--max-count=${commitsMax}`, "HEAD", "--"], undefined, limits);
  if (!listed.ok) return listed;
  const batch = await runGit(repository, ["cat-file", "--batch"], listed.value, limits);
  if (!batch.ok) return batch;
  const bytes = Buffer.from(batch.value);
  const signed: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(10, at);
    const size = /^[0-9a-f]{40,64} commit (\d+)$/.exec(bytes.subarray(at, end).toString("latin1"))?.[1];
    if (end < 0 || size === undefined) return refuse("upstream_failed", "git listed an object that is not a commit");
    const object = bytes.subarray(end + 1, end + 1 + Number(size));
    if (object.includes("\ngpgsig ")) signed.push(object);
    at = end + 2 + Number(size);
  }
  return ok(signed);
}

const safeConfig: readonly string[] = [
  "--no-pager",
  "--no-replace-objects",
  "--literal-pathspecs",
  ...[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "protocol.allow=never",
    "log.showSignature=false",
    "gpg.program=/bin/false",
    "gpg.ssh.program=/bin/false",
    "gpg.x509.program=/bin/false",
    "diff.external=",
    "blame.ignoreRevsFile=",
    "mailmap.file=/dev/null",
    "mailmap.blob=HEAD:.mailmap",
    "i18n.logOutputEncoding=UTF-8",
    "safe.directory=*",
  ].flatMap((setting) => ["-c", setting]),
];

/** Nothing of this process's own environment reaches git. */
const environment = {
  PATH: "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_NO_LAZY_FETCH: "1",
  GIT_PROTOCOL_FROM_USER: "0",
  GIT_ALLOW_PROTOCOL: "none",
};

function spawnGit(
  args: readonly string[],
  input: Uint8Array | undefined,
  limits: GitLimits,
): Promise<Result<Uint8Array>> {
  return new Promise((resolve) => {
    const child = spawn("git", args, { env: environment, stdio: ["pipe", "pipe", "pipe"], shell: false });
    const [out, problems]: [Buffer[], Buffer[]] = [[], []];
    let bytes = 0;
    let stopped: string | undefined;
    const stop = (why: string) => {
      stopped ??= why;
      child.kill("SIGKILL");
    };
    const timer = setTimeout(() => stop(`git took longer than ${limits.timeoutMs} ms`), limits.timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.outputBytesMax) stop(`git printed more than ${limits.outputBytesMax} bytes`);
      else out.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      if (problems.length < 16) problems.push(chunk);
    });
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve(
        refuse("store_unavailable", `git cannot be started: ${error.message}`, { hint: "install git 2.30 or later" }),
      );
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      if (stopped !== undefined) return resolve(refuse("upstream_timeout", stopped));
      const problem = Buffer.concat(problems).toString("utf8").trim().slice(0, 500);
      resolve(
        code === 0 ? ok(new Uint8Array(Buffer.concat(out))) : refuse("upstream_failed", `git failed: ${problem}`),
      );
    });
    child.stdin.end(input);
  });
}

import { ok, type Result, refuse } from "../core/result.ts";
import { repositoryIdentity } from "./identity.ts";
import { gitLimits, openRepository, readCommitted, runGit } from "./importGitRun.ts";
import type { RepositoryReader } from "./proof.ts";

/**
 * Reads a repository's files from a clone on this machine, at the commit that its remote's default branch had when it was last fetched. The clone must
 * be the node's own: whoever can write to its folder can write the proof. Its origin must be the repository that is asked for.
 */
export function cloneReader(folder: string): RepositoryReader {
  return async (repository: string, path: string): Promise<Result<{ bytes: Uint8Array; commit: string }>> => {
    const opened = await openRepository(folder);
    if (!opened.ok) return opened;
    const origin = await runGit(opened.value, ["config", "--local", "--get", "remote.origin.url"]);
    const named = origin.ok ? repositoryIdentity(Buffer.from(origin.value).toString("utf8")) : undefined;
    if (named !== `repo:${repository}`) {
      return refuse(
        "binding_refused",
        `the clone in ${folder} is of ${named ?? "no known repository"}, not of repo:${repository}`,
      );
    }
    const branch = await runGit(opened.value, [
      "rev-parse",
      "--verify",
      "--end-of-options",
      "refs/remotes/origin/HEAD^{commit}",
    ]);
    if (!branch.ok)
      return refuse("binding_refused", `the clone in ${folder} does not know its remote's default branch`, {
        hint: "git remote set-head origin --auto",
      });
    const commit = Buffer.from(branch.value).toString("utf8").trim();
    const bytes = await readCommitted(opened.value, commit, path, { ...gitLimits, outputBytesMax: 1024 * 1024 });
    return bytes.ok
      ? ok({ bytes: bytes.value, commit })
      : refuse("proof_invalid", `${path} is not on the default branch of ${repository}`);
  };
}

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));

export const ann = { name: "Ann Ames", email: "ann@example.org" };
export const ben = { name: "Ben Boll", email: "ben@example.org" };

/** What Ben alone has written. */
export const bensText = `## Descaling the office kettle

Dissolve two spoons of citric acid in a litre of cold water and let it stand in the kettle for an hour without heating it.
Pour it out, rinse the kettle twice, and boil clear water once before anybody makes the next cup of tea.
`;

/**
 * A git repository of real text under the MIT licence (commander's guide) as two people might have it: Ann puts it in, Ben moves it
 * and adds a section. Its history is the same at every run.
 */
export function makeRepository(folder: string): string {
  const repo = join(folder, "handbook");
  mkdirSync(join(repo, "docs"), { recursive: true });
  git(repo, "init", "--quiet", "--initial-branch=main");
  cpSync(join(modules, "commander", "LICENSE"), join(repo, "LICENSE"));
  writeFileSync(join(repo, "guide.md"), readFileSync(join(modules, "commander", "Readme.md")));
  commit(repo, ann, "The guide", "2026-01-01T10:00:00Z");
  git(repo, "mv", "guide.md", "docs/guide.md");
  commit(repo, ben, "The guide moves", "2026-01-02T10:00:00Z");
  writeFileSync(join(repo, "docs", "kettle.md"), `# Kettle\n\n${bensText}`);
  commit(repo, ben, "The kettle", "2026-01-03T10:00:00Z");
  return repo;
}

/** A clone as a node keeps one of `github.com/ann/tool`, whose FUNDING.json says (by the Drips convention) whose its money is. */
export function makeClone(folder: string, ownedBy: string): string {
  const [repo, clone] = [join(folder, "tool"), join(folder, "clone")];
  mkdirSync(repo);
  git(repo, "init", "--quiet", "--initial-branch=main");
  writeFileSync(join(repo, "FUNDING.json"), JSON.stringify({ drips: { ethereum: { ownedBy } } }));
  commit(repo, ann, "Who is paid", "2026-01-01T10:00:00Z");
  git(folder, "clone", "--quiet", repo, clone);
  git(clone, "remote", "set-url", "origin", "https://github.com/ann/tool.git");
  return clone;
}

function commit(repo: string, { name, email }: typeof ann, message: string, date: string): void {
  git(repo, "add", "--all");
  const who = { GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email };
  const when = { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  execFileSync("git", ["-c", "commit.gpgsign=false", "commit", "--quiet", "-m", message], {
    ...{ cwd: repo, env: { ...process.env, ...who, ...when } },
  });
}

function git(repo: string, ...args: string[]): void {
  execFileSync("git", args, { cwd: repo, stdio: "ignore" });
}

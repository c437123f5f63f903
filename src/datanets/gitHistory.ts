import { ok, type Result, refuse } from "../core/result.ts";
import { emailIdentity } from "./identity.ts";
import type { Author } from "./record.ts";

/** What git prints about a history, read into people: pure text in, plain data out. */
export interface CommitFacts {
  /** The author, then those whom `Co-authored-by` names, without repeats. Empty where no e-mail address is well formed. */
  readonly people: readonly Author[];
  /** ISO 8601 with offset. */
  readonly date: string;
}

/** For `git log -z`: id, mailmapped name and e-mail, strict ISO date, co-author trailers. */
export const LOG_FORMAT = "%H%x1f%aN%x1f%aE%x1f%aI%x1f%(trailers:key=Co-authored-by,valueonly,separator=%x1e)";

export interface RawCommit {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly date: string;
  /** `Name <email>`, as written. */
  readonly coAuthors: readonly string[];
}

export function parseLog(output: string): RawCommit[] {
  return output.split("\0").flatMap((entry) => {
    const [id, name, email, date, trailers] = entry.replace(/^\n/, "").split("\x1f");
    if (id === undefined || name === undefined || email === undefined || date === undefined) return [];
    const coAuthors = (trailers ?? "").split("\x1e").map((trailer) => trailer.trim());
    return [{ id, name, email, date, coAuthors: coAuthors.filter((trailer) => /^[^<>\n]*<[^<>\s]+>$/.test(trailer)) }];
  });
}

/** `mapped`: what `git check-mailmap` made of each distinct co-author. */
export function commitFacts(
  commits: readonly RawCommit[],
  mapped: ReadonlyMap<string, string>,
): Map<string, CommitFacts> {
  return new Map(
    commits.map(({ id, name, email, date, coAuthors }) => {
      const people = new Map<string, Author>();
      for (const person of [`${name} <${email}>`, ...coAuthors.map((text) => mapped.get(text) ?? text)]) {
        const author = parsePerson(person);
        if (author !== undefined && !people.has(author.identity)) people.set(author.identity, author);
      }
      return [id, { people: [...people.values()], date }];
    }),
  );
}

export interface Blame {
  readonly lines: readonly string[];
  /** For each line, the commit from which it survives. */
  readonly commits: readonly string[];
}

/** `git blame --porcelain`: a header line per line of the file, more headers when a commit is first met, then a tab and the line. */
export function parseBlame(output: string): Result<Blame> {
  const [lines, commits]: [string[], string[]] = [[], []];
  let commit: string | undefined;
  for (const line of output.split("\n")) {
    if (line.startsWith("\t")) {
      if (commit === undefined) return refuse("upstream_failed", "git blame printed a line without a commit");
      lines.push(line.slice(1));
      commits.push(commit);
      commit = undefined;
    } else if (commit === undefined && line !== "") {
      commit = /^([0-9a-f]{40,64}) \d+ \d+/.exec(line)?.[1];
      if (commit === undefined) return refuse("upstream_failed", "git blame printed something unexpected");
    }
  }
  return ok({ lines, commits });
}

/** Records name at most so many authors: those of the most surviving lines. */
const AUTHORS_MAX = 32;

/** Who wrote lines [first, last] as they stand: everybody of a commit whose non-blank lines survive there, most lines first, and the newest of those commits. */
export function survivors(
  blame: Blame,
  first: number,
  last: number,
  facts: ReadonlyMap<string, CommitFacts>,
): { readonly authors: readonly Author[]; readonly commit: string | undefined; readonly date: string | null } {
  const people = new Map<string, { author: Author; lines: number }>();
  let newest: { commit: string; date: string; ms: number } | undefined;
  for (let i = first; i <= last; i++) {
    const found = facts.get(blame.commits[i]!);
    if (found === undefined || blame.lines[i]!.trim() === "") continue;
    const ms = Date.parse(found.date);
    if (newest === undefined || ms > newest.ms) newest = { commit: blame.commits[i]!, date: found.date, ms };
    for (const author of found.people) {
      const entry = people.get(author.identity) ?? { author, lines: 0 };
      entry.lines++;
      people.set(author.identity, entry);
    }
  }
  const ranked = [...people.values()].sort(
    (a, b) => b.lines - a.lines || (a.author.identity < b.author.identity ? -1 : 1),
  );
  return {
    authors: ranked.slice(0, AUTHORS_MAX).map(({ author }) => author),
    commit: newest?.commit,
    date: newest?.date ?? null,
  };
}

function parsePerson(person: string): Author | undefined {
  const match = /^([^<>]*)<([^<>]+)>$/.exec(person.trim());
  const identity = match === null ? undefined : emailIdentity(match[2]!);
  if (identity === undefined) return undefined;
  const name = match![1]!
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .trim()
    .slice(0, 200);
  return { identity, name: name === "" ? "unnamed" : name };
}

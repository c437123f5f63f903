import type { ContributionRules } from "./datanet.ts";
import { mixedScriptWord } from "./fold.ts";
import { parseIdentity } from "./identity.ts";
import { electLicence } from "./licence.ts";
import type { RecordContent } from "./record.ts";

/**
 * Automatic checks of a record, each with a reason that a contributor can act on. They judge form, never language or opinion:
 * every limit is about counts that mean the same in any script. `refuse` keeps a record out; `note` is for the reviewer.
 */
export interface Finding {
  readonly check: string;
  readonly severity: "refuse" | "note";
  readonly reason: string;
}

/** A line or a phrase that makes up more than this part of a text is repetition, not content. */
const REPETITION_MAX = 0.5;
/** Longest run without any space: beyond it a text is an encoded blob. */
const RUN_MAX = 2_000;
/** At least this part of the visible characters must be letters or digits. */
const LETTERS_MIN = 0.25;

export function checkRecord(record: RecordContent, rules: ContributionRules): Finding[] {
  return checks.flatMap(({ check, severity, find }) => {
    const reason = find(record, rules);
    return reason === undefined ? [] : [{ check, severity, reason }];
  });
}

type Find = (record: RecordContent, rules: ContributionRules) => string | undefined;

const checks: readonly { readonly check: string; readonly severity: Finding["severity"]; readonly find: Find }[] = [
  { check: "length", severity: "refuse", find: lengthReason },
  { check: "licence", severity: "refuse", find: licenceReason },
  { check: "authors", severity: "refuse", find: authorsReason },
  {
    check: "source",
    severity: "refuse",
    find: ({ source }) => (source.trim() === "" ? "it does not say where it comes from" : undefined),
  },
  { check: "letters", severity: "refuse", find: lettersReason },
  { check: "repetition", severity: "refuse", find: repetitionReason },
  { check: "run", severity: "refuse", find: runReason },
  { check: "controls", severity: "refuse", find: controlsReason },
  { check: "invisible", severity: "note", find: invisibleReason },
  { check: "script", severity: "note", find: scriptReason },
];

function lengthReason(
  { text }: RecordContent,
  { charactersMin, charactersMax }: ContributionRules,
): string | undefined {
  const characters = [...text.trim()].length;
  if (characters < charactersMin) return `it has ${characters} characters, and ${charactersMin} are asked for`;
  return characters > charactersMax ? `it has ${characters} characters, and ${charactersMax} are allowed` : undefined;
}

function licenceReason({ licence }: RecordContent, { licences }: ContributionRules): string | undefined {
  const elected = electLicence(licence, licences);
  return elected.ok ? undefined : elected.error.message;
}

function authorsReason({ authors }: RecordContent): string | undefined {
  if (authors.length === 0) return "it names no author";
  if (authors.length > 64) return `it names ${authors.length} authors, and 64 are allowed`;
  if (new Set(authors.map((author) => author.identity)).size < authors.length) return "it names an identity twice";
  const unclear = authors.find(({ identity }) => {
    const parsed = parseIdentity(identity);
    return !parsed.ok || parsed.value.text !== identity;
  });
  return unclear === undefined
    ? undefined
    : `the author "${unclear.identity.slice(0, 80)}" is not a well-formed identity`;
}

function lettersReason({ text }: RecordContent): string | undefined {
  const visible = text.replace(/[\s\p{C}]/gu, "");
  const letters = visible.replace(/[^\p{L}\p{N}\p{M}]/gu, "");
  return letters.length < visible.length * LETTERS_MIN ? "less than a quarter of it is letters or digits" : undefined;
}

function repetitionReason({ text }: RecordContent): string | undefined {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.length > 8);
  if (lines.length >= 8) {
    const [line, count] = mostFrequent(lines);
    if (count > lines.length * REPETITION_MAX)
      return `the line "${line.slice(0, 40)}" makes up ${count} of its ${lines.length} lines`;
  }
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const triples = words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`);
  if (triples.length < 30) return undefined;
  const [phrase, count] = mostFrequent(triples);
  return count * 3 > words.length * REPETITION_MAX
    ? `the words "${phrase.slice(0, 60)}" make up half of it`
    : undefined;
}

function runReason({ text }: RecordContent): string | undefined {
  const longest = text.split(/\s+/).reduce((longest, run) => Math.max(longest, run.length), 0);
  return longest > RUN_MAX && /[\x21-\x7e]{2000}/.test(text)
    ? `it holds ${longest} characters without a space: encoded data is not text`
    : undefined;
}

function controlsReason({ text }: RecordContent): string | undefined {
  const control = /(?![\t\n\f\r])\p{Cc}/u.exec(text.replaceAll("\x1b", ""));
  return control === null ? undefined : `it holds the control character U+${hex(control[0])}`;
}

function invisibleReason({ text }: RecordContent): string | undefined {
  const invisible = text.match(/[\u00ad\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu);
  return invisible === null
    ? undefined
    : `it holds ${invisible.length} invisible characters, the first of them U+${hex(invisible[0])}`;
}

function scriptReason({ text }: RecordContent): string | undefined {
  const word = mixedScriptWord(text);
  return word === undefined ? undefined : `the word "${word.slice(0, 40)}" mixes scripts that look alike`;
}

function mostFrequent(items: readonly string[]): [string, number] {
  const counts = new Map<string, number>();
  let best: [string, number] = ["", 0];
  for (const item of items) {
    const count = (counts.get(item) ?? 0) + 1;
    counts.set(item, count);
    if (count > best[1]) best = [item, count];
  }
  return best;
}

function hex(char: string): string {
  return char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
}

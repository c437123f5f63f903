/**
 * Words as technical text uses them. An identifier is kept whole and also taken apart, so that `readFileSync`, `node:fs` and `--no-color` are found
 * by their full name, by their parts, and by the words of a question. Whole identifiers are rare and so weigh most by themselves.
 */
export interface Concept {
  /** As a reader wrote it, in lower case. */
  readonly written: string;
  /** The token as it is looked up. */
  readonly whole: string;
  /** Its parts; empty for a plain word. */
  readonly parts: readonly string[];
}

export function conceptsOf(text: string): Concept[] {
  return rawTokens(text).flatMap(conceptOf);
}

/** The tokens of a text as written. */
export function rawTokens(text: string): string[] {
  return (/\P{ASCII}/u.test(text) ? text.normalize("NFKC") : text).match(token) ?? [];
}

/** Every term under which a token is found. */
export function tokenTerms(token: string): string[] {
  return conceptOf(token).flatMap(({ whole, parts }) => [whole, ...parts]);
}

/** Words that say nothing about what is asked. English; in other languages the weight of a frequent word does the same more slowly. */
export const stopWords: ReadonlySet<string> = new Set(
  `a about an and any are as at be by can could did do does doing for from get had has have how i if in into is it its just let like may me my need
   of on one or our out please should so some tell than that the their them then there these they this those to up us use used using want was way
   we were what when where which who whom why will with without work works would you your explain show give mean means example make`
    .split(/\s+/)
    .map(stem),
);

/** Flags, scoped and dotted names, words; single characters of scripts without spaces. */
const token =
  /--?[A-Za-z][\w-]*|@?[A-Za-z_$][\w$]*(?:[-./:@#][A-Za-z_$][\w$]*)+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}_$]+/gu;

function conceptOf(raw: string): Concept[] {
  const bare = raw.replace(/^-+(?=.)/, "");
  const split = bare
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .flatMap((piece) => piece.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/))
    .map((piece) => stem(piece.toLowerCase()))
    .filter((piece) => piece !== "");
  const written = raw.toLowerCase();
  if (written.length > 64) return split.map((piece) => ({ written: piece, whole: piece, parts: [] }));
  if (split.length === 0) return [];
  if (split.length > 1) return [{ written, whole: written, parts: [...new Set(split)] }];
  return raw === bare ? [{ written, whole: split[0]!, parts: [] }] : [{ written, whole: written, parts: split }];
}

/**
 * English endings that do not change what is meant, as few as let "adds routes", "adding a route" and "a defined option" meet "add a route" and "define an
 * option" (a much reduced Porter stemmer). Names of four letters and fewer stay as they are. Other languages are left alone.
 */
function stem(word: string): string {
  if (word.length <= 4 || !/^[a-z]+$/.test(word))
    return word.length === 4 && /[a-rt-z]s$/.test(word) ? word.slice(0, -1) : word;
  let base = word;
  if (/ies$/.test(base)) base = `${base.slice(0, -3)}y`;
  else if (/(?:ch|sh|x|ss|z)es$/.test(base)) base = base.slice(0, -2);
  else if (/[^su]s$/.test(base) && !base.endsWith("is")) base = base.slice(0, -1);
  const ending = /^(.*[aeiouy].*)(?:ing|ed)$/.exec(base);
  if (ending !== null && ending[1]!.length >= 3 && !base.endsWith("eed")) {
    base = ending[1]!.length > 3 ? ending[1]!.replace(/([bdfgmnprt])\1$/, "$1") : ending[1]!;
  }
  return base.length > 4 || ending !== null ? base.replace(/e$/, "") : base;
}

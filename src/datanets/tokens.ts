/**
 * Words as technical text uses them. An identifier is kept whole and also taken apart, so that `readFileSync`, `node:fs` and `--no-color` are found
 * by their full name, by their parts, and by the words of a question. Whole identifiers are rare and so weigh most by themselves.
 */
export interface Concept {
  /** The token as written, folded. */
  readonly whole: string;
  /** Its parts; empty for a plain word. */
  readonly parts: readonly string[];
}

export function conceptsOf(text: string): Concept[] {
  const folded = /[^\0-\x7f]/.test(text) ? text.normalize("NFKC") : text;
  return (folded.match(token) ?? []).flatMap(conceptOf);
}

/** Every term under which a text is found. */
export function termsOf(text: string): string[] {
  return conceptsOf(text).flatMap(({ whole, parts }) => [whole, ...parts]);
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
  const whole = raw.toLowerCase();
  if (split.length === 0 || whole.length > 64) return split.length === 0 ? [] : split.map((piece) => ({ whole: piece, parts: [] }));
  if (split.length === 1) {
    const flagged = raw.startsWith("-") && raw !== bare;
    return flagged ? [{ whole, parts: split }] : [{ whole: split[0]!, parts: [] }];
  }
  return [{ whole, parts: [...new Set(split)] }];
}

/** Plural and third-person endings only: enough for "adds routes" to meet "add a route", too little to merge what differs. */
export function stem(word: string): string {
  if (word.length <= 3 || !word.endsWith("s") || /(?:ss|us|is)$/.test(word)) return word;
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  return /(?:ch|sh|x|ss|z)es$/.test(word) ? word.slice(0, -2) : word.slice(0, -1);
}

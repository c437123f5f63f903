/**
 * How two texts are compared when the question is whether one copies the other: what a reader cannot see, or would not call a change, is folded away.
 * Compatibility forms (NFKC), case, invisible characters (general category Cf, variation selectors), Latin look-alikes of Greek and Cyrillic letters,
 * punctuation and spacing. Never shown to anybody, and never part of an id.
 */
export function foldedWords(text: string): string[] {
  const folded = isAscii(text) ? text.toLowerCase() : foldUnicode(text);
  return folded.match(isAscii(folded) ? /[a-z0-9_]+/g : words) ?? [];
}

/** A word that mixes Latin with look-alike letters of another script, such as `раypal` with a Cyrillic р; undefined when there is none. */
export function mixedScriptWord(text: string): string | undefined {
  if (isAscii(text)) return undefined;
  const suspects = text.match(/[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}]+/gu) ?? [];
  return suspects.find(
    (word) => /\p{Script=Latin}{2}/u.test(word) && [...word].some((char) => lookAlikes.has(char.toLowerCase())),
  );
}

/** Scripts written without spaces count every character as a word. */
const spaceless =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}";
const words = new RegExp(`[${spaceless}]|(?:(?![${spaceless}])[\\p{L}\\p{N}\\p{M}_])+`, "gu");

/** Unicode TR 39 confusables, those of them that are one Latin letter to the eye in common fonts. */
const lookAlikes = new Map<string, string>(
  Object.entries({
    а: "a",
    е: "e",
    о: "o",
    р: "p",
    с: "c",
    у: "y",
    х: "x",
    і: "i",
    ј: "j",
    ѕ: "s",
    һ: "h",
    ԁ: "d",
    ԛ: "q",
    ԝ: "w",
    к: "k",
    м: "m",
    т: "t",
    в: "b",
    н: "h",
    α: "a",
    ο: "o",
    ρ: "p",
    ν: "v",
    υ: "u",
    ι: "i",
    κ: "k",
    τ: "t",
    χ: "x",
    ε: "e",
    η: "n",
  }),
);

function foldUnicode(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\p{Cf}|\p{Variation_Selector}/gu, "")
    .replace(/[\p{Script=Cyrillic}\p{Script=Greek}]/gu, (char) => lookAlikes.get(char) ?? char);
}

function isAscii(text: string): boolean {
  return !/\P{ASCII}/u.test(text);
}

import {
  type Block,
  contentBlock,
  headingBlock,
  linesOf,
  packSections,
  type Section,
  sectionSizes,
} from "./section.ts";

/**
 * Text without markup. Headings are what a reader takes for one: a short line in capitals at the margin, as in manual pages, or a line underlined
 * with === or ---. Everything else is cut at blank lines.
 */
export function splitPlainText(text: string, sizes = sectionSizes): Section[] {
  const lines = linesOf(text);
  return packSections(lines, plainBlocks(lines), sizes);
}

/** Source code: cut where a new unindented statement follows a blank line, so that a function stays with its comment. */
export function splitCode(text: string, sizes = sectionSizes): Section[] {
  const lines = linesOf(text);
  const blocks: Block[] = [];
  let first = -1;
  let last = -1;
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const starts = first < 0 || (last < i - 1 && /^[^\s)}\]]/.test(line));
    if (starts && first >= 0) blocks.push(contentBlock(first, last));
    if (starts) first = i;
    last = i;
  }
  if (first >= 0) blocks.push(contentBlock(first, last));
  return packSections(lines, blocks, sizes);
}

/** A manual page in roff source (man(7) macros): `.SH` and `.SS` are headings, paragraph macros end a block, font marks go. Lines keep their numbers. */
export function splitRoff(source: string, sizes = sectionSizes): Section[] {
  const lines = linesOf(source);
  const texts = lines.map(roffLine);
  const blocks: Block[] = [];
  let first = -1;
  for (const [i, line] of lines.entries()) {
    const heading = /^[.']\s*(SH|SS)\b\s*(.*)$/.exec(line);
    const ends = heading !== null || line.trim() === "" || /^[.'](?:PP|LP|P|TP|IP|TH)\b/.test(line);
    if (ends && first >= 0) blocks.push(contentBlock(first, i - 1));
    if (ends) first = -1;
    if (heading !== null)
      blocks.push(headingBlock(heading[1] === "SH" ? 1 : 2, roffText(heading[2]!.replace(/"/g, "")).trim(), i, i));
    else if (first < 0 && texts[i]!.trim() !== "") first = i;
  }
  if (first >= 0) blocks.push(contentBlock(first, lines.length - 1));
  return packSections(texts, blocks, sizes);
}

function plainBlocks(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at]!.trim() === "") {
      at++;
      continue;
    }
    const block = plainHeadingAt(lines, at) ?? contentBlock(at, paragraphEnd(lines, at));
    blocks.push(block);
    at = block.last + 1;
  }
  return blocks;
}

function plainHeadingAt(lines: readonly string[], at: number): Block | undefined {
  const line = lines[at]!;
  const next = lines[at + 1];
  if (next !== undefined && /^(?:={3,}|-{3,})\s*$/.test(next) && /^\S.{0,78}$/.test(line)) {
    return headingBlock(next.startsWith("=") ? 1 : 2, line.trim(), at, at + 1);
  }
  const capitals = /^(?=.*\p{Lu}{2})[\p{Lu}\p{N}][\p{Lu}\p{N} ,/()&-]{1,58}$/u.test(line);
  const standsAlone = (lines[at - 1] ?? "").trim() === "" && (next === undefined || /^(?:\s|$)/.test(next));
  return capitals && standsAlone ? headingBlock(2, line.trim(), at, at) : undefined;
}

function paragraphEnd(lines: readonly string[], at: number): number {
  let last = at;
  while (last + 1 < lines.length && lines[last + 1]!.trim() !== "") last++;
  return last;
}

function roffLine(line: string): string {
  if (/^[.']\\"/.test(line)) return "";
  const macro = /^[.']\s*([A-Za-z]{1,2})\b\s*(.*)$/.exec(line);
  if (macro === null) return roffText(line);
  const [, name, rest] = macro;
  const words = roffText(rest!.replace(/"/g, ""));
  if (["B", "I", "BR", "BI", "IR", "RB", "RI", "IB", "TP", "IP"].includes(name!))
    return words === "" ? "" : `  ${words}`;
  return "";
}

function roffText(text: string): string {
  return text
    .replace(/\\f(?:[A-Z]|\([A-Z]{2}|\[[A-Z]*\])/g, "")
    .replace(/\\(?:\(aq|\(cq)/g, "'")
    .replace(/\\-/g, "-")
    .replace(/\\[&|^]/g, "")
    .replace(/\\e/g, "\\");
}

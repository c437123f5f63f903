import { type Block, contentBlock, headingBlock, linesOf, packSections, type Section, sectionSizes } from "./section.ts";

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

/** A manual page in roff source (man(7) macros): lines stay where they are, headings become lines in capitals, font marks go. */
export function roffToText(source: string): string {
  return linesOf(source).map(roffLine).join("\n");
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
  if (name === "SH") return words.toUpperCase();
  if (name === "SS") return words.toUpperCase();
  if (["B", "I", "BR", "BI", "IR", "RB", "RI", "IB", "TP", "IP"].includes(name!)) return words === "" ? "" : `  ${words}`;
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

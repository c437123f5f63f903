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
 * Markdown at block level (CommonMark 0.31, sections 4 and 5): ATX and setext headings, fenced code, list items, and everything else up to a blank line.
 * Front matter is not content and is left out. Inline markup stays as written.
 */
export function splitMarkdown(text: string, sizes = sectionSizes): Section[] {
  const lines = linesOf(text);
  return packSections(lines, markdownBlocks(lines), sizes);
}

/** The first top heading of a document, without markup; undefined when it has none. */
export function markdownTitle(text: string): string | undefined {
  const blocks = markdownBlocks(linesOf(text));
  return blocks.find((block) => block.kind === "heading" && block.level <= 2 && block.heading !== "")?.heading;
}

export function markdownBlocks(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let at = frontMatterEnd(lines);
  while (at < lines.length) {
    const block = isBlank(lines[at]!) ? undefined : blockAt(lines, at);
    if (block !== undefined) blocks.push(block);
    at = (block?.last ?? at) + 1;
  }
  return blocks;
}

/** The words of a heading: links and images become their text, code marks, emphasis and HTML tags go. */
export function plainHeading(markup: string): string {
  return markup
    .replace(/!\[[^\]]*\]\([^)]*\)/g, "")
    .replace(/\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, "$1")
    .replace(/<[^>\n]{1,200}>/g, "")
    .replace(/`+/g, "")
    .replace(/(\*\*|__)(.*?)\1/g, "$2")
    .replace(/(?<![\w*])([*_])(\S[^*_]*?)\1(?![\w*])/g, "$2")
    .replace(/\{#[\w-]+\}\s*$/, "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 200);
}

const atx = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const fence = /^( *)(`{3,}(?=[^`]*$)|~{3,})/;
const listItem = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)/;
const thematicBreak = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const setext = /^ {0,3}(=+|-+)[ \t]*$/;

function blockAt(lines: readonly string[], at: number): Block {
  const line = lines[at]!;
  const heading = atx.exec(line);
  if (heading !== null) return headingBlock(heading[1]!.length, plainHeading(heading[2] ?? ""), at, at);
  const opened = fence.exec(line);
  if (opened !== null && opened[1]!.length <= 3) return contentBlock(at, fenceEnd(lines, at, opened[2]!));
  if (thematicBreak.test(line)) return contentBlock(at, at);
  if (listItem.test(line)) return contentBlock(at, itemEnd(lines, at));
  return paragraphAt(lines, at);
}

/** A fence closes at a line of at least as many of the same marks, or at the end of the document. */
function fenceEnd(lines: readonly string[], at: number, marks: string): number {
  const close = new RegExp(`^ *${marks[0] === "`" ? "`" : "~"}{${marks.length},}[ \\t]*$`);
  for (let i = at + 1; i < lines.length; i++) if (close.test(lines[i]!)) return i;
  return lines.length - 1;
}

/** One item with all that is indented under it, fenced code inside it included. */
function itemEnd(lines: readonly string[], at: number): number {
  let last = at;
  let i = at;
  const inside = fence.exec(lines[at]!.replace(/^ {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]+/, ""));
  if (inside !== null) i = last = fenceEnd(lines, at, inside[2]!);
  for (i++; i < lines.length; i++) {
    const line = lines[i]!;
    if (isBlank(line)) continue;
    const indented = /^(?: {2,}|\t)/.test(line);
    const lazy = i === last + 1 && !startsBlock(line);
    if (!indented && !lazy) break;
    const opened = fence.exec(line);
    last = i = opened === null ? i : fenceEnd(lines, i, opened[2]!);
  }
  return last;
}

function paragraphAt(lines: readonly string[], at: number): Block {
  let last = at;
  for (let i = at + 1; i < lines.length && !isBlank(lines[i]!); i++) {
    const underline = setext.exec(lines[i]!);
    if (underline !== null && !lines[i - 1]!.includes("|")) {
      const level = underline[1]![0] === "=" ? 1 : 2;
      return headingBlock(level, plainHeading(lines.slice(at, i).join(" ")), at, i);
    }
    if (startsBlock(lines[i]!)) break;
    last = i;
  }
  return contentBlock(at, last);
}

function startsBlock(line: string): boolean {
  return atx.test(line) || fence.test(line) || listItem.test(line) || thematicBreak.test(line);
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== "---") return 0;
  if (!/^[\w"'-]+\s*:/.test(lines[1] ?? "")) return 0;
  for (let i = 2; i < Math.min(lines.length, 200); i++) if (/^(?:---|\.\.\.)\s*$/.test(lines[i]!)) return i + 1;
  return 0;
}

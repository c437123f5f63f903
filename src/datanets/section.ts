/**
 * Cutting a document at its structure. A parser for each format ({@link ./markdown.ts}, {@link ./plainText.ts}) turns lines into blocks,
 * and this packs blocks into sections: never across a heading, never inside a block, so that each section can be read alone.
 * Only a single block of more than `blockMax` characters is cut, at line ends; a single longer line stays whole.
 */
export interface Block {
  readonly kind: "heading" | "content";
  /** Headings only: 1 is outermost. */
  readonly level: number;
  /** Headings only: the words of the heading, without markup. */
  readonly heading: string;
  /** Line numbers from 0, both included. */
  readonly first: number;
  readonly last: number;
}

export interface Section {
  readonly headingPath: readonly string[];
  readonly text: string;
  /** Line numbers of the document from 0, both included: how a line's author becomes a section's. */
  readonly first: number;
  readonly last: number;
}

export interface SectionSizes {
  /** A section is closed before the block that would take it beyond this many characters. */
  readonly target: number;
  /** A single block beyond this is cut at line ends. */
  readonly blockMax: number;
}

export const sectionSizes: SectionSizes = { target: 1_600, blockMax: 6_000 };

export function contentBlock(first: number, last: number): Block {
  return { kind: "content", level: 0, heading: "", first, last };
}

export function headingBlock(level: number, heading: string, first: number, last: number): Block {
  return { kind: "heading", level, heading, first, last };
}

/** Line ends of any kind become \n, a byte order mark goes, lines keep everything else. */
export function linesOf(text: string): string[] {
  return text
    .replace(/^\ufeff/, "")
    .replace(/\r\n?/g, "\n")
    .split("\n");
}

/** Blocks in document order → sections in document order. Every line of a content block is in exactly one section. */
export function packSections(lines: readonly string[], blocks: readonly Block[], sizes = sectionSizes): Section[] {
  const sections: Section[] = [];
  const path: { level: number; heading: string }[] = [];
  let open: { first: number; last: number; size: number } | undefined;
  const close = () => {
    if (open !== undefined) sections.push(section(lines, path, open.first, open.last));
    open = undefined;
  };
  for (const block of blocks) {
    if (block.kind === "heading") {
      close();
      while (path.length > 0 && path[path.length - 1]!.level >= block.level) path.pop();
      if (block.heading !== "") path.push({ level: block.level, heading: block.heading });
      continue;
    }
    const size = sizeOf(lines, block.first, block.last);
    if (open !== undefined && open.size + size > sizes.target && !leadsOn(lines[open.last]!)) close();
    if (size > sizes.blockMax) {
      close();
      for (const [first, last] of cutAtLines(lines, block.first, block.last, sizes.target)) {
        sections.push(section(lines, path, first, last));
      }
      continue;
    }
    open =
      open === undefined
        ? { first: block.first, last: block.last, size }
        : { first: open.first, last: block.last, size: open.size + size };
  }
  close();
  return sections.filter((piece) => piece.text.trim() !== "");
}

function section(lines: readonly string[], path: readonly { heading: string }[], first: number, last: number): Section {
  const text = lines
    .slice(first, last + 1)
    .map((line) => line.trimEnd())
    .join("\n");
  return { headingPath: path.map((entry) => entry.heading), text, first, last };
}

/** "To add a route:" belongs with what follows it. */
function leadsOn(line: string): boolean {
  return /[:：]\s*$/.test(line);
}

function sizeOf(lines: readonly string[], first: number, last: number): number {
  let size = 0;
  for (let i = first; i <= last; i++) size += lines[i]!.length + 1;
  return size;
}

function cutAtLines(lines: readonly string[], first: number, last: number, target: number): [number, number][] {
  const cuts: [number, number][] = [];
  let from = first;
  let size = 0;
  for (let i = first; i <= last; i++) {
    const length = lines[i]!.length + 1;
    if (i > from && size + length > target) {
      cuts.push([from, i - 1]);
      from = i;
      size = 0;
    }
    size += length;
  }
  cuts.push([from, last]);
  return cuts;
}

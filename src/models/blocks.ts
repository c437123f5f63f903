/** A piece of a record that makes sense on its own: a paragraph, a list item, a table or code, with the line that introduces it. */
export interface Block {
  readonly text: string;
  /** The nearest heading above, without its marks; empty where there is none. */
  readonly heading: string;
  readonly hasCode: boolean;
  /** 0 for the record's first block. */
  readonly order: number;
}

/**
 * Cuts Markdown at its structure. Fences are never cut; a heading is no block of its own but names those below it; what ends in a colon
 * stays with what follows, and fenced code with the paragraph before it.
 */
export function splitBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let heading = "";
  let pending: string | undefined;
  for (const piece of pieces(text)) {
    if (isDecoration(piece)) continue;
    const title = /^#{1,6}\s+(.*?)\s*#*$/.exec(piece)?.[1];
    if (title !== undefined) {
      if (pending !== undefined) blocks.push(makeBlock(pending, heading, blocks.length));
      pending = undefined;
      heading = title;
      continue;
    }
    const whole: string = pending === undefined ? piece : `${pending}\n\n${piece}`;
    pending = undefined;
    const before = blocks.at(-1);
    if (fence.test(whole) && before?.heading === heading && !anyFence.test(before.text))
      blocks.splice(-1, 1, makeBlock(`${before.text}\n\n${whole}`, heading, before.order));
    else if (introduces.test(piece)) pending = whole;
    else blocks.push(makeBlock(whole, heading, blocks.length));
  }
  if (pending !== undefined) blocks.push(makeBlock(pending, heading, blocks.length));
  return blocks;
}

const introduces = /:\s*$/;
const fence = /^\s{0,3}(```+|~~~+)/;
const anyFence = /^\s{0,3}(?:```|~~~)/m;

/** HTML tags, images and badges without a word of their own: an anchor or a logo answers nothing. */
function isDecoration(piece: string): boolean {
  if (fence.test(piece)) return false;
  const words = piece
    .replaceAll(/!\[[^\]]*\]\([^)]*\)/g, "")
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll(/\[\s*\]\([^)]*\)/g, "");
  return !/[\p{L}\p{N}]/u.test(words);
}

function makeBlock(text: string, heading: string, order: number): Block {
  return { text, heading, hasCode: /```|~~~|^\s{4}\S|`[^`]+`/m.test(text), order };
}

/** Stretches between blank lines; fenced code is one, and so is each heading. */
function pieces(text: string): string[] {
  const out: string[] = [];
  let lines: string[] = [];
  let closing: string | undefined;
  const flush = (): void => {
    const piece = lines.join("\n").replace(/^\n+|\s+$/g, "");
    if (piece !== "") out.push(piece);
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = fence.exec(line)?.[1];
    if (closing !== undefined) {
      lines.push(line);
      if (mark?.startsWith(closing)) {
        closing = undefined;
        flush();
      }
      continue;
    }
    if (mark !== undefined) {
      flush();
      closing = mark;
      lines.push(line);
    } else if (line.trim() === "") {
      flush();
    } else if (/^#{1,6}\s/.test(line)) {
      flush();
      lines.push(line);
      flush();
    } else lines.push(line);
  }
  flush();
  return out;
}

/** Lines of a byte stream, with a bound on each. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Undefined where the bytes are not UTF-8. */
  readonly text: string | undefined;
}

export interface LongLine {
  readonly number: number;
  readonly isLong: true;
}

/** A line of more than `lineBytesMax` is passed over and reported, whatever its length: memory stays bounded. */
export async function* linesIn(
  chunks: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<Line | LongLine> {
  let [parts, size, number]: [Uint8Array[], number, number] = [[], 0, 0];
  const take = (): Line | LongLine => {
    number++;
    const line = size > lineBytesMax ? { number, isLong: true as const } : { number, text: decode(parts) };
    [parts, size] = [[], 0];
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, end));
      yield take();
      from = end + 1;
    }
    add(chunk.subarray(from));
  }
  if (size > 0) yield take();

  function add(part: Uint8Array): void {
    size += part.length;
    if (size > lineBytesMax) parts = [];
    else if (part.length > 0) parts.push(part);
  }
}

export function isLongLine(line: Line | LongLine): line is LongLine {
  return "isLong" in line;
}

function decode(parts: readonly Uint8Array[]): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    return undefined;
  }
}

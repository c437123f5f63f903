import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { parse } from "csv-parse";
import { ok, RefusalError, type Result, refuse } from "../core/result.ts";
import { isLongLine, linesIn } from "../datanets/lines.ts";
import { recordsIn } from "../ingest/formats.ts";

/** A piece of a file: so many records, and the number of the first of them in the file, from 1. */
export interface ReportChunk {
  readonly first: number;
  readonly records: readonly unknown[];
  /** Records of the piece that could not be parsed at all, by their number. */
  readonly broken: readonly { readonly row: number; readonly reason: string }[];
  /** Bytes of the file that were read so far, and in all. */
  readonly bytes: number;
  readonly total: number;
}

export type FileSpelling = "jsonl" | "csv" | "json";

const LINE_BYTES_MAX = 4 * 1024 * 1024;
/** A JSON list has no lines to cut it at: it is read whole. */
const LIST_BYTES_MAX = 128 * 1024 * 1024;

/** Reads a file of reports piece by piece, plain or gzipped, so that memory is that of one piece; what it is follows from its first bytes and its name. */
export async function openReportFile(
  path: string,
): Promise<Result<{ spelling: FileSpelling; chunks: (rows: number) => AsyncIterable<ReportChunk> }>> {
  const head = await headOf(path);
  if (head === undefined) return refuse("not_found", `there is no file ${path}`, { field: "file" });
  const begun = head.text.trimStart();
  const spelling = spellingOf(begun);
  if (spelling === "json" && head.total > LIST_BYTES_MAX)
    return refuse(
      "payload_too_large",
      `${path} is one JSON text of ${head.total} bytes, which cannot be read in pieces`,
      {
        hint: "write it as JSON lines: jq -c '.[]' FILE, or jq -c '.data[]' FILE",
      },
    );
  const chunks = (rows: number): AsyncIterable<ReportChunk> => {
    const source = counted(path);
    const stream = head.isGzip ? source.stream.pipe(createGunzip()) : source.stream;
    source.stream.on("error", (error) => stream.destroy(error));
    const at = () => ({ bytes: source.bytes(), total: head.total });
    if (spelling === "csv") return inPieces(tableRows(stream), rows, at);
    return inPieces(spelling === "jsonl" ? lineRecords(stream) : listRecords(stream), rows, at);
  };
  return ok({ spelling, chunks });
}

/** A page of an API that was written over several lines is read whole, as a list is. */
function spellingOf(begun: string): FileSpelling {
  if (begun.startsWith("[")) return "json";
  if (!begun.startsWith("{")) return "csv";
  return /^\{\s*\n\s*"/.test(begun) ? "json" : "jsonl";
}

type ParsedLine = { readonly record: unknown } | { readonly reason: string };
type Parsed = ParsedLine | "empty";

async function* inPieces(
  records: AsyncIterable<Parsed>,
  size: number,
  at: () => { readonly bytes: number; readonly total: number },
): AsyncGenerator<ReportChunk> {
  let [first, number] = [1, 0];
  let [kept, broken]: [unknown[], { row: number; reason: string }[]] = [[], []];
  const take = (): ReportChunk => {
    const chunk = { first, records: kept, broken, ...at() };
    [first, kept, broken] = [number + 1, [], []];
    return chunk;
  };
  for await (const parsed of records) {
    number += 1;
    // Numbers count on over what is left out: they are those of the file.
    if (parsed === "empty") kept.push(undefined);
    else if ("record" in parsed) kept.push(parsed.record);
    else {
      kept.push(undefined);
      broken.push({ row: number, reason: parsed.reason });
    }
    if (kept.length >= size) yield take();
  }
  if (kept.length > 0) yield take();
}

async function* lineRecords(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Parsed> {
  for await (const line of linesIn(stream, LINE_BYTES_MAX)) {
    if (isLongLine(line)) yield { reason: `the line is longer than ${LINE_BYTES_MAX} bytes` };
    else if (line.text === undefined) yield { reason: "the line is not UTF-8 text" };
    else if (line.text.trim() === "") yield "empty";
    else yield* recordsOf(parsedLine(line.text));
  }
}

function parsedLine(text: string): ParsedLine {
  try {
    return { record: JSON.parse(text) };
  } catch {
    return { reason: "the line is not JSON" };
  }
}

async function* listRecords(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Parsed> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    bytes += part.length;
    if (bytes > LIST_BYTES_MAX)
      throw new RefusalError(
        refuse("payload_too_large", `the list unpacks to more than ${LIST_BYTES_MAX} bytes`).error,
      );
    parts.push(part);
  }
  const parsed = parsedLine(Buffer.concat(parts).toString("utf8"));
  if (!("record" in parsed)) throw new RefusalError(refuse("invalid_request", "the file is not JSON").error);
  yield* recordsOf(parsed);
}

/** What an API answers is a page of records. */
function* recordsOf(parsed: ParsedLine): Generator<Parsed> {
  if (!("record" in parsed)) yield parsed;
  else for (const record of recordsIn(parsed.record)) yield { record };
}

async function* tableRows(stream: NodeJS.ReadableStream): AsyncGenerator<Parsed> {
  const parser = parse({
    columns: true,
    bom: true,
    skipEmptyLines: true,
    relaxColumnCount: true,
    maxRecordSize: LINE_BYTES_MAX,
  });
  stream.on("error", (error) => parser.destroy(error));
  try {
    for await (const record of stream.pipe(parser)) yield { record };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new RefusalError(refuse("invalid_request", `the file is not CSV: ${error.message}`).error);
  }
}

function counted(path: string) {
  const stream = createReadStream(path, { highWaterMark: 1024 * 1024 });
  return { stream, bytes: () => stream.bytesRead };
}

/** The first bytes, unpacked. */
async function headOf(path: string): Promise<{ text: string; isGzip: boolean; total: number } | undefined> {
  const handle = await open(path, "r").catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const found = await handle.stat();
    if (!found.isFile()) return undefined;
    const start = Buffer.alloc(2);
    await handle.read(start, 0, 2, 0);
    const isGzip = start[0] === 0x1f && start[1] === 0x8b;
    const source = createReadStream(path);
    const unpacked = isGzip ? source.pipe(createGunzip()) : source;
    source.on("error", (error) => unpacked.destroy(error));
    let text = "";
    try {
      for await (const part of unpacked) {
        text += Buffer.from(part).toString("utf8");
        if (text.trim() !== "" || text.length > 65_536) break;
      }
    } finally {
      source.destroy();
      unpacked.destroy();
    }
    return { text, isGzip, total: found.size };
  } finally {
    await handle.close();
  }
}

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip, type Gzip } from "node:zlib";
import { z } from "zod";
import { ok, type Result, refuse } from "../core/result.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";

/**
 * A backup as one file: gzipped text, a line each, told apart by its first letter. `B` begins (JSON), `T` names a table, `R` is a row of it (JSON), `F` names a file (JSON), `D` holds up to 1 MiB
 * of it in base64, `E` ends (JSON: how many rows and files, and the sha256 of all lines before it). A file without its end is no backup.
 */
const beginSchema = z.object({
  format: z.literal("openledger-backup-1"),
  timeMs: z.number().int(),
  ledger: z.string(),
  steps: z.record(z.string(), z.number().int()),
});
export type BackupBegin = z.infer<typeof beginSchema>;
const fileSchema = z.object({
  path: z.string().regex(/^(?!.*\.\.)[\w.:@+-]+(\/[\w.:@+-]+)*$/),
  mode: z.number().int(),
});
const endSchema = z.object({ rows: z.number().int(), files: z.number().int(), sha256: z.string() });
export type BackupEnd = z.infer<typeof endSchema>;

export type BackupPart =
  | { readonly kind: "row"; readonly table: string; readonly row: string }
  | { readonly kind: "file"; readonly path: string; readonly mode: number }
  /** Of the file that was named last. */
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | ({ readonly kind: "end" } & BackupEnd);

/** Written under another name, and in place only when it is whole and on the disk. */
export class BackupWriter {
  readonly #path: string;
  readonly #zip: Gzip;
  readonly #done: Promise<void>;
  readonly #hash = createHash("sha256");
  #table: string | undefined;
  #rows = 0;
  #files = 0;

  constructor(path: string, begin: BackupBegin) {
    this.#path = path;
    this.#zip = createGzip({ level: 6 });
    this.#done = pipeline(this.#zip, createWriteStream(this.#partial, { mode: 0o600 }));
    // What goes wrong is heard where it is waited for.
    this.#done.catch(() => undefined);
    this.#zip.write(this.#line("B", JSON.stringify(begin)));
  }

  get rows(): number {
    return this.#rows;
  }

  async addRows(table: string, rows: readonly string[]): Promise<void> {
    const lines = table === this.#table ? [] : [this.#line("T", table)];
    this.#table = table;
    for (const row of rows) lines.push(this.#line("R", row));
    this.#rows += rows.length;
    await this.#write(lines.join(""));
  }

  async addFile(path: string, mode: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#files += 1;
    await this.#write(this.#line("F", JSON.stringify({ path, mode })));
    for await (const chunk of chunks) await this.#write(this.#line("D", Buffer.from(chunk).toString("base64")));
  }

  async end(): Promise<BackupEnd> {
    const end = { rows: this.#rows, files: this.#files, sha256: this.#hash.copy().digest("hex") };
    this.#zip.end(this.#line("E", JSON.stringify(end)));
    await this.#done;
    const file = await open(this.#partial, "r+");
    await file.sync();
    await file.close();
    await rename(this.#partial, this.#path);
    return end;
  }

  async abandon(): Promise<void> {
    this.#zip.destroy();
    await this.#done.catch(() => undefined);
    await rm(this.#partial, { force: true });
  }

  get #partial(): string {
    return `${this.#path}.partial`;
  }

  #line(letter: string, text: string): string {
    const line = `${letter}${text}\n`;
    this.#hash.update(line);
    return line;
  }

  async #write(text: string): Promise<void> {
    if (this.#zip.write(text)) return;
    await Promise.race([once(this.#zip, "drain"), this.#done]);
  }
}

export interface BackupReader {
  readonly begin: BackupBegin;
  /** Its last part is the end, if the file is whole. Throws where it is not. */
  readonly parts: AsyncIterable<BackupPart>;
}

/** Reads a whole backup to its end without keeping it; refuses what is cut short, altered or no backup. */
export async function checkBackup(
  path: string,
): Promise<Result<{ readonly begin: BackupBegin; readonly end: BackupEnd }>> {
  return withBackup(path, async ({ begin, parts }) => {
    for await (const part of parts) if (part.kind === "end") return ok({ begin, end: part });
    return damaged(path, "it is cut short");
  });
}

export async function withBackup<T>(
  path: string,
  work: (reader: BackupReader) => Promise<Result<T>>,
): Promise<Result<T>> {
  const source = createReadStream(path);
  const zip = source.pipe(createGunzip());
  source.on("error", (error) => zip.destroy(error));
  const lines = linesOf(zip)[Symbol.asyncIterator]();
  try {
    const first = await lines.next();
    const begin = first.done === true || !first.value.startsWith("B") ? undefined : parsed(beginSchema, first.value);
    if (first.done === true || begin === undefined) return damaged(path, "it does not begin as a backup does");
    return await work({ begin, parts: partsOf(first.value, lines) });
  } catch (error) {
    if (error instanceof BrokenBackup) return damaged(path, error.message);
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return refuse("not_found", `there is no file ${path}`, { field: "file" });
    if (code.startsWith("Z_") || code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ERR_STREAM_DESTROYED")
      return damaged(path, "it is no whole gzip file");
    throw error;
  } finally {
    source.destroy();
    zip.destroy();
  }
}

class BrokenBackup extends Error {}

async function* partsOf(first: string, lines: AsyncIterator<string>): AsyncIterable<BackupPart> {
  const hash = createHash("sha256").update(`${first}\n`);
  let table: string | undefined;
  let [rows, files] = [0, 0];
  for (;;) {
    const next = await lines.next();
    if (next.done === true) throw new BrokenBackup("it is cut short");
    const line = next.value;
    const letter = line[0];
    if (letter === "E") {
      const end = parsed(endSchema, line);
      if (end?.rows !== rows || end.files !== files || end.sha256 !== hash.digest("hex"))
        throw new BrokenBackup("its end does not fit what stands before it");
      if ((await lines.next()).done !== true) throw new BrokenBackup("something stands after its end");
      yield { kind: "end", ...end };
      return;
    }
    hash.update(`${line}\n`);
    if (letter === "T") table = line.slice(1);
    else if (letter === "R" && table !== undefined) {
      rows += 1;
      yield { kind: "row", table, row: line.slice(1) };
    } else if (letter === "F") {
      const file = parsed(fileSchema, line);
      if (file === undefined) throw new BrokenBackup("it names a file that cannot be");
      files += 1;
      yield { kind: "file", ...file };
    } else if (letter === "D") yield { kind: "data", bytes: Buffer.from(line.slice(1), "base64") };
    else throw new BrokenBackup("it holds a line of an unknown kind");
  }
}

/** Without their ends. What is wrong with the stream is thrown here. */
async function* linesOf(text: Readable): AsyncIterable<string> {
  let begun: string[] = [];
  for await (const chunk of text.setEncoding("utf8")) {
    const pieces = String(chunk).split("\n");
    if (pieces.length > 1) {
      yield begun.join("") + pieces[0]!;
      yield* pieces.slice(1, -1);
      begun = [];
    }
    begun.push(pieces.at(-1)!);
  }
  const rest = begun.join("");
  if (rest !== "") yield rest;
}

function parsed<T>(schema: z.ZodType<T>, line: string): T | undefined {
  const json = parseJson(line.slice(1));
  const value = json.ok ? parseInput(schema, json.value) : json;
  return value.ok ? value.value : undefined;
}

function damaged(path: string, why: string): Result<never> {
  return refuse("invalid_request", `${path} is not a whole backup: ${why}`, {
    hint: "take another copy of it, or an earlier backup",
    field: "file",
  });
}

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { ok, type Result, refuse } from "../../core/result.ts";
import { parseJson } from "./json.ts";

const READ_BYTES_MAX = 2 ** 28;

/** Opens a regular file for reading while `use` runs. Refuses `not_found`. */
export async function withFile<T>(
  path: string,
  use: (file: FileHandle, size: number) => Promise<Result<T>>,
): Promise<Result<T>> {
  let file: FileHandle;
  try {
    // A named pipe would otherwise hold the open until somebody writes.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return refuse("not_found", `There is no file ${path} to be read.`);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return refuse("invalid_request", `${path} is no file.`);
    return await use(file, stat.size);
  } finally {
    await file.close();
  }
}

/** The bytes [from, until) of an open file. Refuses a file that became shorter. */
export async function readRange(file: FileHandle, from: number, until: number): Promise<Result<Uint8Array>> {
  const bytes = new Uint8Array(until - from);
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, READ_BYTES_MAX), from + at);
    if (bytesRead === 0) return refuse("invalid_request", "A file became shorter while it was read.");
    at += bytesRead;
  }
  return ok(bytes);
}

/** A small text file, at most `bytesMax` bytes; bytes that are not UTF-8 become U+FFFD. */
export function readText(path: string, bytesMax: number): Promise<Result<string>> {
  return withFile(path, async (file, size) => {
    if (size > bytesMax) return refuse("invalid_request", `${path} has ${size} bytes; ${bytesMax} are read at most.`);
    const bytes = await readRange(file, 0, size);
    return bytes.ok ? ok(new TextDecoder().decode(bytes.value)) : bytes;
  });
}

/** A small JSON file. */
export async function readJson(path: string, bytesMax = 1 << 20): Promise<Result<unknown>> {
  const text = await readText(path, bytesMax);
  if (!text.ok) return text;
  const value = parseJson(text.value);
  return value === undefined ? refuse("invalid_request", `${path} is not JSON.`) : ok(value);
}

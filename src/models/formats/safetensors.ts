import { concat, utf8 } from "../../core/bytes.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { bytesOf, type FloatType, readFloats, writeFloats } from "./floats.ts";
import { field, isRecord, isWhole, parseJson, repeatedName } from "./json.ts";

/**
 * Hugging Face's safetensors: 8 bytes with the header's length (little-endian), a JSON header that says of each tensor its type, shape and place,
 * then the numbers. https://github.com/huggingface/safetensors#format
 */
export interface SafetensorsFile {
  readonly tensors: Tensors;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A header that has been checked: the tensors follow one another from 0 to the end without a hole. */
export interface SafetensorsHeader {
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Where one tensor lies: `from` and `until` count bytes from the end of the header. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly type: FloatType;
  readonly shape: readonly number[];
  readonly from: number;
  readonly until: number;
}

/** The format's own limit on the header. */
export const HEADER_BYTES_MAX = 100_000_000;
/** Bytes before the header. */
export const LENGTH_BYTES = 8;
const RANK_MAX = 8;

/** Reads F32, F16 and BF16 tensors as float32. Refuses `invalid_request` whatever a strict reader must refuse; never reads outside `bytes`. */
export function parseSafetensors(bytes: Uint8Array): Result<SafetensorsFile> {
  const length = parseHeaderLength(bytes, bytes.length);
  if (!length.ok) return length;
  const start = LENGTH_BYTES + length.value;
  const header = parseSafetensorsHeader(bytes.subarray(LENGTH_BYTES, start), bytes.length - start);
  if (!header.ok) return header;
  const { entries, metadata } = header.value;
  const tensors = new Map<string, Tensor>();
  for (const { name, type, shape, from, until } of entries)
    tensors.set(name, { shape, data: readFloats(bytes.subarray(start + from, start + until), type) });
  return ok({ tensors, metadata });
}

/** The header's length from the first {@link LENGTH_BYTES} of a file of `fileBytes` bytes. */
export function parseHeaderLength(first: Uint8Array, fileBytes: number): Result<number> {
  if (first.length < LENGTH_BYTES) return damaged("it is shorter than its first field");
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(HEADER_BYTES_MAX)) return damaged("its header is longer than the format allows");
  if (length > BigInt(fileBytes - LENGTH_BYTES)) return damaged("its header is longer than the file");
  return ok(Number(length));
}

/** Checks a header against the `dataBytes` that follow it. */
export function parseSafetensorsHeader(header: Uint8Array, dataBytes: number): Result<SafetensorsHeader> {
  if (header[0] !== 0x7b) return damaged("its header does not begin with {");
  const text = utf8Text(header);
  const parsed = text === undefined ? undefined : parseJson(text);
  if (text === undefined || !isRecord(parsed)) return damaged("its header is not JSON");
  const repeated = repeatedName(text);
  if (repeated !== undefined) return damaged(`its header names ${quote(repeated)} twice`);
  const metadata = parseMetadata(parsed["__metadata__"]);
  if (metadata === undefined) return damaged("its metadata is not text by name");
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of Object.entries(parsed)) {
    if (name === "__metadata__") continue;
    const entry = parseEntry(name, value);
    if (!entry.ok) return entry;
    entries.push(entry.value);
  }
  entries.sort((a, b) => a.from - b.from || a.until - b.until);
  let at = 0;
  for (const { name, from, until } of entries) {
    if (from !== at)
      return damaged(`tensor ${quote(name)} ${from < at ? "overlaps another" : "leaves a hole before it"}`);
    at = until;
  }
  if (at !== dataBytes) return damaged(`its tensors need ${at} bytes and ${dataBytes} follow the header`);
  return ok({ entries, metadata });
}

/** A file with the tensors in the order of their names: the same tensors and metadata make the same bytes. The numbers begin at a multiple of 8. */
export function packSafetensors(
  tensors: Tensors,
  options: { readonly metadata?: Readonly<Record<string, string>>; readonly type?: FloatType } = {},
): Uint8Array {
  const { metadata = {}, type = "F32" } = options;
  const named = sortedTensors(tensors);
  const header = packSafetensorsHeader(tensors, { metadata, type });
  return concat(header, ...named.map(([, tensor]) => writeFloats(tensor.data, type)));
}

/** What {@link packSafetensors} writes before the numbers. */
export function packSafetensorsHeader(
  tensors: Tensors,
  { metadata, type }: { readonly metadata: Readonly<Record<string, string>>; readonly type: FloatType },
): Uint8Array {
  let at = 0;
  const fields = sortedTensors(tensors).map(([name, { shape, data }]) => {
    assert(
      name !== "__metadata__" && data.length === elementsOf(shape),
      `tensor ${name} has the elements of its shape`,
    );
    const from = at;
    at += bytesOf[type] * data.length;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype: type, shape, data_offsets: [from, at] })}`;
  });
  const sorted = Object.entries(metadata).sort(([a], [b]) => compareText(a, b));
  if (sorted.length > 0) {
    const pairs = sorted.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
    fields.unshift(`"__metadata__":{${pairs.join(",")}}`);
  }
  const json = utf8(`{${fields.join(",")}}`);
  const padded = new Uint8Array(LENGTH_BYTES + 8 * Math.ceil(json.length / 8)).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - LENGTH_BYTES), true);
  padded.set(json, LENGTH_BYTES);
  return padded;
}

/** By name, in the order of UTF-16 units. */
export function sortedTensors(tensors: Tensors): [name: string, tensor: Tensor][] {
  return [...tensors].sort(([a], [b]) => compareText(a, b));
}

function parseEntry(name: string, value: unknown): Result<SafetensorsEntry> {
  const [type, shape, offsets] = [field(value, "dtype"), field(value, "shape"), field(value, "data_offsets")];
  if (type !== "F32" && type !== "F16" && type !== "BF16")
    return refuse("invalid_request", `Tensor ${quote(name)} has the type ${quote(type)}.`, {
      hint: "F32, F16 and BF16 can be read; convert quantised weights first.",
    });
  if (!Array.isArray(shape) || shape.length > RANK_MAX || !shape.every((size: unknown) => isWhole(size)))
    return damaged(`tensor ${quote(name)} has no shape of at most ${RANK_MAX} sizes`);
  const [from, until]: unknown[] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isWhole(from) || !isWhole(until)) return damaged(`tensor ${quote(name)} has no offsets`);
  const sizes: number[] = shape;
  // A product beyond 2^53 is rounded, but stays far beyond every file.
  if (elementsOf(sizes) * bytesOf[type] !== until - from)
    return damaged(`tensor ${quote(name)} has ${until - from} bytes, which its shape does not`);
  return ok({ name, type, shape: sizes, from, until });
}

function parseMetadata(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return {};
  if (!isRecord(value)) return undefined;
  const texts: [string, string][] = [];
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") return undefined;
    texts.push([name, text]);
  }
  return Object.fromEntries(texts);
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function quote(value: unknown): string {
  return `"${String(value).slice(0, 80)}"`;
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This safetensors file cannot be read: ${why}.`);
}

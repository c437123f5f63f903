import type { FileHandle } from "node:fs/promises";
import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { writeParts } from "./atomicFile.ts";
import { readRange, withFile } from "./boundedFile.ts";
import { type FloatType, readFloats, writeFloats } from "./floats.ts";
import {
  LENGTH_BYTES,
  packSafetensorsHeader,
  parseHeaderLength,
  parseSafetensorsHeader,
  type SafetensorsFile,
  type SafetensorsHeader,
  sortedTensors,
} from "./safetensors.ts";

/**
 * Reads the tensors that `isWanted`, all by default, one by one, so that the file is never in memory twice. The header is checked whole.
 * Refuses as `parseSafetensors` does, with the path.
 */
export async function readSafetensorsFile(
  path: string,
  isWanted: (name: string) => boolean = () => true,
): Promise<Result<SafetensorsFile>> {
  const read = await withFile(path, async (file, size) => {
    const header = await readHeader(file, size);
    if (!header.ok) return header;
    const start = size - header.value.dataBytes;
    const tensors = new Map<string, Tensor>();
    for (const { name, type, shape, from, until } of header.value.header.entries) {
      if (!isWanted(name)) continue;
      const stored = await readRange(file, start + from, start + until);
      if (!stored.ok) return stored;
      tensors.set(name, { shape, data: readFloats(stored.value, type) });
    }
    return ok({ tensors, metadata: header.value.header.metadata });
  });
  return read.ok ? read : at(path, read.error);
}

/** The header alone, checked against the file's size: what lies in gigabytes of weights, without reading them. Refuses as {@link readSafetensorsFile} does. */
export async function readSafetensorsHeader(path: string): Promise<Result<SafetensorsHeader>> {
  const read = await withFile(path, readHeader);
  return read.ok ? ok(read.value.header) : at(path, read.error);
}

async function readHeader(
  file: FileHandle,
  size: number,
): Promise<Result<{ readonly header: SafetensorsHeader; readonly dataBytes: number }>> {
  const first = await readRange(file, 0, Math.min(size, LENGTH_BYTES));
  if (!first.ok) return first;
  const length = parseHeaderLength(first.value, size);
  if (!length.ok) return length;
  const start = LENGTH_BYTES + length.value;
  const bytes = await readRange(file, LENGTH_BYTES, start);
  if (!bytes.ok) return bytes;
  const header = parseSafetensorsHeader(bytes.value, size - start);
  return header.ok ? ok({ header: header.value, dataBytes: size - start }) : header;
}

/** Writes what `packSafetensors` packs, tensor by tensor, whole or not at all. */
export function writeSafetensorsFile(
  path: string,
  tensors: Tensors,
  options: { readonly metadata?: Readonly<Record<string, string>>; readonly type?: FloatType } = {},
): Promise<Result<void>> {
  return writeParts(path, parts(tensors, options.metadata ?? { format: "pt" }, options.type ?? "F32"));
}

function* parts(tensors: Tensors, metadata: Readonly<Record<string, string>>, type: FloatType): Generator<Uint8Array> {
  yield packSafetensorsHeader(tensors, { metadata, type });
  for (const [, { data }] of sortedTensors(tensors)) yield writeFloats(data, type);
}

function at(path: string, { code, message, hint }: Refusal): { readonly ok: false; readonly error: Refusal } {
  return refuse(code, `${path}: ${message}`, hint === undefined ? {} : { hint });
}

import { concat, utf8 } from "../../core/bytes.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { readFloats, writeFloats } from "../../models/formats/floats.ts";
import { isRecord, isWhole, parseJson } from "../../models/formats/json.ts";
import { type Factors, type ModuleFactors, rowWidth } from "./kronecker.ts";

/**
 * Fitted factors as bytes, to lie beside the adapter that they belong to: 8 bytes `OLFACTOR`, u32 version, u32 length of a JSON header, the header
 * padded with spaces to a multiple of 8, then little-endian binary32: for each module `inputBasis`, `outputBasis`, `rowScales`, `queryScales`, and
 * after the last the rows' `steps`; then the rows, one signed byte an element. The same factors make the same bytes.
 */
export interface FactorsFile {
  /** Says which adapter the factors belong to: sha256 over its tensors, in hex. */
  readonly adapter: string;
  /** How far influence can be trusted on this adapter, in millionths; absent where nobody has measured. */
  readonly reliabilityPpm?: number;
  /** How long the adapter's sequences were in training: longer answers are asked about in windows of so many tokens. */
  readonly sequenceTokens?: number;
  readonly factors: Factors;
}

const MAGIC = utf8("OLFACTOR");
const FILE_VERSION = 1;
const PREFIX_BYTES = 16;
const HEADER_BYTES_MAX = 256 * 2 ** 20;
const MODULES_MAX = 16_384;
const SIZE_MAX = 2 ** 20;

export function packFactors({ adapter, reliabilityPpm, sequenceTokens, factors }: FactorsFile): Uint8Array {
  const { method, version, modules, records, rows, steps } = factors;
  const sizes = modules.map(({ name, rank, out }) => ({ name, rank, out }));
  const head = { adapter, method, version, reliabilityPpm, sequenceTokens };
  const json = utf8(JSON.stringify({ ...head, modules: sizes, records }));
  const header = new Uint8Array(8 * Math.ceil(json.length / 8)).fill(0x20);
  header.set(json);
  assert(header.length <= HEADER_BYTES_MAX, "the list of records fits into a header");
  const prefix = new Uint8Array(PREFIX_BYTES);
  prefix.set(MAGIC);
  const view = new DataView(prefix.buffer);
  view.setUint32(8, FILE_VERSION, true);
  view.setUint32(12, header.length, true);
  const floats = modules.flatMap((module) => [
    module.inputBasis,
    module.outputBasis,
    module.rowScales,
    module.queryScales,
  ]);
  const parts = [...floats, steps].map((data) => writeFloats(data, "F32"));
  return concat(prefix, header, ...parts, new Uint8Array(rows.buffer, rows.byteOffset, rows.length));
}

/** Reads {@link packFactors}; refuses `invalid_request` what is damaged, before it reserves memory for it. */
export function parseFactors(bytes: Uint8Array): Result<FactorsFile> {
  if (bytes.length < PREFIX_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) return damaged("it is no such file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, headerBytes] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (version !== FILE_VERSION) return damaged(`its version is ${version}, not ${FILE_VERSION}`);
  if (headerBytes > HEADER_BYTES_MAX || PREFIX_BYTES + headerBytes > bytes.length)
    return damaged("its header is cut short");
  const header = parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes));
  if (header === undefined) return damaged("its header does not describe factors");
  const { adapter, method, methodVersion, reliabilityPpm, sequenceTokens, sizes, records } = header;
  const width = rowWidth(sizes);
  const expected = PREFIX_BYTES + headerBytes + factorsBytes(sizes, records.length);
  if (bytes.length !== expected) return damaged(`it has ${bytes.length} bytes and its header speaks of ${expected}`);
  let at = PREFIX_BYTES + headerBytes;
  const take = (count: number): Float32Array => {
    const from = at;
    at += 4 * count;
    return readFloats(bytes.subarray(from, at), "F32");
  };
  const modules: ModuleFactors[] = sizes.map(({ name, rank, out }) => ({
    ...{ name, rank, out },
    ...{ inputBasis: take(rank * rank), outputBasis: take(out * out) },
    ...{ rowScales: take(out * rank), queryScales: take(out * rank) },
  }));
  const steps = take(records.length * sizes.length);
  const all = [
    steps,
    ...modules.flatMap((module) => [module.inputBasis, module.outputBasis, module.rowScales, module.queryScales]),
  ];
  if (!all.every((data) => data.every(Number.isFinite))) return damaged("a number in it is not finite");
  const rows = Int8Array.from(new Int8Array(bytes.buffer, bytes.byteOffset + at, records.length * width));
  const factors = { method, version: methodVersion, modules, records, rows, steps };
  return ok({
    ...{ adapter, factors },
    ...(reliabilityPpm === undefined ? {} : { reliabilityPpm }),
    ...(sequenceTokens === undefined ? {} : { sequenceTokens }),
  });
}

/** What factors need for so many examples, on disk and in memory, their list of records aside. */
export function factorsBytes(
  modules: readonly { readonly out: number; readonly rank: number }[],
  examples: number,
): number {
  const floats = modules.reduce((sum, { rank, out }) => sum + rank * rank + out * out + 2 * out * rank, 0);
  return 4 * (floats + examples * modules.length) + examples * rowWidth(modules);
}

interface Header {
  readonly adapter: string;
  readonly method: string;
  readonly methodVersion: number;
  readonly reliabilityPpm: number | undefined;
  readonly sequenceTokens: number | undefined;
  readonly sizes: readonly { readonly name: string; readonly rank: number; readonly out: number }[];
  readonly records: readonly string[];
}

function parseHeader(bytes: Uint8Array): Header | undefined {
  const json = parseJson(new TextDecoder().decode(bytes));
  if (!isRecord(json)) return undefined;
  const { adapter, method, version, reliabilityPpm, sequenceTokens, modules, records } = json;
  if (reliabilityPpm !== undefined && !isWhole(reliabilityPpm, 0, 1_000_000)) return undefined;
  if (sequenceTokens !== undefined && !isWhole(sequenceTokens, 1, SIZE_MAX)) return undefined;
  if (typeof adapter !== "string" || typeof method !== "string" || !isWhole(version, 1)) return undefined;
  if (!Array.isArray(modules) || modules.length > MODULES_MAX || !isStrings(records)) return undefined;
  const sizes = modules.flatMap((module: unknown) => {
    if (!isRecord(module)) return [];
    const { name, rank, out } = module;
    return typeof name === "string" && isWhole(rank, 1, SIZE_MAX) && isWhole(out, 1, SIZE_MAX)
      ? [{ name, rank, out }]
      : [];
  });
  const isAscending = sizes.every(({ name }, i) => i === 0 || sizes[i - 1]!.name < name);
  if (sizes.length !== modules.length || !isAscending) return undefined;
  return { adapter, method, methodVersion: version, reliabilityPpm, sequenceTokens, sizes, records };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `These influence factors cannot be read: ${why}.`, {
    hint: "Fit them again from the adapter and the records that it was trained on.",
  });
}

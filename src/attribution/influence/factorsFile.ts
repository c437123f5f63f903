import { concat, utf8 } from "../../core/bytes.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { readFloats, writeFloats } from "../../models/formats/floats.ts";
import { isRecord, isWhole, parseJson } from "../../models/formats/json.ts";
import type { Factors, ModuleFactors } from "./kronecker.ts";
import { type ModuleSize, rowWidth, type Staircase, sidesOf } from "./staircase.ts";

/**
 * Fitted factors as bytes, to lie beside the adapter that they belong to: 8 bytes `OLFACTOR`, u32 version, u32 length of a JSON header, the header
 * padded with spaces to a multiple of 8, then little-endian binary32: of each member for each module `inputBasis`, `outputBasis`, `rowScales`, `queryScales`, and
 * after the last the member's `steps`; then all members' rows, one signed byte an element. The same factors make the same bytes.
 */
export interface FactorsFile {
  /** Says which adapter the factors belong to: sha256 over its tensors, in hex. */
  readonly adapter: string;
  /** How far influence can be trusted on this adapter, in millionths; absent where nobody has measured. */
  readonly reliabilityPpm?: number;
  /** How long the adapter's sequences were in training: longer answers are asked about in windows of so many tokens. */
  readonly sequenceTokens?: number;
  /** Their scores are summed: the ends of the training, first its start. All have the same records. */
  readonly members: readonly Factors[];
}

const MAGIC = utf8("OLFACTOR");
/** 1 held one member, by B factors; the reliability in 2 is of version 2 of the method, which paid others; 3 had rectangles for staircases. All are fitted again. */
const FILE_VERSION = 4;
const PREFIX_BYTES = 16;
const HEADER_BYTES_MAX = 256 * 2 ** 20;
const MEMBERS_MAX = 16;
const MODULES_MAX = 16_384;
const SIZE_MAX = 2 ** 20;

export function packFactors({ adapter, reliabilityPpm, sequenceTokens, members }: FactorsFile): Uint8Array {
  const headers = members.map(({ method, version, modules }) => ({
    ...{ method, version },
    modules: modules.map(({ name, columns, out, stairs }) => ({ name, columns, out, stairs })),
  }));
  const records = recordsOf(members);
  const json = utf8(JSON.stringify({ adapter, reliabilityPpm, sequenceTokens, members: headers, records }));
  const header = new Uint8Array(8 * Math.ceil(json.length / 8)).fill(0x20);
  header.set(json);
  assert(header.length <= HEADER_BYTES_MAX, "the list of records fits into a header");
  const prefix = new Uint8Array(PREFIX_BYTES);
  prefix.set(MAGIC);
  const view = new DataView(prefix.buffer);
  view.setUint32(8, FILE_VERSION, true);
  view.setUint32(12, header.length, true);
  const floats = members.flatMap(({ modules, steps }) => [...modules.flatMap(floatsOf), steps]);
  const rows = members.map(({ rows: own }) => new Uint8Array(own.buffer, own.byteOffset, own.length));
  return concat(prefix, header, ...floats.map((data) => writeFloats(data, "F32")), ...rows);
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
  const { adapter, reliabilityPpm, sequenceTokens, records } = header;
  const sizes = header.members.map(({ modules }) => factorsBytes(modules, records.length));
  const expected = sizes.reduce((sum, size) => sum + size, PREFIX_BYTES + headerBytes);
  if (bytes.length !== expected) return damaged(`it has ${bytes.length} bytes and its header speaks of ${expected}`);
  let at = PREFIX_BYTES + headerBytes;
  const take = (count: number): Float32Array => {
    const from = at;
    at += 4 * count;
    return readFloats(bytes.subarray(from, at), "F32");
  };
  const read = header.members.map(({ modules, ...member }) => {
    const filled: ModuleFactors[] = modules.map((module) => {
      const [{ inward, outward }, width] = [sidesOf(module), rowWidth([module])];
      return {
        ...{ ...module, inward, outward },
        ...{ inputBasis: take(inward * module.columns), outputBasis: take(outward * module.out) },
        ...{ rowScales: take(width), queryScales: take(width) },
      };
    });
    return { ...member, modules: filled, records, steps: take(records.length * modules.length) };
  });
  if (!read.every(({ modules, steps }) => [steps, ...modules.flatMap(floatsOf)].every(allFinite)))
    return damaged("a number in it is not finite");
  const members: Factors[] = read.map((member) => {
    const from = at;
    at += records.length * rowWidth(member.modules);
    return { ...member, rows: Int8Array.from(new Int8Array(bytes.buffer, bytes.byteOffset + from, at - from)) };
  });
  return ok({
    ...{ adapter, members },
    ...(reliabilityPpm === undefined ? {} : { reliabilityPpm }),
    ...(sequenceTokens === undefined ? {} : { sequenceTokens }),
  });
}

/** What one member needs for so many examples, on disk and in memory, the header aside. */
export function factorsBytes(modules: readonly ModuleSize[], examples: number): number {
  const width = rowWidth(modules);
  const bases = modules.reduce((sum, module) => {
    const { inward, outward } = sidesOf(module);
    return sum + inward * module.columns + outward * module.out;
  }, 0);
  return 4 * (bases + 2 * width + examples * modules.length) + examples * width;
}

/** Of all members. */
export function recordsOf(members: readonly Factors[]): readonly string[] {
  const records = members[0]?.records ?? [];
  const isAlike = members.every(
    ({ records: own }) => own.length === records.length && own.every((one, n) => one === records[n]),
  );
  assert(isAlike, "members know the same examples in the same order");
  return records;
}

function floatsOf({ inputBasis, outputBasis, rowScales, queryScales }: ModuleFactors): readonly Float32Array[] {
  return [inputBasis, outputBasis, rowScales, queryScales];
}

function allFinite(data: Float32Array): boolean {
  return data.every(Number.isFinite);
}

interface Header {
  readonly adapter: string;
  readonly reliabilityPpm: number | undefined;
  readonly sequenceTokens: number | undefined;
  readonly members: readonly MemberHeader[];
  readonly records: readonly string[];
}

interface MemberHeader {
  readonly method: string;
  readonly version: number;
  readonly modules: readonly ModuleSize[];
}

function parseHeader(bytes: Uint8Array): Header | undefined {
  const json = parseJson(new TextDecoder().decode(bytes));
  if (!isRecord(json)) return undefined;
  const { adapter, reliabilityPpm, sequenceTokens, members, records } = json;
  if (reliabilityPpm !== undefined && !isWhole(reliabilityPpm, 0, 1_000_000)) return undefined;
  if (sequenceTokens !== undefined && !isWhole(sequenceTokens, 1, SIZE_MAX)) return undefined;
  if (typeof adapter !== "string" || !Array.isArray(members) || !isStrings(records)) return undefined;
  if (members.length < 1 || members.length > MEMBERS_MAX) return undefined;
  const read = members.flatMap((member: unknown) => parseMember(member) ?? []);
  return read.length === members.length
    ? { adapter, reliabilityPpm, sequenceTokens, members: read, records }
    : undefined;
}

function parseMember(json: unknown): MemberHeader | undefined {
  if (!isRecord(json)) return undefined;
  const { method, version, modules } = json;
  if (typeof method !== "string" || !isWhole(version, 1)) return undefined;
  if (!Array.isArray(modules) || modules.length > MODULES_MAX) return undefined;
  const sizes = modules.flatMap((module: unknown) => {
    if (!isRecord(module)) return [];
    const { name, columns, out, stairs } = module;
    if (typeof name !== "string" || !isWhole(columns, 1, SIZE_MAX) || !isWhole(out, 1, SIZE_MAX)) return [];
    return isStaircase(stairs, { columns, out }) ? [{ name, columns, out, stairs }] : [];
  });
  const isAscending = sizes.every(({ name }, i) => i === 0 || sizes[i - 1]!.name < name);
  return sizes.length === modules.length && isAscending ? { method, version, modules: sizes } : undefined;
}

function isStaircase(value: unknown, { columns, out }: { columns: number; out: number }): value is Staircase {
  if (!Array.isArray(value) || value.length < 1 || value.length > out) return false;
  return value.every((count, i) => isWhole(count, i === 0 ? 1 : value[i - 1], columns));
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `These influence factors cannot be read: ${why}.`, {
    hint: "Fit them again from the adapter and the records that it was trained on.",
  });
}

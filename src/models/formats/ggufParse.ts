import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import {
  aligned,
  elements,
  GGUF_MAGIC,
  GGUF_VERSION,
  type Gguf,
  type GgufEntry,
  type GgufType,
  type GgufValue,
  type Scalar,
  type ScalarType,
  scalarTypes,
  tensorBytes,
  tensorTypes,
} from "./gguf.ts";

const KEYS_MAX = 4_096;
const TENSORS_MAX = 65_536;
const STRING_BYTES_MAX = 1 << 20;
const NAME_BYTES_MAX = 63;
const typeNames = new Map<number, GgufType>();
for (const name of ["F32", "F16", "Q8_0", "BF16"] as const) typeNames.set(tensorTypes[name], name);

/**
 * Reads all that stands before the numbers and checks it as strictly as native code ought to, which aborts the whole process on some faults:
 * every string, array and tensor lies within the file, tensors follow one another in order without overlap or hole, no name stands twice.
 * `head` is the file's beginning, `fileBytes` its whole length. Refuses `invalid_request`; never throws.
 */
export function parseGguf(head: Uint8Array, fileBytes: number): Result<Gguf> {
  const reader = new Reader(head);
  if (reader.u32() !== GGUF_MAGIC) return damaged("it does not begin with GGUF");
  const version = reader.u32();
  if (version !== GGUF_VERSION) return damaged(`it has version ${version}, not ${GGUF_VERSION}`);
  const [tensorCount, keyCount] = [reader.u64(), reader.u64()];
  if (tensorCount > TENSORS_MAX) return damaged(`it says that it has ${tensorCount} tensors`);
  if (keyCount > KEYS_MAX) return damaged(`it says that it has ${keyCount} keys`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount && reader.why === undefined; i++) {
    const key = reader.string(65_535);
    if (metadata.has(key)) return damaged(`the key ${quote(key)} stands twice`);
    metadata.set(key, reader.value());
  }
  const heads: TensorHead[] = [];
  for (let i = 0; i < tensorCount && reader.why === undefined; i++) heads.push(reader.tensor());
  if (reader.why !== undefined) return damaged(reader.why);
  const alignment = metadata.get("general.alignment") ?? { type: "u32", value: 32 };
  if (alignment.type !== "u32" || ![8, 16, 32, 64, 128, 256].includes(Number(alignment.value)))
    return damaged("its alignment is none");
  return placeTensors(heads, metadata, { alignment: Number(alignment.value), start: reader.at, fileBytes });
}

interface TensorHead {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function placeTensors(
  heads: readonly TensorHead[],
  metadata: ReadonlyMap<string, GgufValue>,
  { alignment, start, fileBytes }: { readonly alignment: number; readonly start: number; readonly fileBytes: number },
): Result<Gguf> {
  const data = aligned(start, alignment);
  const tensors: GgufEntry[] = [];
  const names = new Set<string>();
  let at = 0;
  let until = data;
  for (const { name, sizes, type: code, offset } of heads) {
    const type = typeNames.get(code);
    if (type === undefined) return damaged(`tensor ${quote(name)} has the type ${code}, which is none of ours`);
    if (names.has(name)) return damaged(`tensor ${quote(name)} stands twice`);
    names.add(name);
    const bytes = tensorBytes(type, sizes[0] ?? 1, elements(sizes));
    if (bytes === undefined) return damaged(`tensor ${quote(name)} has broken blocks`);
    if (offset !== at) return damaged(`tensor ${quote(name)} begins at ${offset}, not at ${at}`);
    until = data + at + bytes;
    // Beyond 2^53 the sum is rounded, but stays far beyond every file.
    if (until > fileBytes) return damaged(`tensor ${quote(name)} ends behind the file`);
    tensors.push({ name, type, sizes, from: data + at, until });
    at += aligned(bytes, alignment);
  }
  if (fileBytes > aligned(until, alignment)) return damaged("more follows its last tensor");
  return ok({ metadata, tensors });
}

/** Reads forwards; the first fault stays in `why`, and all reads after it give nothing. */
class Reader {
  at = 0;
  why: string | undefined;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u32(): number {
    return this.#number("u32");
  }

  /** Whole numbers that JavaScript cannot hold are a fault: nothing in a file is as large. */
  u64(): number {
    return this.#number("u64");
  }

  string(bytesMax = STRING_BYTES_MAX): string {
    const length = this.u64();
    if (length > bytesMax) return this.#fault(`a string has ${length} bytes`, "");
    const from = this.#take(length);
    if (this.why !== undefined) return "";
    try {
      return decoder.decode(this.#bytes.subarray(from, from + length));
    } catch {
      return this.#fault("a string is not UTF-8", "");
    }
  }

  value(): GgufValue {
    const type = scalarTypes[this.u32()];
    if (type === undefined) return this.#fault("a value has an unknown type", nothing);
    if (type !== "array") return { type, value: this.#scalar(type) };
    const of = scalarTypes[this.u32()];
    const count = this.u64();
    if (of === undefined || of === "array") return this.#fault("an array holds arrays", nothing);
    if (count * smallest[of] > this.#bytes.length - this.at)
      return this.#fault("an array ends behind the file", nothing);
    const values: Scalar[] = [];
    for (let i = 0; i < count && this.why === undefined; i++) values.push(this.#scalar(of));
    return { type, of, values };
  }

  tensor(): TensorHead {
    const name = this.string(NAME_BYTES_MAX);
    const rank = this.u32();
    if (rank < 1 || rank > 4) this.#fault(`tensor ${quote(name)} has ${rank} dimensions`, undefined);
    const sizes: number[] = [];
    for (let i = 0; i < rank && this.why === undefined; i++) sizes.push(this.u64());
    if (elements(sizes) < 1 || elements(sizes) > Number.MAX_SAFE_INTEGER)
      this.#fault(`tensor ${quote(name)} has no possible size`, undefined);
    return { name, sizes, type: this.u32(), offset: this.u64() };
  }

  #scalar(type: ScalarType): Scalar {
    if (type === "string") return this.string();
    const value = this.#number(type);
    if (type !== "bool") return value;
    return value > 1 ? this.#fault("a truth value is neither 0 nor 1", false) : value === 1;
  }

  #number(type: Exclude<ScalarType, "string">): number {
    const at = this.#take(smallest[type]);
    if (this.why !== undefined) return 0;
    const value = readers[type](this.#view, at);
    if ((type === "u64" || type === "i64") && !Number.isSafeInteger(value))
      return this.#fault("a number is too large", 0);
    return value;
  }

  #take(count: number): number {
    const from = this.at;
    if (count > this.#bytes.length - from) return this.#fault("it ends too soon", 0);
    this.at += count;
    return from;
  }

  #fault<T>(why: string, value: T): T {
    this.why ??= why;
    return value;
  }
}

const nothing: GgufValue = { type: "bool", value: false };
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes of a value, at the least. */
const smallest: Readonly<Record<ScalarType, number>> = {
  ...{ u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, bool: 1, string: 8, u64: 8, i64: 8, f64: 8 },
};

const readers: Readonly<Record<Exclude<ScalarType, "string">, (view: DataView, at: number) => number>> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  bool: (view, at) => view.getUint8(at),
  u64: (view, at) => Number(view.getBigUint64(at, true)),
  i64: (view, at) => Number(view.getBigInt64(at, true)),
  f64: (view, at) => view.getFloat64(at, true),
};

function quote(text: string): string {
  return `"${text.slice(0, 80)}"`;
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This GGUF file cannot be used: ${why}.`);
}

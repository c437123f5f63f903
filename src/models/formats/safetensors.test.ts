import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, utf8 } from "../../core/bytes.ts";
import { unwrap } from "../../core/result.ts";
import type { Tensors } from "../tensor.ts";
import { halfTable, readFloats, roundToHalf, writeFloats } from "./floats.ts";
import { elementsOf, packSafetensors, parseSafetensors } from "./safetensors.ts";

const shapes = fc.array(fc.nat({ max: 3 }), { maxLength: 3 });
const tensor = shapes.chain((shape) => {
  const size = elementsOf(shape);
  return fc
    .array(fc.float({ noNaN: true }), { minLength: size, maxLength: size })
    .map((data) => ({ shape, data: Float32Array.from(data) }));
});
const name = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom("__proto__", 'a"b', "\\", "é:"));
const files: fc.Arbitrary<Tensors> = fc
  .array(fc.tuple(name, tensor), { maxLength: 5 })
  .map((named) => new Map(named.filter(([n]) => n !== "__metadata__")));
const metadata = fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 });

test("what is packed is read back, and order does not matter", () => {
  fc.assert(
    fc.property(files, metadata, (tensors, said) => {
      const bytes = packSafetensors(tensors, { metadata: said });
      expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
      const read = unwrap(parseSafetensors(bytes));
      expect({ ...read.metadata }).toEqual({ ...said });
      expect(new Map(read.tensors)).toEqual(new Map(tensors));
      expect(packSafetensors(new Map([...tensors].reverse()), { metadata: said })).toEqual(bytes);
    }),
  );
});

test("no truncation and no flipped byte makes it throw, and what passes lies within the file", () => {
  fc.assert(
    fc.property(files, fc.nat(), fc.integer({ min: 1, max: 255 }), (tensors, at, flip) => {
      const bytes = packSafetensors(tensors);
      for (let length = 0; length < bytes.length; length += 1 + (at % 7))
        expect(parseSafetensors(bytes.subarray(0, length)).ok).toBe(false);
      const flipped = bytes.slice();
      const place = at % bytes.length;
      flipped[place] = flipped[place]! ^ flip;
      const read = parseSafetensors(flipped);
      if (read.ok)
        for (const { shape, data } of read.value.tensors.values()) expect(data.length).toBe(elementsOf(shape));
    }),
  );
});

const f32 = (shape: unknown, from: unknown, until: unknown): string =>
  JSON.stringify({ dtype: "F32", shape, data_offsets: [from, until] });
test.each([
  // header                                                      bytes  why
  [`{"a":${f32([2], 0, 8)}}`, 8, undefined],
  [`{"a":${f32([], 0, 4)}}`, 4, undefined],
  [`{"a":${f32([2], 0, 8)}}   `, 8, undefined],
  [` {"a":${f32([2], 0, 8)}}`, 8, "begin with {"],
  [`{"a":${f32([2], 0, 8)}`, 8, "not JSON"],
  [`{"a":${f32([2], 0, 8)},"\\u0061":${f32([2], 0, 8)}}`, 8, 'names "a" twice'],
  [`{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}`, 8, 'names "dtype" twice'],
  [`{"a":${f32([2], 0, 8)},"b":${f32([2], 4, 12)}}`, 12, "overlaps"],
  [`{"a":${f32([2], 0, 8)},"b":${f32([2], 0, 8)}}`, 8, "overlaps"],
  [`{"a":${f32([2], 0, 8)},"b":${f32([1], 12, 16)}}`, 16, "hole"],
  [`{"a":${f32([1], 4, 8)}}`, 8, "hole"],
  [`{"a":${f32([2], 0, 8)}}`, 12, "need 8 bytes and 12"],
  [`{"a":${f32([2], 0, 8)}}`, 4, "need 8 bytes and 4"],
  [`{"a":${f32([2], 8, 0)}}`, 8, "has -8 bytes"],
  [`{"a":${f32([3], 0, 8)}}`, 8, "which its shape does not"],
  [`{"a":${f32([2 ** 30, 2 ** 30], 0, 8)}}`, 8, "which its shape does not"],
  [`{"a":${f32([-2], 0, 8)}}`, 8, "no shape"],
  [`{"a":${f32([1.5], 0, 6)}}`, 6, "no shape"],
  [`{"a":${f32("2", 0, 8)}}`, 8, "no shape"],
  [`{"a":${f32([2], 0, null)}}`, 8, "no offsets"],
  [`{"a":${f32([1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 4)}}`, 4, "no shape"],
  [`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8, 'the type "I64"'],
  [`{"a":3}`, 0, "the type"],
  [`{"__metadata__":{"a":1}}`, 0, "metadata"],
  ["[]", 0, "begin with {"],
])("%s with %i bytes: %s", (header, length, why) => {
  const json = utf8(header);
  const first = new Uint8Array(8);
  new DataView(first.buffer).setBigUint64(0, BigInt(json.length), true);
  const read = parseSafetensors(concat(first, json, new Uint8Array(length)));
  expect(read.ok ? undefined : read.error.message).toEqual(
    why === undefined ? undefined : expect.stringContaining(why),
  );
});

test("a header longer than the file, or than the format allows, is refused before anything is allocated", () => {
  for (const length of [9n, 100_000_001n, 2n ** 63n, 2n ** 64n - 1n]) {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    expect(parseSafetensors(bytes)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  }
});

test("every half is its own number, there and back", () => {
  const table = halfTable();
  for (let half = 0; half < 65_536; half++) {
    const [value] = new Float32Array(Uint32Array.of(table[half]!).buffer);
    const [sign, exponent, fraction] = [half >> 15 === 1 ? -1 : 1, (half >> 10) & 31, half & 1_023];
    const small = exponent === 0 ? fraction * 2 ** -24 : (1_024 + fraction) * 2 ** (exponent - 25);
    const expected = exponent < 31 ? sign * small : fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if (!Object.is(value, expected)) expect(`${half}: ${value}`).toBe(`${half}: ${expected}`);
    if (!Number.isNaN(expected)) expect(roundToHalf(table[half]!)).toBe(half);
  }
});

test.each([["F16", 2 ** -11, 65_504, 2 ** -25] as const, ["BF16", 2 ** -8, Math.fround(3.38e38), 2 ** -134] as const])(
  "%s is rounded to the nearest, ties to even",
  (type, relative, largest, absolute) => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -largest, max: largest }), (value) => {
        const [stored] = readFloats(writeFloats(Float32Array.of(value), type), type);
        expect(Math.abs((stored ?? Number.NaN) - value)).toBeLessThanOrEqual(
          Math.max(Math.abs(value) * relative, absolute),
        );
      }),
      { numRuns: 2_000 },
    );
    const step = 2 * relative;
    const ties = Float32Array.of(1 + relative, 1 + step + relative, -1 - relative, Number.NaN, 1e39, -1e39);
    expect([...readFloats(writeFloats(ties, type), type)]).toEqual([
      ...[1, 1 + 2 * step, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ]);
  },
);

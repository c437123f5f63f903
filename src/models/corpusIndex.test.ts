import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { concat, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { END_OF_RECORD, encode, type Tokenizer } from "./bpe.ts";
import { trainTokenizer } from "./bpeTrain.ts";
import { buildIndex, bytesOf, type CorpusIndex, indexTokens, recordAt, recordTokens } from "./corpusIndex.ts";
import { loadIndex, saveIndex } from "./corpusIndexFile.ts";
import { houseTokenizer } from "./houseTokenizerFile.ts";
import { countPattern, generate, nextTokens } from "./infinigram.ts";
import { suffixAt } from "./suffixes.ts";

const house = houseTokenizer();
const folder = mkdtempSync(join(tmpdir(), "openledger-index-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const symbol = fc.integer({ min: 1, max: 3 });
const corpora = fc.array(fc.array(symbol, { maxLength: 15 }), { minLength: 1, maxLength: 5 });

test("counts a pattern as often as a scan finds it", () => {
  fc.assert(
    fc.property(corpora, fc.array(symbol, { minLength: 1, maxLength: 5 }), (records, pattern) => {
      expect(countPattern(small(records), pattern)).toBe(scan(records, pattern).length);
    }),
    { numRuns: 2_000 },
  );
});

test("the next-token distribution is that after the longest suffix that occurs", () => {
  fc.assert(
    fc.property(corpora, fc.array(symbol, { maxLength: 8 }), (records, context) => {
      const next = nextTokens(small(records), context);
      let length = context.length;
      while (length > 0 && scan(records, context.slice(context.length - length)).length === 0) length--;
      const counts = new Map<number, number>();
      for (const [record, at] of scan(records, context.slice(context.length - length))) {
        const token = records[record]![at + length] ?? END_OF_RECORD;
        counts.set(token, (counts.get(token) ?? 0) + 1);
      }
      expect(next.suffixLength).toBe(length);
      expect(next.tokens).toEqual([...counts].sort(([a], [b]) => a - b).map(([token, count]) => ({ token, count })));
      expect(next.total).toBe([...counts.values()].reduce((sum, count) => sum + count, 0));
    }),
    { numRuns: 2_000 },
  );
});

test("greedy generation repeats a record to its end; with a temperature it follows the seed", () => {
  const index = buildIndex(house, [record("The ledger remembers every contribution."), record("A ledger forgets.")]);
  const prompt = encode(house, "The ledger");
  const out = [...generate(index, prompt, { maxTokens: 50 })];
  expect(out).toEqual([...encode(house, "The ledger remembers every contribution.")].slice(prompt.length));
  const seeded = (seed: number): number[] => {
    let state = seed;
    const random = (): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    return [...generate(index, encode(house, " ledger"), { maxTokens: 8, temperature: 1, random })];
  };
  expect(seeded(7)).toEqual(seeded(7));
  expect(new Set(Array.from({ length: 20 }, (_unused, i) => seeded(i * 97_531 + 1).join())).size).toBeGreaterThan(1);
});

test("positions belong to the record that holds them", () => {
  fc.assert(
    fc.property(corpora, (records) => {
      const index = small(records);
      for (let i = 0; i < index.tokens.length; i++) {
        const record = recordAt(index, i);
        expect(index.starts[record]! <= i && i < index.starts[record + 1]!).toBe(true);
      }
      records.forEach((tokens, i) => {
        expect([...recordTokens(index, i)]).toEqual(tokens);
      });
    }),
  );
});

test("the id depends on every token, bound, record id and the tokenizer", () => {
  const base = small([[1, 2], [3]]);
  expect(small([[1, 2], [3]]).id).toEqual(base.id);
  for (const other of [small([[1], [2, 3]]), small([[1, 2], [2]]), small([[1, 2], [3]], 1)])
    expect(other.id).not.toEqual(base.id);
});

test("a saved index loads as it was", () => {
  const path = join(folder, "whole");
  const index = buildIndex(house, [record("one two three"), record(""), record("two three four")]);
  unwrap(saveIndex(path, index));
  const loaded = unwrap(loadIndex(path, house));
  expectSame(loaded, index);
});

test("a file of version 1, with four bytes a suffix, loads as what it was; one of a later version is refused", () => {
  const path = join(folder, "old");
  const index = buildIndex(house, [record("one two three"), record(""), record("two three four")]);
  writeFileSync(path, versionOne(index));
  expectSame(unwrap(loadIndex(path, house)), index);
  unwrap(saveIndex(path, index));
  const later = readFileSync(path);
  later[8] = 3;
  writeFileSync(path, later);
  const loaded = loadIndex(path, house);
  expect(loaded.ok ? "accepted" : loaded.error.message).toContain("it has version 3, and this program reads 1 and 2");
});

test("a file with any byte flipped, cut anywhere or lengthened is refused", () => {
  const path = join(folder, "damaged");
  unwrap(saveIndex(path, buildIndex(house, [record("one two"), record("two three")])));
  const whole = readFileSync(path);
  for (let i = 0; i < whole.length; i++) {
    const flipped = Uint8Array.from(whole);
    flipped[i]! ^= 1 << (i % 8);
    writeFileSync(path, flipped);
    expect(code(path, house), `byte ${i}`).toBe("data_folder_damaged");
  }
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(path, whole);
    truncateSync(path, length);
    expect(code(path, house), `${length} bytes`).toBe("data_folder_damaged");
  }
  writeFileSync(path, Uint8Array.of(...whole, 0));
  expect(code(path, house)).toBe("data_folder_damaged");
  writeFileSync(path, whole);
  expect(code(path, house)).toBe("accepted");
  expect(code(path, trainTokenizer(["abab"]))).toBe("data_folder_damaged");
  expect(code(join(folder, "absent"), house)).toBe("not_found");
});

function expectSame(a: CorpusIndex, b: CorpusIndex): void {
  for (const part of ["id", "tokens", "starts", "recordIds", "buckets"] as const)
    expect(Array.from(a[part])).toEqual(Array.from(b[part]));
  expect(positionsOf(a)).toEqual(positionsOf(b));
}

function positionsOf({ suffixes }: CorpusIndex): number[] {
  return Array.from({ length: suffixes.length }, (_, place) => suffixAt(suffixes, place));
}

/** A file as the first version of the format had it. */
function versionOne(index: CorpusIndex): Uint8Array {
  const header = new Uint8Array(128);
  header.set(utf8("OLINDEX\0"));
  const words = [1, index.tokenizer.bytes.length, index.starts.length - 1, index.tokens.length];
  header.set(bytesOf(Uint32Array.from(words)), 8);
  header.set(index.tokenizer.hash, 32);
  header.set(index.id, 64);
  const suffixes = bytesOf(Int32Array.from(positionsOf(index)));
  const body = [index.recordIds, bytesOf(index.starts), suffixes, bytesOf(index.tokens)];
  header.set(sha256(header.subarray(0, 96), ...body), 96);
  return concat(header, ...body);
}

function code(path: string, tokenizer: Tokenizer): string {
  const loaded = loadIndex(path, tokenizer);
  return loaded.ok ? "accepted" : loaded.error.code;
}

function record(text: string): { id: string; text: string } {
  return { id: toHex(sha256(utf8(text))), text };
}

function small(records: readonly (readonly number[])[], salt = 0): CorpusIndex {
  const ids = new Uint8Array(32 * records.length).fill(salt);
  return indexTokens(
    house,
    records.map((tokens) => Uint16Array.from(tokens)),
    ids,
  );
}

/** Every [record, offset] at which a pattern stands; the empty pattern stands at every token. */
function scan(records: readonly (readonly number[])[], pattern: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  records.forEach((tokens, record) => {
    for (let at = 0; at < tokens.length && at + pattern.length <= tokens.length; at++)
      if (pattern.every((token, k) => tokens[at + k] === token)) found.push([record, at]);
  });
  return found;
}

import { concat } from "./bytes.ts";
import { type HashReader, nodeHash } from "./merkle.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * The journal as static files: C2SP tlog-tiles (https://c2sp.org/tlog-tiles). A tile is 256 consecutive hashes of the tree at a
 * height that is a multiple of 8; an entry bundle is the 256 entries under a tile of level 0. The rightmost ones are narrower.
 */
export interface Tile {
  /** `entries` for an entry bundle, else the tile's level, 0 to 6: a journal's size is below 2^53. */
  readonly level: number | "entries";
  readonly index: number;
  /** Hashes or entries in it, 1 to 256. */
  readonly width: number;
}

export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
const LEVEL_MAX = 6;
const HASH_BYTES = 32;

/** `tile/<level>/<index>`, with `.p/<width>` where the tile is not full; index 1234067 is written `x001/x234/067`. */
export function tilePath({ level, index, width }: Tile): string {
  assert(Number.isSafeInteger(index) && index >= 0, "a tile's index is a whole number");
  assert(Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH, "a tile is 1 to 256 wide");
  const groups = [];
  let rest = index;
  do {
    groups.unshift(`${groups.length === 0 ? "" : "x"}${String(rest % 1000).padStart(3, "0")}`);
    rest = Math.floor(rest / 1000);
  } while (rest > 0);
  return `tile/${level}/${groups.join("/")}${width < TILE_WIDTH ? `.p/${width}` : ""}`;
}

/** The tile of a path; every tile has exactly one path, so anything else is refused. */
export function parseTilePath(path: string): Result<Tile> {
  const match = /^tile\/(entries|[0-6])\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (match !== null) {
    const level = match[1] === "entries" ? "entries" : Number(match[1]);
    const index = Number(match[2]!.replaceAll(/[x/]/g, ""));
    const width = Number(match[3] ?? TILE_WIDTH);
    const isOne = Number.isSafeInteger(index) && width >= 1 && width <= TILE_WIDTH;
    if (isOne && tilePath({ level, index, width }) === path) return ok({ level, index, width });
  }
  return refuse("invalid_request", `"${path.slice(0, 80)}" is not the path of a tile`, {
    hint: "a tile is tile/<level>/<index>, for example tile/0/x001/234 or tile/entries/000.p/17",
  });
}

/** The tiles and bundles to write when a journal grows from `from` to `to` entries: new ones, and those that became wider. */
export function tilesBetween(from: number, to: number): Tile[] {
  assert(Number.isSafeInteger(to) && from >= 0 && from <= to, `sizes ${from} ≤ ${to}`);
  const tiles: Tile[] = [];
  for (let level = 0; level <= LEVEL_MAX; level++) {
    const before = Math.floor(from / TILE_WIDTH ** level);
    const after = Math.floor(to / TILE_WIDTH ** level);
    for (let index = Math.floor(before / TILE_WIDTH); before < after && index * TILE_WIDTH < after; index++) {
      const width = Math.min(TILE_WIDTH, after - index * TILE_WIDTH);
      if (level === 0) tiles.push({ level: "entries", index, width });
      tiles.push({ level, index, width });
    }
  }
  return tiles;
}

/** The widest form of a tile in the tree of `size` entries; undefined where the tree does not reach it. */
export function tileAt(level: Tile["level"], index: number, size: number): Tile | undefined {
  const hashes = Math.floor(size / TILE_WIDTH ** (level === "entries" ? 0 : level));
  const width = Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH);
  return width > 0 ? { level, index, width } : undefined;
}

/** The bytes of a tile of hashes: 32 for each. */
export function tileBytes({ level, index, width }: Tile, read: HashReader): Uint8Array {
  assert(level !== "entries", "a tile of hashes");
  return concat(...Array.from({ length: width }, (_, i) => read(level * TILE_HEIGHT, index * TILE_WIDTH + i)));
}

/** What a tile was in a smaller tree, from the bytes of a wider form of it: it is their beginning. */
export function narrowed({ level, width }: Tile, wide: Uint8Array): Uint8Array {
  if (level !== "entries") return wide.slice(0, HASH_BYTES * width);
  let at = 0;
  for (let i = 0; i < width && at + 2 <= wide.length; i++) at += 2 + wide[at]! * 256 + wide[at + 1]!;
  return wide.slice(0, at);
}

/** Reads the tree of `size` entries through its tiles, so that proofs need no more than the published files. */
export function tileReader(size: number, bytesOf: (tile: Tile) => Uint8Array): HashReader {
  return (level, index) => {
    const height = level % TILE_HEIGHT;
    const first = index * 2 ** height;
    const tile = tileAt((level - height) / TILE_HEIGHT, Math.floor(first / TILE_WIDTH), size);
    assert(tile !== undefined, `the tree of ${size} entries has a hash at level ${level}, index ${index}`);
    const bytes = bytesOf(tile);
    assert(bytes.length === tile.width * HASH_BYTES, `${tilePath(tile)} holds ${tile.width} hashes`);
    return subtreeHash(bytes, first % TILE_WIDTH, 2 ** height);
  };
}

/** The tiles that a proof will read, so that they can be fetched before it is computed: `read => inclusionProof(read, 7, size)`. */
export function tilesFor(size: number, prove: (read: HashReader) => unknown): Tile[] {
  const tiles = new Map<string, Tile>();
  const blank = tileReader(size, (tile) => {
    tiles.set(tilePath(tile), tile);
    return new Uint8Array(tile.width * HASH_BYTES);
  });
  prove(blank);
  return [...tiles.values()];
}

/** An entry bundle: each entry behind its length in 16 bits. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bundle = new Uint8Array(entries.reduce((bytes, entry) => bytes + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    assert(entry.length < 65_536, "an entry's length fits 16 bits");
    bundle.set([entry.length >> 8, entry.length & 255], at);
    bundle.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bundle;
}

/** The entries of a bundle, as views into it; refuses one that holds not exactly `width` entries to its last byte. */
export function decodeBundle(bundle: Uint8Array, width: number): Result<Uint8Array[]> {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at + 2 <= bundle.length && entries.length < width) {
    const end = at + 2 + bundle[at]! * 256 + bundle[at + 1]!;
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  if (entries.length === width && at === bundle.length) return ok(entries);
  return refuse(
    "verification_failed",
    `an entry bundle of ${bundle.length} bytes does not hold ${width} whole entries`,
  );
}

/** The root over `count` (a power of two) of a tile's hashes, from `first` on. */
function subtreeHash(hashes: Uint8Array, first: number, count: number): Uint8Array {
  if (count === 1) return hashes.slice(first * HASH_BYTES, (first + 1) * HASH_BYTES);
  return nodeHash(subtreeHash(hashes, first, count / 2), subtreeHash(hashes, first + count / 2, count / 2));
}

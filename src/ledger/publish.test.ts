import { expect, test } from "vitest";
import { equalBytes } from "../core/bytes.ts";
import { openCheckpoint } from "../core/checkpoint.ts";
import { EMPTY_ROOT, hashReader, leafHash, rootFrom } from "../core/merkle.ts";
import { unwrap } from "../core/result.ts";
import { decodeBundle, parseTilePath, TILE_WIDTH, tileBytes, tilePath, tilesBetween } from "../core/tile.ts";
import type { JournalSink } from "./publish.ts";
import { readTile } from "./publishedTile.ts";
import { MemorySink, publisherOf, smallTrust } from "./testing/smallLedger.ts";

/** Cheap entries: the publisher does not look into them. */
const entryAt = (seq: number) => new Uint8Array([seq >> 16, (seq >> 8) & 255, seq & 255]);

async function* entries(from: number, until: number): AsyncGenerator<Uint8Array> {
  for (let seq = from; seq < until; seq++) yield entryAt(seq);
}

const read = hashReader(Array.from({ length: 65_536 + 300 }, (_, seq) => leafHash(entryAt(seq))));

/** The size that the checkpoint says; everything that it promises is there, byte for byte. */
async function checked(sink: MemorySink): Promise<number> {
  const note = sink.files.get("checkpoint");
  if (note === undefined) return 0;
  const { size, root } = unwrap(openCheckpoint(note, smallTrust));
  expect(equalBytes(root, size === 0 ? EMPTY_ROOT : rootFrom(read, size))).toBe(true);
  for (const tile of tilesBetween(0, size)) {
    const bytes = await readTile((path) => sink.read(path), tile);
    if (bytes === undefined) throw new Error(`${tilePath(tile)} is missing at size ${size}`);
    if (tile.level === "entries") {
      const first = tile.index * TILE_WIDTH;
      const bundle = unwrap(decodeBundle(bytes, tile.width));
      if (!bundle.every((entry, i) => equalBytes(entry, entryAt(first + i)))) throw new Error(`${tilePath(tile)} lies`);
    } else if (!equalBytes(bytes, tileBytes(tile, read))) throw new Error(`${tilePath(tile)} lies`);
  }
  return size;
}

test("an empty journal is a checkpoint of size 0", async () => {
  const sink = new MemorySink();
  await publisherOf(entries, sink).publish(0);
  expect([...sink.files.keys()]).toEqual(["checkpoint"]);
  expect(unwrap(openCheckpoint(sink.files.get("checkpoint")!, smallTrust)).size).toBe(0);
});

test.each([
  { size: 1, paths: ["tile/0/000.p/1", "tile/entries/000.p/1"] },
  { size: 255, paths: ["tile/0/000.p/255", "tile/entries/000.p/255"] },
  { size: 256, paths: ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"] },
  { size: 257, paths: ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"] },
])("a journal of $size entries is published in $paths.length tiles", async ({ size, paths }) => {
  const sink = new MemorySink();
  await publisherOf(entries, sink).publish(size);
  expect([...sink.files.keys()].sort()).toEqual(["checkpoint", ...paths]);
  expect(await checked(sink)).toBe(size);
});

test("it grows over full tiles of every level, and what was published stays until it is part of a full one", async () => {
  const sink = new MemorySink();
  const publisher = publisherOf(entries, sink);
  const older = new Map<string, Uint8Array>();
  for (const size of [1, 1, 2, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 65_791, 65_792, 65_793]) {
    expect((await publisher.publish(size)).size).toBe(size);
    expect(await checked(sink)).toBe(size);
    for (const [path, bytes] of older) {
      const tile = unwrap(parseTilePath(path));
      const isFull = sink.files.has(tilePath({ ...tile, width: TILE_WIDTH }));
      const now = await readTile((one) => sink.read(one), tile);
      if (now === undefined || !equalBytes(now, bytes)) throw new Error(`${path} changed`);
      if (isFull && tile.width < TILE_WIDTH && sink.files.has(path)) throw new Error(`${path} lies there twice`);
    }
    for (const [path, bytes] of sink.files) if (path !== "checkpoint") older.set(path, bytes);
  }
  expect(sink.files.has("tile/1/000")).toBe(true);
  expect(sink.files.has("tile/2/000.p/1")).toBe(true);
}, 60_000);

test("publications do not overtake each other", async () => {
  const sink = new MemorySink();
  const publisher = publisherOf(entries, sink);
  const sizes = [3, 300, 300, 515];
  const published = await Promise.all(sizes.map((size) => publisher.publish(size)));
  expect(published.map(({ size }) => size)).toEqual(sizes);
  expect(await checked(sink)).toBe(515);
  expect(publisher.published?.size).toBe(515);
});

/** Dies at its n-th write, before it is done. */
function dyingSink(sink: MemorySink, writes: number): JournalSink {
  let left = writes;
  return {
    read: (path) => sink.read(path),
    removeNarrower: (path) => sink.removeNarrower(path),
    write: async (path, bytes) => {
      if (left-- === 0) throw new Error("killed");
      await sink.write(path, bytes);
    },
  };
}

test("killed between any two writes, what is published holds, and the next run repairs the rest", async () => {
  const reached = new Set<number>();
  for (let writes = 0; writes < 24; writes++) {
    const sink = new MemorySink();
    const dying = publisherOf(entries, dyingSink(sink, writes));
    const sizes = [200, 256, 300, 770, 771];
    let last = 0;
    try {
      for (const size of sizes) last = (await dying.publish(size)).size;
    } catch (error) {
      expect(String(error)).toContain("killed");
    }
    // A checkpoint is never ahead of its tiles, wherever the knife fell.
    expect(await checked(sink)).toBe(last);
    reached.add(last);
    await publisherOf(entries, sink).publish(800);
    expect(await checked(sink)).toBe(800);
  }
  expect([...reached].sort((a, b) => a - b)).toEqual([0, 200, 256, 300, 770, 771]);
});

test("a publisher whose write failed goes on when it is asked again", async () => {
  for (let failing = 0; failing < 10; failing++) {
    const sink = new MemorySink();
    let writes = 0;
    const publisher = publisherOf(entries, {
      read: (path) => sink.read(path),
      removeNarrower: (path) => sink.removeNarrower(path),
      write: async (path, bytes) => {
        if (writes++ === failing) throw new Error("disk full");
        await sink.write(path, bytes);
      },
    });
    for (const size of [300, 300, 520, 520, 600]) {
      await publisher.publish(size).catch((error: unknown) => expect(String(error)).toContain("disk full"));
      await checked(sink);
    }
    expect(await checked(sink)).toBe(600);
  }
});

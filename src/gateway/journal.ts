import { toHex } from "../core/bytes.ts";
import { parseCheckpointText } from "../core/checkpoint.ts";
import { inclusionProof, leafHash, rootFrom } from "../core/merkle.ts";
import { parseNote } from "../core/note.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import {
  decodeBundle,
  narrowed,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tileAt,
  tilePath,
  tileReader,
  tilesFor,
} from "../core/tile.ts";
import type { InclusionView } from "../protocol/epochs.ts";
import type { JournalFiles } from "./ports.ts";

/** A published file of the journal and how long it may be cached: a tile never changes, the checkpoint does all the time. */
export interface PublishedFile {
  readonly bytes: Uint8Array;
  readonly type: string;
  readonly cache: string;
}

const FOREVER = "public, max-age=31536000, immutable";

/** Only `checkpoint` and well-formed tile paths ever reach the disk, so no path leads out of the journal's folder. */
export async function publishedFile(files: JournalFiles, path: string): Promise<Result<PublishedFile>> {
  const isCheckpoint = path === "checkpoint";
  if (!isCheckpoint && !parseTilePath(path).ok) {
    return refuse("not_found", "the journal has a checkpoint and tiles", {
      hint: "a tile is tile/<level>/<index>, for example tile/0/x001/234 or tile/entries/000.p/17",
    });
  }
  const bytes = await files.read(path);
  if (bytes === undefined) return refuse("not_found", `the journal has no ${path}`);
  if (isCheckpoint) return ok({ bytes, type: "text/plain; charset=utf-8", cache: "no-cache" });
  return ok({ bytes, type: "application/octet-stream", cache: FOREVER });
}

/** The RFC 6962 audit path of an entry, from the published files alone, in the tree of `size` entries or of the newest checkpoint. */
export async function inclusion(files: JournalFiles, seq: number, size?: number): Promise<Result<InclusionView>> {
  const published = await publishedSize(files);
  if (!published.ok) return published;
  const treeSize = size ?? published.value;
  if (treeSize > published.value) return refuse("not_found", `the published journal has ${published.value} entries`);
  if (seq >= treeSize) {
    return refuse("not_found", `entry ${seq} is not among the ${treeSize} published entries`, {
      hint: "it will be soon: a promise names the deadline",
    });
  }
  const tiles = tilesFor(treeSize, (read) => [inclusionProof(read, seq, treeSize), rootFrom(read, treeSize)]);
  const bundle = await tileOf(files, entryBundle(seq, treeSize), published.value);
  const bytes = new Map<string, Uint8Array>();
  for (const tile of tiles) {
    const found = await tileOf(files, tile, published.value);
    if (found === undefined) return refuse("not_found", `${tilePath(tile)} is missing from the published journal`);
    bytes.set(tilePath(tile), found);
  }
  const read = tileReader(treeSize, (tile) => bytes.get(tilePath(tile)) ?? new Uint8Array());
  const entries = bundle === undefined ? undefined : decodeBundle(bundle, entryBundle(seq, treeSize).width);
  const entry = entries?.ok ? entries.value[seq % TILE_WIDTH] : undefined;
  if (entry === undefined)
    return refuse("not_found", `the bundle of entry ${seq} is missing from the published journal`);
  return ok({
    ...{ seq, size: treeSize, leaf: toHex(leafHash(entry)), root: toHex(rootFrom(read, treeSize)) },
    path: inclusionProof(read, seq, treeSize).map(toHex),
  });
}

/** The size that the newest checkpoint signs. */
async function publishedSize(files: JournalFiles): Promise<Result<number>> {
  const bytes = await files.read("checkpoint");
  const note = bytes === undefined ? undefined : parseNote(bytes);
  const statement = note?.ok ? parseCheckpointText(note.value.text) : undefined;
  if (statement?.ok) return ok(statement.value.size);
  return refuse("not_found", "the journal has no checkpoint yet");
}

function entryBundle(seq: number, size: number): Tile {
  const index = Math.floor(seq / TILE_WIDTH);
  return { level: "entries", index, width: Math.min(TILE_WIDTH, size - index * TILE_WIDTH) };
}

/**
 * A tile as it was in a smaller tree may never have been written, or be gone (tlog-tiles allows that):
 * then its bytes are the beginning of the widest form that is published.
 */
async function tileOf(files: JournalFiles, tile: Tile, published: number): Promise<Uint8Array | undefined> {
  const exact = await files.read(tilePath(tile));
  const widest = tileAt(tile.level, tile.index, published);
  if (exact !== undefined || widest === undefined || widest.width <= tile.width) return exact;
  const wide = await files.read(tilePath(widest));
  if (wide === undefined) return undefined;
  return narrowed(tile, wide);
}

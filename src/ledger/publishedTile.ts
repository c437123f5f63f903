import { narrowed, TILE_WIDTH, type Tile, tilePath } from "../core/tile.ts";

/**
 * A published tile; undefined where it is missing. Its narrow form goes as soon as the full one is there, as tlog-tiles allows: whoever reads by an older
 * checkpoint then takes the beginning of that.
 */
export async function readTile(
  read: (path: string) => Promise<Uint8Array | undefined>,
  tile: Tile,
): Promise<Uint8Array | undefined> {
  const bytes = await read(tilePath(tile));
  if (bytes !== undefined || tile.width === TILE_WIDTH) return bytes;
  const full = await read(tilePath({ ...tile, width: TILE_WIDTH }));
  return full && narrowed(tile, full);
}

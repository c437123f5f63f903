import { toBase64, utf8 } from "../../core/bytes.ts";
import { checkpointText } from "../../core/checkpoint.ts";
import { hashReader, leafHash, rootFrom } from "../../core/merkle.ts";
import { encodeBundle, tileBytes, tilePath, tilesBetween } from "../../core/tile.ts";
import type { JournalFiles } from "../ports.ts";

/** The published form of some entries, in memory, its checkpoint signed by nobody. Remembers which paths were asked for. */
export function publishedJournal(
  ledger: Uint8Array,
  entries: readonly Uint8Array[],
): JournalFiles & { readonly asked: string[] } {
  const read = hashReader(entries.map(leafHash));
  const files = new Map<string, Uint8Array>();
  for (const tile of tilesBetween(0, entries.length)) {
    const from = tile.index * 256;
    const bytes =
      tile.level === "entries" ? encodeBundle(entries.slice(from, from + tile.width)) : tileBytes(tile, read);
    files.set(tilePath(tile), bytes);
  }
  const text = checkpointText({ ledger, size: entries.length, root: rootFrom(read, entries.length) });
  files.set("checkpoint", utf8(`${text}\n\u2014 nobody ${toBase64(new Uint8Array(68))}\n`));
  const asked: string[] = [];
  return {
    asked,
    read: async (path) => {
      asked.push(path);
      return files.get(path);
    },
  };
}

import { join } from "node:path";
import { equalBytes, utf8 } from "../core/bytes.ts";
import { parseCheckpointText } from "../core/checkpoint.ts";
import { Frontier, leafHash } from "../core/merkle.ts";
import { parseNote } from "../core/note.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere } from "../host/files.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** Refuses books that do not begin with the journal that the data folder has published: they are those of another database, and going on with them would make two histories. */
export async function checkPublished(data: string, { books }: Pick<Ledger, "books">): Promise<Result<void>> {
  const text = await readIfThere(join(data, "journal", "checkpoint"));
  if (text === undefined) return ok(undefined);
  const note = parseNote(utf8(text));
  const published = note.ok ? parseCheckpointText(note.value.text) : note;
  if (!published.ok) return published;
  const { size, root } = published.value;
  const tree = new Frontier();
  if (books.size() >= size) for await (const entry of books.entries(0, size)) tree.append(leafHash(entry));
  if (books.size() >= size && equalBytes(tree.root(), root)) return ok(undefined);
  return refuse("conflict", `the database does not hold the journal of ${size} entries that ${data} has published`, {
    hint: "name the node's own database with DATABASE_URL, or leave it out where the node keeps its own",
  });
}

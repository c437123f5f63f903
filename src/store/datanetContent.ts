import type { Hex } from "../core/bytes.ts";
import { assert } from "../core/result.ts";
import { type DatanetRecord, type RecordContent, type RecordRef, recordId } from "../datanets/record.ts";
import type { Ask } from "./transaction.ts";

/** Records' content, kept once under its hash: what two contributions, two versions or two datanets have in common is stored once. */
interface ContentRow {
  readonly id: Hex;
  readonly contribution: Hex;
  /** Null where the content is gone. */
  readonly body: string | null;
}

/** What one statement carries at most: a record may have 20,000 characters and a contribution 100,000 records. */
const CHUNK = { records: 2_000, characters: 8_000_000 } as const;

/**
 * Stores what is not there yet. Ascending by id: two transactions that store the same records wait for each other in one order, so neither waits for ever.
 * An id that is not the hash of its content is a bug: it would stand for somebody else's text in every datanet.
 */
export async function putContent(ask: Ask, records: readonly DatanetRecord[]): Promise<void> {
  const sorted = [...records].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  for (let next = 0; next < sorted.length; ) {
    const [ids, bodies] = [[] as Hex[], [] as string[]];
    for (
      let characters = 0;
      next < sorted.length && ids.length < CHUNK.records && characters < CHUNK.characters;
      next++
    ) {
      const { id, contributionId: _, notes: _notes, ...content } = sorted[next]!;
      if (id === sorted[next - 1]?.id) continue;
      assert(recordId(content) === id, "a record's id is the hash of its content");
      const body = JSON.stringify(content);
      characters += body.length;
      ids.push(id);
      bodies.push(body);
    }
    await ask(
      "INSERT INTO datanets.content (id, body) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
      [ids, bodies],
    );
  }
}

/** Those of the records whose content is not stored. */
export async function missingContent(ask: Ask, records: readonly DatanetRecord[]): Promise<DatanetRecord[]> {
  const { rows } = await ask<{ id: string }>(
    `SELECT wanted.id FROM unnest($1::text[]) AS wanted (id)
     WHERE NOT EXISTS (SELECT 1 FROM datanets.content c WHERE c.id = wanted.id)`,
    [records.map(({ id }) => id)],
  );
  const missing = new Set(rows.map(({ id }) => id));
  return records.filter(({ id }) => missing.has(id));
}

/** The records of a contribution, in the order in which they were put in. */
export async function contributionRecords(ask: Ask, datanet: string, contribution: Hex): Promise<DatanetRecord[]> {
  const { rows } = await ask<ContentRow>(
    `SELECT r.id, r.contribution, c.body FROM datanets.record r LEFT JOIN datanets.content c ON c.id = r.id
     WHERE r.datanet = $1 AND r.contribution = $2 ORDER BY r.position`,
    [datanet, contribution],
  );
  return rows.map(recordOf);
}

/** The records that a version names, in its order. */
export async function namedRecords(ask: Ask, named: readonly RecordRef[]): Promise<DatanetRecord[]> {
  const { rows } = await ask<ContentRow>(
    `SELECT named.id, named.contribution, c.body FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS named (id, contribution, position)
     LEFT JOIN datanets.content c ON c.id = named.id ORDER BY named.position`,
    [named.map(({ id }) => id), named.map(({ contributionId }) => contributionId)],
  );
  return rows.map(recordOf);
}

function recordOf({ id, contribution, body }: ContentRow): DatanetRecord {
  assert(body !== null, `the content of record ${id} is stored`);
  const content: RecordContent = JSON.parse(body);
  return { ...content, id, contributionId: contribution };
}

import type { Pool } from "pg";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Result } from "../core/result.ts";
import { anchorsOf, type Output, type OutputStore } from "../datanets/outputs.ts";
import { openSchema, quietPool } from "./openSchema.ts";
import { whole } from "./storeErrors.ts";
import { type Ask, asking } from "./transaction.ts";

/** Numbered and never changed once released. An anchor is a u32 that stands as the int4 of the same bits. */
const steps: readonly string[] = [
  `CREATE TABLE outputs.output (receipt bytea PRIMARY KEY, time_ms bigint NOT NULL, expires_ms bigint NOT NULL, sketch bytea NOT NULL, anchors integer[] NOT NULL);
   CREATE INDEX output_anchors ON outputs.output USING gin (anchors);
   CREATE INDEX output_time ON outputs.output (time_ms);
   CREATE INDEX output_expiry ON outputs.output (expires_ms);`,
];

interface Row {
  readonly receipt: Buffer;
  readonly time_ms: string;
  readonly expires_ms: string;
  readonly sketch: Buffer;
}

export interface OpenOutputStore extends OutputStore {
  close(): Promise<void>;
}

/** Earlier answers in PostgreSQL, in a schema of their own, looked up by an inverted index over their anchors. Nothing else is lost with it. */
export async function openOutputStore(options: { readonly url: string }): Promise<Result<OpenOutputStore>> {
  return openSchema(quietPool(options.url, "outputs"), "outputs", steps, (pool) => new PostgresOutputStore(pool));
}

class PostgresOutputStore implements OpenOutputStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  async remember(outputs: readonly Output[]): Promise<void> {
    if (outputs.length === 0) return;
    // Arrays of arrays would have to be of one length: anchors travel as JSON.
    await this.#ask(
      `INSERT INTO outputs.output (receipt, time_ms, expires_ms, sketch, anchors)
       SELECT receipt, time_ms, expires_ms, sketch, ARRAY(SELECT jsonb_array_elements_text(anchors::jsonb)::integer)
       FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[]) AS row (receipt, time_ms, expires_ms, sketch, anchors)
       ON CONFLICT DO NOTHING`,
      [
        outputs.map(({ receipt }) => Buffer.from(fromHex(receipt))),
        outputs.map(({ timeMs }) => timeMs),
        outputs.map(({ expiresMs }) => expiresMs),
        outputs.map(({ sketch }) => sketchBytes(sketch)),
        outputs.map(({ sketch }) => JSON.stringify(anchorsOf(sketch).map(signed))),
      ],
    );
  }

  async sharing(
    anchors: readonly number[],
    { beforeMs, nowMs, limit }: { readonly beforeMs: number; readonly nowMs: number; readonly limit: number },
  ): Promise<readonly Output[]> {
    if (anchors.length === 0) return [];
    const { rows } = await this.#ask<Row>(
      `SELECT receipt, time_ms, expires_ms, sketch FROM outputs.output
       WHERE anchors && $1::integer[] AND time_ms < $2 AND expires_ms > $3
       ORDER BY (SELECT count(*) FROM unnest(anchors) AS anchor WHERE anchor = ANY ($1::integer[])) DESC, time_ms, receipt LIMIT $4`,
      [anchors.map(signed), beforeMs, nowMs, limit],
    );
    return rows.map(outputOf);
  }

  async output(receipt: Output["receipt"]): Promise<Output | undefined> {
    const { rows } = await this.#ask<Row>(
      "SELECT receipt, time_ms, expires_ms, sketch FROM outputs.output WHERE receipt = $1",
      [Buffer.from(fromHex(receipt))],
    );
    return rows[0] === undefined ? undefined : outputOf(rows[0]);
  }

  async missing(receipts: readonly Output["receipt"][]): Promise<readonly Output["receipt"][]> {
    const { rows } = await this.#ask<{ receipt: Buffer }>(
      "SELECT receipt FROM outputs.output WHERE receipt = ANY ($1::bytea[])",
      [receipts.map((receipt) => Buffer.from(fromHex(receipt)))],
    );
    const known = new Set(rows.map(({ receipt }) => toHex(receipt)));
    return receipts.filter((receipt) => !known.has(receipt));
  }

  async forget({ nowMs, countMax }: { readonly nowMs: number; readonly countMax: number }): Promise<number> {
    const expired = await this.#ask("DELETE FROM outputs.output WHERE expires_ms <= $1", [nowMs]);
    const oldest = await this.#ask(
      "DELETE FROM outputs.output WHERE receipt IN (SELECT receipt FROM outputs.output ORDER BY time_ms DESC, receipt OFFSET $1)",
      [countMax],
    );
    return (expired.rowCount ?? 0) + (oldest.rowCount ?? 0);
  }
}

function outputOf({ receipt, time_ms, expires_ms, sketch }: Row): Output {
  const values = new Uint32Array(sketch.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = sketch.readUInt32LE(4 * i);
  return { receipt: toHex(receipt), timeMs: whole(time_ms), expiresMs: whole(expires_ms), sketch: values };
}

function sketchBytes(sketch: Uint32Array): Buffer {
  const bytes = Buffer.allocUnsafe(4 * sketch.length);
  for (const [i, value] of sketch.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

function signed(anchor: number): number {
  return anchor | 0;
}

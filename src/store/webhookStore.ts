import type { Pool } from "pg";
import { z } from "zod";
import { assert, ok, type Result } from "../core/result.ts";
import { type EventType, eventTypes, type KeptEvent } from "../ledger/events.ts";
import type { Webhook, WebhookStore } from "../ledger/webhooks.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";

const types = z.enum(eventTypes);
const webhookSchema = z.object({
  ...{ id: z.string(), url: z.string(), types: z.array(types), subject: z.string() },
  ...{ nextSeq: z.number(), nextKept: z.number(), state: z.enum(["active", "paused"]), failures: z.number() },
  ...{ failingSinceMs: z.number(), retryAtMs: z.number(), lastError: z.string(), createdMs: z.number() },
});
const keptSchema = z.object({ subject: z.string(), data: z.record(z.string(), z.unknown()) });

/** Webhooks and kept events in PostgreSQL, beside the payouts: `payoutStore.ts` makes the tables. */
export class PostgresWebhookStore implements WebhookStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  async webhooks(): Promise<readonly Webhook[]> {
    const { rows } = await this.#ask<{ body: string }>("SELECT body FROM payouts.webhook ORDER BY position", []);
    return rows.map(({ body }) => {
      const parsed = webhookSchema.safeParse(JSON.parse(body));
      assert(parsed.success, "a webhook of our own can be read");
      return parsed.data;
    });
  }

  addWebhook(webhook: Webhook, secret: Uint8Array): Promise<Result<void>> {
    return inTransaction(this.#pool, async (ask) => {
      await ask("INSERT INTO payouts.webhook (id, secret, body) VALUES ($1, $2, $3)", [
        ...[webhook.id, Buffer.from(secret), JSON.stringify(webhook)],
      ]);
      return ok(undefined);
    });
  }

  async saveWebhook(webhook: Webhook): Promise<void> {
    await this.#ask("UPDATE payouts.webhook SET body = $2 WHERE id = $1", [webhook.id, JSON.stringify(webhook)]);
  }

  async removeWebhook(id: string): Promise<boolean> {
    const { rowCount } = await this.#ask("DELETE FROM payouts.webhook WHERE id = $1", [id]);
    return rowCount === 1;
  }

  async secret(id: string): Promise<Uint8Array | undefined> {
    const { rows } = await this.#ask<{ secret: Buffer }>("SELECT secret FROM payouts.webhook WHERE id = $1", [id]);
    return rows[0] === undefined ? undefined : Uint8Array.from(rows[0].secret);
  }

  keep(event: Omit<KeptEvent, "number">): Promise<void> {
    return inTransaction(this.#pool, async (ask) => {
      await lockEvents(ask);
      await keepEvent(ask, event);
      return ok(undefined);
    }).then(() => undefined);
  }

  async lastKept(): Promise<number> {
    const { rows } = await this.#ask<{ last: number | null }>("SELECT max(number) AS last FROM payouts.event", []);
    return rows[0]?.last ?? 0;
  }

  async keptFrom(number: number, limit: number): Promise<readonly KeptEvent[]> {
    const { rows } = await this.#ask<{ number: number; type: string; time_ms: string; body: string }>(
      "SELECT number, type, time_ms, body FROM payouts.event WHERE number >= $1 ORDER BY number LIMIT $2",
      [number, limit],
    );
    return rows.map(readKept);
  }

  async keptOf(type: EventType): Promise<readonly KeptEvent[]> {
    const { rows } = await this.#ask<KeptColumns & Record<string, unknown>>(
      "SELECT number, type, time_ms, body FROM payouts.event WHERE type = $1 ORDER BY number",
      [type],
    );
    return rows.map(readKept);
  }
}

/** Numbers are given in the order in which they are committed: a reader that has seen one has seen all before it. */
export async function lockEvents(ask: Ask): Promise<void> {
  await ask("LOCK TABLE payouts.event IN SHARE ROW EXCLUSIVE MODE", []);
}

/** Under {@link lockEvents}, in a transaction. */
export async function keepEvent(ask: Ask, { type, timeMs, subject, data }: Omit<KeptEvent, "number">): Promise<void> {
  await ask(
    "INSERT INTO payouts.event (number, type, time_ms, body) SELECT coalesce(max(number), 0) + 1, $1, $2, $3 FROM payouts.event",
    [type, timeMs, JSON.stringify({ subject, data })],
  );
}

interface KeptColumns {
  readonly number: number;
  readonly type: string;
  readonly time_ms: string;
  readonly body: string;
}

function readKept(row: KeptColumns): KeptEvent {
  const [type, body] = [types.safeParse(row.type), keptSchema.safeParse(JSON.parse(row.body))];
  assert(type.success && body.success, `kept event ${row.number} can be read`);
  return { number: row.number, type: type.data, timeMs: Number(row.time_ms), ...body.data };
}

import type { Pool } from "pg";
import { z } from "zod";
import { assert, ok } from "../core/result.ts";
import { type ClaimQuery, type ClaimStore, claimedEvent, type KnownClaim } from "../ledger/claims.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";
import { keepEvent, lockEvents } from "./webhookStore.ts";

const bigint = z.string().transform(BigInt);
const bodySchema = z.object({
  ...{ transaction: z.string(), block: z.number(), account: z.string(), epoch: z.number() },
  ...{ nano: bigint, cumulative: bigint },
  fee: z
    .object({
      ...{ relayer: z.string(), nano: bigint, gasUsed: z.number(), gasPriceWei: bigint, microOpenPerEth: z.number() },
    })
    .optional(),
  rate: z.object({ nanoPerUsd: z.number(), source: z.string(), atMs: z.number() }),
});
interface Row extends Record<string, unknown> {
  readonly reference: string;
  readonly payee: string;
  readonly time_ms: string;
  readonly body: string;
}
const READ_UNTIL = "claims";

/** Claims in PostgreSQL, beside the events that tell of them: `payoutStore.ts` makes the tables. */
export class PostgresClaimStore implements ClaimStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  async claimsReadUntil(): Promise<number | undefined> {
    const { rows } = await this.#ask<{ block: string }>("SELECT block FROM payouts.read_until WHERE what = $1", [
      READ_UNTIL,
    ]);
    return rows[0] === undefined ? undefined : Number(rows[0].block);
  }

  async addClaims(claims: readonly KnownClaim[], readUntil: number): Promise<number> {
    const added = await inTransaction(this.#pool, async (ask) => {
      // Two that read the same blocks at the same time take turns, so that the second one finds every claim kept.
      await lockEvents(ask);
      let fresh = 0;
      for (const claim of claims) {
        const { reference, payee, timeMs, ...body } = claim;
        const { rowCount } = await ask(
          "INSERT INTO payouts.claim (reference, payee, time_ms, body) VALUES ($1, $2, $3, $4) ON CONFLICT (reference) DO NOTHING",
          [reference, payee, timeMs, JSON.stringify(body, decimal)],
        );
        if (rowCount === 0) continue;
        fresh += 1;
        await keepEvent(ask, { type: "claimed", timeMs, subject: "", data: claimedEvent(claim) });
      }
      await ask(
        "INSERT INTO payouts.read_until (what, block) VALUES ($1, $2) ON CONFLICT (what) DO UPDATE SET block = greatest(payouts.read_until.block, excluded.block)",
        [READ_UNTIL, readUntil],
      );
      return ok(fresh);
    });
    assert(added.ok, "keeping claims refuses nothing");
    return added.value;
  }

  async claims({ payee, relayer, fromMs, untilMs, limit }: ClaimQuery): Promise<readonly KnownClaim[]> {
    const { rows } = await this.#ask<Row>(
      `SELECT reference, payee, time_ms, body FROM payouts.claim
       WHERE ($1::text IS NULL OR payee = $1) AND ($2::bigint IS NULL OR time_ms >= $2) AND ($3::bigint IS NULL OR time_ms < $3)
       AND ($4::text IS NULL OR body::json -> 'fee' ->> 'relayer' = $4) ORDER BY position LIMIT $5`,
      [payee ?? null, fromMs ?? null, untilMs ?? null, relayer ?? null, Math.min(limit ?? 1_000_000, 1_000_000)],
    );
    return rows.map(read);
  }
}

function decimal(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function read({ reference, payee, time_ms, body }: Row): KnownClaim {
  const parsed = bodySchema.safeParse(JSON.parse(body));
  assert(parsed.success, `claim ${reference} can be read`);
  const { fee, ...rest } = parsed.data;
  return { reference, payee, timeMs: Number(time_ms), ...rest, ...(fee === undefined ? {} : { fee }) };
}

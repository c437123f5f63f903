import type { Pool } from "pg";
import { z } from "zod";
import { assert } from "../core/result.ts";
import type { RelayConsent, RelayStore } from "../ledger/relayPorts.ts";
import type { IncomeUntil } from "../ledger/treasuryIncome.ts";
import { type Ask, asking } from "./transaction.ts";

const bodySchema = z.object({
  terms: z.object({ relayer: z.string(), feeBpsMax: z.number(), rateMax: z.number(), until: z.number() }),
  ...{ signature: z.string(), permitDeadline: z.number(), permit: z.string() },
  ...{ account: z.string(), agreedMs: z.number() },
});

/** Consents to be relayed in PostgreSQL, beside the claims: `payoutStore.ts` makes the tables. */
export class PostgresRelayStore implements RelayStore {
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#ask = asking(pool);
  }

  async consents(): Promise<readonly RelayConsent[]> {
    const { rows } = await this.#ask<{ payee: string; body: string }>(
      "SELECT payee, body FROM payouts.relay_consent ORDER BY payee",
      [],
    );
    return rows.map(({ payee, body }) => {
      const parsed = bodySchema.safeParse(JSON.parse(body));
      assert(parsed.success, `the consent of ${payee} can be read`);
      return { payee, ...parsed.data };
    });
  }

  async putConsent({ payee, ...body }: RelayConsent): Promise<void> {
    await this.#ask(
      "INSERT INTO payouts.relay_consent (payee, body) VALUES ($1, $2) ON CONFLICT (payee) DO UPDATE SET body = excluded.body",
      [payee, JSON.stringify(body)],
    );
  }

  async removeConsent(payee: string): Promise<boolean> {
    const { rowCount } = await this.#ask("DELETE FROM payouts.relay_consent WHERE payee = $1", [payee]);
    return rowCount === 1;
  }

  async income(): Promise<IncomeUntil | undefined> {
    const { rows } = await this.#ask<{ seq: string; nano: string }>("SELECT seq, nano FROM payouts.relay_income", []);
    return rows[0] === undefined ? undefined : { seq: Number(rows[0].seq), nano: BigInt(rows[0].nano) };
  }

  async saveIncome({ seq, nano }: IncomeUntil): Promise<void> {
    await this.#ask(
      "INSERT INTO payouts.relay_income (what, seq, nano) VALUES ('treasury', $1, $2) ON CONFLICT (what) DO UPDATE SET seq = excluded.seq, nano = excluded.nano",
      [seq, String(nano)],
    );
  }

  async lastBatchMs(): Promise<number | undefined> {
    const { rows } = await this.#ask<{ last: string | null }>(
      "SELECT max(time_ms) AS last FROM payouts.relay_batch",
      [],
    );
    const last = rows[0]?.last;
    return last === null || last === undefined ? undefined : Number(last);
  }

  async noteBatch(atMs: number): Promise<void> {
    await this.#ask("INSERT INTO payouts.relay_batch (time_ms) VALUES ($1) ON CONFLICT DO NOTHING", [atMs]);
  }
}

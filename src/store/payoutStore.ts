import type { Pool } from "pg";
import { z } from "zod";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { ClaimStore } from "../ledger/claims.ts";
import type { StatementStore } from "../ledger/issued.ts";
import type { PayeeDetails, Payout, PayoutEnd, PayoutStore } from "../ledger/payouts.ts";
import type { RelayStore } from "../ledger/relayPorts.ts";
import type { WebhookStore } from "../ledger/webhooks.ts";
import { PostgresClaimStore } from "./claimStore.ts";
import { openSchema, quietPool } from "./openSchema.ts";
import { PostgresRelayStore } from "./relayStore.ts";
import { PostgresStatementStore } from "./statementStore.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";
import { PostgresWebhookStore } from "./webhookStore.ts";

/** Numbered and never changed once released. Bodies are JSON text; amounts in nano stand in them as decimal texts. */
const steps: readonly string[] = [
  `CREATE TABLE payouts.details (payee text PRIMARY KEY, body text NOT NULL);
   CREATE TABLE payouts.payout (number integer PRIMARY KEY, status text NOT NULL, reference text NOT NULL, body text NOT NULL);`,
  `CREATE TABLE payouts.statement (number integer PRIMARY KEY, kind text NOT NULL, period text NOT NULL, party text NOT NULL, body text NOT NULL, UNIQUE (period, party, kind));
   CREATE INDEX statement_party ON payouts.statement (party, number);`,
  `CREATE TABLE payouts.webhook (id text PRIMARY KEY, position bigserial, secret bytea NOT NULL, body text NOT NULL);
   CREATE TABLE payouts.event (number integer PRIMARY KEY, type text NOT NULL, time_ms bigint NOT NULL, body text NOT NULL);`,
  `CREATE TABLE payouts.claim (reference text PRIMARY KEY, position bigserial, payee text NOT NULL, time_ms bigint NOT NULL, body text NOT NULL);
   CREATE INDEX claim_payee ON payouts.claim (payee, position);
   CREATE INDEX claim_time ON payouts.claim (time_ms);
   CREATE TABLE payouts.read_until (what text PRIMARY KEY, block bigint NOT NULL);`,
  `CREATE TABLE payouts.relay_consent (payee text PRIMARY KEY, body text NOT NULL);
   CREATE TABLE payouts.relay_batch (time_ms bigint PRIMARY KEY);`,
  `CREATE TABLE payouts.relay_income (what text PRIMARY KEY, seq bigint NOT NULL, nano numeric NOT NULL);`,
  `CREATE TABLE payouts.issuer (one boolean PRIMARY KEY CHECK (one), body text NOT NULL);`,
];

const detailsSchema = z.object({
  ...{ payee: z.string(), legalName: z.string(), country: z.string(), iban: z.string() },
  ...{ taxId: z.string().optional(), bic: z.string().optional(), withholdingBps: z.number().int() },
});
const bodySchema = z.object({
  ...{ createdMs: z.number(), currency: z.string(), nanoPerUnit: z.number(), epoch: z.number() },
  lines: z.array(
    z.object({
      ...{ payee: z.string(), nano: z.string().transform(BigInt) },
      ...{ gross: z.number(), withheld: z.number(), net: z.number(), details: detailsSchema.optional() },
    }),
  ),
  movedTo: z.object({ datanet: z.string(), to: z.string() }).optional(),
  paid: z.object({ nanoPerUsd: z.number(), source: z.string(), atMs: z.number() }).optional(),
});
const statusSchema = z.enum(["open", "paid", "cancelled"]);

interface Row {
  readonly number: number;
  readonly status: string;
  readonly reference: string;
  readonly body: string;
}

export interface OpenPayoutStore extends PayoutStore {
  /** These stand in the same schema. */
  readonly statements: StatementStore;
  readonly webhooks: WebhookStore;
  readonly claims: ClaimStore;
  readonly relays: RelayStore;
  close(): Promise<void>;
}

/** Payouts and payees' details in PostgreSQL, in a schema of their own: what is personal can be erased there, and is nowhere else. */
export async function openPayoutStore(options: { readonly url: string }): Promise<Result<OpenPayoutStore>> {
  return openSchema(quietPool(options.url, "payouts"), "payouts", steps, (pool) => new PostgresPayoutStore(pool));
}

class PostgresPayoutStore implements OpenPayoutStore {
  readonly #pool: Pool;
  readonly #ask: Ask;
  readonly statements: StatementStore;
  readonly webhooks: WebhookStore;
  readonly claims: ClaimStore;
  readonly relays: RelayStore;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
    this.statements = new PostgresStatementStore(pool);
    this.webhooks = new PostgresWebhookStore(pool);
    this.claims = new PostgresClaimStore(pool);
    this.relays = new PostgresRelayStore(pool);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  async details(payee: string): Promise<PayeeDetails | undefined> {
    const { rows } = await this.#ask<{ body: string }>("SELECT body FROM payouts.details WHERE payee = $1", [payee]);
    return rows[0] === undefined ? undefined : readDetails(rows[0].body);
  }

  async allDetails(): Promise<readonly PayeeDetails[]> {
    const { rows } = await this.#ask<{ body: string }>("SELECT body FROM payouts.details ORDER BY payee", []);
    return rows.map(({ body }) => readDetails(body));
  }

  async putDetails(details: PayeeDetails): Promise<void> {
    await this.#ask(
      "INSERT INTO payouts.details (payee, body) VALUES ($1, $2) ON CONFLICT (payee) DO UPDATE SET body = excluded.body",
      [details.payee, JSON.stringify(details)],
    );
  }

  async removeDetails(payee: string): Promise<boolean> {
    const { rowCount } = await this.#ask("DELETE FROM payouts.details WHERE payee = $1", [payee]);
    return rowCount === 1;
  }

  async payouts(): Promise<readonly Payout[]> {
    const { rows } = await this.#ask<Row & Record<string, unknown>>(
      "SELECT number, status, reference, body FROM payouts.payout ORDER BY number",
      [],
    );
    return rows.map(readPayout);
  }

  async payout(number: number): Promise<Payout | undefined> {
    if (!Number.isSafeInteger(number) || number < 1 || number >= 2 ** 31) return undefined;
    return one(this.#ask, number, "");
  }

  addPayout(payout: Payout): Promise<Result<Payout>> {
    const { number, status, reference } = payout;
    return inTransaction(this.#pool, async (ask) => {
      // One at a time: two payouts over the same balances would pay them twice.
      await ask("LOCK TABLE payouts.payout IN SHARE ROW EXCLUSIVE MODE", []);
      const { rows } = await ask<{ last: number | null }>("SELECT max(number) AS last FROM payouts.payout", []);
      if ((rows[0]?.last ?? 0) + 1 !== number)
        return refuse("conflict", "somebody else made a payout at the same time", {
          hint: "look again, then try again",
        });
      await ask("INSERT INTO payouts.payout (number, status, reference, body) VALUES ($1, $2, $3, $4)", [
        ...[number, status, reference, bodyOf(payout)],
      ]);
      return ok(payout);
    });
  }

  endPayout(number: number, end: PayoutEnd): Promise<Result<Payout>> {
    const { status, reference } = end;
    return inTransaction(this.#pool, async (ask) => {
      const found = await one(ask, number, " FOR UPDATE");
      if (found === undefined) return refuse("not_found", `there is no payout ${number}`);
      if (found.status === status && found.reference === reference) return ok(found);
      if (found.status !== "open")
        return refuse("conflict", `payout ${number} is ${found.status} already: ${found.reference}`);
      const ended: Payout = { ...found, ...end };
      await ask("UPDATE payouts.payout SET status = $2, reference = $3, body = $4 WHERE number = $1", [
        ...[number, status, reference, bodyOf(ended)],
      ]);
      return ok(ended);
    });
  }
}

async function one(ask: Ask, number: number, lock: "" | " FOR UPDATE"): Promise<Payout | undefined> {
  const { rows } = await ask<Row & Record<string, unknown>>(
    `SELECT number, status, reference, body FROM payouts.payout WHERE number = $1${lock}`,
    [number],
  );
  return rows[0] === undefined ? undefined : readPayout(rows[0]);
}

function bodyOf({ number: _number, status: _status, reference: _reference, ...body }: Payout): string {
  return JSON.stringify(body, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function readPayout({ number, status, reference, body }: Row): Payout {
  const parsed = bodySchema.safeParse(JSON.parse(body));
  const known = statusSchema.safeParse(status);
  assert(parsed.success && known.success, `payout ${number} can be read`);
  const { movedTo, paid, ...rest } = parsed.data;
  const lines = rest.lines.map(({ details, ...line }) => ({
    ...line,
    ...(details === undefined ? {} : { details: present(details) }),
  }));
  const more = { ...(movedTo === undefined ? {} : { movedTo }), ...(paid === undefined ? {} : { paid }) };
  return { ...rest, number, status: known.data, reference, lines, ...more };
}

function readDetails(body: string): PayeeDetails {
  const parsed = detailsSchema.safeParse(JSON.parse(body));
  assert(parsed.success, "a payee's details can be read");
  return present(parsed.data);
}

function present({ taxId, bic, ...rest }: z.infer<typeof detailsSchema>): PayeeDetails {
  return { ...rest, ...(taxId === undefined ? {} : { taxId }), ...(bic === undefined ? {} : { bic }) };
}

import type { Pool } from "pg";
import { z } from "zod";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { IssuedStatement, StatementStore } from "../ledger/issued.ts";
import type { Issuer } from "../ledger/issuer.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";

const bigint = z.string().transform(BigInt);
const bodySchema = z.object({
  ...{ issuedMs: z.number(), nanoPerUsd: z.number(), nano: bigint, microUsd: bigint, hash: z.string() },
  kind: z.enum(["statement", "credit_note"]),
  party: z.object({ type: z.enum(["payee", "account"]), id: z.string(), name: z.string(), taxId: z.string() }),
  entries: z.object({ from: z.number(), until: z.number() }),
  lines: z.array(
    z.object({
      kind: z.enum(["earned", "spent", "pool", "correction", "transfer", "paid"]),
      ...{
        role: z.string(),
        of: z.string(),
        nanoPerUsd: z.number(),
        count: z.number(),
        nano: bigint,
        microUsd: bigint,
      },
    }),
  ),
  claims: z
    .array(
      z.object({
        ...{ reference: z.string(), way: z.enum(["chain", "bank"]), timeMs: z.number(), nano: bigint, feeNano: bigint },
        ...{ nanoPerUsd: z.number(), source: z.string(), microUsd: bigint, accrualMicroUsd: bigint.optional() },
      }),
    )
    .default([]),
  issuer: z.object({ name: z.string(), address: z.string(), taxId: z.string() }).optional(),
  due: z.string().optional(),
});
const issuerSchema = z.object({
  ...{ name: z.string(), address: z.string(), taxId: z.string(), dueDays: z.number().optional() },
});
interface Row extends Record<string, unknown> {
  readonly number: number;
  readonly period: string;
  readonly body: string;
}

/** Issued statements in PostgreSQL, beside the payouts: `payoutStore.ts` makes the table. */
export class PostgresStatementStore implements StatementStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  async lastNumber(): Promise<number> {
    const { rows } = await this.#ask<{ last: number | null }>("SELECT max(number) AS last FROM payouts.statement", []);
    return rows[0]?.last ?? 0;
  }

  async list(query: {
    readonly period?: string;
    readonly party?: string;
    readonly limit: number;
  }): Promise<readonly IssuedStatement[]> {
    const { rows } = await this.#ask<Row>(
      `SELECT number, period, body FROM payouts.statement
       WHERE ($1::text IS NULL OR period = $1) AND ($2::text IS NULL OR party = $2) ORDER BY number LIMIT $3`,
      [query.period ?? null, query.party ?? null, Math.min(query.limit, 1_000_000)],
    );
    return rows.map(read);
  }

  async get(number: number): Promise<IssuedStatement | undefined> {
    const { rows } = await this.#ask<Row>("SELECT number, period, body FROM payouts.statement WHERE number = $1", [
      number,
    ]);
    return rows[0] === undefined ? undefined : read(rows[0]);
  }

  async issuer(): Promise<Issuer | undefined> {
    const { rows } = await this.#ask<{ body: string }>("SELECT body FROM payouts.issuer", []);
    if (rows[0] === undefined) return undefined;
    const { dueDays, ...issuer } = issuerSchema.parse(JSON.parse(rows[0].body));
    return { ...issuer, ...(dueDays === undefined ? {} : { dueDays }) };
  }

  async setIssuer(issuer: Issuer): Promise<void> {
    await this.#ask(
      "INSERT INTO payouts.issuer (one, body) VALUES (true, $1) ON CONFLICT (one) DO UPDATE SET body = EXCLUDED.body",
      [JSON.stringify(issuer)],
    );
  }

  add(statements: readonly IssuedStatement[]): Promise<Result<void>> {
    const first = statements[0]?.number;
    if (first === undefined) return Promise.resolve(ok(undefined));
    return inTransaction(this.#pool, async (ask) => {
      await ask("LOCK TABLE payouts.statement IN SHARE ROW EXCLUSIVE MODE", []);
      const { rows } = await ask<{ last: number | null }>("SELECT max(number) AS last FROM payouts.statement", []);
      if ((rows[0]?.last ?? 0) + 1 !== first)
        return refuse("conflict", "somebody else issued statements at the same time", { hint: "issue them again" });
      await ask(
        "INSERT INTO payouts.statement (number, kind, period, party, body) SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])",
        [
          statements.map(({ number }) => number),
          statements.map(({ kind }) => kind),
          statements.map(({ period }) => period),
          statements.map(({ party }) => party.id),
          statements.map(({ number: _number, period: _period, ...body }) => JSON.stringify(body, decimal)),
        ],
      );
      return ok(undefined);
    });
  }
}

function decimal(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function read({ number, period, body }: Row): IssuedStatement {
  const parsed = bodySchema.safeParse(JSON.parse(body));
  assert(parsed.success, `statement ${number} can be read`);
  const claims = parsed.data.claims.map(({ accrualMicroUsd, ...claim }) => ({
    ...{ ...claim, ...(accrualMicroUsd === undefined ? {} : { accrualMicroUsd }) },
  }));
  const { issuer, due, ...rest } = parsed.data;
  return { number, period, ...rest, claims, ...(issuer && { issuer }), ...(due === undefined ? {} : { due }) };
}

import type { Pool, PoolClient } from "pg";
import { decodeEntry } from "../core/entry.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { AuditRow } from "../ledger/audit.ts";
import type { Spending } from "../ledger/ledger.ts";
import type { Organisation } from "../ledger/organisations.ts";
import type {
  AppendBatch,
  EpochMark,
  IdempotencyRow,
  LedgerStore,
  MovementKind,
  MovementSum,
  StoredEntry,
  StoredKey,
  Takeover,
} from "../ledger/ports.ts";
import { type AccountJson, accountOf, appendIn, follows, hasBatch } from "./ledgerAppend.ts";
import { ledgerSteps } from "./ledgerMigrations.ts";
import { openSchema } from "./openSchema.ts";
import { storeRefusal, whole } from "./storeErrors.ts";
import { type Ask, asking } from "./transaction.ts";

export interface LedgerStoreOptions {
  /** A PostgreSQL connection string. */
  readonly url: string;
  readonly connections?: number;
}

export interface OpenLedgerStore extends LedgerStore {
  close(): Promise<void>;
}

const CHUNK = 2_000;

/** Ledgers in PostgreSQL. Refuses with `store_unavailable` where the server cannot be reached or its schema is newer than this program. */
export async function openLedgerStore(options: LedgerStoreOptions): Promise<Result<OpenLedgerStore>> {
  const config = {
    ...{ connectionString: options.url, max: options.connections ?? 8, connectionTimeoutMillis: 10_000 },
    ...{ statement_timeout: 60_000, lock_timeout: 45_000, application_name: "openledger", keepAlive: true },
    // A process that froze in the middle of an append would keep its place from whoever takes over.
    idle_in_transaction_session_timeout: 20_000,
  };
  return openSchema(config, "ledger", ledgerSteps, (pool) => new PostgresLedgerStore(pool));
}

class PostgresLedgerStore implements OpenLedgerStore {
  readonly #pool: Pool;
  /** For what is only read: throws a {@link RefusalError} where the database is away. */
  readonly #ask: Ask;
  /** A session that the last append left: taking one from the pool and giving it back costs as much as a statement. */
  #kept: PoolClient | undefined;
  readonly #keptBroke = (): void => this.#take()?.release(true);

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  close(): Promise<void> {
    this.#take()?.release();
    return this.#pool.end();
  }

  async takeOver(ledger: Uint8Array): Promise<Result<Takeover>> {
    try {
      const shard = await this.#pool.query<{ term: string }>(
        "INSERT INTO ledger.shard AS s VALUES ($1, 1) ON CONFLICT (ledger) DO UPDATE SET term = s.term + 1 RETURNING term",
        [ledger],
      );
      return ok(await this.#standing(ledger, whole(shard.rows[0]!.term)));
    } catch (error) {
      return { ok: false, error: storeRefusal(error) };
    }
  }

  async append(batch: AppendBatch): ReturnType<LedgerStore["append"]> {
    const { entries } = batch;
    assert(
      entries.every((entry, i) => entry.seq === entries[0]!.seq + i),
      "a batch's seqs follow each other",
    );
    let client: PoolClient | undefined;
    try {
      client = this.#take() ?? (await this.#session());
      const fenced = await appendIn(client, batch);
      this.#keep(client);
      return fenced ? refuse("writer_fenced", "another writer has taken the ledger over") : ok(undefined);
    } catch (error) {
      // A connection that failed in the middle of a transaction is not given back.
      client?.release(true);
      return { ok: false, error: storeRefusal(error) };
    }
  }

  async settle(batch: AppendBatch): ReturnType<LedgerStore["settle"]> {
    let client: PoolClient | undefined;
    try {
      client = await this.#session();
      await client.query("BEGIN");
      // Waits until no append of this ledger is under way.
      const shard = await client.query<{ term: string }>("SELECT term FROM ledger.shard WHERE ledger = $1 FOR UPDATE", [
        batch.ledger,
      ]);
      const isWritten = await hasBatch(client, batch);
      const isSetBack = !isWritten && !(await follows(client, batch));
      await client.query("COMMIT");
      client.release();
      if (isWritten) return ok("written");
      if (isSetBack)
        return refuse("data_folder_damaged", "the database was set back: entries that were written are not there", {
          hint: "put its newest state back, then restart the node",
        });
      if (whole(shard.rows[0]?.term ?? "0") !== batch.term)
        return refuse("writer_fenced", "another writer has taken the ledger over");
      return ok("absent");
    } catch (error) {
      client?.release(true);
      return { ok: false, error: storeRefusal(error) };
    }
  }

  async *entries(ledger: Uint8Array, from: number, until: number): AsyncGenerator<StoredEntry> {
    for (let next = from; next < until; next += CHUNK) {
      const { rows } = await this.#ask<EntryColumns>(
        "SELECT seq, bytes FROM ledger.entry WHERE ledger = $1 AND seq >= $2 AND seq < $3 ORDER BY seq",
        [ledger, next, Math.min(next + CHUNK, until)],
      );
      for (const row of rows) yield storedEntry(row);
    }
  }

  async receipt(ledger: Uint8Array, id: Uint8Array): ReturnType<LedgerStore["receipt"]> {
    const { rows } = await this.#ask<EntryColumns & { opening: string | null }>(
      `SELECT e.seq, e.bytes, o.opening FROM ledger.entry e LEFT JOIN ledger.opening o ON o.ledger = e.ledger AND o.receipt = e.receipt
       WHERE e.ledger = $1 AND e.receipt = $2 AND e.kind = 6`,
      [ledger, id],
    );
    const [row] = rows;
    return row === undefined ? undefined : { ...storedEntry(row), opening: row.opening ?? undefined };
  }

  async receipts(ledger: Uint8Array, query: Parameters<LedgerStore["receipts"]>[1]): Promise<readonly StoredEntry[]> {
    // The account's pseudonym stands at a fixed place of every receipt.
    const { rows } = await this.#ask<EntryColumns>(
      `SELECT seq, bytes FROM ledger.entry WHERE ledger = $1 AND kind = 6 AND seq < $2
       AND ($4::bytea IS NULL OR substring(bytes FROM 165 FOR 16) = $4) ORDER BY seq DESC LIMIT $3`,
      [ledger, query.beforeSeq, query.limit, query.pseudonym ?? null],
    );
    return rows.map(storedEntry);
  }

  async corrections(ledger: Uint8Array, receipt: Uint8Array): Promise<readonly StoredEntry[]> {
    const { rows } = await this.#ask<EntryColumns>(
      "SELECT seq, bytes FROM ledger.entry WHERE ledger = $1 AND receipt = $2 AND kind = 9 ORDER BY seq",
      [ledger, receipt],
    );
    return rows.map(storedEntry);
  }

  async idempotency(ledger: Uint8Array, account: string, key: string): ReturnType<LedgerStore["idempotency"]> {
    const [row] = await this.idempotencies(ledger, account, [key]);
    return row;
  }

  async idempotencies(
    ledger: Uint8Array,
    account: string,
    keys: readonly string[],
  ): ReturnType<LedgerStore["idempotencies"]> {
    return this.#idempotencyRows("ledger = $1 AND account = $2 AND key = ANY ($3)", [ledger, account, keys]);
  }

  reported(ledger: Uint8Array, receipt: Uint8Array): ReturnType<LedgerStore["reported"]> {
    return this.#idempotencyRows("ledger = $1 AND account = 'reported' AND receipt = $2", [ledger, receipt]);
  }

  caused(ledger: Uint8Array, responses: readonly string[]): ReturnType<LedgerStore["caused"]> {
    const where = "ledger = $1 AND account = 'reported' AND response = ANY ($2) ORDER BY key LIMIT 200";
    return this.#idempotencyRows(where, [ledger, responses]);
  }

  async #idempotencyRows(where: string, values: readonly unknown[]): Promise<readonly IdempotencyRow[]> {
    const { rows } = await this.#ask<IdempotencyColumns>(
      `SELECT account, key, body_hash, receipt, response FROM ledger.idempotency WHERE ${where}`,
      [...values],
    );
    return rows.map(({ account, key, body_hash, receipt, response }) => ({
      ...{ account, key, bodyHash: new Uint8Array(body_hash), receipt: new Uint8Array(receipt) },
      response: response ?? undefined,
    }));
  }

  async movement(ledger: Uint8Array, reference: string): ReturnType<LedgerStore["movement"]> {
    const { rows } = await this.#ask<MovementColumns>(
      "SELECT kind, party, amount, block, note, time_ms FROM ledger.movement WHERE ledger = $1 AND reference = $2",
      [ledger, reference],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const { kind, party, note } = row;
    const numbers = { amount: whole(row.amount), block: whole(row.block), timeMs: whole(row.time_ms) };
    return { kind, reference, party, note, ...numbers };
  }

  async epochLeaves(ledger: Uint8Array, epoch: number): ReturnType<LedgerStore["epochLeaves"]> {
    const { rows } = await this.#ask<{ payouts: Buffer; debits: Buffer }>(
      "SELECT payouts, debits FROM ledger.epoch_leaves WHERE ledger = $1 AND epoch = $2",
      [ledger, epoch],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    return { epoch, payouts: new Uint8Array(row.payouts), debits: new Uint8Array(row.debits) };
  }

  async spending(ledger: Uint8Array, from: number, until: number): Promise<readonly Spending[]> {
    const { rows } = await this.#ask<Record<"nano" | "receipts" | "tokens" | "key", string> & { day: number }>(
      "SELECT day, key, nano, receipts, tokens FROM ledger.spending WHERE ledger = $1 AND day >= $2 AND day < $3 ORDER BY day, key",
      [ledger, from, until],
    );
    return rows.map(({ day, key, nano, receipts, tokens }) => ({
      ...{ day, key, nano: bounded(nano), receipts: whole(receipts), tokens: bounded(tokens) },
    }));
  }

  async audits(
    ledger: Uint8Array,
    log: string,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Promise<readonly AuditRow[]> {
    const { rows } = await this.#ask<{
      number: string;
      hash: string;
      row: Omit<AuditRow, "log" | "number" | "hash">;
    }>(
      "SELECT number, hash, row FROM ledger.audit WHERE ledger = $1 AND log = $2 AND number > $3 ORDER BY number LIMIT $4",
      [ledger, log, after, limit],
    );
    return rows.map(({ number, hash, row }) => ({ ...row, log, number: whole(number), hash }));
  }

  /** A session of one's own. Between two statements nobody else listens, and a connection that breaks then would end the process. */
  async #session(): Promise<PoolClient> {
    const client = await this.#pool.connect();
    if (client.listenerCount("error") === 0) client.on("error", () => undefined);
    return client;
  }

  /** For the next append. One that breaks until then is ended, like any other that is idle. */
  #keep(client: PoolClient): void {
    if (this.#kept !== undefined || this.#pool.ending) return client.release();
    this.#kept = client;
    client.once("error", this.#keptBroke);
  }

  #take(): PoolClient | undefined {
    const kept = this.#kept;
    kept?.off("error", this.#keptBroke);
    this.#kept = undefined;
    return kept;
  }

  async #standing(ledger: Uint8Array, term: number): Promise<Takeover> {
    const all = <T extends object>(text: string) => this.#pool.query<T>(text, [ledger]).then(({ rows }) => rows);
    const [last] = await all<{ seq: string | null }>("SELECT max(seq) AS seq FROM ledger.entry WHERE ledger = $1");
    const accounts = await all<{ account: AccountJson }>(
      "SELECT account FROM ledger.account WHERE ledger = $1 ORDER BY position",
    );
    const keys = await all<{ hash: Buffer; key: Omit<StoredKey, "hash"> }>(
      "SELECT hash, key FROM ledger.api_key WHERE ledger = $1 ORDER BY position",
    );
    const movements = await all<{ kind: MovementKind; party: string; amount: string }>(
      "SELECT kind, party, sum(amount)::text AS amount FROM ledger.movement WHERE ledger = $1 GROUP BY kind, party",
    );
    const organisations = await all<{ organisation: Organisation }>(
      "SELECT organisation FROM ledger.organisation WHERE ledger = $1 ORDER BY position",
    );
    const heads = await all<{ log: string; number: string; hash: string }>(
      "SELECT DISTINCT ON (log) log, number, hash FROM ledger.audit WHERE ledger = $1 ORDER BY log, number DESC",
    );
    const marks = await all<{ epoch: string; status: EpochMark["status"]; reference: string }>(
      "SELECT epoch, status, reference FROM ledger.epoch_mark WHERE ledger = $1 ORDER BY epoch",
    );
    const epochs = await all<{ bytes: Buffer }>(
      "SELECT bytes FROM ledger.entry WHERE ledger = $1 AND kind = 11 ORDER BY seq",
    );
    const [checkpoint] = await all<{ seq: string; state: Buffer }>(
      "SELECT seq, state FROM ledger.checkpoint WHERE ledger = $1",
    );
    return {
      ...{ term, lastSeq: last?.seq === null || last === undefined ? -1 : whole(last.seq) },
      accounts: accounts.map((row) => accountOf(row.account)),
      keys: keys.map((row) => ({ ...row.key, hash: new Uint8Array(row.hash) })),
      movements: movements.map((row): MovementSum => ({ ...row, amount: BigInt(row.amount) })),
      organisations: organisations.map((row) => row.organisation),
      auditHeads: heads.map((row) => ({ ...row, number: whole(row.number) })),
      epochMarks: marks.map((row) => ({ ...row, epoch: whole(row.epoch) })),
      epochEnds: epochs.map((row) => endOf(row.bytes)),
      checkpoint:
        checkpoint === undefined ? undefined : { seq: whole(checkpoint.seq), state: new Uint8Array(checkpoint.state) },
    };
  }
}

interface EntryColumns {
  readonly seq: string;
  readonly bytes: Buffer;
}

interface IdempotencyColumns {
  readonly account: string;
  readonly key: string;
  readonly body_hash: Buffer;
  readonly receipt: Buffer;
  readonly response: string | null;
}

interface MovementColumns {
  readonly kind: MovementKind;
  readonly party: string;
  readonly amount: string;
  readonly block: string;
  readonly note: string;
  readonly time_ms: string;
}

/** A sum that no limit reaches is as good as the largest whole number. */
function bounded(sum: string): number {
  return Math.min(Number(sum), Number.MAX_SAFE_INTEGER);
}

function storedEntry(row: EntryColumns): StoredEntry {
  return { seq: whole(row.seq), bytes: new Uint8Array(row.bytes) };
}

function endOf(bytes: Uint8Array): number {
  const entry = decodeEntry(new Uint8Array(bytes));
  assert(entry.ok && entry.value.kind === "epoch", "a row of kind epoch holds one");
  return entry.value.epoch.end;
}

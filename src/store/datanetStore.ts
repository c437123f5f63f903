import { Pool, type PoolClient } from "pg";
import type { Hex } from "../core/bytes.ts";
import { assert, ok, RefusalError, type Result, refuse } from "../core/result.ts";
import type { Binding } from "../datanets/binding.ts";
import type { ContextAsset } from "../datanets/context.ts";
import type { Contribution, ContributionStatus, Decision, PreparedContribution } from "../datanets/contribution.ts";
import type { Datanet } from "../datanets/datanet.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { decide } from "../datanets/review.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { BuiltVersion, DatanetVersion } from "../datanets/version.ts";
import { migrate } from "./migrate.ts";
import { isUniqueViolation, storeRefusal } from "./storeErrors.ts";

export interface OpenDatanetStore extends DatanetStore {
  close(): Promise<void>;
}

/** Objects stand as JSON text and not as jsonb, so that they come back to the letter: ids are hashes over them. */
const steps = [
  `CREATE TABLE datanets.datanet (name text PRIMARY KEY, id text UNIQUE NOT NULL, position bigserial, secret bytea NOT NULL, body text NOT NULL);
   CREATE TABLE datanets.contribution (
     datanet text NOT NULL REFERENCES datanets.datanet, id text NOT NULL, number integer NOT NULL, status text NOT NULL, body text NOT NULL,
     PRIMARY KEY (datanet, id), UNIQUE (datanet, number));
   CREATE TABLE datanets.record (
     datanet text NOT NULL, contribution text NOT NULL, position integer NOT NULL, id text NOT NULL, body text NOT NULL,
     PRIMARY KEY (datanet, contribution, position));
   CREATE INDEX record_id ON datanets.record (datanet, contribution, id);
   CREATE TABLE datanets.version (datanet text NOT NULL REFERENCES datanets.datanet, number integer NOT NULL, body text NOT NULL, PRIMARY KEY (datanet, number));
   CREATE TABLE datanets.context (id text PRIMARY KEY, body text NOT NULL);
   CREATE TABLE datanets.binding (datanet text NOT NULL REFERENCES datanets.datanet, identity text NOT NULL, body text NOT NULL, PRIMARY KEY (datanet, identity));`,
];

/** Datanets in PostgreSQL. Refuses with `store_unavailable`; methods that return plain values throw a `RefusalError` with it. */
export async function openDatanetStore(options: { readonly url: string }): Promise<Result<OpenDatanetStore>> {
  const pool = new Pool({
    ...{ connectionString: options.url, max: 4, connectionTimeoutMillis: 10_000 },
    ...{ statement_timeout: 120_000, application_name: "openledger datanets" },
  });
  pool.on("error", () => undefined);
  try {
    const { newer } = await migrate(pool, "datanets", steps);
    if (newer === undefined) return ok(new PostgresDatanetStore(pool));
    await pool.end();
    return refuse("store_unavailable", `the database is at step ${newer} of a newer OpenLedger`);
  } catch (error) {
    await pool.end();
    return { ok: false, error: storeRefusal(error) };
  }
}

class PostgresDatanetStore implements OpenDatanetStore {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  async createDatanet(datanet: Datanet, secret: Uint8Array): Promise<Result<Datanet>> {
    assert(secret.length >= 32, "a datanet secret has at least 32 bytes");
    return this.#inTransaction(async (client) => {
      const { rowCount } = await client.query(
        "INSERT INTO datanets.datanet (name, id, secret, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [datanet.name, datanet.id, Buffer.from(secret), JSON.stringify(datanet)],
      );
      return rowCount === 1 ? ok(datanet) : refuse("already_exists", `datanet ${datanet.name} exists`);
    });
  }

  async datanet(name: string): Promise<Datanet | undefined> {
    const [found] = await this.#bodies<Datanet>("SELECT body FROM datanets.datanet WHERE name = $1", [name]);
    return found;
  }

  datanets(): Promise<readonly Datanet[]> {
    return this.#bodies<Datanet>("SELECT body FROM datanets.datanet ORDER BY position", []);
  }

  async datanetSecret(name: string): Promise<Uint8Array | undefined> {
    const rows = await this.#rows<{ secret: Buffer }>("SELECT secret FROM datanets.datanet WHERE name = $1", [name]);
    return rows[0] === undefined ? undefined : new Uint8Array(rows[0].secret);
  }

  addContribution(prepared: Pick<PreparedContribution, "contribution" | "records">): Promise<Result<Contribution>> {
    const { datanet, id } = prepared.contribution;
    return this.#inTransaction(async (client) => {
      if (!(await lockDatanet(client, datanet))) return unknownDatanet(datanet);
      const { rows } = await client.query<{ number: number }>(
        "SELECT count(*)::int AS number FROM datanets.contribution WHERE datanet = $1",
        [datanet],
      );
      const contribution = { ...prepared.contribution, number: rows[0]!.number + 1 };
      const { rowCount } = await client.query(
        "INSERT INTO datanets.contribution VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        [datanet, id, contribution.number, contribution.status, JSON.stringify(contribution)],
      );
      if (rowCount !== 1) return refuse("already_exists", `contribution ${id} was put in before`);
      const { records } = prepared;
      await client.query(
        "INSERT INTO datanets.record SELECT $1, $2, * FROM unnest($3::int[], $4::text[], $5::text[])",
        [
          datanet,
          id,
          records.map((_, i) => i),
          records.map((record) => record.id),
          records.map((record) => JSON.stringify(record)),
        ],
      );
      return ok(contribution);
    });
  }

  async contribution(datanet: string, id: Hex): Promise<Contribution | undefined> {
    const [found] = await this.#bodies<Contribution>(
      "SELECT body FROM datanets.contribution WHERE datanet = $1 AND id = $2",
      [datanet, id],
    );
    return found;
  }

  contributions(datanet: string, status?: ContributionStatus): Promise<readonly Contribution[]> {
    return this.#bodies<Contribution>(
      "SELECT body FROM datanets.contribution WHERE datanet = $1 AND ($2::text IS NULL OR status = $2) ORDER BY number",
      [datanet, status ?? null],
    );
  }

  contributionRecords(datanet: string, id: Hex): Promise<readonly DatanetRecord[]> {
    return this.#bodies<DatanetRecord>(
      "SELECT body FROM datanets.record WHERE datanet = $1 AND contribution = $2 ORDER BY position",
      [datanet, id],
    );
  }

  decide(datanet: string, id: Hex, decision: Decision): Promise<Result<Contribution>> {
    return this.#inTransaction(async (client) => {
      if (!(await lockDatanet(client, datanet))) return unknownDatanet(datanet);
      const net = await bodyIn<Datanet>(client, "SELECT body FROM datanets.datanet WHERE name = $1", [datanet]);
      const contribution = await bodyIn<Contribution>(
        client,
        "SELECT body FROM datanets.contribution WHERE datanet = $1 AND id = $2",
        [datanet, id],
      );
      if (net === undefined || contribution === undefined)
        return refuse("not_found", `datanet ${datanet} has no contribution ${id}`);
      const decided = decide(net, contribution, decision);
      if (!decided.ok) return decided;
      await client.query("UPDATE datanets.contribution SET status = $3, body = $4 WHERE datanet = $1 AND id = $2", [
        ...[datanet, id, decided.value.status, JSON.stringify(decided.value)],
      ]);
      return decided;
    });
  }

  addVersion({ version }: BuiltVersion, context: ContextAsset): Promise<Result<DatanetVersion>> {
    assert(version.context === context.id, "a version is stored with its own context");
    return this.#inTransaction(async (client) => {
      if (!(await lockDatanet(client, version.datanet))) return unknownDatanet(version.datanet);
      const { rows } = await client.query<{ next: number }>(
        "SELECT count(*)::int + 1 AS next FROM datanets.version WHERE datanet = $1",
        [version.datanet],
      );
      const { next } = rows[0]!;
      if (version.number !== next)
        return refuse("conflict", `version ${next} of ${version.datanet} comes next, got ${version.number}`);
      await client.query("INSERT INTO datanets.context VALUES ($1, $2) ON CONFLICT DO NOTHING", [
        context.id,
        JSON.stringify(context),
      ]);
      await client.query("INSERT INTO datanets.version VALUES ($1, $2, $3)", [
        version.datanet,
        version.number,
        JSON.stringify(version),
      ]);
      return ok(version);
    });
  }

  async version(datanet: string, number?: number): Promise<DatanetVersion | undefined> {
    const [found] = await this.#bodies<DatanetVersion>(
      "SELECT body FROM datanets.version WHERE datanet = $1 AND ($2::int IS NULL OR number = $2) ORDER BY number DESC LIMIT 1",
      [datanet, number ?? null],
    );
    return found;
  }

  versions(datanet: string): Promise<readonly DatanetVersion[]> {
    return this.#bodies<DatanetVersion>("SELECT body FROM datanets.version WHERE datanet = $1 ORDER BY number", [
      datanet,
    ]);
  }

  async versionRecords(datanet: string, number: number): Promise<readonly DatanetRecord[]> {
    const version = await this.version(datanet, number);
    if (version === undefined) return [];
    return this.#bodies<DatanetRecord>(
      `SELECT r.body FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS wanted (contribution, id, position)
       JOIN LATERAL (SELECT body FROM datanets.record WHERE datanet = $1 AND contribution = wanted.contribution AND id = wanted.id LIMIT 1) r ON true
       ORDER BY wanted.position`,
      [datanet, version.records.map((record) => record.contributionId), version.records.map((record) => record.id)],
    );
  }

  async context(id: Hex): Promise<ContextAsset | undefined> {
    const [found] = await this.#bodies<ContextAsset>("SELECT body FROM datanets.context WHERE id = $1", [id]);
    return found;
  }

  saveBinding(datanet: string, current: Binding | undefined, next: Binding): Promise<Result<Binding>> {
    return this.#inTransaction(async (client) => {
      if (!(await lockDatanet(client, datanet))) return unknownDatanet(datanet);
      const stored = await bodyIn<Binding>(
        client,
        "SELECT body FROM datanets.binding WHERE datanet = $1 AND identity = $2",
        [datanet, next.identity],
      );
      const isCurrent =
        stored?.proofHash === current?.proofHash &&
        stored?.state === current?.state &&
        stored?.changedMs === current?.changedMs;
      if (!isCurrent) return refuse("conflict", `the binding of ${next.identity} has changed meanwhile`);
      await client.query(
        "INSERT INTO datanets.binding VALUES ($1, $2, $3) ON CONFLICT (datanet, identity) DO UPDATE SET body = excluded.body",
        [datanet, next.identity, JSON.stringify(next)],
      );
      return ok(next);
    });
  }

  async binding(datanet: string, identity: string): Promise<Binding | undefined> {
    const [found] = await this.#bodies<Binding>(
      "SELECT body FROM datanets.binding WHERE datanet = $1 AND identity = $2",
      [datanet, identity],
    );
    return found;
  }

  bindings(datanet: string): Promise<readonly Binding[]> {
    return this.#bodies<Binding>(`SELECT body FROM datanets.binding WHERE datanet = $1 ORDER BY identity COLLATE "C"`, [
      datanet,
    ]);
  }

  async #rows<T extends object>(text: string, values: readonly unknown[]): Promise<T[]> {
    try {
      return (await this.#pool.query<T>(text, [...values])).rows;
    } catch (error) {
      throw new RefusalError(storeRefusal(error));
    }
  }

  async #bodies<T>(text: string, values: readonly unknown[]): Promise<T[]> {
    const rows = await this.#rows<{ body: string }>(text, values);
    return rows.map((row) => parsed<T>(row.body));
  }

  async #inTransaction<T>(work: (client: PoolClient) => Promise<Result<T>>): Promise<Result<T>> {
    let client: PoolClient | undefined;
    try {
      client = await this.#pool.connect();
      await client.query("BEGIN");
      const done = await work(client);
      await client.query(done.ok ? "COMMIT" : "ROLLBACK");
      client.release();
      return done;
    } catch (error) {
      client?.release(true);
      if (isUniqueViolation(error))
        return refuse("conflict", "somebody else wrote the same at the same time", {
          hint: "look again, then try again",
        });
      return { ok: false, error: storeRefusal(error) };
    }
  }
}

/** One writer of a datanet at a time; false where there is no such datanet. */
async function lockDatanet(client: PoolClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query("SELECT 1 FROM datanets.datanet WHERE name = $1 FOR UPDATE", [name]);
  return rowCount === 1;
}

async function bodyIn<T>(client: PoolClient, text: string, values: readonly unknown[]): Promise<T | undefined> {
  const { rows } = await client.query<{ body: string }>(text, [...values]);
  return rows[0] === undefined ? undefined : parsed<T>(rows[0].body);
}

/** We wrote it, as this type, in a table that nobody else writes. */
function parsed<T>(body: string): T {
  const value: T = JSON.parse(body);
  return value;
}

function unknownDatanet(name: string): Result<never> {
  return refuse("not_found", `there is no datanet ${name}`);
}

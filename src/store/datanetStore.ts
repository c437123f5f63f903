import type { Pool } from "pg";
import type { Hex } from "../core/bytes.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { type Annotation, withNotes } from "../datanets/annotation.ts";
import type { Binding } from "../datanets/binding.ts";
import type { ContextAsset } from "../datanets/context.ts";
import type { Contribution, ContributionStatus, Decision, PreparedContribution } from "../datanets/contribution.ts";
import type { Datanet } from "../datanets/datanet.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { decide } from "../datanets/review.ts";
import type { DatanetStore, Declared } from "../datanets/store.ts";
import type { BuiltVersion, DatanetVersion } from "../datanets/version.ts";
import { contributionRecords, missingContent, namedRecords, putContent } from "./datanetContent.ts";
import { datanetSteps } from "./datanetMigrations.ts";
import { openSchema } from "./openSchema.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";

export interface OpenDatanetStore extends DatanetStore {
  close(): Promise<void>;
}

/** How far a version's number reaches: PostgreSQL's integer. */
const NUMBER_MAX = 2 ** 31 - 1;

/** Datanets in PostgreSQL. Refuses with `store_unavailable`; methods that return plain values throw a `RefusalError` with it. */
export async function openDatanetStore(options: { readonly url: string }): Promise<Result<OpenDatanetStore>> {
  const config = {
    ...{ connectionString: options.url, max: 4, connectionTimeoutMillis: 10_000 },
    ...{
      statement_timeout: 120_000,
      idle_in_transaction_session_timeout: 120_000,
      application_name: "openledger datanets",
    },
    // The server's own limit does not help where the line to it is dead.
    ...{ query_timeout: 130_000, keepAlive: true },
  };
  return openSchema(config, "datanets", datanetSteps, (pool) => new PostgresDatanetStore(pool));
}

class PostgresDatanetStore implements OpenDatanetStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  async createDatanet(datanet: Datanet, secret: Uint8Array): Promise<Result<Datanet>> {
    assert(secret.length >= 32, "a datanet secret has at least 32 bytes");
    return inTransaction(this.#pool, async (ask) => {
      // Positions are given in the order in which they are committed.
      await ask("LOCK TABLE datanets.datanet IN SHARE ROW EXCLUSIVE MODE", []);
      const { rowCount } = await ask(
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
    if (hasNul(name)) return undefined;
    const { rows } = await this.#ask<{ secret: Buffer }>("SELECT secret FROM datanets.datanet WHERE name = $1", [name]);
    return rows[0] === undefined ? undefined : new Uint8Array(rows[0].secret);
  }

  addContribution(prepared: Pick<PreparedContribution, "contribution" | "records">): Promise<Result<Contribution>> {
    const { datanet, id } = prepared.contribution;
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const { rows } = await ask<{ number: number }>(
        "SELECT count(*)::int AS number FROM datanets.contribution WHERE datanet = $1",
        [datanet],
      );
      const contribution = { ...prepared.contribution, number: rows[0]!.number + 1 };
      const { rowCount } = await ask(
        "INSERT INTO datanets.contribution VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        [datanet, id, contribution.number, contribution.status, JSON.stringify(contribution)],
      );
      if (rowCount !== 1) return refuse("already_exists", `contribution ${id} was put in before`);
      const { records } = prepared;
      await putContent(ask, records);
      await ask(
        "INSERT INTO datanets.record (datanet, contribution, position, id) SELECT $1, $2, * FROM unnest($3::int[], $4::text[])",
        [datanet, id, records.map((_, i) => i), records.map((record) => record.id)],
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
    return contributionRecords(this.#ask, datanet, id);
  }

  decide(datanet: string, id: Hex, decision: Decision): Promise<Result<Contribution>> {
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const net = await bodyIn<Datanet>(ask, "SELECT body FROM datanets.datanet WHERE name = $1", [datanet]);
      const contribution = await bodyIn<Contribution>(
        ask,
        "SELECT body FROM datanets.contribution WHERE datanet = $1 AND id = $2",
        [datanet, id],
      );
      if (net === undefined || contribution === undefined)
        return refuse("not_found", `datanet ${datanet} has no contribution ${id}`);
      const decided = decide(net, contribution, decision);
      if (!decided.ok) return decided;
      await ask("UPDATE datanets.contribution SET status = $3, body = $4 WHERE datanet = $1 AND id = $2", [
        ...[datanet, id, decided.value.status, JSON.stringify(decided.value)],
      ]);
      return decided;
    });
  }

  declare(datanet: string, id: Hex, said: Declared): Promise<Result<Contribution>> {
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const text = "SELECT body FROM datanets.contribution WHERE datanet = $1 AND id = $2";
      const contribution = await bodyIn<Contribution>(ask, text, [datanet, id]);
      if (contribution === undefined) return refuse("not_found", `datanet ${datanet} has no contribution ${id}`);
      const declared = { ...contribution, ...said };
      await ask("UPDATE datanets.contribution SET body = $3 WHERE datanet = $1 AND id = $2", [
        ...[datanet, id, JSON.stringify(declared)],
      ]);
      return ok(declared);
    });
  }

  addAnnotation(annotation: Omit<Annotation, "number">): Promise<Result<Annotation>> {
    const { datanet, id } = annotation;
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const { rows } = await ask<{ number: number }>(
        "SELECT count(*)::int AS number FROM datanets.annotation WHERE datanet = $1",
        [datanet],
      );
      const numbered = { ...annotation, number: rows[0]!.number + 1 };
      const { rowCount } = await ask("INSERT INTO datanets.annotation VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", [
        ...[datanet, id, numbered.number, JSON.stringify(numbered)],
      ]);
      return rowCount === 1 ? ok(numbered) : refuse("already_exists", `annotation ${id} was made before`);
    });
  }

  annotations(datanet: string): Promise<readonly Annotation[]> {
    return this.#bodies<Annotation>("SELECT body FROM datanets.annotation WHERE datanet = $1 ORDER BY number", [
      datanet,
    ]);
  }

  decideAnnotation(datanet: string, id: Hex, decision: Decision): Promise<Result<Annotation>> {
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const net = await bodyIn<Datanet>(ask, "SELECT body FROM datanets.datanet WHERE name = $1", [datanet]);
      const text = "SELECT body FROM datanets.annotation WHERE datanet = $1 AND id = $2";
      const annotation = await bodyIn<Annotation>(ask, text, [datanet, id]);
      if (net === undefined || annotation === undefined)
        return refuse("not_found", `datanet ${datanet} has no annotation ${id}`);
      const decided = decide(net, annotation, decision);
      if (!decided.ok) return decided;
      await ask("UPDATE datanets.annotation SET body = $3 WHERE datanet = $1 AND id = $2", [
        ...[datanet, id, JSON.stringify(decided.value)],
      ]);
      return decided;
    });
  }

  async addVersion({ version, records }: BuiltVersion, context: ContextAsset): Promise<Result<DatanetVersion>> {
    assert(version.context === context.id, "a version is stored with its own context");
    assert(
      records.length === version.records.length && records.every(({ id }, i) => id === version.records[i]!.id),
      "a version is stored with the records that it names",
    );
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, version.datanet))) return unknownDatanet(version.datanet);
      const { rows } = await ask<{ next: number }>(
        "SELECT count(*)::int + 1 AS next FROM datanets.version WHERE datanet = $1",
        [version.datanet],
      );
      const { next } = rows[0]!;
      if (version.number !== next)
        return refuse("conflict", `version ${next} of ${version.datanet} comes next, got ${version.number}`);
      await putContent(ask, await missingContent(ask, records));
      await ask("INSERT INTO datanets.context VALUES ($1, $2) ON CONFLICT DO NOTHING", [
        context.id,
        JSON.stringify(context),
      ]);
      await ask("INSERT INTO datanets.version VALUES ($1, $2, $3)", [
        version.datanet,
        version.number,
        JSON.stringify(version),
      ]);
      return ok(version);
    });
  }

  async version(datanet: string, number?: number): Promise<DatanetVersion | undefined> {
    if (number !== undefined && !(Number.isInteger(number) && number >= 1 && number <= NUMBER_MAX)) return undefined;
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
    const records = await namedRecords(this.#ask, version.records);
    return version.annotations === undefined ? records : withNotes(records, version, await this.annotations(datanet));
  }

  async context(id: Hex): Promise<ContextAsset | undefined> {
    const [found] = await this.#bodies<ContextAsset>("SELECT body FROM datanets.context WHERE id = $1", [id]);
    return found;
  }

  saveBinding(datanet: string, current: Binding | undefined, next: Binding): Promise<Result<Binding>> {
    return inTransaction(this.#pool, async (ask) => {
      if (!(await lockDatanet(ask, datanet))) return unknownDatanet(datanet);
      const stored = await bodyIn<Binding>(
        ask,
        "SELECT body FROM datanets.binding WHERE datanet = $1 AND identity = $2",
        [datanet, next.identity],
      );
      const isCurrent =
        stored?.proofHash === current?.proofHash &&
        stored?.state === current?.state &&
        stored?.changedMs === current?.changedMs;
      if (!isCurrent) return refuse("conflict", `the binding of ${next.identity} has changed meanwhile`);
      await ask(
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

  async #bodies<T>(text: string, keys: readonly (string | number | null)[]): Promise<T[]> {
    return bodiesIn<T>(this.#ask, text, keys);
  }
}

/** One writer of a datanet at a time; false where there is no such datanet. */
async function lockDatanet(ask: Ask, name: string): Promise<boolean> {
  if (hasNul(name)) return false;
  const { rowCount } = await ask("SELECT 1 FROM datanets.datanet WHERE name = $1 FOR NO KEY UPDATE", [name]);
  return rowCount === 1;
}

async function bodyIn<T>(ask: Ask, text: string, keys: readonly string[]): Promise<T | undefined> {
  const [found] = await bodiesIn<T>(ask, text, keys);
  return found;
}

async function bodiesIn<T>(ask: Ask, text: string, keys: readonly (string | number | null)[]): Promise<T[]> {
  if (keys.some(hasNul)) return [];
  const { rows } = await ask<{ body: string }>(text, keys);
  return rows.map((row) => parsed<T>(row.body));
}

/** PostgreSQL's text holds no U+0000 and a question with one fails, so whoever asks for it is told that there is no such thing. */
function hasNul(key: string | number | null): boolean {
  return typeof key === "string" && key.includes("\0");
}

/** We wrote it, as this type, in a table that nobody else writes. */
function parsed<T>(body: string): T {
  const value: T = JSON.parse(body);
  return value;
}

function unknownDatanet(name: string): Result<never> {
  return refuse("not_found", `there is no datanet ${name}`);
}

import type { Pool } from "pg";
import type { z } from "zod";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { eventBody, fileBody, jobBody } from "../factory/bodies.ts";
import { isOpen, type Job, type JobEvent } from "../factory/job.ts";
import type { FactoryStore, Page, StoredFile } from "../factory/store.ts";
import { openSchema, quietPool } from "./openSchema.ts";
import { whole } from "./storeErrors.ts";
import { type Ask, asking, inTransaction } from "./transaction.ts";

/** Numbered and never changed once released. Bodies are JSON text. */
const steps: readonly string[] = [
  `CREATE TABLE factory.file (id text PRIMARY KEY, position bigserial UNIQUE, account text NOT NULL, bytes bigint NOT NULL, body text NOT NULL, content bytea NOT NULL);
   CREATE INDEX file_account ON factory.file (account, position);
   CREATE TABLE factory.job (id text PRIMARY KEY, position bigserial UNIQUE, account text NOT NULL, is_open boolean NOT NULL, is_deployed boolean NOT NULL, body text NOT NULL);
   CREATE INDEX job_account ON factory.job (account, position);
   CREATE INDEX job_open ON factory.job (position) WHERE is_open;
   CREATE INDEX job_deployed ON factory.job (position) WHERE is_deployed;
   CREATE TABLE factory.event (job text NOT NULL, number integer NOT NULL, body text NOT NULL, PRIMARY KEY (job, number));
   CREATE TABLE factory.speed (key text PRIMARY KEY, tokens_per_second double precision NOT NULL);`,
];

/** Of a list, at most so many at once. */
const PAGE_MAX = 1_000;

export interface OpenFactoryStore extends FactoryStore {
  close(): Promise<void>;
}

/** Files, jobs and their events in PostgreSQL, in a schema of their own. */
export async function openFactoryStore(options: { readonly url: string }): Promise<Result<OpenFactoryStore>> {
  return openSchema(quietPool(options.url, "factory"), "factory", steps, (pool) => new PostgresFactoryStore(pool));
}

type Body = { readonly body: string };

class PostgresFactoryStore implements OpenFactoryStore {
  readonly #pool: Pool;
  readonly #ask: Ask;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#ask = asking(pool);
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  addFile(file: StoredFile, content: Uint8Array): Promise<Result<StoredFile>> {
    const row = [file.id, file.account, file.bytes, JSON.stringify(file), Buffer.from(content)];
    return inTransaction(this.#pool, async (ask) => {
      await ask(
        "INSERT INTO factory.file (id, account, bytes, body, content) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        row,
      );
      const { rows } = await ask<Body>("SELECT body FROM factory.file WHERE id = $1", [file.id]);
      const [kept] = readAll(fileBody, rows);
      return kept === undefined ? refuse("conflict", `the file ${file.id} was deleted meanwhile`) : ok(kept);
    });
  }

  async file(id: string): Promise<StoredFile | undefined> {
    const { rows } = await this.#ask<Body>("SELECT body FROM factory.file WHERE id = $1", [id]);
    return readAll(fileBody, rows)[0];
  }

  async files(account: string | undefined, page: Page): Promise<readonly StoredFile[]> {
    return readAll(fileBody, await this.#page("file", account, page));
  }

  async fileBytes(account: string): Promise<number> {
    const { rows } = await this.#ask<{ bytes: string | null }>(
      "SELECT sum(bytes)::text AS bytes FROM factory.file WHERE account = $1",
      [account],
    );
    return whole(rows[0]?.bytes ?? "0");
  }

  async fileContent(id: string): Promise<Uint8Array | undefined> {
    const { rows } = await this.#ask<{ content: Buffer }>("SELECT content FROM factory.file WHERE id = $1", [id]);
    return rows[0]?.content;
  }

  async deleteFile(id: string): Promise<boolean> {
    const { rowCount } = await this.#ask("DELETE FROM factory.file WHERE id = $1", [id]);
    return rowCount === 1;
  }

  addJob(job: Job): Promise<Result<Job>> {
    return inTransaction(this.#pool, async (ask) => {
      await ask(
        "INSERT INTO factory.job (id, is_open, is_deployed, body, account) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        [...rowOf(job), job.account],
      );
      const { rows } = await ask<Body>("SELECT body FROM factory.job WHERE id = $1", [job.id]);
      return ok(readAll(jobBody, rows)[0] ?? job);
    });
  }

  saveJob(job: Job): Promise<Result<void>> {
    return inTransaction(this.#pool, async (ask) => {
      const text = "UPDATE factory.job SET is_open = $2, is_deployed = $3, body = $4 WHERE id = $1";
      const { rowCount } = await ask(text, rowOf(job));
      return rowCount === 1 ? ok(undefined) : refuse("not_found", `there is no job ${job.id}`);
    });
  }

  async job(id: string): Promise<Job | undefined> {
    const { rows } = await this.#ask<Body>("SELECT body FROM factory.job WHERE id = $1", [id]);
    return readAll(jobBody, rows)[0];
  }

  async jobs(account: string | undefined, page: Page): Promise<readonly Job[]> {
    return readAll(jobBody, await this.#page("job", account, page));
  }

  async openJobs(): Promise<readonly Job[]> {
    const { rows } = await this.#ask<Body>("SELECT body FROM factory.job WHERE is_open ORDER BY position", []);
    return readAll(jobBody, rows);
  }

  async deployedJobs(): Promise<readonly Job[]> {
    const { rows } = await this.#ask<Body>("SELECT body FROM factory.job WHERE is_deployed ORDER BY position", []);
    return readAll(jobBody, rows);
  }

  addEvents(job: string, events: readonly JobEvent[]): Promise<Result<void>> {
    return inTransaction(this.#pool, async (ask) => {
      await ask(
        "INSERT INTO factory.event (job, number, body) SELECT $1, * FROM unnest($2::int[], $3::text[]) ON CONFLICT (job, number) DO NOTHING",
        [job, events.map(({ number }) => number), events.map(({ number: _number, ...body }) => JSON.stringify(body))],
      );
      return ok(undefined);
    });
  }

  async events(
    job: string,
    { before = 2 ** 31 - 1, limit }: { readonly before?: number; readonly limit: number },
  ): Promise<readonly JobEvent[]> {
    const { rows } = await this.#ask<Body & { readonly number: number }>(
      "SELECT number, body FROM factory.event WHERE job = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
      [job, before, Math.min(limit, PAGE_MAX)],
    );
    return readAll(eventBody, rows).map((event, i) => ({ number: rows[i]!.number, ...event }));
  }

  async speed(key: string): Promise<number | undefined> {
    const text = "SELECT tokens_per_second AS speed FROM factory.speed WHERE key = $1";
    return (await this.#ask<{ speed: number }>(text, [key])).rows[0]?.speed;
  }

  saveSpeed(key: string, tokensPerSecond: number): Promise<Result<void>> {
    return inTransaction(this.#pool, async (ask) => {
      await ask(
        "INSERT INTO factory.speed (key, tokens_per_second) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET tokens_per_second = excluded.tokens_per_second",
        [key, tokensPerSecond],
      );
      return ok(undefined);
    });
  }

  /** Newest first; nothing is older than what is not there. */
  async #page(table: "file" | "job", account: string | undefined, { after, limit }: Page): Promise<readonly Body[]> {
    const { rows } = await this.#ask<Body>(
      `SELECT body FROM factory.${table} WHERE ($1::text IS NULL OR account = $1)
       AND ($2::text IS NULL OR position < (SELECT position FROM factory.${table} WHERE id = $2))
       ORDER BY position DESC LIMIT $3`,
      [account ?? null, after ?? null, Math.min(limit, PAGE_MAX)],
    );
    return rows;
  }
}

function rowOf(job: Job): readonly [id: string, isOpen: boolean, isDeployed: boolean, body: string] {
  return [job.id, isOpen(job), job.deployments.length > 0, JSON.stringify(job)];
}

function readAll<T>(schema: z.ZodType<T>, rows: readonly Body[]): T[] {
  return rows.map(({ body }) => {
    const parsed = schema.safeParse(JSON.parse(body));
    assert(parsed.success, "what the factory has written can be read");
    return parsed.data;
  });
}

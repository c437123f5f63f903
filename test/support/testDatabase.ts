import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

/** An empty database in the real PostgreSQL that the tests share. */
export interface TestDatabase {
  readonly url: string;
  /** Ends every session in it and removes it. */
  drop(): Promise<void>;
}

export async function testDatabase(): Promise<TestDatabase> {
  const shared = inject("postgresUrl");
  const name = `test_${randomBytes(8).toString("hex")}`;
  await command(shared, `CREATE DATABASE ${name}`);
  const url = new URL(shared);
  url.pathname = name;
  return { url: url.href, drop: () => command(shared, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

async function command(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

import pg from "pg";
import { ok, type Result, refuse } from "../core/result.ts";

/** The address of a database beside this one on the same server, made where it is missing: what is in it shares nothing with this one. */
export async function siblingDatabase(url: string, suffix: string): Promise<Result<string>> {
  const sibling = new URL(url);
  const name = `${decodeURIComponent(sibling.pathname.slice(1))}_${suffix}`;
  sibling.pathname = `/${encodeURIComponent(name)}`;
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    return ok(sibling.href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse("store_unavailable", `the database ${name} cannot be made: ${reason}`, {
      hint: `make it yourself: CREATE DATABASE "${name}"`,
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}

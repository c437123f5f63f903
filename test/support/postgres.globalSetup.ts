import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { unwrap } from "../../src/core/result.ts";
import { startEmbeddedPostgres } from "../../src/store/embedded.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The address of the real PostgreSQL that this run of tests shares. */
    postgresUrl: string;
  }
}

/** One real PostgreSQL for a whole run of tests; each test that wants one gets a database of its own in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const data = mkdtempSync(join(tmpdir(), "openledger-tests-"));
  chmodSync(data, 0o755);
  const server = unwrap(await startEmbeddedPostgres({ data, randomBytes, onEvent: console.error }));
  project.provide("postgresUrl", server.url);
  return async () => {
    await server.stop();
    await rm(data, { recursive: true, force: true });
  };
}

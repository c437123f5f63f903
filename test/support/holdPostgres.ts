import { randomBytes } from "node:crypto";
import { unwrap } from "../../src/core/result.ts";
import { startEmbeddedPostgres } from "../../src/store/embedded.ts";

// Run as a process of its own: starts PostgreSQL in the folder of argv[2] and waits to be killed.
const data = process.argv[2] ?? "";
const server = unwrap(await startEmbeddedPostgres({ data, randomBytes, onEvent: () => undefined }));
console.log(JSON.stringify({ url: server.url, pid: server.pid() }));
setInterval(() => undefined, 1000);

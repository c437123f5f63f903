import { randomBytes } from "node:crypto";
import { startAnvil } from "../../src/chain/anvil.ts";
import { unwrap } from "../../src/core/result.ts";

// Run as a process of its own: starts a chain in the folder of argv[2] and waits to be killed.
const chain = unwrap(await startAnvil({ data: process.argv[2] ?? "", randomBytes, onEvent: () => undefined }));
console.log(JSON.stringify({ url: chain.rpcUrl, pid: chain.pid() }));
setInterval(() => undefined, 1000);

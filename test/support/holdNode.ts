import { randomBytes } from "node:crypto";
import { startAnvil } from "../../src/chain/anvil.ts";
import { unwrap } from "../../src/core/result.ts";
import { Children } from "../../src/node/children.ts";
import { openDataFolder } from "../../src/node/dataFolder.ts";
import { startEmbeddedPostgres } from "../../src/store/embedded.ts";

// Run as a process of its own: everything that a node supervises, in the folder of argv[2].
const data = process.argv[2] ?? "";
const children = new Children(process, (message) => console.error(message));
const folder = unwrap(await openDataFolder({ path: data }));
children.add({ name: "data folder", stop: () => folder.release() });
const options = { data, randomBytes, onEvent: () => undefined };
const store = children.add({ name: "PostgreSQL", ...unwrap(await startEmbeddedPostgres(options)) });
const chain = children.add({ name: "anvil", ...unwrap(await startAnvil(options)) });
if (process.argv[3] === "hang")
  children.add({ name: "a part that hangs", stop: () => new Promise<void>(() => undefined) });
console.log(JSON.stringify({ store: store.pid(), chain: chain.pid() }));
if (process.argv[3] === "end") process.exit(3);
setInterval(() => undefined, 1000);

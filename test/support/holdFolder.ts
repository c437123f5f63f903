import { unwrap } from "../../src/core/result.ts";
import { openDataFolder } from "../../src/node/dataFolder.ts";

// Run as a process of its own: holds the data folder of argv[2] until it is killed, or fails if it is held.
const folder = unwrap(await openDataFolder({ path: process.argv[2] ?? "" }));
console.log(JSON.stringify(folder.notes));
setInterval(() => undefined, 1000);

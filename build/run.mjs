// Compiles what has changed and becomes the command line: one process from the start, so that a signal which npm passes on reaches the node, with no shell in between.
import { fileURLToPath } from "node:url";

const args = process.argv.splice(2);
await import("./compile.mjs");
if (!process.exitCode) {
  const main = new URL("../dist/src/cli/main.js", import.meta.url);
  process.argv = [process.argv[0], fileURLToPath(main), ...args];
  await import(main.href);
}

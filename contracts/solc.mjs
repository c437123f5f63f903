#!/usr/bin/env node
// forge asks a native compiler for its version and for standard JSON; the npm solc (WebAssembly) answers both.
import { readFileSync, writeSync } from "node:fs";
import solc from "solc";

if (process.argv.includes("--version")) {
  console.log(
    `solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace(".Emscripten.clang", ".Linux.g++")}`,
  );
} else {
  const output = Buffer.from(solc.compile(readFileSync(0, "utf8")));
  for (let at = 0; at < output.length; ) at += writeSync(1, output, at);
}

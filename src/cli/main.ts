#!/usr/bin/env node
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Environment, World } from "./commands/command.ts";
import { runCli } from "./commands/program.ts";

/** The one place that knows it is a process: environment, terminal, clock and chance come from here. */
function environment(variables: NodeJS.ProcessEnv): Environment {
  const { DATABASE_URL: databaseUrl, CHAIN_RPC_URL: rpcUrl, OPENLEDGER_PRIVATE_KEY: privateKey } = variables;
  return {
    ...(databaseUrl ? { databaseUrl } : {}),
    ...(rpcUrl ? { chain: { rpcUrl, privateKey: privateKey ?? "" } } : {}),
    ...(variables["OPENLEDGER_RATE"] ? { rate: variables["OPENLEDGER_RATE"] } : {}),
    ...embeddings(variables),
    isDebug: variables["OPENLEDGER_DEBUG"] === "1",
  };
}

function embeddings({
  OPENLEDGER_EMBEDDINGS_URL: url,
  OPENLEDGER_EMBEDDINGS_MODEL: model,
  OPENLEDGER_EMBEDDINGS_KEY: key,
}: NodeJS.ProcessEnv): Pick<Environment, "embeddings"> {
  return url ? { embeddings: { url, model: model ?? "", ...(key ? { key } : {}) } } : {};
}

const { stdin, stdout, stderr } = process;

async function confirm(question: string): Promise<boolean | undefined> {
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    return /^\s*y(es)?\s*$/i.test(await lines.question(`${question} [y/N] `));
  } finally {
    lines.close();
  }
}

const world: World = {
  terminal: {
    write: (text) => void stdout.write(text),
    writeError: (text) => void stderr.write(text),
    isTerminal: stdout.isTTY === true && process.env["NO_COLOR"] === undefined,
    width: stdout.columns ?? 240,
  },
  environment: environment(process.env),
  fetch,
  hooks: process,
  nowMs: () => Date.now(),
  sleep: (ms) => sleep(ms),
  randomId: () => randomUUID(),
  confirm,
  // Loaded when they are needed: most commands only talk to a node that runs.
  startNode: async (options, children) => (await import("../node/node.ts")).startNode(options, children),
  runDemo: async (options, children) => (await import("./demo/demo.ts")).runDemo(options, children),
  backUp: async (options, children) => (await import("../node/backupPlace.ts")).backUpNode(options, children),
  moveLedger: async (options, children) => (await import("../node/ledgerMove.ts")).moveLedger(options, children),
  restore: async (options, children) => (await import("../node/backupPlace.ts")).restoreNode(options, children),
};

// A reader that has seen enough, such as `head`, is no error.
stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), world);

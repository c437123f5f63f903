import { ok } from "../../core/result.ts";
import { backUpNode, restoreNode } from "../../node/backupPlace.ts";
import { moveLedger } from "../../node/ledgerMove.ts";
import type { Environment, World } from "../commands/command.ts";
import { runCli } from "../commands/program.ts";

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Calls {
  readonly started: unknown[];
  readonly shown: unknown[];
}

/** Runs a command line in this process, with a terminal that remembers. Nodes and demonstrations are only noted. */
export async function runLine(
  args: readonly string[],
  changes: Partial<World> = {},
  calls: Calls = { started: [], shown: [] },
): Promise<Ended> {
  let [out, err] = ["", ""];
  const environment: Environment = { isDebug: false };
  const world: World = {
    terminal: {
      write: (text) => {
        out += text;
      },
      writeError: (text) => {
        err += text;
      },
      isTerminal: false,
      width: 200,
    },
    environment,
    fetch,
    hooks: { on: () => undefined, off: () => undefined, exit: () => undefined, kill: () => undefined },
    nowMs: () => Date.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    confirm: async () => undefined,
    randomId: () => `random ${Math.random()}`,
    startNode: async ({ say: _, ...options }) => {
      calls.started.push(options);
      return ok({ url: "http://127.0.0.1:1", ledgerId: new Uint8Array(32), adminKey: "ol_none" });
    },
    runDemo: async ({ output: _, ...options }) => {
      calls.shown.push(options);
      return ok({ credits: 10n ** 18n });
    },
    backUp: backUpNode,
    moveLedger,
    restore: restoreNode,
    ...changes,
  };
  const code = await runCli(args, world);
  return { code, out, err };
}

import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import pg from "pg";
import { assert, unwrap } from "../../src/core/result.ts";
import { openLedgerStore } from "../../src/store/ledgerStore.ts";
import { openCrashLedger, postOne, prepare } from "./crashLedger.ts";

// Run as a process of its own: takes ledgers over and posts to each until it is killed: at the nth append's named step, or so many milliseconds after its start or its first post.
// Each idempotency key is written to standard output before it is posted, and the receipt's id once the ledger has acknowledged it.
const [url, names, run, failpoint, nth] = process.argv.slice(2);
assert(
  url !== undefined && names !== undefined && run !== undefined,
  "the address, the ledgers and the run are arguments",
);

/** An append is one statement where it holds receipts alone, and that statement within a transaction where there is more. */
const statements = {
  ...{ appending: "INTO ledger.entry", sending: "INTO ledger.entry", appended: "INTO ledger.entry" },
  ...{ begin: "BEGIN", commit: "COMMIT", committing: "COMMIT", committed: "COMMIT" },
} as const;

/** Kills this process at the nth time that an append comes to the named step. */
function arm(step: keyof typeof statements, nth: number): void {
  const watched = statements[step];
  const query: unknown = pg.Client.prototype.query;
  assert(typeof query === "function", "a client has queries");
  const die = (): void => {
    process.kill(process.pid, "SIGKILL");
  };
  let times = 0;
  const value = function (this: pg.Client, ...args: readonly unknown[]): unknown {
    if (!textOf(args[0]).includes(watched) || ++times !== nth) return Reflect.apply(query, this, args);
    if (step === "appending" || step === "begin" || step === "commit") die();
    const sent: unknown = Reflect.apply(query, this, args);
    // The statement is on its way to the server: what comes of it there, nobody on this side will know.
    if (step === "sending" || step === "committing") setImmediate(die);
    return sent instanceof Promise ? sent.then(die) : sent;
  };
  Object.defineProperty(pg.Client.prototype, "query", { value });
}

function isStep(text: string): text is keyof typeof statements {
  return Object.hasOwn(statements, text);
}

function textOf(statement: unknown): string {
  if (typeof statement === "string") return statement;
  const isConfig = typeof statement === "object" && statement !== null && "text" in statement;
  return isConfig ? String(statement.text) : "";
}

/** Kills this process from outside after so many milliseconds, whatever it is in the middle of. */
function killIn(waitMs: number): void {
  spawn("sh", ["-c", `sleep ${waitMs / 1_000}; kill -9 ${process.pid}`], { stdio: "ignore" });
}

/** Written before this returns, so that a kill right after it cannot unsay it. A pipe whose reader is busy is tried again. */
function say(...words: readonly string[]): void {
  const line = Buffer.from(`${words.join(" ")}\n`);
  for (let at = 0; at < line.length; ) {
    try {
      at += writeSync(1, line, at);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}

/** One ledger of this process, written until the end. */
async function write(name: string): Promise<void> {
  const ledger = unwrap(await openCrashLedger(name, store));
  const account = await prepare(name, ledger);
  if (failpoint === "posting") killIn(Number(nth));
  // A hold that nobody will post: it must not outlive the process.
  unwrap(ledger.holds.place({ account: account.id, amount: 12_345 }));
  let count = 0;
  const poster = async (lane: number): Promise<void> => {
    for (;;) {
      const key = `${run}-${count++}`;
      say("try", name, key);
      const posted = unwrap(await postOne(name, ledger, account.id, key));
      say("ack", name, key, Buffer.from(posted.receipt.id).toString("hex"));
      // Some post one after the other, some pause: batches of one and of several.
      if (lane > 1) await new Promise((resolve) => setTimeout(resolve, lane));
    }
  };
  const closer = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 4));
    unwrap(await ledger.epochs.closeEpoch({ registryBlock: 1 }));
  };
  const closers = Number(run) % 3 === 0 ? [closer()] : [];
  // What is no receipt goes with the receipts of its batch in a transaction of several statements.
  const keys = async (): Promise<void> => {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      unwrap(await ledger.accounts.createKey({ account: account.id, name: "crash" }));
    }
  };
  await Promise.all([...Array.from({ length: 5 }, (_, lane) => poster(lane)), keys(), ...closers]);
}

if (failpoint === "starting") killIn(Number(nth));
else if (failpoint !== undefined && isStep(failpoint)) arm(failpoint, Number(nth));
const store = unwrap(await openLedgerStore({ url, connections: 4 }));
await Promise.all(names.split(",").map(write));

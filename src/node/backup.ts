import { createReadStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fromHex } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { ed25519PublicKey } from "../core/note.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere, refuseOnDisk, writeAtomically } from "../host/files.ts";
import { Publisher } from "../ledger/publish.ts";
import { type Verdict, verifyJournal } from "../ledger/verify.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";
import { ledgerTrustSchema } from "../protocol/workshop.ts";
import { openLedgerStore } from "../store/ledgerStore.ts";
import { dumpTables, loadTables, type SnapshotFacts, type TableRows } from "../store/tables.ts";
import { type BackupBegin, type BackupEnd, type BackupPart, BackupWriter, withBackup } from "./backupFile.ts";
import { fileSink } from "./fileSink.ts";

/** A whole node as one file: every table at one instant, then the data folder's own files. Taken while the node runs, or while it does not. */
export interface BackupOrder {
  readonly data: string;
  /** Of the node's database. */
  readonly url: string;
  readonly file: string;
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
}

export interface BackupDone extends BackupEnd {
  readonly ledger: string;
  readonly file: string;
  readonly bytes: number;
}

/**
 * The development chain comes first, as soon as the instant of the rows is fixed: it may not have an epoch that they have not closed, however long they take to read.
 * Left out is what can be made again: the database's own files, the published journal, indexes, logs.
 */
export async function backUp({ data, url, file, nowMs, say }: BackupOrder): Promise<Result<BackupDone>> {
  const ledger = await ledgerOf(data);
  if (!ledger.ok) return ledger;
  if ((await stat(file).catch(() => undefined)) !== undefined)
    return refuse("already_exists", `there is a file ${file} already`, { hint: "name another one", field: "file" });
  const made = await refuseOnDisk(dirname(file), async () => {
    let writer: BackupWriter | undefined;
    try {
      const read = await dumpTables(
        url,
        async (facts) => {
          const fits = onlyLedger(facts, ledger.value);
          if (!fits.ok) return fits;
          writer = new BackupWriter(file, beginOf(facts, ledger.value, nowMs()));
          await addFiles(writer, data, (path) => OF_THE_CHAIN.test(path));
          return fits;
        },
        async ({ table, rows }) => {
          await writer!.addRows(table, rows);
          say(`reading the database: ${writer!.rows} rows, now ${table}`);
        },
      );
      if (!read.ok) return read;
      await addFiles(writer!, data, (path) => !OF_THE_CHAIN.test(path));
      const end = await writer!.end();
      writer = undefined;
      return ok({ ...end, ledger: ledger.value, file, bytes: (await stat(file)).size });
    } finally {
      await writer?.abandon();
    }
  });
  return made.ok ? made.value : made;
}

export interface RestoreOrder {
  /** A data folder that was just made, and is locked. */
  readonly data: string;
  /** Of an empty database whose tables are made. */
  readonly url: string;
  readonly file: string;
  readonly begin: BackupBegin;
  readonly end: BackupEnd;
  readonly say: (text: string) => void;
}

export interface RestoreDone extends BackupEnd {
  readonly ledger: string;
  readonly takenMs: number;
  readonly verdict: Verdict;
}

/** Of a file that {@link checkBackup} has read to its end: puts back rows and files, publishes the journal anew and verifies it from its first byte. */
export async function restore({ data, url, file, begin, end, say }: RestoreOrder): Promise<Result<RestoreDone>> {
  if ((await readIfThere(join(data, "ledger.json"))) !== undefined)
    return refuse("already_exists", `${data} holds a ledger already`, {
      hint: "name a new folder: --data DIR",
      field: "data",
    });
  const put = await refuseOnDisk(data, () =>
    withBackup(file, async ({ parts }) => {
      const loaded = await loadTables(url, begin.steps, rowsOf(parts, say));
      return loaded.ok ? withBackup(file, (again) => putFiles(data, again.parts)) : loaded;
    }),
  );
  if (!put.ok) return put;
  if (!put.value.ok) return put.value;
  const verdict = await verifyRestored(data, url, say);
  return verdict.ok ? ok({ ...end, ledger: begin.ledger, takenMs: begin.timeMs, verdict: verdict.value }) : verdict;
}

const ROWS_AT_A_TIME = 500;
/** Of text: a statement takes in no more at once, whatever the rows are. */
const ROWS_BYTES_MAX = 4 << 20;

async function* rowsOf(parts: AsyncIterable<BackupPart>, say: (text: string) => void): AsyncIterable<TableRows> {
  let [table, rows, bytes, done] = ["", [] as string[], 0, 0];
  for await (const part of parts) {
    const isOther = part.kind !== "row" || part.table !== table;
    if (rows.length > 0 && (isOther || rows.length >= ROWS_AT_A_TIME || bytes >= ROWS_BYTES_MAX)) {
      yield { table, rows };
      done += rows.length;
      say(`restoring the database: ${done} rows, now ${table}`);
      [rows, bytes] = [[], 0];
    }
    if (part.kind !== "row") continue;
    table = part.table;
    rows.push(part.row);
    bytes += part.row.length;
  }
}

/** The ledger's own file comes last: where it is, the folder is whole. */
async function putFiles(data: string, parts: AsyncIterable<BackupPart>): Promise<Result<void>> {
  const later: { path: string; mode: number; chunks: Uint8Array[] }[] = [];
  let open: { path: string; mode: number; chunks: Uint8Array[] } | undefined;
  const close = async (): Promise<void> => {
    if (open === undefined) return;
    if (open.path === LEDGER_FILE) later.push(open);
    else await put(data, open);
    open = undefined;
  };
  for await (const part of parts) {
    if (part.kind === "data") open?.chunks.push(part.bytes);
    else {
      await close();
      if (part.kind === "file") open = { path: part.path, mode: part.mode, chunks: [] };
    }
  }
  for (const file of later) await put(data, file);
  return ok(undefined);
}

async function put(
  data: string,
  { path, mode, chunks }: { readonly path: string; readonly mode: number; readonly chunks: readonly Uint8Array[] },
): Promise<void> {
  const target = join(data, path);
  await mkdir(dirname(target), { recursive: true });
  await writeAtomically(target, Buffer.concat(chunks), { mode });
}

/** Publishes what was restored, with the keys that were restored, and reads it as a stranger would. */
async function verifyRestored(data: string, url: string, say: (text: string) => void): Promise<Result<Verdict>> {
  const trust = await trustOf(data);
  if (!trust.ok) return trust;
  const store = await openLedgerStore({ url });
  if (!store.ok) return store;
  try {
    const { ledger, domain, keys } = trust.value;
    const sink = fileSink(join(data, "journal"));
    const entries = (from: number, until: number) => bytesOf(store.value.entries(ledger, from, until));
    const taken = await store.value.takeOver(ledger);
    if (!taken.ok) return taken;
    const publisher = new Publisher({ ledger, sink, keys: { domain, ...keys }, entries });
    await publisher.publish(taken.value.lastSeq + 1);
    return await verifyJournal({
      ...{ read: (path) => sink.read(path), onProgress: (done, total) => say(`verifying ${done} of ${total} entries`) },
      trust: { ledger, domain, signer: addressOf(keys.secp256k1), ed25519: ed25519PublicKey(keys.ed25519) },
    });
  } finally {
    await store.value.close();
  }
}

async function trustOf(data: string) {
  const view = await viewOf(data);
  if (!view.ok) return view;
  const [signer, log] = await Promise.all(
    ["signer", "log"].map(async (name) => (await readIfThere(join(data, "secrets", name)))?.trim() ?? ""),
  );
  if (!signer || !log)
    return refuse("data_folder_damaged", "the backup holds no keys, so its journal cannot be published");
  const domain = { chainId: view.value.chainId, verifyingContract: fromHex(view.value.settlement) };
  const keys = { ed25519: fromHex(log), secp256k1: fromHex(signer) };
  return ok({ ledger: fromHex(view.value.ledger), domain, keys });
}

async function* bytesOf(entries: AsyncIterable<{ readonly bytes: Uint8Array }>): AsyncIterable<Uint8Array> {
  for await (const { bytes } of entries) yield bytes;
}

const LEDGER_FILE = "ledger.json";

async function viewOf(data: string) {
  const text = await readIfThere(join(data, LEDGER_FILE));
  if (text === undefined)
    return refuse("not_found", `${data} holds no ledger`, { hint: "name a node's folder: --data DIR", field: "data" });
  const json = parseJson(text);
  return json.ok ? parseInput(ledgerTrustSchema, json.value) : json;
}

/** The id of the ledger that a data folder holds. */
export async function ledgerOf(data: string): Promise<Result<string>> {
  const view = await viewOf(data);
  return view.ok ? ok(view.value.ledger) : view;
}

function beginOf({ steps }: SnapshotFacts, ledger: string, timeMs: number): BackupBegin {
  return { format: "openledger-backup-1", timeMs, ledger, steps };
}

function onlyLedger({ ledgers }: SnapshotFacts, ledger: string): Result<void> {
  if (ledgers.length === 1 && ledgers[0]!.toLowerCase() === ledger.toLowerCase()) return ok(undefined);
  return refuse("conflict", `the database holds ${ledgers.length} ledgers, and not only ${ledger}`, {
    hint: "back up a database that several nodes share with PostgreSQL's own pg_dump",
  });
}

/** Made again at the next start, or by the database itself. */
const LEFT_OUT =
  /^(postgres|journal\/|exports\/|models\/llama\.cpp\/|factory\/[^/]+\/import-|lock|node\.json|layout\.json|\.gitignore|secrets\/database$)|\.(log|log\.1|index|vectors|partial)$|\.writing-\d+$|\/state\.previous/;

const OF_THE_CHAIN = /^anvil\//;

async function addFiles(writer: BackupWriter, data: string, isTaken: (path: string) => boolean): Promise<void> {
  for (const path of (await filesBelow(data)).filter(isTaken)) {
    const { mode } = await stat(join(data, path));
    await writer.addFile(path, mode & 0o777, createReadStream(join(data, path), { highWaterMark: 1 << 20 }));
  }
}

async function filesBelow(data: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(data, { withFileTypes: true })) {
    if (LEFT_OUT.test(entry.isDirectory() ? `${entry.name}/` : entry.name)) continue;
    if (entry.isFile()) found.push(entry.name);
    if (!entry.isDirectory()) continue;
    for (const below of await readdir(join(data, entry.name), { withFileTypes: true, recursive: true })) {
      const path = relative(data, join(below.parentPath, below.name));
      if (below.isFile() && !LEFT_OUT.test(path)) found.push(path);
    }
  }
  return found.sort();
}

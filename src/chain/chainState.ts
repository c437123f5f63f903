import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { ok, type Result, refuse } from "../core/result.ts";
import { errorCode, writeAtomically } from "../host/files.ts";

/** The two files that keep a chain's state: as anvil dumps it, gzip, whose CRC-32 (RFC 1952) shows any damage. */
const CURRENT = "state.json.gz";
const PREVIOUS = "state.previous.json.gz";

/** A state that can be loaded. */
export interface LoadableState {
  /** The unpacked copy to hand to `--load-state`. */
  readonly path: string;
  readonly blockNumber: bigint;
  /** What was damaged, if something was. */
  readonly note: string | undefined;
}

/** Keeps what `anvil_dumpState` answered; what was kept before becomes the previous one. */
export async function keepState(folder: string, dump: unknown): Promise<Result<{ readonly blockNumber: bigint }>> {
  const packed = typeof dump === "string" ? Buffer.from(dump.replace(/^0x/, ""), "hex") : undefined;
  const blockNumber = packed === undefined ? undefined : await readBlockNumber(packed);
  if (packed === undefined || blockNumber === undefined) {
    return refuse("chain_unavailable", "the chain dumped a state that cannot be read; the last one is kept");
  }
  // A damaged current file must not push out a sound previous one.
  const sound = (await tryLoad(join(folder, CURRENT))) !== undefined;
  const previous = sound ? { previous: join(folder, PREVIOUS) } : {};
  await writeAtomically(join(folder, CURRENT), packed, { mode: 0o600, ...previous });
  return ok({ blockNumber });
}

/** The newest sound state; undefined on a first start. Two damaged files are refused: a chain is never begun anew silently. */
export async function loadState(folder: string): Promise<Result<LoadableState | undefined>> {
  const damaged: string[] = [];
  for (const file of [CURRENT, PREVIOUS]) {
    const state = await tryLoad(join(folder, file));
    if (state === undefined) {
      if (await exists(join(folder, file))) damaged.push(file);
      continue;
    }
    const path = join(folder, "state.loading.json");
    await writeFile(path, state.json, { mode: 0o600 });
    const note = damaged.length > 0 ? `${damaged.join(", ")} is damaged; the chain continues from ${file}` : undefined;
    return ok({ path, blockNumber: state.blockNumber, note });
  }
  if (damaged.length === 0) return ok(undefined);
  return refuse("data_folder_damaged", `the chain's state in ${folder} cannot be read (${damaged.join(", ")})`, {
    hint: "restore a backup: openledger restore; or begin anew in another data folder: --data DIR",
  });
}

/** Removes the unpacked copy once the chain has read it. */
export async function forgetLoaded(state: LoadableState | undefined): Promise<void> {
  if (state !== undefined) await rm(state.path, { force: true });
}

async function tryLoad(path: string): Promise<{ readonly json: Uint8Array; readonly blockNumber: bigint } | undefined> {
  const packed = await readFile(path).catch(() => undefined);
  if (packed === undefined) return undefined;
  const json = await unpack(packed);
  const blockNumber = json === undefined ? undefined : parseBlockNumber(json);
  return json === undefined || blockNumber === undefined ? undefined : { json, blockNumber };
}

async function readBlockNumber(packed: Uint8Array): Promise<bigint | undefined> {
  const json = await unpack(packed);
  return json === undefined ? undefined : parseBlockNumber(json);
}

async function unpack(packed: Uint8Array): Promise<Uint8Array | undefined> {
  return promisify(gunzip)(packed).catch(() => undefined);
}

function parseBlockNumber(json: Uint8Array): bigint | undefined {
  try {
    const state: unknown = JSON.parse(Buffer.from(json).toString("utf8"));
    if (typeof state !== "object" || state === null || !("accounts" in state) || !("best_block_number" in state))
      return;
    const best = state.best_block_number;
    return typeof best === "string" || typeof best === "number" ? BigInt(best) : undefined;
  } catch {
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await readFile(path);
    return true;
  } catch (error) {
    return errorCode(error) !== "ENOENT";
  }
}

import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { parseHex } from "../../core/bytes.ts";
import type { CheckpointTrust } from "../../core/checkpoint.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { readIfThere } from "../../host/files.ts";
import { parseInput, parseJson } from "../../protocol/parse.ts";
import { type LedgerTrustView, ledgerTrustSchema } from "../../protocol/workshop.ts";
import { openClient } from "../client.ts";
import type { Shell } from "./command.ts";

/** A published journal, wherever it lies, and the keys that a reader is told to believe. */
export interface JournalSource {
  /** For people: the folder or the address. */
  readonly where: string;
  /** Undefined where the file is missing. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** The paths of its tiles; only a folder can tell. */
  readonly list?: () => Promise<readonly string[]>;
}

/** A folder that holds a journal or a data folder that has one, or the address of a node or of a static host. */
export async function openJournal(where: string, fetcher: typeof fetch): Promise<Result<JournalSource>> {
  if (/^https?:\/\//.test(where)) return openRemote(where.replace(/\/+$/, ""), fetcher);
  for (const folder of [resolve(where), join(resolve(where), "journal")]) {
    const isJournal = await stat(join(folder, "checkpoint")).then(
      (found) => found.isFile(),
      () => false,
    );
    if (isJournal) {
      const read = (path: string) => readFile(join(folder, path)).catch(() => undefined);
      return ok({ where: folder, read, list: () => tilesIn(folder) });
    }
  }
  return refuse("not_found", `${where} holds no journal: there is no checkpoint`, {
    hint: "name a folder with checkpoint and tile/, or the URL of a node",
  });
}

async function tilesIn(folder: string): Promise<string[]> {
  const found = await readdir(join(folder, "tile"), { recursive: true }).catch(() => []);
  return found.map((path) => `tile/${path.replaceAll(sep, "/")}`);
}

async function openRemote(base: string, fetcher: typeof fetch): Promise<Result<JournalSource>> {
  const get = async (url: string): Promise<Uint8Array | undefined> => {
    const response = await fetcher(url, { redirect: "error" }).catch(() => undefined);
    return response?.ok ? new Uint8Array(await response.arrayBuffer()) : undefined;
  };
  for (const root of [base, `${base}/journal`]) {
    if ((await get(`${root}/checkpoint`)) !== undefined)
      return ok({ where: root, read: (path) => get(`${root}/${path}`) });
  }
  return refuse("not_found", `${base} publishes no journal`, { hint: "is it the address of a node, and is it up?" });
}

export interface Trust {
  readonly view: LedgerTrustView;
  readonly trust: CheckpointTrust;
  /** Where the keys come from, for people. */
  readonly from: string;
}

/**
 * The keys to believe: a file that the reader names; else what the node on this machine keeps in its data folder; else what the node itself says,
 * which a reader should pin. Keys that lie beside a checkpoint are never taken.
 */
export async function findTrust(shell: Shell, file: string | undefined, where: string): Promise<Result<Trust>> {
  if (file !== undefined) {
    const text = await readIfThere(file);
    if (text === undefined) return refuse("not_found", `there is no file ${file}`, { field: "trust" });
    return parseTrust(text, file);
  }
  const kept = join(shell.data, "ledger.json");
  const text = await readIfThere(kept);
  if (text !== undefined && !/^https?:/.test(where)) return parseTrust(text, kept);
  const client = /^https?:/.test(where)
    ? ok(openClient({ url: where.replace(/\/+$/, "").replace(/\/journal$/, ""), key: undefined }, shell.world.fetch))
    : await shell.client();
  const view = client.ok ? await client.value.get("/api/ledger", ledgerTrustSchema) : client;
  if (!view.ok || !client.ok) {
    return refuse("not_found", "nobody says with which keys this journal is signed", {
      hint: "name them with --trust FILE: what a node says at /api/ledger",
    });
  }
  return toTrust(view.value, `${client.value.url}, on its own word`);
}

function parseTrust(text: string, from: string): Result<Trust> {
  const json = parseJson(text);
  const view = json.ok ? parseInput(ledgerTrustSchema, json.value) : json;
  if (view.ok) return toTrust(view.value, from);
  return refuse("invalid_request", `${from} does not hold a ledger's keys: ${view.error.message}`, { field: "trust" });
}

function toTrust(view: LedgerTrustView, from: string): Result<Trust> {
  const { chainId, settlement, signer, ledger, logKey, movedAt } = view;
  const [contract, address, id, key] = [settlement, signer, ledger, logKey].map(parseHex);
  if (contract === undefined || address === undefined || id === undefined || key === undefined)
    return refuse("invalid_request", `${from} does not hold a ledger's keys`, { field: "trust" });
  const domain = { chainId, verifyingContract: contract };
  return ok({
    view,
    from,
    trust: { ledger: id, domain, ed25519: key, signer: address, ...(movedAt === undefined ? {} : { movedAt }) },
  });
}

import { equalBytes, padAddress, toHex } from "../core/bytes.ts";
import { type CheckpointTrust, openCheckpoint } from "../core/checkpoint.ts";
import { batchDigest, type Domain, recoverSigner } from "../core/eip712.ts";
import type { BatchRecord, EntryKind } from "../core/entry.ts";
import type { EpochRecord } from "../core/epoch.ts";
import { EMPTY_ROOT, type HashReader, hashReader, leafHash, rootFrom, rootOf } from "../core/merkle.ts";
import { creditDomain, creditLedgerId, domainOf, type Place } from "../core/move.ts";
import type { Moved } from "../core/moveReplay.ts";
import { Replay } from "../core/replay.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import {
  decodeBundle,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tileAt,
  tileBytes,
  tilePath,
  tilesBetween,
} from "../core/tile.ts";
import type { ChainEpoch } from "./chain.ts";
import { readTile } from "./publishedTile.ts";

/**
 * The verifier: from the published files and, where there is one, the chain. It trusts the ledger's keys and nothing else: it recomputes the tree,
 * every tile, every batch signature, every fee, split, pool, payout and root, and names the first entry that differs.
 */
export interface VerifyInput {
  /** A file of the journal by its path; undefined where it is missing. */
  readonly read: (path: string) => Promise<Uint8Array | undefined>;
  /** The paths of what lies there, where that can be told: then forms of tiles that are no longer asked for must hold too. */
  readonly list?: () => Promise<readonly string[]>;
  readonly trust: CheckpointTrust;
  /** What the contract says of an epoch; omitted for a ledger without a chain. Never asked of an epoch on credit. */
  readonly chainEpoch?: (epoch: number) => Promise<Result<ChainEpoch | undefined>>;
  /** The contract's AssetRegistry, 20 bytes; asked of a ledger that says where it has moved to. */
  readonly registry?: () => Promise<Result<Uint8Array>>;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Verdict {
  readonly size: number;
  readonly root: Uint8Array;
  readonly kinds: Readonly<Partial<Record<EntryKind, number>>>;
  readonly payees: number;
  readonly epochs: readonly VerifiedEpoch[];
  /** What each asset is, by its id in hex: of an adapter the hash of its weights. */
  readonly contentRoots: ReadonlyMap<string, Uint8Array>;
  /** The combinations of methods that were published, each before a receipt names it. */
  readonly methods: readonly { readonly seq: number; readonly text: Uint8Array }[];
  readonly credits: bigint;
  readonly debits: bigint;
  /** Of a ledger that began on credit and went on upon a chain: where, what was owed, and what had been paid outside. */
  readonly moved?: Moved;
}

export interface VerifiedEpoch {
  readonly record: EpochRecord;
  readonly chain: "proposed" | "final" | "voided" | "absent" | "not asked" | "on credit";
}

/** Why a journal does not verify, and at which entry, where one can be named. */
export interface Fault extends Refusal {
  readonly seq?: number;
}

export async function verifyJournal(input: VerifyInput): Promise<Result<Verdict, Fault>> {
  const note = await input.read("checkpoint");
  if (note === undefined)
    return refuse("not_found", "there is no checkpoint here", {
      hint: "point at a folder or URL that holds a published journal",
    });
  const { trust } = input;
  const checkpoint = openCheckpoint(note, trust);
  if (!checkpoint.ok) return checkpoint;
  const { size, root } = checkpoint.value;
  const began = beganOnCredit(trust);
  const replay = new Replay({
    ledger: trust.ledger,
    ...(began ? { creditNode: padAddress(trust.signer) } : {}),
    batch: (batch, entries, place) => checkBatch({ ...trust, domain: signedFor(place, began, trust) }, batch, entries),
  });
  const kinds: Partial<Record<EntryKind, number>> = {};
  const hashes: Uint8Array[] = [];
  const contentRoots = new Map<string, Uint8Array>();
  const methods: { seq: number; text: Uint8Array }[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const entries = await readBundle(input, index, size);
    if (!entries.ok) return entries;
    for (const bytes of entries.value) {
      const seq = hashes.length;
      hashes.push(leafHash(bytes));
      const taken = replay.take(bytes);
      if (!taken.ok)
        return { ok: false, error: { ...taken.error, message: `entry ${seq}: ${taken.error.message}`, seq } };
      kinds[taken.value.kind] = (kinds[taken.value.kind] ?? 0) + 1;
      if (taken.value.kind === "asset") contentRoots.set(toHex(taken.value.asset.id), taken.value.asset.contentRoot);
      if (taken.value.kind === "methods") methods.push({ seq, text: taken.value.text });
    }
    input.onProgress?.(hashes.length, size);
  }
  if (replay.unsignedCount > 0) return failed(`the last ${replay.unsignedCount} entries are signed by no batch`);
  const { moved } = replay;
  if (began && !isSameDomain(signedFor(moved?.place, began, trust), trust.domain))
    return failed(
      `the keys name chain ${trust.domain.chainId}, the journal ${moved === undefined ? "never left credit" : `went on upon chain ${moved.place.chainId}`}`,
    );
  const read = hashReader(hashes);
  const tree = size === 0 ? EMPTY_ROOT : rootFrom(read, size);
  if (!equalBytes(tree, root))
    return failed(`the entries make root ${toHex(tree)}, the checkpoint says ${toHex(root)}`);
  const tiles = await checkTiles(input, size, read);
  if (!tiles.ok) return tiles;
  const registry = moved === undefined ? undefined : await input.registry?.();
  if (registry?.ok === false) return registry;
  if (moved !== undefined && registry !== undefined && !equalBytes(registry.value, moved.place.registry))
    return failed(`the move names registry ${toHex(moved.place.registry)}, the contract has ${toHex(registry.value)}`);
  const epochs = await checkEpochs(input, replay, size, read);
  if (!epochs.ok) return epochs;
  const last = replay.epochs.at(-1);
  const totals = { credits: last?.credits ?? 0n, debits: last?.debits ?? 0n };
  return ok({
    ...{ size, root, kinds, payees: replay.parties.payeeCount, epochs: epochs.value, contentRoots, methods },
    ...totals,
    ...(moved === undefined ? {} : { moved }),
  });
}

/** A ledger's id says where it began: on credit it follows from the key that signs. */
function beganOnCredit({ ledger, signer }: CheckpointTrust): boolean {
  return equalBytes(ledger, creditLedgerId(signer));
}

/** What a batch is signed for at this place in the journal. */
function signedFor(place: Place | undefined, began: boolean, trust: CheckpointTrust): Domain {
  if (place !== undefined) return domainOf(place);
  return began ? creditDomain : trust.domain;
}

function isSameDomain(a: Domain, b: Domain): boolean {
  return a.chainId === b.chainId && equalBytes(a.verifyingContract, b.verifyingContract);
}

/** The batch's root is that of its entries, and the ledger's signer signed it. */
export function checkBatch(
  trust: CheckpointTrust,
  batch: BatchRecord,
  entries: readonly Uint8Array[],
): Result<BatchRecord> {
  const root = rootOf(entries.map(leafHash));
  if (!equalBytes(root, batch.root))
    return failed(`its entries make root ${toHex(root)}, it says ${toHex(batch.root)}`);
  const signer = recoverSigner(batchDigest(trust.domain, { ledger: trust.ledger, ...batch }), batch.signature);
  if (signer === undefined || !equalBytes(signer, trust.signer)) return failed("its signature is not the ledger's");
  return ok(batch);
}

async function readBundle(input: VerifyInput, index: number, size: number): Promise<Result<Uint8Array[]>> {
  const tile = tileAt("entries", index, size)!;
  const path = tilePath(tile);
  const bytes = await readTile(input.read, tile);
  if (bytes === undefined) return failed(`${path} is missing`);
  const entries = decodeBundle(bytes, tile.width);
  return entries.ok ? entries : failed(`${path}: ${entries.error.message}`);
}

/** The tiles are what proofs are made of: each must hold exactly the hashes that its entries make. */
async function checkTiles(input: VerifyInput, size: number, read: HashReader): Promise<Result<void>> {
  for (const tile of tilesBetween(0, size)) {
    if (tile.level === "entries") continue;
    const path = tilePath(tile);
    const bytes = await readTile(input.read, tile);
    if (bytes === undefined) return failed(`${path} is missing`);
    if (!equalBytes(bytes, tileBytes(tile, read)))
      return failed(`${path} does not hold the hashes that its entries make`);
  }
  return checkNarrow(input, size, read);
}

/** Tiles that were published when the tree was smaller. What is ahead of the checkpoint is nobody's promise yet. */
async function checkNarrow(input: VerifyInput, size: number, read: HashReader): Promise<Result<void>> {
  for (const path of (await input.list?.()) ?? []) {
    const tile = parseTilePath(path);
    if (!tile.ok || tile.value.width >= (tileAt(tile.value.level, tile.value.index, size)?.width ?? 0)) continue;
    const bytes = await input.read(path);
    if (bytes !== undefined && !holds(tile.value, bytes, read))
      return failed(`${path} does not hold what was published there`);
  }
  return ok(undefined);
}

function holds(tile: Tile, bytes: Uint8Array, read: HashReader): boolean {
  if (tile.level !== "entries") return equalBytes(bytes, tileBytes(tile, read));
  const entries = decodeBundle(bytes, tile.width);
  const first = tile.index * TILE_WIDTH;
  return entries.ok && entries.value.every((entry, i) => equalBytes(leafHash(entry), read(0, first + i)));
}

async function checkEpochs(
  input: VerifyInput,
  { epochs: records, moved }: Replay,
  size: number,
  read: HashReader,
): Promise<Result<VerifiedEpoch[]>> {
  const verified: VerifiedEpoch[] = [];
  for (const record of records) {
    if (record.epoch < (moved?.epoch ?? 0)) {
      verified.push({ record, chain: "on credit" });
      continue;
    }
    if (input.chainEpoch === undefined) {
      verified.push({ record, chain: "not asked" });
      continue;
    }
    const chain = await input.chainEpoch(record.epoch);
    if (!chain.ok) return chain;
    if (chain.value !== undefined) {
      const agrees = checkOnChain(record, chain.value, size, read);
      if (!agrees.ok) return agrees;
    }
    verified.push({ record, chain: chain.value?.status ?? "absent" });
  }
  return ok(verified);
}

function checkOnChain(record: EpochRecord, chain: ChainEpoch, size: number, read: HashReader): Result<void> {
  const where = `epoch ${record.epoch} on chain`;
  if (chain.journalSize > size || chain.journalSize < record.end)
    return failed(`${where}: its journal size ${chain.journalSize} does not contain it`);
  const root = rootFrom(read, chain.journalSize);
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ["journal root", toHex(chain.journalRoot), toHex(root)],
    ["postings root", toHex(chain.postingsRoot), toHex(record.postingsRoot)],
    ["postings count", chain.postingsCount, record.postingsCount],
    ["payout root", toHex(chain.payoutRoot), toHex(record.payoutRoot)],
    ["payout count", chain.payoutCount, record.payoutCount],
    ["debit root", toHex(chain.debitRoot), toHex(record.debitRoot)],
    ["debit count", chain.debitCount, record.debitCount],
    ["credits", chain.credits, record.credits],
    ["debits", chain.debits, record.debits],
    ["registry block", chain.registryBlock, record.registryBlock],
    ["policy", toHex(chain.policyHash), toHex(record.policyHash)],
  ];
  const wrong = pairs.find(([, said, due]) => said !== due);
  return wrong === undefined
    ? ok(undefined)
    : failed(`${where}: its ${wrong[0]} is ${wrong[1]}, the journal makes it ${wrong[2]}`);
}

function failed(message: string): Result<never> {
  return refuse("verification_failed", message);
}

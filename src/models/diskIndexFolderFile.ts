import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { equalBytes, fromHex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { assert, ok, type Refusal, RefusalError, type Result, refuse, unwrap } from "../core/result.ts";
import { encode, type Tokenizer } from "./bpe.ts";
import { type IndexRecord, indexTokens } from "./corpusIndex.ts";
import { type OpenShard, openShard, saveShard } from "./diskIndexFile.ts";
import { encodeList, encodeTombstones, IdSet, type ListedShard, parseList, parseTombstones } from "./shardList.ts";
import type { PageCache } from "./shardPages.ts";
import { buried, planMerge, ShardSet, sizeOf } from "./shardSet.ts";
import type { Tombstones } from "./shardTop.ts";

export interface DiskIndexOptions {
  /** One a process. */
  readonly cache: PageCache;
  /** No shard is made larger; building one takes about 13 bytes of memory a token. */
  readonly shardTokensMax: number;
}

/** Records that are tokens already. */
interface TokenRecord {
  readonly id: Uint8Array;
  readonly tokens: Uint16Array;
}

/**
 * An index that grows in a folder: what is added becomes a shard, neighbours are merged as {@link planMerge} says, what is removed is buried until then.
 * Files are named after their contents and never changed; the list of shards is replaced whole. So a crash leaves the index before a
 * change or after it, readers keep what they have open, and doing a thing twice is doing it once. One writer a folder.
 */
export class DiskIndexFolder {
  readonly #folder: string;
  readonly #tokenizer: Tokenizer;
  readonly #options: DiskIndexOptions;
  #open: readonly OpenShard[];
  #set: ShardSet;

  private constructor(folder: string, tokenizer: Tokenizer, options: DiskIndexOptions, open: readonly OpenShard[]) {
    this.#folder = folder;
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#open = open;
    this.#set = new ShardSet(tokenizer, shardsOf(open));
  }

  /** An empty or absent folder is an empty index. Refuses `data_folder_damaged`, and `disk_full` where the folder cannot be made. */
  static open(folder: string, tokenizer: Tokenizer, options: DiskIndexOptions): Result<DiskIndexFolder> {
    const open: OpenShard[] = [];
    const opened = asResult((): void => {
      mkdirSync(folder, { recursive: true });
      for (const listed of readList(folder, tokenizer)) {
        const one = unwrap(openShard(join(folder, shardName(listed.id)), tokenizer, options.cache));
        open.push(one);
        if (!equalBytes(one.shard.top.id, listed.id)) throw damaged(folder, "a shard is not the one that is listed");
        if (listed.tombstones !== undefined) one.shard.bury(readTombstones(folder, listed.tombstones, one));
      }
    });
    if (opened.ok) return ok(new DiskIndexFolder(folder, tokenizer, options, open));
    for (const { close } of open) close();
    return opened;
  }

  /** What is searched now; valid until the next change. */
  get set(): ShardSet {
    return this.#set;
  }

  /** Adds records behind all others; those whose id is there, alive, are left as they are. Returns how many were added. Refuses `disk_full`. */
  append(records: readonly IndexRecord[]): Result<number> {
    return asResult(() => {
      const given = new IdSet();
      const ids = records.map(({ id }) => fromHex(id));
      const first = ids.map((id) => given.add(id));
      const known = new IdSet();
      for (const { shard } of this.#open) for (const record of given.livingIn(shard)) known.add(shard.recordId(record));
      const fresh = records.flatMap(({ text }, i): TokenRecord[] => {
        const id = ids[i]!;
        assert(id.length === 32, "a record id has 32 bytes");
        return first[i] === true && !known.has(id) ? [{ id, tokens: encode(this.#tokenizer, text) }] : [];
      });
      for (const batch of inBatches(fresh, this.#options.shardTokensMax)) this.#add(batch);
      this.#settle();
      return fresh.length;
    });
  }

  /** Buries the records with these ids (32 bytes each, hex). Returns how many were alive. Refuses `disk_full`. */
  remove(recordIds: readonly string[]): Result<number> {
    return asResult(() => {
      const ids = new IdSet();
      for (const id of recordIds) ids.add(fromHex(id));
      const changes = this.#open.map(({ shard }) => buried(shard, ids.livingIn(shard)));
      const before = this.#set.liveRecords;
      if (changes.some((change) => change !== undefined)) {
        this.#replace(this.#open, (i) => changes[i] ?? this.#open[i]!.shard.tombstones);
        this.#settle();
      }
      return before - this.#set.liveRecords;
    });
  }

  close(): void {
    for (const { close } of this.#open) close();
    this.#open = [];
    this.#set = new ShardSet(this.#tokenizer, []);
  }

  /** New records become a shard, together with the neighbours that it would be merged with at once. */
  #add(records: readonly TokenRecord[]): void {
    const live = records.reduce((sum, { tokens }) => sum + tokens.length + 1, 0);
    const sizes = [...shardsOf(this.#open).map(sizeOf), { live, dead: 0 }];
    const plan = planMerge(sizes, this.#options.shardTokensMax);
    const from = plan?.until === sizes.length ? plan.from : sizes.length - 1;
    this.#rewrite(from, this.#open.length, records);
  }

  #settle(): void {
    for (;;) {
      const plan = planMerge(shardsOf(this.#open).map(sizeOf), this.#options.shardTokensMax);
      if (plan === undefined) return;
      this.#rewrite(plan.from, plan.until, []);
    }
  }

  /** Puts one shard of their living records, and of `more`, in the place of shards [from, until). */
  #rewrite(from: number, until: number, more: readonly TokenRecord[]): void {
    const records = this.#open.slice(from, until).flatMap(livingRecords);
    records.push(...more);
    const made = records.length === 0 ? [] : [this.#make(records)];
    const kept = [...this.#open.slice(0, from), ...made, ...this.#open.slice(until)];
    const gone = this.#open.slice(from, until);
    this.#replace(kept, (i) => kept[i]!.shard.tombstones);
    for (const { close } of gone) close();
  }

  #make(records: readonly TokenRecord[]): OpenShard {
    const ids = new Uint8Array(32 * records.length);
    records.forEach(({ id }, i) => {
      ids.set(id, 32 * i);
    });
    const texts = records.map(({ tokens }) => tokens);
    const index = indexTokens(this.#tokenizer, texts, ids);
    const path = join(this.#folder, shardName(index.id));
    unwrap(saveShard(path, index));
    return unwrap(openShard(path, this.#tokenizer, this.#options.cache));
  }

  /** Writes the tombstones, then the list; only then is it so, and what is no longer listed goes. */
  #replace(open: readonly OpenShard[], tombstonesOf: (i: number) => Tombstones | undefined): void {
    const listed = open.map(({ shard }, i): ListedShard => {
      const tombstones = tombstonesOf(i);
      if (tombstones === undefined) return { id: shard.top.id, tombstones: undefined };
      const bytes = encodeTombstones(shard, tombstones);
      const hash = sha256(bytes);
      writeWhole(join(this.#folder, graveName(hash)), bytes);
      return { id: shard.top.id, tombstones: hash };
    });
    writeWhole(join(this.#folder, LIST_NAME), encodeList(this.#tokenizer.hash, listed));
    open.forEach(({ shard }, i) => {
      shard.bury(tombstonesOf(i));
    });
    this.#open = open;
    this.#set = new ShardSet(this.#tokenizer, shardsOf(open));
    const named = new Set(
      listed.flatMap(({ id, tombstones }) => [shardName(id), tombstones ? graveName(tombstones) : ""]),
    );
    for (const name of readdirSync(this.#folder))
      if (OWN_NAME.test(name) && !named.has(name)) rmSync(join(this.#folder, name));
  }
}

const LIST_NAME = "shards";
const LIST_BYTES_MAX = 2 ** 20;
const OWN_NAME = /^[0-9a-f]{64}\.(shard|graves)(\.new)?$/;

function shardName(id: Uint8Array): string {
  return `${toHex(id).slice(2)}.shard`;
}

function graveName(hash: Uint8Array): string {
  return `${toHex(hash).slice(2)}.graves`;
}

function shardsOf(open: readonly OpenShard[]) {
  return open.map(({ shard }) => shard);
}

function livingRecords({ shard }: OpenShard): TokenRecord[] {
  const records: TokenRecord[] = [];
  for (let record = 0; record < shard.top.records; record++) {
    if (!shard.isDead(record)) records.push({ id: shard.recordId(record), tokens: shard.recordTokens(record) });
  }
  return records;
}

/** In order, each of at most `tokensMax` tokens unless a single record has more. */
function inBatches(records: readonly TokenRecord[], tokensMax: number): TokenRecord[][] {
  const batches: TokenRecord[][] = [];
  let room = 0;
  for (const record of records) {
    const size = record.tokens.length + 1;
    if (size > room) {
      batches.push([]);
      room = tokensMax;
    }
    batches.at(-1)!.push(record);
    room -= size;
  }
  return batches;
}

function readList(folder: string, tokenizer: Tokenizer): ListedShard[] {
  const path = join(folder, LIST_NAME);
  if (!readdirSync(folder).includes(LIST_NAME)) return [];
  const bytes = readFileSync(path);
  if (bytes.length > LIST_BYTES_MAX) throw damaged(folder, "its list is too long");
  const listed = parseList(Uint8Array.from(bytes), tokenizer.hash);
  if (typeof listed === "string") throw damaged(folder, listed);
  return listed;
}

function readTombstones(folder: string, hash: Uint8Array, { shard }: OpenShard): Tombstones {
  const bytes = Uint8Array.from(readFileSync(join(folder, graveName(hash))));
  const tombstones = equalBytes(sha256(bytes), hash) ? parseTombstones(bytes, shard) : undefined;
  if (tombstones === undefined) throw damaged(folder, "the tombstones of a shard are not those that are listed");
  return tombstones;
}

function writeWhole(path: string, bytes: Uint8Array): void {
  try {
    const file = openSync(`${path}.new`, "w");
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const refused = refuse("disk_full", `The index cannot be written to ${path}: ${reason}`, {
      hint: "Free space or check rights.",
    });
    throw new RefusalError(refused.error);
  }
}

function asResult<T>(action: () => T): Result<T> {
  try {
    return ok(action());
  } catch (error) {
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    if (error instanceof Error && "code" in error) {
      return refuse("data_folder_damaged", `The index cannot be used: ${error.message}`, {
        hint: "Build it again from the datanet.",
      });
    }
    throw error;
  }
}

function damaged(folder: string, why: string): RefusalError {
  const refused: { readonly error: Refusal } = refuse(
    "data_folder_damaged",
    `The index in ${folder} cannot be used: ${why}.`,
    {
      hint: "Delete it; it is built again from the datanet.",
    },
  );
  return new RefusalError(refused.error);
}

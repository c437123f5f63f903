import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { defaultPolicy } from "../attribution/policy.ts";
import { equalBytes, fromHex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import { contentRoot } from "../datanets/version.ts";
import type { DatanetRef } from "../factory/job.ts";
import { nextTurn } from "../host/turn.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { loadIndex, saveIndex } from "../models/corpusIndexFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { PageCache } from "../models/shardPages.ts";
import { citedParts } from "./citedRecords.ts";
import { type DiskCorpus, openDiskCorpus } from "./diskGround.ts";
import type { Ground } from "./grounding.ts";
import { indexRecords } from "./indexing.ts";
import { type MeaningShelf, meaningsOf } from "./meaningShelf.ts";
import { scopeOf } from "./modelShelf.ts";
import { type Origin, People } from "./people.ts";
import type { Provenance } from "./provenance.ts";
import { loadUpstream } from "./upstream.ts";

export interface GroundsOptions {
  readonly meanings?: MeaningShelf | undefined;
  /** What a record keeps of its credit where it cites others. */
  readonly keepPpm?: number;
  /** Records of more characters are indexed on disk. */
  readonly charactersInMemory?: number;
}

/** About 16 million tokens: 85 MB of index, and three times as much while it is built. */
const CHARACTERS_IN_MEMORY = 64_000_000;
const CACHE_BYTES = 256 * 1024 * 1024;

/**
 * The records that models were trained on, with their index and their people. Hundreds of adapters of the same datanets share one ground; nothing is kept
 * that no model stands on any more.
 */
export class Grounds {
  readonly #folder: string;
  readonly #store: DatanetStore;
  readonly #provenance: Provenance;
  readonly #meanings: MeaningShelf | undefined;
  readonly #made = new Map<string, WeakRef<Ground>>();
  readonly #charactersInMemory: number;
  readonly #keepPpm: number;
  readonly #disks = new Map<string, Promise<Result<DiskCorpus>>>();
  #cache: PageCache | undefined;
  readonly #making = new Map<string, Promise<Result<Ground>>>();

  constructor(
    data: string,
    store: DatanetStore,
    provenance: Provenance,
    {
      meanings,
      charactersInMemory = CHARACTERS_IN_MEMORY,
      keepPpm = defaultPolicy.lineage.keepPpm,
    }: GroundsOptions = {},
  ) {
    this.#keepPpm = keepPpm;
    this.#charactersInMemory = charactersInMemory;
    this.#folder = join(data, "models", "grounds");
    this.#store = store;
    this.#provenance = provenance;
    this.#meanings = meanings;
  }

  /** Of some versions, in the order in which they are named; a record of several counts once, for the first. Refuses `not_found`. */
  of(refs: readonly Pick<DatanetRef, "name" | "version">[]): Promise<Result<Ground>> {
    const key = JSON.stringify(refs.map(({ name, version }) => [name, version]));
    const made = this.#made.get(key)?.deref();
    if (made !== undefined) return Promise.resolve(ok(made));
    const making = this.#making.get(key) ?? this.#begin(key, refs);
    this.#making.set(key, making);
    return making;
  }

  /** Whoever asks from now on is given what is declared of a datanet's records today. */
  forget(datanet: string): void {
    for (const key of [...this.#made.keys()]) if (key.includes(JSON.stringify(datanet))) this.#made.delete(key);
  }

  async #begin(key: string, refs: readonly Pick<DatanetRef, "name" | "version">[]): Promise<Result<Ground>> {
    try {
      const made = await this.#make(refs);
      if (made.ok) this.#made.set(key, new WeakRef(made.value));
      return made;
    } finally {
      this.#making.delete(key);
    }
  }

  async #make(refs: readonly Pick<DatanetRef, "name" | "version">[]): Promise<Result<Ground>> {
    const origins: Origin[] = [];
    const all = new Map<string, DatanetRecord>();
    for (const { name, version } of refs) {
      const records = await this.#store.versionRecords(name, version);
      if (records.length === 0) return refuse("not_found", `the datanet ${name} has no version ${version} here`);
      origins.push({ scope: await scopeOf(this.#store, this.#provenance, name), records });
      for (const record of records) if (!all.has(record.id)) all.set(record.id, record);
    }
    const records = [...all.values()];
    const index = await this.#index(records);
    if (!index.ok) return index;
    const datanets = refs.map(({ name }) => name);
    const upstream = await loadUpstream(this.#store, this.#provenance.ledger.books, datanets, records);
    const people = new People(...origins, ...upstream.answers.values());
    const cited = await citedParts(this.#store, datanets, records, this.#keepPpm);
    if (cited !== undefined) people.citing(cited);
    let made: Promise<Bm25Index> | undefined;
    const search = (): Promise<Bm25Index> => {
      made ??= Bm25Index.inTurns(records, nextTurn);
      return made;
    };
    const meanings = meaningsOf(this.#meanings, records);
    return ok({ datanets, records, index: index.value, upstream, people, search, meanings });
  }

  /** Kept as files: a node that starts again does not build it again. A large one is searched where it lies. */
  async #index(records: readonly DatanetRecord[]): Promise<Result<CorpusIndex | DiskCorpus>> {
    await mkdir(this.#folder, { recursive: true });
    const characters = records.reduce((sum, { text }) => sum + text.length, 0);
    if (characters > this.#charactersInMemory) return this.#onDisk(records);
    const name = toHex(sha256(utf8(records.map(({ id }) => id).join("\n")))).slice(2, 34);
    const path = join(this.#folder, `${name}.index`);
    const loaded = loadIndex(path, houseTokenizer());
    if (loaded.ok && isOf(loaded.value, records)) return loaded;
    const index = await indexRecords(records);
    // What cannot be kept is built again next time.
    saveIndex(path, index);
    return ok(index);
  }

  /** Open for as long as the node runs: its files, and a cache that all share. */
  async #onDisk(records: readonly DatanetRecord[]): Promise<Result<DiskCorpus>> {
    const key = contentRoot(records);
    this.#cache ??= new PageCache(CACHE_BYTES);
    const opening = this.#disks.get(key) ?? openDiskCorpus(this.#folder, records, this.#cache);
    this.#disks.set(key, opening);
    let isOpen = false;
    try {
      const opened = await opening;
      isOpen = opened.ok;
      return opened;
    } finally {
      if (!isOpen) this.#disks.delete(key);
    }
  }
}

function isOf({ recordIds }: CorpusIndex, records: readonly DatanetRecord[]): boolean {
  return equalBytes(recordIds, Buffer.concat(records.map(({ id }) => fromHex(id))));
}

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { equalBytes, fromHex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { DatanetRef } from "../factory/job.ts";
import { buildIndex, type CorpusIndex } from "../models/corpusIndex.ts";
import { loadIndex, saveIndex } from "../models/corpusIndexFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { Ground } from "./grounding.ts";
import { type MeaningShelf, meaningsOf } from "./meaningShelf.ts";
import { scopeOf } from "./modelShelf.ts";
import { type Origin, People } from "./people.ts";
import type { Provenance } from "./provenance.ts";
import { loadUpstream } from "./upstream.ts";

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
  readonly #making = new Map<string, Promise<Result<Ground>>>();

  constructor(data: string, store: DatanetStore, provenance: Provenance, meanings?: MeaningShelf) {
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
    const datanets = refs.map(({ name }) => name);
    const upstream = await loadUpstream(this.#store, this.#provenance.ledger.books, datanets, records);
    const people = new People(...origins, ...upstream.answers.values());
    let made: Bm25Index | undefined;
    const search = (): Bm25Index => {
      made ??= new Bm25Index(records);
      return made;
    };
    const meanings = meaningsOf(this.#meanings, records);
    return ok({ datanets, records, index, upstream, people, search, meanings });
  }

  /** Kept as a file: a node that starts again does not build it again. */
  async #index(records: readonly DatanetRecord[]): Promise<CorpusIndex> {
    const name = toHex(sha256(utf8(records.map(({ id }) => id).join("\n")))).slice(2, 34);
    const path = join(this.#folder, `${name}.index`);
    const loaded = loadIndex(path, houseTokenizer());
    if (loaded.ok && isOf(loaded.value, records)) return loaded.value;
    const index = buildIndex(houseTokenizer(), records);
    await mkdir(this.#folder, { recursive: true });
    // What cannot be kept is built again next time.
    saveIndex(path, index);
    return index;
  }
}

function isOf({ recordIds }: CorpusIndex, records: readonly DatanetRecord[]): boolean {
  return equalBytes(recordIds, Buffer.concat(records.map(({ id }) => fromHex(id))));
}

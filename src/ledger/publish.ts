import { type CheckpointKeys, signCheckpoint } from "../core/checkpoint.ts";
import { Frontier } from "../core/merkle.ts";
import { assert } from "../core/result.ts";
import { encodeBundle, TILE_WIDTH, tileAt, tilePath } from "../core/tile.ts";
import { leafHashOf } from "./batchTree.ts";

/** Where the published journal lies: paths are those of C2SP tlog-tiles. A write is whole and durable when it returns. */
export interface JournalSink {
  write(path: string, bytes: Uint8Array): Promise<void>;
  read(path: string): Promise<Uint8Array | undefined>;
  /** Removes the narrower forms of a tile that is full now; nothing where there are none. */
  removeNarrower(path: string): Promise<void>;
}

export interface PublisherOptions {
  readonly ledger: Uint8Array;
  readonly sink: JournalSink;
  readonly keys: CheckpointKeys;
  /** Durable entries [from, until) of the journal. */
  readonly entries: (from: number, until: number) => AsyncIterable<Uint8Array>;
}

/**
 * Publishes the journal: bundles and tiles first, the checkpoint last, so that a reader never sees a checkpoint ahead of its tiles.
 * It keeps the hashes of the incomplete tiles in memory and reads the journal once at start; what was published before is written again
 * byte for byte, so a crash in the middle is repaired by the next run.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #frontier = new Frontier();
  /** Hashes of complete subtrees at tile heights (levels 0, 8, 16, …) that are not in a full tile yet, by level. */
  readonly #open = new Map<number, Uint8Array[]>();
  readonly #full: { readonly path: string; readonly bytes: Uint8Array }[] = [];
  #bundle: Uint8Array[] = [];
  #running: Promise<Published> | undefined;
  #last: Published | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** The newest published state; undefined before the first publication. */
  get published(): Published | undefined {
    return this.#last;
  }

  /** Publishes entries [.., size). One publication at a time; a later one waits for the earlier. */
  async publish(size: number): Promise<Published> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    this.#running = this.#publish(size);
    try {
      this.#last = await this.#running;
      return this.#last;
    } finally {
      this.#running = undefined;
    }
  }

  async #publish(size: number): Promise<Published> {
    const before = this.#frontier.size;
    assert(size >= before, "a journal only grows");
    // What a write that failed left over.
    await this.#writeFull();
    for await (const entry of this.#options.entries(before, size)) {
      this.#append(entry);
      await this.#writeFull();
    }
    assert(this.#frontier.size === size, "the journal holds all the entries up to its size");
    await this.#writePartial(size);
    const root = this.#frontier.root();
    const { ledger, sink, keys } = this.#options;
    await sink.write("checkpoint", signCheckpoint({ ledger, size, root }, keys));
    return { size, root };
  }

  #append(entry: Uint8Array): void {
    this.#bundle.push(entry);
    this.#frontier.append(leafHashOf(entry), (level, index, hash) => {
      if (level % 8 !== 0) return;
      const hashes = this.#open.get(level) ?? [];
      hashes.push(hash);
      this.#open.set(level, hashes);
      if (hashes.length < TILE_WIDTH) return;
      const tile = { level: level / 8, index: Math.floor(index / TILE_WIDTH), width: TILE_WIDTH };
      this.#full.push({ path: tilePath(tile), bytes: joined(hashes) });
      this.#open.set(level, []);
    });
    if (this.#bundle.length < TILE_WIDTH) return;
    const tile = { level: "entries", index: this.#frontier.size / TILE_WIDTH - 1, width: TILE_WIDTH } as const;
    this.#full.push({ path: tilePath(tile), bytes: encodeBundle(this.#bundle) });
    this.#bundle = [];
  }

  /**
   * A tile is forgotten once it is written, so a write that failed is tried again by the next publication. Its narrower forms go: a journal that grows slowly
   * would else lie there a hundred times.
   */
  async #writeFull(): Promise<void> {
    for (let next = this.#full[0]; next !== undefined; next = this.#full[0]) {
      await this.#options.sink.write(next.path, next.bytes);
      await this.#options.sink.removeNarrower(next.path);
      this.#full.shift();
    }
  }

  async #writePartial(size: number): Promise<void> {
    const { sink } = this.#options;
    for (const [level, hashes] of this.#open) {
      if (hashes.length === 0) continue;
      const index = Math.floor(Math.floor(size / 2 ** level) / TILE_WIDTH);
      await sink.write(tilePath({ level: level / 8, index, width: hashes.length }), joined(hashes));
    }
    if (this.#bundle.length > 0)
      await sink.write(tilePath(tileAt("entries", Math.floor(size / TILE_WIDTH), size)!), encodeBundle(this.#bundle));
  }
}

export interface Published {
  readonly size: number;
  readonly root: Uint8Array;
}

function joined(hashes: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * 32);
  for (const [i, hash] of hashes.entries()) bytes.set(hash, i * 32);
  return bytes;
}

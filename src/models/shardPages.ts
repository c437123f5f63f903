import { assert } from "../core/result.ts";

/** What a disk, a file system and a page cache read at once, in bytes. */
export const PAGE_BYTES = 4096;

/** Puts page `page` of one file at `into[at…]`; past the file's end it leaves zeros. Throws a `RefusalError` where the file cannot be read. */
export type PageReader = (page: number, into: Uint8Array, at: number) => void;

/**
 * Pages of many files in bounded memory, one cache a process: the clock algorithm (Corbató 1968), which keeps what was asked for
 * since the hand passed last. A hit costs a hash and no allocation.
 */
export class PageCache {
  /** All pages side by side; page p of slot s begins at byte `s · PAGE_BYTES`. */
  readonly bytes: Uint8Array;
  readonly words: Uint16Array;
  readonly longs: Uint32Array;
  readonly #slots: number;
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #fileOf: Int32Array;
  readonly #pageOf: Int32Array;
  readonly #wasAsked: Uint8Array;
  readonly #readers = new Map<number, PageReader>();
  #files = 0;
  #hand = 0;
  #last = -1;
  #hits = 0;
  #misses = 0;

  /** Takes up to `bytesMax` of memory, as it fills. */
  constructor(bytesMax: number) {
    this.#slots = Math.max(4, Math.floor(bytesMax / PAGE_BYTES));
    const memory = new ArrayBuffer(this.#slots * PAGE_BYTES);
    this.bytes = new Uint8Array(memory);
    this.words = new Uint16Array(memory);
    this.longs = new Uint32Array(memory);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(this.#slots))).fill(-1);
    this.#next = new Int32Array(this.#slots);
    this.#fileOf = new Int32Array(this.#slots).fill(-1);
    this.#pageOf = new Int32Array(this.#slots);
    this.#wasAsked = new Uint8Array(this.#slots);
  }

  get counts(): { readonly hits: number; readonly misses: number } {
    return { hits: this.#hits, misses: this.#misses };
  }

  /** A number for a file, by which {@link slotOf} asks for its pages. */
  open(reader: PageReader): number {
    this.#readers.set(this.#files, reader);
    return this.#files++;
  }

  /** Forgets a file: its pages are never asked for again, and the hand will find them. */
  close(file: number): void {
    this.#readers.delete(file);
  }

  /** Where a page is: a slot which holds it until the next call but one. */
  slotOf(file: number, page: number): number {
    const bucket = this.#bucketOf(file, page);
    for (let slot = this.#heads[bucket]!; slot >= 0; slot = this.#next[slot]!) {
      if (this.#pageOf[slot] === page && this.#fileOf[slot] === file) {
        this.#wasAsked[slot] = 1;
        this.#last = slot;
        this.#hits++;
        return slot;
      }
    }
    this.#misses++;
    return this.#load(file, page, bucket);
  }

  #load(file: number, page: number, bucket: number): number {
    const reader = this.#readers.get(file);
    assert(reader !== undefined, "a page belongs to an open file");
    const slot = this.#freeSlot();
    reader(page, this.bytes, slot * PAGE_BYTES);
    this.#fileOf[slot] = file;
    this.#pageOf[slot] = page;
    this.#next[slot] = this.#heads[bucket]!;
    this.#heads[bucket] = slot;
    this.#wasAsked[slot] = 1;
    this.#last = slot;
    return slot;
  }

  #freeSlot(): number {
    for (;;) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.#slots ? 0 : slot + 1;
      if (slot === this.#last) continue;
      if (this.#wasAsked[slot] === 1 && this.#readers.has(this.#fileOf[slot]!)) this.#wasAsked[slot] = 0;
      else {
        if (this.#fileOf[slot] !== -1) this.#unlink(slot);
        return slot;
      }
    }
  }

  #unlink(slot: number): void {
    const bucket = this.#bucketOf(this.#fileOf[slot]!, this.#pageOf[slot]!);
    this.#fileOf[slot] = -1;
    if (this.#heads[bucket] === slot) {
      this.#heads[bucket] = this.#next[slot]!;
      return;
    }
    let before = this.#heads[bucket]!;
    while (this.#next[before] !== slot) before = this.#next[before]!;
    this.#next[before] = this.#next[slot]!;
  }

  #bucketOf(file: number, page: number): number {
    const mixed = Math.imul(page ^ Math.imul(file + 1, 0x9e3779b1), 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#heads.length - 1);
  }
}

import { assert } from "../core/result.ts";

/**
 * The number of a payee by its 32-byte id: an open hash table over one flat buffer of ids. A receipt asks for each of its payees,
 * and neither a string nor an object is made for an answer.
 */
export class PayeeNumbers {
  /** Eight words an id, by number. */
  #ids = new Uint32Array(1_024 * WORDS);
  /** Numbers; 0 is an empty place. Never more than half full. */
  #places = new Uint32Array(2_048);
  #count = 0;
  readonly #multipliers: Uint32Array;

  /** With 32 secret bytes nobody can choose ids that fall on the same place. */
  constructor(seed: Uint8Array = new Uint8Array(32)) {
    assert(seed.length === 32, "a seed has 32 bytes");
    this.#multipliers = new Uint32Array(WORDS);
    readWords(seed, this.#multipliers);
    for (let i = 0; i < WORDS; i++) this.#multipliers[i]! += GOLDEN * (2 * i + 1);
    for (let i = 0; i < WORDS; i++) this.#multipliers[i]! |= 1;
  }

  get(id: Uint8Array): number | undefined {
    if (id.length !== 4 * WORDS) return undefined;
    readWords(id, wanted);
    const number = this.#places[this.#placeOf(wanted)]!;
    return number === 0 ? undefined : number;
  }

  /** The next id: its number is one more than that of the one before. */
  add(id: Uint8Array): void {
    if (2 * (this.#count + 2) > this.#places.length) this.#grow();
    readWords(id, wanted);
    const place = this.#placeOf(wanted);
    assert(this.#places[place] === 0, "a payee is introduced once");
    this.#count += 1;
    this.#ids.set(wanted, this.#count * WORDS);
    this.#places[place] = this.#count;
  }

  /** Where the id stands, or where it would: the first empty place from its own on. */
  #placeOf(words: Uint32Array): number {
    const mask = this.#places.length - 1;
    let place = this.#hash(words, 0) & mask;
    for (let number = this.#places[place]!; number !== 0; number = this.#places[place]!) {
      if (this.#isAt(number * WORDS, words)) return place;
      place = (place + 1) & mask;
    }
    return place;
  }

  /** A sum of products keeps its quality in the upper bits. */
  #hash(words: Uint32Array, from: number): number {
    let sum = 0;
    for (let i = 0; i < WORDS; i++) sum = (sum + Math.imul(words[from + i]!, this.#multipliers[i]!)) | 0;
    return Math.imul(sum ^ (sum >>> 15), GOLDEN) >>> 7;
  }

  #isAt(from: number, words: Uint32Array): boolean {
    for (let i = 0; i < WORDS; i++) if (this.#ids[from + i] !== words[i]) return false;
    return true;
  }

  #grow(): void {
    const ids = new Uint32Array(this.#ids.length * 2);
    ids.set(this.#ids);
    this.#ids = ids;
    this.#places = new Uint32Array(this.#places.length * 2);
    const mask = this.#places.length - 1;
    for (let number = 1; number <= this.#count; number++) {
      let place = this.#hash(this.#ids, number * WORDS) & mask;
      while (this.#places[place] !== 0) place = (place + 1) & mask;
      this.#places[place] = number;
    }
  }
}

const WORDS = 8;
const GOLDEN = 0x9e37_79b1;
const wanted = new Uint32Array(WORDS);

function readWords(id: Uint8Array, into: Uint32Array): void {
  assert(id.length === 4 * WORDS, "a payee id has 32 bytes");
  for (let i = 0; i < WORDS; i++)
    into[i] = id[4 * i]! | (id[4 * i + 1]! << 8) | (id[4 * i + 2]! << 16) | (id[4 * i + 3]! << 24);
}

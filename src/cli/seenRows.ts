/**
 * Which rows were seen, with a hash of what each said: 32 bytes a row in flat memory, so that a file of many millions can be read on a small machine.
 * An open hash table, never more than half full.
 */
export class SeenRows {
  /** Eight words a place: four of the key's hash, four of the body's. A key of only zeros is an empty place. */
  #words = new Uint32Array(8 * 1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The body's hash, 16 bytes; undefined where the key was not added. Both hashes are 16 bytes that nobody can choose. */
  get(key: Uint8Array): Uint8Array | undefined {
    const at = this.#placeOf(wordsOf(key));
    if (this.#isEmpty(at)) return undefined;
    const body = new Uint8Array(16);
    const view = new DataView(body.buffer);
    for (let i = 0; i < 4; i++) view.setUint32(4 * i, this.#words[at + 4 + i]!);
    return body;
  }

  /** The first word stays. */
  add(key: Uint8Array, body: Uint8Array): void {
    if (16 * (this.#count + 1) > this.#words.length) this.#grow();
    const words = wordsOf(key);
    const at = this.#placeOf(words);
    if (!this.#isEmpty(at)) return;
    this.#words.set(words, at);
    this.#words.set(wordsOf(body), at + 4);
    this.#count += 1;
  }

  #placeOf(key: Uint32Array): number {
    const places = this.#words.length / 8;
    let place = key[0]! % places;
    for (;;) {
      const at = 8 * place;
      if (this.#isEmpty(at) || key.every((word, i) => this.#words[at + i] === word)) return at;
      place = (place + 1) % places;
    }
  }

  #isEmpty(at: number): boolean {
    for (let i = 0; i < 4; i++) if (this.#words[at + i] !== 0) return false;
    return true;
  }

  #grow(): void {
    const before = this.#words;
    this.#words = new Uint32Array(2 * before.length);
    for (let at = 0; at < before.length; at += 8) {
      const row = before.subarray(at, at + 8);
      if (row[0] !== 0 || row[1] !== 0 || row[2] !== 0 || row[3] !== 0)
        this.#words.set(row, this.#placeOf(row.subarray(0, 4)));
    }
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return Uint32Array.of(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12));
}

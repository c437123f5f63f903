/** Tokens that arrive in pieces. */
export class TokenBuffer {
  #tokens: Uint16Array;
  #length = 0;

  constructor(capacity: number) {
    this.#tokens = new Uint16Array(capacity);
  }

  append(tokens: Uint16Array): void {
    const length = this.#length + tokens.length;
    if (length > this.#tokens.length) {
      const larger = new Uint16Array(2 * length);
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    if (tokens.length === 1) this.#tokens[this.#length] = tokens[0]!;
    else this.#tokens.set(tokens, this.#length);
    this.#length = length;
  }

  finish(): Uint16Array {
    return this.#tokens.slice(0, this.#length);
  }
}

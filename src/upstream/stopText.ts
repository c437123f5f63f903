/** Ends a text before the first of some stop sequences, also where a sequence arrives in parts: what might be its beginning is held back. */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  #isStopped = false;

  constructor(stops: readonly string[] = []) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** What of the text so far may be given out. */
  push(part: string): string {
    if (this.#isStopped || this.#stops.length === 0) return this.#isStopped ? "" : part;
    const text = this.#held + part;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#isStopped = true;
      this.#held = "";
      return text.slice(0, Math.min(...found));
    }
    const held = Math.max(...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }

  /** What was held back, when the text ends without a stop. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** The longest end of `text` that `stop` begins with, shorter than `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}

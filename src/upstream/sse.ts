/**
 * Server-sent events as OpenAI-compatible servers write them (WHATWG HTML, section 9.2): the payloads of `data:` fields, one event's lines joined.
 * Comments, other fields and all three line endings are understood. Throws {@link SseTooLong} on an event above `eventBytesMax`.
 */
export class SseParser {
  readonly #decoder = new TextDecoder();
  readonly #eventCharsMax: number;
  #rest = "";
  #data: string[] = [];
  #length = 0;
  #endedWithCr = false;

  constructor(eventCharsMax = 1_048_576) {
    this.#eventCharsMax = eventCharsMax;
  }

  /** The events that the bytes complete. */
  push(bytes: Uint8Array): string[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#endedWithCr && text.startsWith("\n")) text = text.slice(1);
    this.#endedWithCr = text === "" ? this.#endedWithCr : text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    const events: string[] = [];
    for (const line of lines) this.#line(line, events);
    if (this.#rest.length + this.#length > this.#eventCharsMax) throw new SseTooLong();
    return events;
  }

  #line(line: string, events: string[]): void {
    if (line === "") {
      if (this.#data.length > 0) events.push(this.#data.join("\n"));
      this.#data = [];
      this.#length = 0;
      return;
    }
    if (!line.startsWith("data:")) return;
    const value = line.slice(line[5] === " " ? 6 : 5);
    this.#data.push(value);
    this.#length += value.length;
    if (this.#length > this.#eventCharsMax) throw new SseTooLong();
  }
}

export class SseTooLong extends Error {
  constructor() {
    super("a server-sent event is too long");
    this.name = "SseTooLong";
  }
}

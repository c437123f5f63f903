import { StringDecoder } from "node:string_decoder";

/**
 * Server-sent events as OpenAI-compatible servers write them (WHATWG HTML, section 9.2): the payloads of `data:` fields, one event's lines joined.
 * Comments, other fields and all three line endings are understood. Throws {@link SseTooLong} on an event above `eventCharsMax`.
 */
export class SseParser {
  readonly #decoder = new StringDecoder("utf8");
  readonly #eventCharsMax: number;
  #rest = "";
  /** Of the event that is being read; most have one line of it. */
  #data: string | undefined;
  #isFirst = true;
  #endedWithCr = false;

  constructor(eventCharsMax = 1_048_576) {
    this.#eventCharsMax = eventCharsMax;
  }

  /** The events that the bytes complete. */
  push(bytes: Uint8Array): string[] {
    const events: string[] = [];
    this.#lines(this.#decoded(bytes), events);
    if (this.#rest.length + (this.#data?.length ?? 0) > this.#eventCharsMax) throw new SseTooLong();
    return events;
  }

  /** One leading byte order mark is no part of the text. */
  #decoded(bytes: Uint8Array): string {
    const text = this.#decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (!this.#isFirst || text === "") return text;
    this.#isFirst = false;
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  }

  /** Lines that end in line feeds alone, as almost all do, are found without an expression. */
  #lines(text: string, events: string[]): void {
    if (this.#endedWithCr || text.includes("\r")) {
      this.#anyLines(text, events);
      return;
    }
    const whole = this.#rest === "" ? text : this.#rest + text;
    let at = 0;
    for (let end = whole.indexOf("\n"); end >= 0; end = whole.indexOf("\n", at)) {
      this.#line(whole.slice(at, end), events);
      at = end + 1;
    }
    this.#rest = at === 0 ? whole : whole.slice(at);
  }

  #anyLines(text: string, events: string[]): void {
    const joined = this.#endedWithCr && text.startsWith("\n") ? text.slice(1) : text;
    this.#endedWithCr = text === "" ? this.#endedWithCr : text.endsWith("\r");
    const lines = (this.#rest + joined).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line, events);
  }

  #line(line: string, events: string[]): void {
    if (line === "") {
      if (this.#data !== undefined) events.push(this.#data);
      this.#data = undefined;
      return;
    }
    if (!line.startsWith("data:")) return;
    const value = line.slice(line[5] === " " ? 6 : 5);
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    if (this.#data.length > this.#eventCharsMax) throw new SseTooLong();
  }
}

export class SseTooLong extends Error {
  constructor() {
    super("a server-sent event is too long");
    this.name = "SseTooLong";
  }
}

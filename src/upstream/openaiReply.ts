import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import type { EngineEvent, StopSignal } from "../core/engine.ts";

/** Makes events of a response's bytes. */
export interface ReplyReader {
  /** Nothing more is wanted of the response. */
  readonly isOver: boolean;
  read(parts: readonly Uint8Array[], events: EngineEvent[]): void;
  /** The response is over. */
  end(events: EngineEvent[]): void;
}

export interface ReplySource {
  /** Sends the request. */
  send(handler: Dispatcher.DispatchHandler): void;
  readerOf(status: number, contentType: string): ReplyReader;
  /** What an error of the connection, or of a reader, is told as. */
  failureOf(error: unknown): EngineEvent;
}

type Step = IteratorResult<readonly EngineEvent[], undefined>;

/**
 * One HTTP response as undici hands it over, as the events that it says: a step for all that came together. It is its own iterator, since a
 * generator, and undici's stream under it, make several promises for each part. A reader that lags pauses the socket, so what is held here stays bounded.
 */
export class Reply implements AsyncIterableIterator<readonly EngineEvent[], undefined>, Dispatcher.DispatchHandler {
  readonly #source: ReplySource;
  readonly #signal: StopSignal;
  #reader: ReplyReader | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #parts: Uint8Array[] = [];
  #held = 0;
  #isSent = false;
  /** No more bytes come. */
  #isWhole = false;
  #error: unknown;
  /** No more events come. */
  #isOver = false;
  #isLeft = false;
  #isTelling = false;
  #waiting: ((step: Step) => void) | undefined;

  constructor(source: ReplySource, signal: StopSignal) {
    this.#source = source;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step> {
    if (!this.#isSent) this.#send();
    const events = this.#read();
    if (events.length > 0) return Promise.resolve({ value: events, done: false });
    if (this.#isOver) return this.return();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Gives the connection up unless the response is already whole. */
  return(): Promise<Step> {
    this.#leave();
    return ended;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isLeft) controller.abort(stopped);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status >= 200) this.#reader = this.#source.readerOf(status, headers["content-type"] ?? "");
  }

  onResponseData(controller: Dispatcher.DispatchController, part: Uint8Array): void {
    this.#parts.push(part);
    this.#held += part.length;
    if (this.#held > BYTES_HELD_MAX) controller.pause();
    this.#tell();
  }

  onResponseEnd(): void {
    this.#isWhole = true;
    this.#tell();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#isWhole = true;
    this.#error = error;
    this.#tell();
  }

  #send(): void {
    this.#isSent = true;
    if (this.#signal.aborted) {
      this.#isOver = true;
      return;
    }
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    try {
      this.#source.send(this);
    } catch (error) {
      this.#isWhole = true;
      this.#error = error;
    }
  }

  /** The events of all that came since. After the last of them, that the response ended, or what went wrong. */
  #read(): EngineEvent[] {
    const events: EngineEvent[] = [];
    if (this.#isOver) return events;
    try {
      if (this.#parts.length > 0) this.#reader?.read(this.#taken(), events);
      if (this.#isWhole && this.#reader?.isOver !== true) {
        if (this.#error !== undefined) throw this.#error;
        this.#reader?.end(events);
      }
      this.#isOver = this.#isWhole || this.#reader?.isOver === true;
    } catch (error) {
      this.#isOver = true;
      events.push(this.#source.failureOf(error));
    }
    return events;
  }

  #taken(): readonly Uint8Array[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#held = 0;
    if (this.#controller?.paused === true) this.#controller.resume();
    return parts;
  }

  /** Whoever waits is told at the end of this turn: the parts that one read of the socket brings share a step. */
  #tell(): void {
    if (this.#waiting === undefined || this.#isTelling) return;
    this.#isTelling = true;
    void turnEnds.then(this.#hand);
  }

  readonly #hand = () => {
    this.#isTelling = false;
    const events = this.#read();
    if (events.length === 0 && !this.#isOver) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(events.length > 0 ? { value: events, done: false } : over);
  };

  readonly #onAbort = () => {
    this.#leave();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(over);
  };

  #leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#isOver = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (!this.#isWhole) this.#controller?.abort(stopped);
  }
}

const BYTES_HELD_MAX = 262_144;
const over: Step = { value: undefined, done: true };
const ended = Promise.resolve(over);
const turnEnds = Promise.resolve();
const stopped = new Error("no longer wanted");

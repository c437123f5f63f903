import type { StopSignal } from "../core/engine.ts";
import type { Refusal } from "../core/result.ts";
import type { ChunkWriter } from "./answerWire.ts";
import type { Delivery } from "./dispatch.ts";
import { type Exchange, encoded, type Headers } from "./exchange.ts";
import { StopSource } from "./stopSource.ts";

/** A caller that reads nothing for so long is taken to be gone. */
const STALL_MS = 30_000;
/** Unsent text above which the engine is made to wait. */
const BUFFERED_CHARS_MAX = 65_536;

/** The caller leaves, or the server goes down: what ends a delivery from outside. */
export function callerSignal({ response }: Exchange): StopSource {
  const source = new StopSource();
  response.on("close", () => {
    if (!response.writableFinished) source.abort(callerLeft);
  });
  return source;
}

const callerLeft: Refusal = { code: "cancelled", message: "the caller left" };

/** Keeps everything back until the end. */
export function wholeDelivery(signal: StopSignal): Delivery {
  return { isStream: false, signal, text: () => !signal.aborted };
}

/**
 * Server-sent events. Parts that come within one turn of the event loop go out in one write; a slow reader holds the engine back,
 * so what waits here is bounded.
 */
export class StreamDelivery implements Delivery {
  readonly isStream = true;
  readonly signal: StopSignal;
  readonly #exchange: Exchange;
  readonly #chunks: ChunkWriter;
  readonly #headers: Headers;
  #buffered = "";
  #isScheduled = false;
  #hasBegun = false;

  constructor(exchange: Exchange, chunks: ChunkWriter, signal: StopSignal, headers: Headers) {
    this.#exchange = exchange;
    this.#chunks = chunks;
    this.#headers = headers;
    this.signal = signal;
  }

  /** True once a byte of the answer was handed over: a refusal can no longer be a status. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  text(part: string): boolean | Promise<boolean> {
    if (this.signal.aborted) return false;
    if (!this.#hasBegun) this.#begin();
    this.#push(this.#chunks.text(part));
    const { response } = this.#exchange;
    if (this.#buffered.length < BUFFERED_CHARS_MAX && !response.writableNeedDrain) return true;
    return this.#drained();
  }

  /** The last words, whatever they are. */
  end(text: string): void {
    if (this.#exchange.response.destroyed) return;
    if (!this.#hasBegun) this.#begin();
    this.#buffered += text;
    this.#flush();
    this.#exchange.response.end();
  }

  push(text: string): void {
    if (text === "" || this.signal.aborted) return;
    if (!this.#hasBegun) this.#begin();
    this.#push(text);
  }

  #begin(): void {
    this.#hasBegun = true;
    this.#exchange.response.writeHead(200, {
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "x-request-id": this.#exchange.requestId,
      ...this.#headers,
    });
    this.#buffered += this.#chunks.first();
  }

  #push(text: string): void {
    this.#buffered += text;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    const { response } = this.#exchange;
    if (this.#buffered === "" || response.destroyed) return;
    response.write(encoded(this.#buffered));
    this.#buffered = "";
  }

  #drained(): Promise<boolean> {
    this.#flush();
    const { response } = this.#exchange;
    if (response.destroyed || this.signal.aborted) return Promise.resolve(false);
    if (!response.writableNeedDrain) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (isTaken: boolean) => {
        clearTimeout(timer);
        response.off("drain", onDrain);
        this.signal.removeEventListener("abort", onAbort);
        resolve(isTaken);
      };
      const onDrain = () => settle(true);
      const onAbort = () => settle(false);
      const timer = setTimeout(() => {
        settle(false);
        response.destroy();
      }, STALL_MS);
      response.once("drain", onDrain);
      this.signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

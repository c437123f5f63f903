import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";

/**
 * One HTTP response as undici hands it over: a head, then bytes as they come. Undici's own `request` makes a stream, an iterator and a promise
 * for each part; this costs a fraction of it. A reader that lags pauses the socket, so what is held here stays bounded.
 */
export class Inbox implements Dispatcher.DispatchHandler {
  status = 0;
  contentType = "";
  readonly #bytesHeldMax: number;
  #controller: Dispatcher.DispatchController | undefined;
  #parts: Uint8Array[] = [];
  #held = 0;
  #isOver = false;
  #isStopped = false;
  #error: Error | undefined;
  #wake: () => void = () => {};

  constructor(bytesHeldMax = 262_144) {
    this.#bytesHeldMax = bytesHeldMax;
  }

  /** Resolves when the head is there; throws what went wrong. */
  async head(): Promise<void> {
    while (this.status === 0 && !this.#isOver) await this.#something();
    if (this.#error !== undefined) throw this.#error;
  }

  /** The bytes that came since; undefined at the end. Throws what went wrong, after all that came before it. */
  async read(): Promise<readonly Uint8Array[] | undefined> {
    while (this.#parts.length === 0 && !this.#isOver) await this.#something();
    if (this.#parts.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      return undefined;
    }
    const parts = this.#parts;
    this.#parts = [];
    this.#held = 0;
    if (this.#controller?.paused === true) this.#controller.resume();
    return parts;
  }

  /** Gives the connection up unless the response is already whole. */
  stop(): void {
    if (this.#isOver) return;
    this.#isStopped = true;
    this.#controller?.abort(stopped);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isStopped) controller.abort(stopped);
  }

  onResponseStart(_: Dispatcher.DispatchController, statusCode: number, headers: IncomingHttpHeaders): void {
    if (statusCode < 200) return;
    this.status = statusCode;
    this.contentType = headers["content-type"] ?? "";
    this.#wake();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    if (this.#held > this.#bytesHeldMax) controller.pause();
    this.#wake();
  }

  onResponseEnd(): void {
    this.#isOver = true;
    this.#wake();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#error = error;
    this.#isOver = true;
    this.#wake();
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const stopped = new Error("no longer wanted");

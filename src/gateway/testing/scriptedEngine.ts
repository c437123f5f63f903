import type { Engine, EngineEvent, EngineRequest, StopSignal } from "../../core/engine.ts";
import type { Refusal } from "../../core/result.ts";

/** One step of a scripted answer: a part of text, a pause, a failure, or an end. */
export type Step =
  | { readonly say: string }
  | { readonly pauseMs: number }
  | { readonly usage: readonly [tokensIn: number, tokensOut: number] }
  | { readonly fail: Refusal["code"] }
  | { readonly throws: string }
  | { readonly end: "stop" | "length" }
  | { readonly hang: true };

/** An engine that does as it is told, and remembers what it was asked and whether it was stopped. */
export class ScriptedEngine implements Engine {
  readonly requests: EngineRequest[] = [];
  script: (request: EngineRequest) => readonly Step[];
  stopped = 0;
  running = 0;
  runningMost = 0;
  readonly #released = new AbortController();

  constructor(script: readonly Step[] | ((request: EngineRequest) => readonly Step[])) {
    this.script = typeof script === "function" ? script : () => script;
  }

  /** Those that hang go on. */
  release(): void {
    this.#released.abort();
  }

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<EngineEvent[]> {
    this.requests.push(request);
    this.running += 1;
    this.runningMost = Math.max(this.runningMost, this.running);
    try {
      for (const step of this.script(request)) {
        if (signal.aborted) break;
        const event = await this.#play(step, signal);
        if (event !== undefined) yield [event];
        if (event?.type === "end" || event?.type === "failed") return;
      }
    } finally {
      this.running -= 1;
      if (signal.aborted) this.stopped += 1;
    }
  }

  async #play(step: Step, signal: StopSignal): Promise<EngineEvent | undefined> {
    if ("say" in step) return { type: "text", text: step.say };
    if ("usage" in step) return { type: "usage", tokensIn: step.usage[0], tokensOut: step.usage[1] };
    if ("end" in step) return { type: "end", reason: step.end };
    if ("fail" in step) return { type: "failed", refusal: { code: step.fail, message: `scripted ${step.fail}` } };
    if ("throws" in step) throw new Error(step.throws);
    if ("pauseMs" in step) await sleep(step.pauseMs, signal);
    else await Promise.race([sleep(2 ** 30, signal), sleep(2 ** 30, this.#released.signal)]);
    return undefined;
  }
}

/** `Hello, world!` in three parts. */
export const hello: readonly Step[] = [
  { say: "Hello" },
  { say: ", world" },
  { say: "!" },
  { usage: [9, 4] },
  { end: "stop" },
];

function sleep(ms: number, signal: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const onAbort = () => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

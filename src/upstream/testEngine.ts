import type { Engine, EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import { failed } from "../core/engine.ts";
import { type RefusalCode, refusalCodes } from "../core/result.ts";

const ANSWER = "This is a test answer.";
const WAIT_MS_MAX = 60_000;

/**
 * An engine whose answers are known beforehand: the same five words to everything, a word counted as a token. What is asked can say otherwise:
 * `test:tokens=N` answers with N words, `test:wait=MS` takes its time, `test:fail=CODE` fails with that refusal.
 */
export const testEngine: Engine = {
  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<EngineEvent[]> {
    const asked = request.messages.at(-1)?.content ?? "";
    const waitMs = Math.min(Number(/test:wait=(\d{1,6})/.exec(asked)?.[1] ?? 0), WAIT_MS_MAX);
    if (waitMs > 0) await pause(waitMs, signal);
    if (signal.aborted) return;
    const code = failureIn(asked);
    if (code !== undefined) return yield [failed(code, "as the test asked")];
    const wanted = /test:tokens=(\d{1,6})/.exec(asked)?.[1];
    const words = wanted === undefined ? ANSWER.split(" ") : Array.from({ length: Number(wanted) }, () => "test");
    const said = words.slice(0, request.maxTokens);
    for (const [at, word] of said.entries()) yield [{ type: "text", text: at === 0 ? word : ` ${word}` }];
    const tokensIn = request.messages.reduce((sum, { content }) => sum + countWords(content), 0);
    yield [{ type: "usage", tokensIn, tokensOut: said.length }];
    yield [{ type: "end", reason: said.length < words.length ? "length" : "stop" }];
  },
};

/** A token of the test model is a word. */
export function countWords(text: string): number {
  return text.split(/\s+/).filter((word) => word !== "").length;
}

function failureIn(asked: string): RefusalCode | undefined {
  const wanted = /test:fail=([a-z_]{1,40})/.exec(asked)?.[1];
  return refusalCodes.find((code) => code === wanted);
}

function pause(ms: number, signal: StopSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

import { type Engine, type EngineEvent, type EngineRequest, failed, type StopSignal } from "../core/engine.ts";
import { answer } from "../models/answer.ts";
import { encode, TokenDecoder } from "../models/bpe.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { generate } from "../models/infinigram.ts";
import { StopText } from "./stopText.ts";

/** Parts after which the event loop gets a turn, so that a cancellation can arrive. */
const PARTS_A_TURN = 16;

/**
 * ∞-gram models as an engine: chats are answered from the retrieved records, texts are continued by the whole index.
 * Everything is computed in place: run it in a worker (`infinigramWorker.ts`).
 */
export class InfinigramEngine implements Engine {
  readonly #indexes: ReadonlyMap<string, CorpusIndex>;

  /** Model name → its index. */
  constructor(indexes: ReadonlyMap<string, CorpusIndex>) {
    this.#indexes = indexes;
  }

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    const index = this.#indexes.get(request.model);
    if (index === undefined) {
      yield [failed("upstream_failed", `the embedded engine has no model "${request.model}"`)];
      return;
    }
    const stop = new StopText(request.stop);
    const steps = request.mode === "chat" ? chat(index, request) : continuation(index, request);
    let tokensOut = 0;
    for (let parts = 1; ; parts++) {
      if (parts % PARTS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) return;
      const step = steps.next();
      if (step.done === true) {
        yield ending(index, request, tokensOut, step.value, stop.end());
        return;
      }
      tokensOut += step.value.tokens;
      const text = stop.push(step.value.text);
      if (text !== "") yield [{ type: "text", text }];
      if (stop.isStopped) {
        yield ending(index, request, tokensOut, "stop", "");
        return;
      }
    }
  }
}

/** Tokens of a request's text as the model counts them. */
export function tokensOf(index: CorpusIndex, request: Pick<EngineRequest, "messages" | "passages">): number {
  const texts = [...request.messages.map(({ content }) => content), ...request.passages.map(({ text }) => text)];
  return texts.reduce((sum, text) => sum + encode(index.tokenizer, text).length, 0);
}

interface Part {
  readonly text: string;
  readonly tokens: number;
}

type Finish = "stop" | "length";

function* chat(index: CorpusIndex, request: EngineRequest): Generator<Part, Finish> {
  const { messages, passages: records, maxTokens } = request;
  const outcome = yield* answer(index, { messages, records, maxTokens });
  return outcome.finish === "length" ? "length" : "stop";
}

function* continuation(index: CorpusIndex, request: EngineRequest): Generator<Part, Finish> {
  const { maxTokens, temperature = 0, seed = 0 } = request;
  const prompt = encode(index.tokenizer, request.messages[0]?.content ?? "");
  const decoder = new TokenDecoder(index.tokenizer);
  const tokens = generate(index, prompt, { maxTokens, temperature, random: mulberry32(seed) });
  for (;;) {
    const step = tokens.next();
    if (step.done === true) {
      const rest = decoder.end();
      if (rest !== "") yield { text: rest, tokens: 0 };
      return step.value;
    }
    yield { text: decoder.push(step.value), tokens: 1 };
  }
}

function ending(
  index: CorpusIndex,
  request: EngineRequest,
  tokensOut: number,
  reason: Finish,
  rest: string,
): EngineEvent[] {
  return [
    ...(rest === "" ? [] : [{ type: "text", text: rest } as const]),
    { type: "usage", tokensIn: tokensOf(index, request), tokensOut },
    { type: "end", reason },
  ];
}

/** Tommy Ettinger's mulberry32: uniform in [0, 1), the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

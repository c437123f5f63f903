import { availableParallelism } from "node:os";
import type { LlamaContextSequence, Token } from "node-llama-cpp";
import type { EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import type { Result } from "../core/result.ts";
import { TokenDecoder } from "../models/bpe.ts";
import { BATCH_TOKENS_MAX } from "./llamaNative.ts";
import type { Lease, LlamaPool } from "./llamaPool.ts";
import { promptTokens } from "./llamaPrompt.ts";
import type { LlamaModel, Score, ScoreRequest } from "./llamaProtocol.ts";
import { scoreOn } from "./llamaScore.ts";
import { tokenOf } from "./llamaToken.ts";
import { StopText } from "./stopText.ts";
import { Turns } from "./turns.ts";

/** Left for the answer, of the context, where passages would take all of it. */
const ANSWER_PART = 1 / 4;

/** Runs requests on leased sequences: prompt in, tokens out, text cut at stop sequences. */
export class LlamaRunner {
  readonly #pool: LlamaPool;
  /** Half of the cores are for those who wait for an answer. */
  readonly #scorings = new Turns(Math.max(1, Math.floor(availableParallelism() / 2)));

  constructor(pool: LlamaPool) {
    this.#pool = pool;
  }

  async *complete(
    model: LlamaModel,
    request: EngineRequest,
    signal: StopSignal,
  ): AsyncGenerator<readonly EngineEvent[]> {
    const leased = await this.#pool.lease(model, signal);
    if (!leased.ok) {
      if (!signal.aborted) yield [{ type: "failed", refusal: leased.error }];
      return;
    }
    try {
      yield* generate(leased.value, request, signal);
    } finally {
      leased.value.release();
    }
  }

  /** The oldest first: of several that share the cores none would be in time. */
  async score(model: LlamaModel, request: ScoreRequest, signal: StopSignal): Promise<Result<Score>> {
    const deadlineMs = performance.now() + request.withinMs;
    const turn = await this.#scorings.take();
    try {
      const leased = await this.#pool.lease(model, signal);
      if (!leased.ok) return leased;
      try {
        return await scoreOn(leased.value, request, deadlineMs, signal);
      } finally {
        leased.value.release();
      }
    } finally {
      turn.end();
    }
  }
}

async function* generate(
  { base, sequence }: Lease,
  request: EngineRequest,
  signal: StopSignal,
): AsyncGenerator<readonly EngineEvent[]> {
  const room = sequence.contextSize - 1;
  const reserved = Math.min(request.maxTokens, Math.ceil(ANSWER_PART * room));
  const prompt = promptTokens(base.tokenizer, request, room - 1, reserved - 1);
  if (!prompt.ok) {
    yield [{ type: "failed", refusal: prompt.error }];
    return;
  }
  const tokensMax = Math.min(request.maxTokens, room - prompt.value.length);
  const last = await readPrompt(sequence, prompt.value.map(tokenOf), signal);
  const decoder = new TokenDecoder(base.tokenizer);
  const stop = new StopText(request.stop);
  let tokensOut = 0;
  let reason: "stop" | "length" = tokensMax === 0 ? "length" : "stop";
  if (tokensMax > 0 && !signal.aborted)
    for await (const token of sequence.evaluate(last, sampling(request))) {
      if (signal.aborted) return;
      tokensOut++;
      const text = stop.push(decoder.push(token));
      if (text !== "") yield [{ type: "text", text }];
      if (stop.isStopped) break;
      if (tokensOut === tokensMax) {
        reason = "length";
        break;
      }
    }
  if (signal.aborted) return;
  const rest = stop.push(decoder.end()) + stop.end();
  yield [
    ...(rest === "" ? [] : [{ type: "text", text: rest } as const]),
    { type: "usage", tokensIn: prompt.value.length, tokensOut },
    { type: "end", reason },
  ];
}

/** Reads all but the last tokens of a prompt, in steps; the rest is what generation begins with. */
async function readPrompt(
  sequence: LlamaContextSequence,
  prompt: readonly Token[],
  signal: StopSignal,
): Promise<Token[]> {
  let at = 0;
  while (prompt.length - at > BATCH_TOKENS_MAX && !signal.aborted) {
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(at, at + BATCH_TOKENS_MAX));
    at += BATCH_TOKENS_MAX;
  }
  return prompt.slice(at);
}

/** The model's own distribution is cut by nothing but what the request says; without a temperature the likeliest token is taken. */
function sampling({ temperature = 0, topP = 1, seed }: EngineRequest): {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly seed?: number;
} {
  return { temperature, topP, topK: 0, minP: 0, ...(seed === undefined ? {} : { seed: seed >>> 0 }) };
}

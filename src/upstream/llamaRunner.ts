import type { ControlledEvaluateInputItem, LlamaContextSequence, Token } from "node-llama-cpp";
import type { EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { encode, TokenDecoder } from "../models/bpe.ts";
import type { Lease, LlamaPool } from "./llamaPool.ts";
import { promptTokens } from "./llamaPrompt.ts";
import type { LlamaModel, Score, ScoreRequest } from "./llamaProtocol.ts";
import { tokenOf } from "./llamaToken.ts";
import { StopText } from "./stopText.ts";

/** Prompt tokens after which a cancelled run notices; a context's batch holds as many. */
const PROMPT_STEP_TOKENS = 128;
/** Left for the answer, of the context, where passages would take all of it. */
const ANSWER_PART = 1 / 4;

/** Runs requests on leased sequences: prompt in, tokens out, text cut at stop sequences. */
export class LlamaRunner {
  readonly #pool: LlamaPool;

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

  async score(model: LlamaModel, request: ScoreRequest, signal: StopSignal): Promise<Result<Score>> {
    const leased = await this.#pool.lease(model, signal);
    if (!leased.ok) return leased;
    try {
      return await scoreOn(leased.value, request);
    } finally {
      leased.value.release();
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
  while (prompt.length - at > PROMPT_STEP_TOKENS && !signal.aborted) {
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(at, at + PROMPT_STEP_TOKENS));
    at += PROMPT_STEP_TOKENS;
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

/** log p of each token of the text after all before it, summed. */
async function scoreOn({ base, sequence }: Lease, request: ScoreRequest): Promise<Result<Score>> {
  const text = Array.from(encode(base.tokenizer, request.text), tokenOf);
  const room = sequence.contextSize - 1 - text.length;
  if (room < 1) return refuse("context_too_long", `The text has ${text.length} tokens, more than the model reads.`);
  const prompt = promptTokens(base.tokenizer, request, room);
  if (!prompt.ok) return prompt;
  const all = [...prompt.value.map(tokenOf), ...text];
  const inputs = all.slice(0, -1).map((token, i): ControlledEvaluateInputItem => {
    const next = all[i + 1];
    return i + 1 < prompt.value.length || next === undefined ? token : [token, { generateNext: wantedOf(next) }];
  });
  const results = await sequence.controlledEvaluate(inputs);
  let logProbability = 0;
  for (let i = prompt.value.length - 1; i < all.length - 1; i++) {
    const next = all[i + 1];
    const { logits, totalLogitWeight } = results[i]?.next ?? {};
    assert(next !== undefined && logits !== undefined && totalLogitWeight !== undefined, "every token has its logit");
    const largest = Math.max(...logits.values());
    logProbability += (logits.get(next) ?? Number.NEGATIVE_INFINITY) - largest - Math.log(totalLogitWeight);
  }
  return ok({ logProbability, tokens: text.length });
}

/** The token's own logit and the largest, which a greedy sampler selects: asked for as the top one, it would have the whole vocabulary sorted for each token. */
function wantedOf(next: Token) {
  const options = { temperature: 0, topK: 0, topP: 1, minP: 0 };
  return { logits: { filter: { tokens: [next], includeSelected: true } }, totalLogitWeight: true, options };
}

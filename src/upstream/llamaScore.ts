import type { ControlledEvaluateInputItem, LlamaContextSequence, Token } from "node-llama-cpp";
import type { StopSignal } from "../core/engine.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { encode } from "../models/bpe.ts";
import { BATCH_TOKENS_MAX } from "./llamaNative.ts";
import type { Lease } from "./llamaPool.ts";
import { promptTokens } from "./llamaPrompt.ts";
import type { Score, ScoreRequest } from "./llamaProtocol.ts";
import { tokenOf } from "./llamaToken.ts";

/** Sets differ in length, so what is left may be quicker than what was read: only what takes so many times as long as there is left is given up. */
const LATE_MIN = 1.5;

/** Whether all of `total` tokens cannot be read in time, by what `done` of them took. */
export function isLate(done: number, total: number, passedMs: number, leftMs: number): boolean {
  return leftMs <= 0 || (done > 0 && passedMs * (total - done) > LATE_MIN * leftMs * done);
}

/**
 * log p of each token of the text after all before it, summed, with each set of passages. Prompts with a common beginning are neighbours in the order of their tokens, and one reads on where the other left it: so what several sets
 * begin with is read once, and one sequence is enough.
 */
export async function scoreOn(
  { base, sequence }: Pick<Lease, "base" | "sequence">,
  request: ScoreRequest,
  deadlineMs: number,
  signal: StopSignal,
): Promise<Result<Score>> {
  const text = Array.from(encode(base.tokenizer, request.text), tokenOf);
  const room = sequence.contextSize - 1 - text.length;
  if (room < 1) return refuse("context_too_long", `The text has ${text.length} tokens, more than the model reads.`);
  const prompts: (readonly Token[])[] = [];
  for (const passages of request.reads) {
    const prompt = promptTokens(base.tokenizer, { ...request, passages }, room);
    if (!prompt.ok) return prompt;
    prompts.push(prompt.value.map(tokenOf));
  }
  const reads = readsOf(prompts, text);
  const total = reads.reduce((sum, { all, kept }) => sum + all.length - kept, 0);
  const startedMs = performance.now();
  const logProbabilities = prompts.map(() => 0);
  let done = 0;
  for (const { sets, all, kept, prompt } of reads) {
    const nowMs = performance.now();
    if (isLate(done, total, nowMs - startedMs, deadlineMs - nowMs))
      return refuse("upstream_timeout", "There is no time to score the text with all sets of passages.");
    await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }]);
    const sum = await readOn(sequence, all, { kept, prompt }, signal);
    if (signal.aborted) return refuse("cancelled", "The request was cancelled.");
    for (const set of sets) logProbabilities[set] = sum;
    done += all.length - kept;
  }
  return ok({ logProbabilities, tokens: text.length });
}

interface Read {
  /** The sets that make this prompt. */
  readonly sets: number[];
  /** Prompt and text. */
  readonly all: readonly Token[];
  readonly prompt: number;
  /** Tokens that the read before it has left in place. The last of the prompt is not among them: what follows it is asked. */
  readonly kept: number;
}

function readsOf(prompts: readonly (readonly Token[])[], text: readonly Token[]): Read[] {
  const order = prompts.map((prompt, set) => ({ set, prompt })).sort((a, b) => compare(a.prompt, b.prompt));
  const reads: Read[] = [];
  for (const { set, prompt } of order) {
    const before = reads.at(-1);
    const all = [...prompt, ...text];
    const common = before === undefined ? 0 : commonLength(before.all, all);
    if (before !== undefined && common === all.length && common === before.all.length) before.sets.push(set);
    else reads.push({ sets: [set], all, prompt: prompt.length, kept: Math.min(common, prompt.length - 1) });
  }
  return reads;
}

/** Fewer at once than a batch holds: their attention to what was read before them stays in the cache of a core. */
const STEP_TOKENS = BATCH_TOKENS_MAX / 2;

/** Reads what is not kept, a step at a time so that a cancelled run notices, and sums log p over the text. */
async function readOn(
  sequence: LlamaContextSequence,
  all: readonly Token[],
  { kept, prompt }: Pick<Read, "kept" | "prompt">,
  signal: StopSignal,
): Promise<number> {
  let sum = 0;
  for (let from = kept; from < all.length - 1 && !signal.aborted; from += STEP_TOKENS) {
    const until = Math.min(from + STEP_TOKENS, all.length - 1);
    const inputs = all.slice(from, until).map((token, i): ControlledEvaluateInputItem => {
      const at = from + i;
      return at + 1 < prompt ? token : [token, { generateNext: wantedOf(all[at + 1]!) }];
    });
    const results = await sequence.controlledEvaluate(inputs);
    for (let at = Math.max(from, prompt - 1); at < until; at++) sum += logOf(all[at + 1]!, results[at - from]?.next);
  }
  return sum;
}

interface Next {
  readonly logits?: ReadonlyMap<Token, number>;
  readonly totalLogitWeight?: number;
}

function logOf(token: Token, next: Next | undefined): number {
  const { logits, totalLogitWeight } = next ?? {};
  assert(logits !== undefined && totalLogitWeight !== undefined, "every token has its logit");
  return (logits.get(token) ?? Number.NEGATIVE_INFINITY) - Math.max(...logits.values()) - Math.log(totalLogitWeight);
}

/** The token's own logit and the largest, which a greedy sampler selects: asked for as the top one, it would have the whole vocabulary sorted for each token. */
function wantedOf(next: Token) {
  const options = { temperature: 0, topK: 0, topP: 1, minP: 0 };
  return { logits: { filter: { tokens: [next], includeSelected: true } }, totalLogitWeight: true, options };
}

function commonLength(a: readonly Token[], b: readonly Token[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function compare(a: readonly Token[], b: readonly Token[]): number {
  const at = commonLength(a, b);
  return at < a.length && at < b.length ? a[at]! - b[at]! : a.length - b.length;
}

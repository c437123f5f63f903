import { type Fee, feeOf, type Prices, type Rate } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Tokenizer } from "../models/bpe.ts";
import type { LlamaShape } from "../models/llama.ts";
import { type EncodedExample, encodeExample } from "../models/training/chatTemplate.ts";
import { isCut, pack, windowsOf } from "../models/training/packing.ts";
import type { TrainingExample, TrainingOptions } from "../models/training/task.ts";

/** What a training will be like, said before it begins. */
export interface Estimate {
  readonly examples: number;
  readonly heldOut: number;
  /** Conversations that are longer than a sequence, of which the beginning is learnt; and those of them that have no answer in it, of which nothing is. Absent of older jobs. */
  readonly cut?: number;
  readonly unlearnt?: number;
  /** Tokens of one epoch, and of all. */
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly steps: number;
  readonly tokensPerSecond: number;
  /** Whether that speed was measured on this machine, for this shape, or is only reckoned from the weights. */
  readonly isMeasured: boolean;
  readonly seconds: number;
  /** Nano: what running it costs, and what the terms of base and datanets add. */
  readonly cost: number;
  readonly dataFee: number;
}

export interface EstimateInput {
  readonly train: readonly EncodedExample[];
  readonly heldOut: number;
  readonly options: TrainingOptions;
  readonly shape: LlamaShape;
  readonly measured: number | undefined;
  readonly prices: TrainingPrices;
}

/** Prices of a training: tokens that are learnt count as tokens in. */
export interface TrainingPrices {
  readonly cost: Prices;
  readonly royalty: Prices;
}

/** Starting a trainer's process and loading the base. */
const START_SECONDS = 2;
/** Of a trainer that was never measured: what a core does in a second, and the tokens that it handles at most. */
const FLOPS_ASSUMED = 6e10;
const TOKENS_PER_SECOND_MOST = 20_000;
/** A receipt counts tokens in 32 bits. */
const TRAINED_TOKENS_MAX = 2 ** 32 - 1;
/** Encoding so many takes some milliseconds. */
const TOKENS_BETWEEN_PAUSES = 4_096;

export function estimate({ train, heldOut, options, shape, measured, prices }: EstimateInput): Result<Estimate> {
  const windows = train.flatMap((example) => windowsOf(example, options.sequenceTokens));
  const cut = train.filter((example) => isCut(example, options.sequenceTokens));
  const unlearnt = cut.filter((example) => windowsOf(example, options.sequenceTokens).length === 0).length;
  const sequences = pack(windows, options.sequenceTokens).length;
  const tokens = windows.reduce((sum, window) => sum + window.tokens.length, 0);
  const steps = Math.ceil(sequences / options.batchSize) * options.epochs;
  const trainedTokens = tokens * options.epochs;
  const tokensPerSecond = measured ?? assumedSpeed(shape, options.adapter !== undefined);
  if (trainedTokens > TRAINED_TOKENS_MAX)
    return refuse(
      "amount_out_of_range",
      `a training learns at most ${TRAINED_TOKENS_MAX} tokens, this would be ${trainedTokens}`,
      {
        hint: "fewer epochs, or fewer records",
        field: "n_epochs",
      },
    );
  const fee = trainingFee(prices, trainedTokens);
  if (!fee.ok) return fee;
  return ok({
    ...{ examples: train.length, heldOut, cut: cut.length, unlearnt },
    ...{ tokens, trainedTokens, steps, isMeasured: measured !== undefined },
    tokensPerSecond: Math.round(tokensPerSecond),
    seconds: Math.ceil(START_SECONDS + trainedTokens / tokensPerSecond),
    ...{ cost: fee.value.cost, dataFee: fee.value.royalty },
  });
}

/** The fee of a training over so many tokens. */
export function trainingFee(prices: TrainingPrices, trainedTokens: number): Result<Fee> {
  const usage = { tokensIn: trainedTokens, tokensOut: 0, calls: 1 };
  return feeOf({ unit: "nano", ...prices }, noRate, usage);
}

/** What a measured speed is kept under: a speed says nothing about other shapes, nor about another kind of training. */
export function speedKey(shape: LlamaShape, options: TrainingOptions): string {
  const { vocabulary, hidden, intermediate, layers, heads, keyValueHeads } = shape;
  const kind = options.adapter === undefined ? "full" : `lora${options.adapter.rank}`;
  return [vocabulary, hidden, intermediate, layers, heads, keyValueHeads, kind, options.sequenceTokens].join("-");
}

/** Encodes in slices, with a pause between them: whoever is served meanwhile does not wait. */
export async function encodeAll(
  tokenizer: Tokenizer,
  examples: readonly TrainingExample[],
  pause: () => Promise<void>,
): Promise<readonly EncodedExample[]> {
  const encoded: EncodedExample[] = [];
  let tokens = 0;
  for (const example of examples) {
    const one = encodeExample(tokenizer, example);
    encoded.push(one);
    tokens += one.tokens.length;
    if (tokens < TOKENS_BETWEEN_PAUSES) continue;
    tokens = 0;
    await pause();
  }
  return encoded;
}

/** Weights of a shape. */
export function weightsOf(shape: LlamaShape): number {
  const { vocabulary, hidden, intermediate, layers, heads, keyValueHeads, headSize, isTied } = shape;
  const attention = hidden * headSize * (2 * heads + 2 * keyValueHeads);
  return (
    vocabulary * hidden * (isTied ? 1 : 2) + layers * (attention + 3 * hidden * intermediate + 2 * hidden) + hidden
  );
}

/** Two operations a weight forward, twice as many back; an adapter leaves out the half of those that change weights (Kaplan et al. 2020, section 2.1). */
function assumedSpeed(shape: LlamaShape, isAdapter: boolean): number {
  return Math.min(TOKENS_PER_SECOND_MOST, FLOPS_ASSUMED / ((isAdapter ? 4 : 6) * weightsOf(shape)));
}

const noRate: Rate = { nanoPerUsd: 0, source: "none" };

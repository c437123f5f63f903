import type { Refusal, Result } from "./result.ts";

/**
 * An inference engine: what `src/upstream` implements and the gateway runs. Expected failures are events, not exceptions; the last event is `end` or
 * `failed`, and `usage`, where the engine counts, comes before it. Events come in the batches in which they arrived: a step of an async iteration costs
 * more than reading a token does. Leaving the iteration early, or aborting the signal, stops the work behind it; an aborted run ends without a last event.
 */
export interface Engine {
  complete(request: EngineRequest, signal: StopSignal): AsyncIterable<readonly EngineEvent[]>;
}

/** What tells a piece of work to stop. An AbortSignal is one. */
export interface StopSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface EngineRequest {
  /** The model's name at this engine. */
  readonly model: string;
  /** `chat` has messages; `text` continues the one message's content. */
  readonly mode: "chat" | "text";
  readonly messages: readonly EngineMessage[];
  /** Retrieved into the context: engines that know records use them as such, others see them in a system message. */
  readonly passages: readonly Passage[];
  readonly maxTokens: number;
  /** Nobody reads along where it is false: the engine may give the text whole, at its end. */
  readonly isStreamed: boolean;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

export interface EngineMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A record retrieved into the context. */
export interface Passage {
  /** Record id, and its number in the model's index. */
  readonly record: string;
  readonly number: number;
  readonly title: string;
  readonly headings: readonly string[];
  readonly text: string;
  readonly source: string;
  /** Retrieval's own score: only ratios mean something. */
  readonly score: number;
}

export type EngineEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "usage"; readonly tokensIn: number; readonly tokensOut: number }
  | { readonly type: "end"; readonly reason: "stop" | "length" }
  | { readonly type: "failed"; readonly refusal: Refusal };

export function failed(code: Refusal["code"], message: string): EngineEvent {
  return { type: "failed", refusal: { code, message } };
}

/** Turns texts into vectors whose cosine says how near their meanings are. */
export interface Embedder {
  /** Which server and model: vectors of another say nothing beside its own. */
  readonly name: string;
  /** One vector of unit length a text, all of one length. */
  embed(texts: readonly string[], signal: StopSignal): Promise<Result<readonly Float32Array[]>>;
}

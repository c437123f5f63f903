import type { EngineRequest, Passage } from "../core/engine.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { END_OF_RECORD, encode, type Tokenizer } from "../models/bpe.ts";
import { chatPieces } from "../models/training/chatTemplate.ts";

/** What a prompt is made of. */
export type PromptRequest = Pick<EngineRequest, "mode" | "messages" | "passages">;

/**
 * A request as tokens, as the trainer writes them: markers are text, and only we write the end-of-record token, so nothing that somebody says can end a
 * message. Passages stand in a system message; the last ones, which retrieval thinks least of, are left out until `reserved` of `tokensMax` are free
 * for the answer. Refuses `context_too_long` where the messages alone are longer than `tokensMax`.
 */
export function promptTokens(
  tokenizer: Tokenizer,
  request: PromptRequest,
  tokensMax: number,
  reserved = 0,
): Result<number[]> {
  const { mode, passages } = request;
  for (let kept = mode === "chat" ? passages.length : 0; kept > 0; kept--) {
    const tokens = encodePrompt(tokenizer, request, passages.slice(0, kept));
    if (tokens.length <= tokensMax - reserved) return ok(tokens);
  }
  const tokens = encodePrompt(tokenizer, request, []);
  return tokens.length <= tokensMax
    ? ok(tokens)
    : refuse("context_too_long", `The prompt has ${tokens.length} tokens; the model reads ${tokensMax}.`);
}

function encodePrompt(tokenizer: Tokenizer, { mode, messages }: PromptRequest, passages: readonly Passage[]): number[] {
  if (mode === "text") {
    const tokens = Array.from(encode(tokenizer, messages[0]?.content ?? ""));
    // A text has no first token of its own: it begins where another one ended.
    return tokens.length > 0 ? tokens : [END_OF_RECORD];
  }
  const context = passages.map(({ title, text }) => `[${title}]\n${text}`).join("\n\n");
  const grounded = passages.length === 0 ? [] : [{ role: "system", content: context } as const];
  const tokens: number[] = [];
  for (const { text, isAnswer } of chatPieces([...grounded, ...messages])) {
    tokens.push(...encode(tokenizer, text));
    if (isAnswer) tokens.push(END_OF_RECORD);
  }
  tokens.push(...encode(tokenizer, "\n\n### Assistant:\n"));
  return tokens;
}

import type { Refusal } from "../core/result.ts";
import type { WireUsage } from "../protocol/completions.ts";
import { openAiError } from "../protocol/errors.ts";
import { hexText } from "./hexText.ts";
import type { Answered, Order } from "./order.ts";

/** Answers as OpenAI writes them: whole objects and the chunks of a stream, written by hand because they are what a request's CPU goes to. */
export function answerId(mode: Order["mode"], receipt: Uint8Array): string {
  return `${mode === "chat" ? "chatcmpl" : "cmpl"}-${hexText(receipt).slice(2)}`;
}

export function wireUsage({ usage }: Pick<Answered, "usage">): WireUsage {
  const { tokensIn, tokensOut } = usage;
  return { prompt_tokens: tokensIn, completion_tokens: tokensOut, total_tokens: tokensIn + tokensOut };
}

/** The body of an answer that is not streamed. */
export function wireAnswer(mode: Order["mode"], model: string, answered: Answered): object {
  const { answer, finish } = answered;
  const choice =
    mode === "chat"
      ? { message: { role: "assistant", content: answer, refusal: null }, logprobs: null }
      : { text: answer, logprobs: null };
  return {
    id: answerId(mode, answered.receipt),
    object: mode === "chat" ? "chat.completion" : "text_completion",
    created: Math.floor(answered.createdMs / 1_000),
    model,
    choices: [{ index: 0, ...choice, finish_reason: finish }],
    usage: wireUsage(answered),
    openledger: answered.settlement,
  };
}

/** Writes the chunks of one stream. With `include_usage` every chunk but the last says `"usage": null`, as OpenAI's do. */
export class ChunkWriter {
  readonly #isChat: boolean;
  readonly #head: string;
  readonly #usage: string;
  readonly #withUsage: boolean;

  constructor(mode: Order["mode"], id: string, createdMs: number, model: string, withUsage: boolean) {
    this.#isChat = mode === "chat";
    const object = this.#isChat ? "chat.completion.chunk" : "text_completion";
    const created = Math.floor(createdMs / 1_000);
    this.#head = `data: {"id":"${id}","object":"${object}","created":${created},"model":${JSON.stringify(model)},"choices":[`;
    this.#usage = withUsage ? `,"usage":null` : "";
    this.#withUsage = withUsage;
  }

  /** Chat streams begin with the role. */
  first(): string {
    if (!this.#isChat) return "";
    return `${this.#head}{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]${this.#usage}}\n\n`;
  }

  text(part: string): string {
    const text = JSON.stringify(part);
    const choice = this.#isChat ? `"delta":{"content":${text}}` : `"text":${text}`;
    return `${this.#head}{"index":0,${choice},"logprobs":null,"finish_reason":null}]${this.#usage}}\n\n`;
  }

  /** With `include_usage` the reason for the end goes out before the posting; the last chunk, with usage and promise, follows it. */
  finish(reason: string): string {
    if (!this.#withUsage) return "";
    return `${this.#finished(reason)}]${this.#usage}}\n\n`;
  }

  /** Without `include_usage` there is no chunk without choices: some clients trip over it, so the reason for the end carries the promise. */
  last(answered: Answered): string {
    const settlement = `"openledger":${JSON.stringify(answered.settlement)}`;
    if (!this.#withUsage) return `${this.#finished(answered.finish)}],${settlement}}\n\ndata: [DONE]\n\n`;
    return `${this.#head}],"usage":${JSON.stringify(wireUsage(answered))},${settlement}}\n\ndata: [DONE]\n\n`;
  }

  /** An answer that broke off: OpenAI's clients throw on `error`; what was delivered is charged, and its settlement stands beside it. */
  failure(refusal: Refusal, answered?: Answered): string {
    const settlement = answered === undefined ? {} : { openledger: answered.settlement };
    return `data: ${JSON.stringify({ ...openAiError(refusal), ...settlement })}\n\ndata: [DONE]\n\n`;
  }

  #finished(reason: string): string {
    const choice = this.#isChat ? `"delta":{}` : `"text":""`;
    return `${this.#head}{"index":0,${choice},"logprobs":null,"finish_reason":"${reason}"}`;
  }
}

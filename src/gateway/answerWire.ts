import type { Refusal } from "../core/result.ts";
import { openAiError } from "../protocol/errors.ts";
import type { Answered, Order } from "./order.ts";
import { settlementText } from "./settlementView.ts";

/**
 * Answers as OpenAI writes them: whole objects and the chunks of a stream, written by hand because they are what a request's CPU goes to.
 * `receipt` is hex.
 */
export function answerId(mode: Order["mode"], receipt: string): string {
  return `${mode === "chat" ? "chatcmpl" : "cmpl"}-${receipt.slice(2)}`;
}

function usageText({ usage: { tokensIn, tokensOut } }: Answered): string {
  return `{"prompt_tokens":${tokensIn},"completion_tokens":${tokensOut},"total_tokens":${tokensIn + tokensOut}}`;
}

/** The body of an answer that is not streamed, as JSON. */
export function answerText(mode: Order["mode"], model: string, answered: Answered): string {
  const { answer, finish, settlement, promise } = answered;
  const text = JSON.stringify(answer);
  const choice = mode === "chat" ? `"message":{"role":"assistant","content":${text},"refusal":null}` : `"text":${text}`;
  const object = mode === "chat" ? "chat.completion" : "text_completion";
  const head = `{"id":"${answerId(mode, settlement.receipt)}","object":"${object}","created":${secondsOf(answered.createdMs)}`;
  const choices = `[{"index":0,${choice},"logprobs":null,"finish_reason":"${finish}"}]`;
  return `${head},"model":${JSON.stringify(model)},"choices":${choices},"usage":${usageText(answered)},"openledger":${settlementText(settlement, promise)}}`;
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1_000);
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
    this.#head = `data: {"id":"${id}","object":"${object}","created":${secondsOf(createdMs)},"model":${JSON.stringify(model)},"choices":[`;
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
    const settlement = `"openledger":${settlementText(answered.settlement, answered.promise)}`;
    if (!this.#withUsage) return `${this.#finished(answered.finish)}],${settlement}}\n\ndata: [DONE]\n\n`;
    return `${this.#head}],"usage":${usageText(answered)},${settlement}}\n\ndata: [DONE]\n\n`;
  }

  /** An answer that broke off: OpenAI's clients throw on `error`; what was delivered is charged, and its settlement stands beside it. */
  failure(refusal: Refusal, answered?: Answered): string {
    const error = JSON.stringify(openAiError(refusal));
    if (answered === undefined) return `data: ${error}\n\ndata: [DONE]\n\n`;
    const settlement = settlementText(answered.settlement, answered.promise);
    return `data: ${error.slice(0, -1)},"openledger":${settlement}}\n\ndata: [DONE]\n\n`;
  }

  #finished(reason: string): string {
    const choice = this.#isChat ? `"delta":{}` : `"text":""`;
    return `${this.#head}{"index":0,${choice},"logprobs":null,"finish_reason":"${reason}"}`;
  }
}

import { type EngineEvent, type EngineRequest, failed } from "../core/engine.ts";
import type { Refusal } from "../core/result.ts";

/** Turns the chunks of one answer into events. */
export class ChunkReader {
  #finish: "stop" | "length" | undefined;
  #isOver = false;
  #form: ChunkForm | undefined;
  #formsLeft: number;

  /** An answer that comes whole has no second chunk to know the first one's form for. */
  constructor(isStreamed = true) {
    this.#formsLeft = isStreamed ? FORMS_MAX : 0;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  read(data: string, events: EngineEvent[]): void {
    if (this.#isOver) return;
    if (data === "[DONE]") {
      this.#isOver = true;
      events.push(this.ended());
      return;
    }
    const known = this.#form === undefined ? undefined : textIn(this.#form, data);
    if (known !== undefined) {
      events.push({ type: "text", text: known });
      return;
    }
    const { failure, text, usage, finish } = readChunk(data);
    if (failure !== undefined) {
      this.#isOver = true;
      events.push({ type: "failed", refusal: failure });
      return;
    }
    if (text !== "") {
      events.push({ type: "text", text });
      this.#learn(data, text);
    }
    if (usage !== undefined) events.push({ type: "usage", ...usage });
    this.#finish = finish ?? this.#finish;
  }

  #learn(data: string, text: string): void {
    if (this.#formsLeft === 0 || (this.#form !== undefined && !isPlain(text))) return;
    this.#formsLeft -= 1;
    this.#form = formOf(data, text);
  }

  ended(): EngineEvent {
    return this.#finish === undefined ? unfinished() : { type: "end", reason: this.#finish };
  }
}

/**
 * The chunks of one answer differ in their text alone. What stands before and after it, quotes included, is learnt from a chunk that was parsed, and
 * confirmed by parsing it once more around another text; then a chunk that has the same beginning and end, and in between no character that ends or
 * escapes a string, is known to say just that text. Parsing each would cost ten times as much.
 */
interface ChunkForm {
  readonly before: string;
  readonly after: string;
}

/** A server whose chunks differ in more than their text, such as a time, is read by parsing. */
const FORMS_MAX = 4;
const PROBE = "\u2042";

function formOf(data: string, text: string): ChunkForm | undefined {
  const literal = JSON.stringify(text);
  const at = data.indexOf(literal);
  if (at < 0) return undefined;
  const form = { before: data.slice(0, at + 1), after: data.slice(at + literal.length - 1) };
  const { text: found, failure, finish, usage } = readChunk(form.before + PROBE + form.after);
  return found === PROBE && failure === undefined && finish === undefined && usage === undefined ? form : undefined;
}

/** Undefined where the chunk is of another form, or its text needs a parser. */
function textIn({ before, after }: ChunkForm, data: string): string | undefined {
  const end = data.length - after.length;
  // To compare slices takes a quarter of what `startsWith` does.
  if (end <= before.length || data.slice(0, before.length) !== before || data.slice(end) !== after) return undefined;
  const text = data.slice(before.length, end);
  return isPlain(text) ? text : undefined;
}

/** True for a text that stands in JSON as it is. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x22 || code === 0x5c) return false;
  }
  return true;
}

/** The request's body, as JSON. Servers that know nothing of records see the passages in a system message of their own. */
export function wireRequest(request: EngineRequest): string {
  const { messages, passages, mode, maxTokens, isStreamed, temperature, topP, seed, stop } = request;
  const seen = passages.length === 0 ? messages : [{ role: "system", content: grounded(passages) }, ...messages];
  const said =
    mode === "chat" ? `"messages":${JSON.stringify(seen)}` : `"prompt":${JSON.stringify(messages[0]?.content ?? "")}`;
  let text = `{"model":${JSON.stringify(request.model)},${said},"max_tokens":${maxTokens}`;
  if (isStreamed) text += `,"stream":true,"stream_options":{"include_usage":true}`;
  if (temperature !== undefined) text += `,"temperature":${temperature}`;
  if (topP !== undefined) text += `,"top_p":${topP}`;
  if (seed !== undefined) text += `,"seed":${seed}`;
  if (stop !== undefined) text += `,"stop":${JSON.stringify(stop)}`;
  return `${text}}`;
}

function grounded(passages: EngineRequest["passages"]): string {
  const context = passages.map((passage) => `[${passage.title}] (${passage.source})\n${passage.text}`).join("\n\n");
  return `Answer from these records where they help, and say so where they do not:\n\n${context}`;
}

interface ChunkRead {
  readonly text: string;
  readonly finish: "stop" | "length" | undefined;
  readonly usage: { readonly tokensIn: number; readonly tokensOut: number } | undefined;
  readonly failure: Refusal | undefined;
}

/** A chunk or a whole answer, read field by field: it comes from outside and may be anything. */
function readChunk(data: string): ChunkRead {
  const none = { text: "", finish: undefined, usage: undefined };
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    return { ...none, failure: { code: "upstream_failed", message: "the operator sent what is not JSON" } };
  }
  const error = field(chunk, "error");
  if (error !== undefined && error !== null) {
    return { ...none, failure: { code: "upstream_failed", message: `the operator broke off: ${messageOf(error)}` } };
  }
  const choices = field(chunk, "choices");
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const holder = field(choice, "delta") ?? field(choice, "message");
  const text = holder === undefined ? field(choice, "text") : field(holder, "content");
  const reason = field(choice, "finish_reason");
  return {
    text: typeof text === "string" ? text : "",
    finish: typeof reason === "string" ? (reason === "length" ? "length" : "stop") : undefined,
    usage: readUsage(field(chunk, "usage")),
    failure: undefined,
  };
}

function readUsage(usage: unknown): ChunkRead["usage"] {
  const [tokensIn, tokensOut] = [field(usage, "prompt_tokens"), field(usage, "completion_tokens")];
  return isCount(tokensIn) && isCount(tokensOut) ? { tokensIn, tokensOut } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function field(value: unknown, name: string): unknown {
  return hasFields(value) ? value[name] : undefined;
}

function hasFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

export function messageOf(error: unknown): string {
  const message = typeof error === "string" ? error : field(error, "message");
  return typeof message === "string" ? message.slice(0, 200) : "without a reason";
}

export function tooLarge(bytesMax: number): EngineEvent {
  return failed("upstream_failed", `the answer is larger than ${bytesMax} bytes`);
}

function unfinished(): EngineEvent {
  return failed("upstream_failed", "the operator's answer ended without a finish");
}

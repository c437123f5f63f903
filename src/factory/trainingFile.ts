import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { field, isRecord, parseJson } from "../models/formats/json.ts";
import type { TrainingExample } from "../models/training/task.ts";

/** What an uploaded file may hold. */
export const FILE_BYTES_MAX = 32 * 1024 * 1024;
export const LINES_MAX = 100_000;
const LINE_CHARACTERS_MAX = 256 * 1024;
const MESSAGES_MAX = 256;

type Message = Extract<TrainingExample, { messages: unknown }>["messages"][number];

/**
 * A training file: JSON lines, each `{"messages": […]}` as OpenAI's chat format, `{"prompt", "completion"}`, or `{"text"}`. Read line by line; the refusal names
 * the first line that cannot be learnt from. A line's record is the hash of its text, so that the same line is held out in every file. `pause` is awaited
 * now and then: a long file does not hold up whoever else is served.
 */
export async function parseTrainingFile(
  bytes: Uint8Array,
  pause: () => Promise<void>,
): Promise<Result<readonly TrainingExample[]>> {
  if (bytes.length > FILE_BYTES_MAX)
    return refuse("payload_too_large", `a training file has at most ${FILE_BYTES_MAX} bytes, this one ${bytes.length}`);
  const text = decode(bytes);
  if (text === undefined) return wrong("the file is not UTF-8 text");
  const examples: TrainingExample[] = [];
  let number = 0;
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf("\n", from);
    const line = text.slice(from, end < 0 ? text.length : end).trim();
    from = end < 0 ? text.length : end + 1;
    number += 1;
    if (line === "") continue;
    if (examples.length === LINES_MAX) return wrong(`line ${number}: a file has at most ${LINES_MAX} examples`);
    const example = parseLine(line);
    if (!example.ok) return wrong(`line ${number}: ${example.error}`);
    examples.push(example.value);
    if (examples.length % 500 === 0) await pause();
  }
  if (examples.length === 0) return wrong("the file has no lines with examples");
  return ok(examples);
}

/** One line; what is wrong with it is a text, to be said with the line's number. */
function parseLine(line: string): Result<TrainingExample, string> {
  if (line.length > LINE_CHARACTERS_MAX) return no(`it is longer than ${LINE_CHARACTERS_MAX} characters`);
  const value = parseJson(line);
  if (!isRecord(value)) return no("it is not a JSON object");
  const record = toHex(sha256(utf8(line)));
  const [text, prompt, completion] = [field(value, "text"), field(value, "prompt"), field(value, "completion")];
  if (typeof text === "string")
    return text.trim() === "" ? no("its text is empty") : { ok: true, value: { record, text } };
  if (typeof prompt === "string" && typeof completion === "string") {
    if (completion.trim() === "") return no("its completion is empty");
    const said = [
      { role: "user" as const, content: prompt },
      { role: "assistant" as const, content: completion },
    ];
    return { ok: true, value: { record, messages: said } };
  }
  const messages = parseMessages(field(value, "messages"));
  return messages.ok ? { ok: true, value: { record, messages: messages.value } } : messages;
}

function parseMessages(value: unknown): Result<readonly Message[], string> {
  if (!Array.isArray(value)) return no('it has neither "messages", nor "prompt" and "completion", nor "text"');
  if (value.length > MESSAGES_MAX) return no(`it has more than ${MESSAGES_MAX} messages`);
  const messages: Message[] = [];
  for (const [i, one] of value.entries()) {
    const [role, content] = [roles.get(String(field(one, "role"))), field(one, "content")];
    if (role === undefined) return no(`message ${i + 1} has no role of system, user or assistant`);
    if (typeof content !== "string") return no(`message ${i + 1} has no text: only texts can be learnt`);
    const weight = field(one, "weight") ?? 1;
    if (weight !== 1) return no(`message ${i + 1} has a weight, which is not supported`);
    for (const name of ["tool_calls", "function_call"])
      if (field(one, name) !== undefined) return no(`message ${i + 1} has ${name}, which is not supported`);
    messages.push({ role, content });
  }
  if (!messages.some(({ role, content }) => role === "assistant" && content.trim() !== ""))
    return no("it has no answer: an assistant message that is not empty");
  return { ok: true, value: messages };
}

const roles = new Map<string, Message["role"]>([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
]);

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function no(why: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error: why };
}

function wrong(message: string): Result<never> {
  return refuse("invalid_request", message, { field: "file", hint: "one JSON object a line, as JSONL" });
}

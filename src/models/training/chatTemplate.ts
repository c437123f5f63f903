import { END_OF_RECORD, encode, type Tokenizer } from "../bpe.ts";
import type { TrainingExample } from "./task.ts";

type Message = Extract<TrainingExample, { messages: unknown }>["messages"][number];

/**
 * The house template: a line that names the speaker, then what is said, in plain text, so that any byte-level tokenizer can write it. An answer ends with
 * the end-of-record token, which is how a trained model stops. Messages are trimmed and empty ones left out; then the parts' tokens are
 * the whole text's tokens, because GPT-2's expression cuts at both ends of a marker. A message that itself contains a marker line
 * can speak for somebody else: the template marks speakers, it does not guard against what they say.
 */
export const houseChatTemplate =
  "{%- set said = namespace(any=false) -%}" +
  "{%- for message in messages -%}" +
  "{%- set content = message['content'] | trim -%}" +
  "{%- if content -%}" +
  "{%- if said.any -%}{{ '\\n\\n' }}{%- endif -%}" +
  "{%- set said.any = true -%}" +
  "{{ '### ' + (message['role'] | capitalize) + ':\\n' + content }}" +
  "{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}" +
  "{%- endif -%}" +
  "{%- endfor -%}" +
  "{%- if add_generation_prompt -%}{{ '\\n\\n### Assistant:\\n' }}{%- endif -%}";

/** What is said, and by whom: the pieces of a conversation in order. */
export interface ChatPiece {
  readonly text: string;
  /** Ends with the end-of-record token, and is what a model learns to say. */
  readonly isAnswer: boolean;
}

export function chatPieces(messages: readonly Message[]): readonly ChatPiece[] {
  const said = messages
    .map(({ role, content }) => ({ role, content: content.trim() }))
    .filter(({ content }) => content);
  return said.flatMap(({ role, content }, i) => {
    const marker = `${i === 0 ? "" : "\n\n"}### ${names[role]}:\n`;
    return role === "assistant"
      ? [
          { text: marker, isAnswer: false },
          { text: content, isAnswer: true },
        ]
      : [{ text: marker + content, isAnswer: false }];
  });
}

/** The prompt that {@link houseChatTemplate} renders with `add_generation_prompt`; earlier answers end with `endText`. */
export function chatPrompt(messages: readonly Message[], endText: string): string {
  const said = chatPieces(messages).map(({ text, isAnswer }) => (isAnswer ? text + endText : text));
  return `${said.join("")}\n\n### Assistant:\n`;
}

/** An example as tokens. */
export interface EncodedExample {
  readonly record: string;
  readonly tokens: Uint16Array;
  /** 1 where the token is to be predicted; never the first. Same length as `tokens`. */
  readonly isTarget: Uint8Array;
}

/** Plain text stands between two end-of-record tokens and is learnt whole, its first token too; of a conversation only the answers are learnt. */
export function encodeExample(tokenizer: Tokenizer, example: TrainingExample): EncodedExample {
  const tokens: number[] = [];
  const isTarget: number[] = [];
  const write = (text: string, isAnswer: boolean): void => {
    for (const token of encode(tokenizer, text)) tokens.push(token);
    if (isAnswer) tokens.push(END_OF_RECORD);
    while (isTarget.length < tokens.length) isTarget.push(isAnswer ? 1 : 0);
  };
  if ("text" in example) {
    tokens.push(END_OF_RECORD);
    isTarget.push(0);
    write(example.text, true);
  } else for (const { text, isAnswer } of chatPieces(example.messages)) write(text, isAnswer);
  return { record: example.record, tokens: Uint16Array.from(tokens), isTarget: Uint8Array.from(isTarget) };
}

const names = { system: "System", user: "User", assistant: "Assistant" } as const;

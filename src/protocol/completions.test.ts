import { expect, test } from "vitest";
import { chatRequestSchema, completionRequestSchema, messageText } from "./completions.ts";
import { parseInput } from "./parse.ts";

const user = { role: "user", content: "hi" };

test.each([
  ["plain", { model: "m", messages: [user] }],
  ["text parts", { model: "m", messages: [{ role: "user", content: [{ type: "text", text: "a" }] }] }],
  [
    "nulls as OpenAI clients send them",
    { model: "m", messages: [user], stop: null, tools: null, n: null, max_tokens: null },
  ],
  ["unknown fields", { model: "m", messages: [user], store: true, metadata: { a: 1 }, service_tier: "auto" }],
  ["empty tools", { model: "m", messages: [user], tools: [], tool_choice: "auto", logit_bias: {} }],
  ["penalties of nothing", { model: "m", messages: [user], presence_penalty: 0, frequency_penalty: 0 }],
])("takes a chat request: %s", (_, body) => {
  expect(parseInput(chatRequestSchema, body).ok).toBe(true);
});

test.each([
  ["no messages", { model: "m", messages: [] }, "messages"],
  ["no model", { messages: [user] }, "model"],
  ["role", { model: "m", messages: [{ role: "robot", content: "x" }] }, "messages.0.role"],
  ["image", { model: "m", messages: [{ role: "user", content: [{ type: "image_url" }] }] }, "messages.0.content"],
  ["zero max_tokens", { model: "m", messages: [user], max_tokens: 0 }, "max_tokens"],
  ["fractional max_tokens", { model: "m", messages: [user], max_tokens: 1.5 }, "max_tokens"],
  ["hot", { model: "m", messages: [user], temperature: 3 }, "temperature"],
  ["two choices", { model: "m", messages: [user], n: 2 }, "n"],
  ["tools", { model: "m", messages: [user], tools: [{ type: "function" }] }, "tools"],
  ["a tool that must be called", { model: "m", messages: [user], tool_choice: "required" }, "tool_choice"],
  ["a penalty", { model: "m", messages: [user], presence_penalty: 0.5 }, "presence_penalty"],
  ["another penalty", { model: "m", messages: [user], frequency_penalty: -1 }, "frequency_penalty"],
  ["a bias", { model: "m", messages: [user], logit_bias: { 50256: -100 } }, "logit_bias"],
  ["likelier tokens", { model: "m", messages: [user], top_logprobs: 3 }, "top_logprobs"],
  ["a web search", { model: "m", messages: [user], web_search_options: {} }, "web_search_options"],
  ["five stops", { model: "m", messages: [user], stop: ["a", "b", "c", "d", "e"] }, "stop"],
  ["stream as text", { model: "m", messages: [user], stream: "yes" }, "stream"],
  ["not an object", [1], undefined],
])("refuses a chat request and names the field: %s", (_, body, field) => {
  const parsed = parseInput(chatRequestSchema, body);
  expect(parsed).toMatchObject({ ok: false, error: { code: "invalid_request", ...(field && { field }) } });
});

test.each([
  [{ model: "m", prompt: "p" }, true],
  [{ model: "m", prompt: ["p"] }, true],
  [{ model: "m", prompt: ["p", "q"] }, false],
  [{ model: "m", prompt: [[1, 2]] }, false],
  [{ model: "m", prompt: "p", echo: true }, false],
])("takes or refuses a completion request %#", (body, good) => {
  expect(parseInput(completionRequestSchema, body).ok).toBe(good);
});

test("joins a message's parts", () => {
  expect(
    messageText({
      content: [
        { type: "text", text: "a" },
        { type: "text", text: "b" },
      ],
    }),
  ).toBe("a\nb");
});

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OpenAiEngine } from "./openai.ts";
import { collect, engineSuite, requestOf, textOf } from "./testing/engineSuite.ts";

/** A server that speaks as vLLM does: repeats the last message word by word, as chunks, usage, [DONE]. */
interface Seen {
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: {
    messages?: { role: string; content: string }[];
    prompt?: string;
    max_tokens: number;
    stream?: boolean;
  };
}

const seen: Seen[] = [];
let server: Server;
let engine: OpenAiEngine;
let origin = "";

beforeAll(async () => {
  server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  origin = `http://127.0.0.1:${address.port}`;
  engine = new OpenAiEngine({
    baseUrl: `${origin}/v1/`,
    apiKey: "sk-secret",
    bodyTimeoutMs: 300,
    headersTimeoutMs: 300,
    bytesMax: 20_000,
  });
});

afterAll(async () => {
  await engine.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

engineSuite("openai", () => ({ engine, say: requestOf, misbehave: (how) => requestOf(how) }));

test("openai: sends what was asked for, with passages in a system message", async () => {
  const passage = { record: "r", number: 0, title: "Title", headings: [], text: "Body", source: "npm:a@1", score: 1 };
  await collect(engine, requestOf("hi", { passages: [passage], temperature: 0.5, stop: ["x"], seed: 7 }));
  const last = seen.at(-1);
  expect(last).toMatchObject({ url: "/v1/chat/completions", authorization: "Bearer sk-secret" });
  expect(last?.body).toMatchObject({
    model: "m",
    max_tokens: 100,
    stream: true,
    temperature: 0.5,
    stop: ["x"],
    seed: 7,
  });
  expect(last?.body.messages?.[0]).toMatchObject({
    role: "system",
    content: expect.stringContaining("[Title] (npm:a@1)\nBody"),
  });
  await collect(engine, requestOf("hi", { mode: "text" }));
  expect(seen.at(-1)).toMatchObject({ url: "/v1/completions", body: { prompt: "hi" } });
});

test.each([
  ["unauthorized", "upstream_failed"],
  ["limit", "rate_limited"],
  ["context", "context_too_long"],
  ["redirect", "upstream_failed"],
  ["silent", "upstream_timeout"],
  ["stall", "upstream_timeout"],
  ["garbage", "upstream_failed"],
  ["error chunk", "upstream_failed"],
  ["unfinished", "upstream_failed"],
  ["endless", "upstream_failed"],
])("openai: %s becomes %s", async (how, code) => {
  const events = await collect(engine, requestOf(how));
  expect(events.at(-1)).toMatchObject({ type: "failed", refusal: { code } });
  expect(JSON.stringify(events)).not.toContain("sk-secret");
});

test("openai: a redirect is not followed", async () => {
  const before = seen.length;
  await collect(engine, requestOf("redirect"));
  expect(seen.slice(before).map((one) => one.url)).toEqual(["/v1/chat/completions"]);
});

test("openai: a server that does not stream", async () => {
  const events = await collect(engine, requestOf("whole", { isStreamed: false }));
  expect(seen.at(-1)?.body.stream).toBeUndefined();
  expect(textOf(events)).toBe("all at once");
  expect(events.at(-1)).toEqual({ type: "end", reason: "stop" });
});

test("openai: nobody listens", async () => {
  const nobody = new OpenAiEngine({ baseUrl: "http://127.0.0.1:9/v1" });
  expect(await collect(nobody, requestOf("x"))).toMatchObject([
    { type: "failed", refusal: { code: "upstream_failed" } },
  ]);
  await nobody.close();
});

test.each(["ftp://a/v1", "http://user:pw@a/v1"])("openai: refuses the base URL %s", (baseUrl) => {
  expect(() => new OpenAiEngine({ baseUrl })).toThrow("base URL");
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const body: Seen["body"] = JSON.parse(Buffer.concat(parts).toString("utf8"));
  seen.push({ url: request.url ?? "", authorization: request.headers.authorization, body });
  const said = body.prompt ?? body.messages?.at(-1)?.content ?? "";
  const fail = (status: number, error: object, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error }));
  };
  if (said === "refuse") return fail(400, { message: "bad temperature", type: "invalid_request_error" });
  if (said === "unauthorized") return fail(401, { message: "wrong key sk-secret" });
  if (said === "limit") return fail(429, { message: "slow down" });
  if (said === "context") return fail(400, { message: "too long", code: "context_length_exceeded" });
  if (said === "redirect") return fail(307, {}, { location: `${origin}/elsewhere` });
  if (said === "silent") return;
  if (said === "crash") return void request.socket.destroy();
  if (said === "whole") {
    const choices = [{ message: { role: "assistant", content: "all at once" }, finish_reason: "stop" }];
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end(JSON.stringify({ choices, usage: { prompt_tokens: 1, completion_tokens: 3 } }));
  }
  await stream(response, said, body);
}

async function stream(response: ServerResponse, said: string, body: Seen["body"]): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (data: object) => response.write(`: comment\r\ndata: ${JSON.stringify(data)}\n\n`);
  const say = (text: string) =>
    send({
      choices: [
        body.prompt === undefined ? { delta: { content: text }, finish_reason: null } : { text, finish_reason: null },
      ],
    });
  if (said === "stall") return void say("one");
  if (said === "garbage") return void response.end("data: {nope\n\n");
  if (said === "error chunk") return void response.end(`data: {"error":{"message":"out of memory"}}\n\n`);
  if (said === "unfinished") return void response.end(`data: {"choices":[{"delta":{"content":"a"}}]}\n\n`);
  if (said === "endless") return void response.end(`data: ${"x".repeat(30_000)}\n\n`);
  const words = said === "slow" ? Array<string>(1_000).fill("tick ") : said.split(/(?<= )/);
  const kept = words.slice(0, body.max_tokens);
  send({ choices: [{ delta: { role: "assistant", content: "" }, finish_reason: null }] });
  for (const word of kept) {
    if (response.destroyed) return;
    if (said === "slow") await new Promise((resolve) => setTimeout(resolve, 5));
    const bytes = Buffer.from(word);
    if (bytes.length === word.length) say(word);
    else for (const byte of splitBytes(word, body.prompt === undefined)) response.write(byte);
  }
  send({ choices: [{ delta: {}, finish_reason: kept.length < words.length ? "length" : "stop" }] });
  send({ choices: [], usage: { prompt_tokens: words.length, completion_tokens: kept.length } });
  response.end("data: [DONE]\n\n");
}

/** An event whose characters are torn apart by the network. */
function splitBytes(text: string, isChat: boolean): Buffer[] {
  const event = Buffer.from(
    `data: ${JSON.stringify({ choices: [isChat ? { delta: { content: text } } : { text }] })}\r\n\r\n`,
  );
  return Array.from({ length: Math.ceil(event.length / 3) }, (_, i) => event.subarray(3 * i, 3 * i + 3));
}

import { createServer } from "node:http";
import { assert } from "../../src/core/result.ts";

/** An OpenAI-compatible server that always says the same, in a process of its own: one JSON object, or a stream of 32 chunks and one with the usage. */
const words = Array.from({ length: 32 }, (_, i) => `word${i} `);
const head = `"id":"chatcmpl-1","created":1,"model":"bench"`;
const usage = `"usage":{"prompt_tokens":24,"completion_tokens":32,"total_tokens":56}`;
const whole = `{${head},"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":${JSON.stringify(words.join(""))}},"finish_reason":"stop"}],${usage}}`;
const chunks = words.map(
  (word) =>
    `data: {${head},"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${word}"},"finish_reason":null}]}\n\n`,
);
const finish = `data: {${head},"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n`;
const last = `${finish}data: {${head},"choices":[],${usage}}\n\ndata: [DONE]\n\n`;

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part: Buffer) => {
    body += part.toString();
  });
  request.on("end", () => {
    if (!body.includes(`"stream":true`)) {
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(whole) });
      response.end(whole);
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const chunk of chunks) response.write(chunk);
    response.end(last);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  assert(address !== null && typeof address === "object", "a TCP server has a port");
  process.send?.({ url: `http://127.0.0.1:${address.port}` });
});
process.on("disconnect", () => process.exit(0));

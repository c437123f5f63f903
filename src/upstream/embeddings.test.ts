import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { OpenAiEmbedder } from "./embeddings.ts";

interface Asked {
  readonly path: string | undefined;
  readonly authorization: string | undefined;
  readonly body: { readonly model: string; readonly input: readonly string[] };
}

const asked: Asked[] = [];
/** What the server answers with: a status and a body of the texts it was given; `undefined` never answers. */
let answer: (input: readonly string[]) => { status: number; body: unknown } | undefined = vectors;
let server: Server;
let embedder: OpenAiEmbedder;
const signal = new AbortController().signal;

function vectors(input: readonly string[]) {
  const data = input.map((text, index) => ({ index, embedding: [text.length, 4] }));
  return { status: 200, body: { data: data.toReversed() } };
}

beforeAll(async () => {
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body: Asked["body"] = JSON.parse(Buffer.concat(parts).toString("utf8"));
      asked.push({ path: request.url, authorization: request.headers.authorization, body });
      const reply = answer(body.input);
      if (reply === undefined) return;
      response.writeHead(reply.status, { "content-type": "application/json", location: "http://127.0.0.1:1/" });
      response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const baseUrl = `http://127.0.0.1:${address.port}/v1/`;
  embedder = new OpenAiEmbedder({ baseUrl, model: "m", apiKey: "sk-secret", timeoutMs: 300, questionTimeoutMs: 150 });
});
afterAll(async () => {
  await embedder.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("asks for vectors in batches, puts them in their places and scales them to length 1", async () => {
  answer = vectors;
  asked.length = 0;
  const texts = Array.from({ length: 130 }, (_, i) => "x".repeat((i % 7) + 1));
  const found = unwrap(await embedder.embed(texts, signal));
  expect(asked.map(({ body }) => body.input.length)).toEqual([64, 64, 2]);
  expect(asked[0]).toMatchObject({ path: "/v1/embeddings", authorization: "Bearer sk-secret", body: { model: "m" } });
  for (const [i, vector] of found.entries()) {
    const length = Math.hypot(texts[i]!.length, 4);
    expect(vector[0]).toBeCloseTo(texts[i]!.length / length, 5);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  }
  expect(await embedder.embed([], signal)).toEqual({ ok: true, value: [] });
});

test.each<[string, unknown, number?]>([
  ["another status", "no", 503],
  ["a redirect", "", 302],
  ["no JSON", "<html>"],
  ["another shape", { vectors: [] }],
  ["too few", { data: [{ index: 0, embedding: [1] }] }],
  [
    "one twice",
    {
      data: [
        { index: 0, embedding: [1] },
        { index: 0, embedding: [1] },
      ],
    },
  ],
  [
    "a place that is none",
    {
      data: [
        { index: 0, embedding: [1] },
        { index: 7, embedding: [1] },
      ],
    },
  ],
  [
    "words for numbers",
    {
      data: [
        { index: 0, embedding: ["a"] },
        { index: 1, embedding: [1] },
      ],
    },
  ],
  [
    "no length",
    {
      data: [
        { index: 0, embedding: [0, 0] },
        { index: 1, embedding: [1, 0] },
      ],
    },
  ],
  [
    "two lengths",
    {
      data: [
        { index: 0, embedding: [1] },
        { index: 1, embedding: [1, 2] },
      ],
    },
  ],
])("%s is refused, without the key", async (_what, body, status = 200) => {
  answer = () => ({ status, body });
  const found = await embedder.embed(["a", "b"], signal);
  expect(found).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
  expect(JSON.stringify(found)).not.toContain("sk-secret");
});

test("a server that does not answer, and a caller who leaves, end the wait", async () => {
  answer = () => undefined;
  expect(await embedder.embed(["a"], signal)).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
  const leaving = AbortSignal.timeout(20);
  expect(await embedder.embed(["a"], leaving)).toMatchObject({ ok: false, error: { code: "cancelled" } });
  expect(await embedder.embed(["a"], leaving)).toMatchObject({ ok: false, error: { code: "cancelled" } });
});

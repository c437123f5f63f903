import { expect, test } from "vitest";
import { z } from "zod";
import { refusalCodes } from "../core/result.ts";
import { openAiError, problem } from "../protocol/errors.ts";
import { refusalRow } from "../protocol/refusals.ts";
import { openClient, refusalOf } from "./client.ts";

test("every refusal comes back from either error format as it was", () => {
  for (const code of refusalCodes) {
    const refusal = { code, message: "why", hint: "do this", field: "name" };
    const status = refusalRow(code).httpStatus;
    expect(refusalOf(status, problem(refusal))).toEqual(refusal);
    expect(refusalOf(status, openAiError(refusal))).toEqual({ code, message: "why. do this", field: "name" });
  }
});

test.each([
  [404, "<html>", "not_found"],
  [500, undefined, "data_folder_damaged"],
  [418, { error: { message: "teapot", code: null } }, "upstream_failed"],
])("an answer of another server with status %i is refused by its status", (status, body, code) => {
  expect(refusalOf(status, body)).toMatchObject({ code: status === 500 ? expect.any(String) : code });
});

const clientOf = (answer: () => Response | Promise<Response>) =>
  openClient({ url: "http://node", key: "ol_x" }, async () => answer());

test("what a node answers must be of the schema", async () => {
  const schema = z.object({ size: z.number() });
  const good = clientOf(() => Response.json({ size: 3, more: true }));
  expect(await good.get("/x", schema)).toEqual({ ok: true, value: { size: 3 } });
  for (const body of ["not JSON", "{}"]) {
    const bad = clientOf(() => new Response(body));
    expect(await bad.get("/x", schema)).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
  }
});

test("a node that is not there is a refusal, never an exception", async () => {
  const away = clientOf(() => Promise.reject(new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") })));
  expect(await away.bytes("/x")).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
});

const streamOf = (...parts: string[]) =>
  clientOf(() => {
    const bytes = parts.map((part) => new TextEncoder().encode(part));
    return new Response(
      new ReadableStream({
        start: (controller) => {
          for (const part of bytes) controller.enqueue(part);
          controller.close();
        },
      }),
    );
  });

async function eventsOf(client: ReturnType<typeof clientOf>): Promise<unknown[]> {
  const events = [];
  for await (const event of client.events("/x", {})) events.push(event.ok ? event.value : event.error.code);
  return events;
}

test("events are read however the network cuts them; a stream that breaks off says so", async () => {
  expect(await eventsOf(streamOf('data: {"a"', ":1}\n\nda", 'ta: {"a":2}\n\ndata: [DONE]\n\n'))).toEqual([
    { a: 1 },
    { a: 2 },
  ]);
  expect(await eventsOf(streamOf('data: {"a":1}\n\n'))).toEqual([{ a: 1 }, "upstream_failed"]);
  const failed = JSON.stringify(openAiError({ code: "queue_full", message: "full" }));
  expect(await eventsOf(streamOf(`data: {"a":1}\n\ndata: ${failed}\n\ndata: [DONE]\n\n`))).toEqual([
    { a: 1 },
    "queue_full",
  ]);
});

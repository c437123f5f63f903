import fc from "fast-check";
import { expect, test } from "vitest";
import type { EngineEvent } from "../core/engine.ts";
import { ChunkReader } from "./openaiWire.ts";
import { SseParser } from "./sse.ts";

/** Texts that a shortcut could trip over: those that need escaping, and those that stand elsewhere in the chunk too. */
const text = fc.oneof(
  fc.constantFrom("a", "m", "stop", "content", "", '"', "\\", "\n", "é", "⁂", "\ud800", `"},"finish_reason":"stop"`),
  fc.string({ maxLength: 4, unit: "binary" }),
  fc.string({ maxLength: 6 }),
);
/** Servers write the same in more than one way. */
const changes = fc.record(
  {
    text,
    escapes: fc.boolean(),
    isChat: fc.boolean(),
    created: fc.constantFrom(1, 2),
    id: fc.constantFrom("a", "m", "b"),
    finish: fc.constantFrom("null", `"stop"`),
    usage: fc.constantFrom("", `,"usage":null`, `,"usage":{"prompt_tokens":1,"completion_tokens":2}`),
    twice: fc.boolean(),
  },
  { requiredKeys: [] },
);
const one = fc.oneof(
  text.map((text) => ({ text })),
  fc.constantFrom({ id: "a" }, { id: "b" }),
  changes,
);

test("chunks read one after the other say what each says by itself", () => {
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), (given) => {
      let last = usual;
      const chunks = given.map((changed) => {
        last = { ...last, ...changed };
        return last;
      });
      const reader = new ChunkReader();
      for (const one of chunks) {
        const data = written(one);
        const [events, alone]: EngineEvent[][] = [[], []];
        reader.read(data, events!);
        new ChunkReader().read(data, alone!);
        expect(events).toEqual(alone);
      }
    }),
    { numRuns: 2_000 },
  );
});

const usual = { text: "a", escapes: false, isChat: true, created: 1, id: "a", finish: "null", usage: "", twice: false };

function written({ text, escapes, isChat, created, id, finish, usage, twice }: typeof usual): string {
  const plain = JSON.stringify(text);
  const literal = escapes
    ? `"${[...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("")}"`
    : plain;
  const said = `${twice ? `"content":${plain},` : ""}"content":${literal}`;
  const choice = isChat ? `"delta":{${said}}` : `"text":${literal}`;
  return `{"id":"${id}","created":${created},"model":"m","choices":[{"index":0,${choice},"finish_reason":${finish}}]${usage}}`;
}

test("events are the same however their bytes are cut into parts", () => {
  const line = fc.oneof(
    fc.constantFrom("", "", ": comment", "event: x", "data", "data:", "\ufeffdata: 1"),
    fc.string({ maxLength: 5, unit: "binary" }).map((value) => `data: ${value.replace(/[\r\n]/g, "")}`),
  );
  const stream = fc.array(fc.tuple(line, fc.constantFrom("\n", "\n", "\n", "\r\n", "\r")), { maxLength: 12 });
  fc.assert(
    fc.property(stream, fc.array(fc.nat(200), { maxLength: 8 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.flat().join(""));
      const whole = new SseParser().push(bytes);
      const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
      const parser = new SseParser();
      const parts = places.slice(1).flatMap((end, i) => parser.push(bytes.subarray(places[i], end)));
      expect(parts).toEqual(whole);
      expect(whole).toEqual(reference(bytes.toString("utf8")));
    }),
    { numRuns: 2_000 },
  );
});

/** WHATWG HTML, section 9.2.6, by the letter. */
function reference(text: string): string[] {
  const events: string[] = [];
  let data: string[] = [];
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\n|\r/);
  for (const line of lines.slice(0, -1)) {
    if (line === "" && data.length > 0) events.push(data.join("\n"));
    if (line === "") data = [];
    else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
  }
  return events;
}

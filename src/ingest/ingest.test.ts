import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { readCloudEvent } from "./cloudEvents.ts";
import { csvReader, parseCsv } from "./csv.ts";
import { readReport } from "./formats.ts";
import { readLiteLlm } from "./litellm.ts";
import { readOpenAi } from "./openaiUsage.ts";
import { readSpans } from "./openTelemetry.ts";
import { contentText, executionHash, nanoFromDecimal, readRecords } from "./reported.ts";

describe("amounts", () => {
  test.each([
    ["0.000021", 21_000],
    [2.1e-5, 21_000],
    [2.1e-9, 2],
    [2.5e-9, 3],
    ["1", 1_000_000_000],
    [".5", 500_000_000],
    ["5.", 5_000_000_000],
    [0, 0],
    ["1e-30", 0],
    ["-1", undefined],
    ["", undefined],
    [".", undefined],
    ["1,5", undefined],
    ["NaN", undefined],
    [Number.POSITIVE_INFINITY, undefined],
    ["9007199.254740992", undefined],
    ["1e999", undefined],
  ])("%s dollars are %s nano", (value, nano) => expect(nanoFromDecimal(value)).toBe(nano));

  test("whole nano come back whole, however they are written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (nano) => {
        const digits = String(nano).padStart(10, "0");
        expect(nanoFromDecimal(`${digits.slice(0, -9)}.${digits.slice(-9)}`)).toBe(nano);
        expect(nanoFromDecimal(`${nano}e-9`)).toBe(nano);
      }),
    );
  });
});

const chat = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_760_000_000,
  model: "support-de",
  choices: [{ index: 0, message: { role: "assistant", content: "Guten Tag" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 },
};

describe("OpenAI", () => {
  test("a chat completion with its usage", () => {
    expect(unwrap(readOpenAi({ ...chat, user: "acme" }))).toEqual([
      {
        ...{ source: "openai", id: "chatcmpl-1", timeMs: 1_760_000_000_000, payer: "acme", model: "support-de" },
        ...{ operator: "", tokensIn: 12, tokensOut: 3, answer: "Guten Tag" },
      },
    ]);
  });

  test("the Responses API's names", () => {
    const [found] = unwrap(
      readOpenAi({
        ...{ id: "resp_1", created_at: 1_760_000_000.5, model: "m", metadata: { payer: "acme" } },
        output: [{ type: "message", content: [{ type: "output_text", text: "Hello" }] }],
        usage: { input_tokens: 7, output_tokens: 2 },
      }),
    );
    expect(found).toMatchObject({
      payer: "acme",
      tokensIn: 7,
      tokensOut: 2,
      answer: "Hello",
      timeMs: 1_760_000_000_500,
    });
  });

  test("who pays may be said for the whole batch", () => {
    expect(readOpenAi(chat).ok).toBe(false);
    expect(unwrap(readOpenAi(chat, { payer: "batch" }))[0]?.payer).toBe("batch");
  });
});

test("LiteLLM: a spend row, and a failed call that is no execution", () => {
  const row = {
    ...{ request_id: "r1", call_type: "acompletion", api_key: "sk-hash", spend: 2.1e-5, total_tokens: 30 },
    ...{
      prompt_tokens: 20,
      completion_tokens: 10,
      startTime: "2026-01-02 03:04:05.250",
      endTime: "2026-01-02 03:04:06",
    },
    ...{ model: "openai/gpt-x", model_group: "support-de", custom_llm_provider: "openai", team_id: "acme", user: "u1" },
    ...{ metadata: {}, cache_hit: "False", request_tags: [], end_user: "", status: "success" },
  };
  expect(unwrap(readLiteLlm(row))).toEqual([
    {
      ...{ source: "litellm", id: "r1", timeMs: Date.UTC(2026, 0, 2, 3, 4, 6), payer: "acme", model: "support-de" },
      ...{ operator: "openai", tokensIn: 20, tokensOut: 10, costNanoUsd: 21_000 },
    },
  ]);
  expect(unwrap(readLiteLlm({ ...row, status: "failure", spend: 0 }))).toEqual([]);
});

describe("LiteLLM", () => {
  /** As the proxy writes one, with every column of `LiteLLM_SpendLogs`: metadata as text, empty texts where it knows nothing. */
  const usage = { completion_tokens: 20, prompt_tokens: 10, total_tokens: 30, prompt_tokens_details: null };
  const metadata = { user_api_key_team_id: null, user_api_key_org_id: null, status: null, usage_object: usage };
  const written = {
    ...{ request_id: "chatcmpl-1", session_id: "s-1", call_type: "acompletion", api_key: "hashed", cache_hit: "None" },
    ...{ startTime: "2025-01-24 09:20:46.847371", endTime: "2025-01-24 09:20:46.851954", model: "gpt-4o", user: "" },
    ...{ completionStartTime: "2025-01-24 09:20:46.851954", team_id: "", organization_id: "", agent_id: null },
    ...{ metadata: JSON.stringify(metadata), cache_key: "Cache OFF", spend: 0.00022500000000000002, total_tokens: 30 },
    ...{ prompt_tokens: 10, completion_tokens: 20, request_tags: "[]", end_user: "", api_base: "", model_group: "" },
    ...{ model_id: "", requester_ip_address: null, custom_llm_provider: "openai", messages: "{}", response: "{}" },
    ...{ proxy_server_request: "{}", status: "success", mcp_namespaced_tool_name: null, request_duration_ms: 5 },
  };
  const read = (changes: object, mapping = {}) =>
    unwrap(readLiteLlm({ ...written, ...changes }, {}, mapping))[0] ?? "nothing";

  test("a row as it is written, and the same from its API and from a table", () => {
    const execution = {
      ...{ source: "litellm", id: "chatcmpl-1", timeMs: Date.UTC(2025, 0, 24, 9, 20, 46, 851), payer: "hashed" },
      ...{ model: "gpt-4o", operator: "openai", tokensIn: 10, tokensOut: 20, costNanoUsd: 225_000 },
    };
    expect(read({})).toEqual(execution);
    const fromApi = { metadata, request_tags: [], messages: {}, response: {}, proxy_server_request: {} };
    for (const endTime of ["2025-01-24T09:20:46.851954+00:00", "2025-01-24T09:20:46.851Z"])
      expect(read({ ...fromApi, endTime })).toEqual(execution);
    const page = { data: [{ ...written, ...fromApi }], total: 1, page: 1, page_size: 50, total_pages: 1 };
    const fromPage = unwrap(readReport(JSON.stringify(page), "json", { format: "litellm" }));
    expect(fromPage).toEqual([{ row: 1, ok: true, execution }]);
    const cell = (value: unknown) => `"${String(value ?? "").replaceAll('"', '""')}"`;
    const table = [Object.keys(written).join(","), Object.values(written).map(cell).join(",")].join("\n");
    expect(unwrap(readReport(table, "csv", { format: "litellm" }))).toEqual([{ row: 1, ok: true, execution }]);
  });

  test.each<[string, object, object]>([
    ["a team pays before whoever is in it", { team_id: "t", organization_id: "o", end_user: "e" }, { payer: "t" }],
    ["a team in the metadata alone", { metadata: '{"user_api_key_team_id":"t"}', end_user: "e" }, { payer: "t" }],
    ["an organisation without a team", { organization_id: "o", end_user: "e", user: "u" }, { payer: "o" }],
    ["somebody's end user", { end_user: "e", user: "u" }, { payer: "e" }],
    ["a model by the name that callers use", { model_group: "support-de" }, { model: "support-de" }],
    ["an MCP tool", { model: "", mcp_namespaced_tool_name: "github/search" }, { model: "github/search" }],
    [
      "a hit of the cache, at its own id",
      { request_id: "c_cache_hit1", cache_hit: "True", spend: 0 },
      { costNanoUsd: 0 },
    ],
    [
      "an embedding, whose tokens have no direction",
      { prompt_tokens: 0, completion_tokens: 0, metadata: "{}" },
      { tokensIn: 30, tokensOut: 0 },
    ],
    [
      "tokens in the provider's usage alone",
      { prompt_tokens: 0, completion_tokens: 0 },
      { tokensIn: 10, tokensOut: 20 },
    ],
    ["a call that failed after it had cost something", { status: "failure" }, { costNanoUsd: 225_000 }],
    [
      "a prompt in the request that was kept",
      { proxy_server_request: { messages: [{ role: "user", content: "Hi" }] } },
      { prompt: "Hi" },
    ],
  ])("%s", (_name, changes, said) => expect(read(changes)).toMatchObject(said));

  test.each([
    ["failed", { status: "failure", spend: 0 }],
    ["failed, as old versions say it", { status: null, spend: 0, metadata: '{"status":"failure"}' }],
  ])("what %s is no execution", (_name, changes) => expect(read(changes)).toBe("nothing"));

  test("columns that are named go first, also those of the metadata", () => {
    const row = { team_id: "t", end_user: "e", metadata: '{"user_api_key_alias":"prod key"}' };
    expect(read(row, { payer: "end_user" })).toMatchObject({ payer: "e" });
    expect(read(row, { payer: "user_api_key_alias" })).toMatchObject({ payer: "prod key" });
    expect(read({ ...row, end_user: "" }, { payer: "end_user" })).toMatchObject({ payer: "t" });
  });

  test("the summary of a day says how to ask for single executions", () => {
    const summary = { startTime: "2025-01-24", spend: 0.1, users: { u: 0.1 }, models: { "gpt-4o": 0.1 } };
    expect(readLiteLlm(summary)).toMatchObject({ error: { message: expect.stringContaining("summarize=false") } });
  });
});

const span = (attributes: Readonly<Record<string, object>>) => ({
  resourceSpans: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
      scopeSpans: [
        {
          spans: [
            {
              ...{
                traceId: "t1",
                spanId: "s1",
                parentSpanId: "s0",
                name: "chat m",
                endTimeUnixNano: "1760000000123456789",
              },
              attributes: Object.entries(attributes).map(([key, value]) => ({ key, value })),
            },
          ],
        },
      ],
    },
  ],
});

describe("OpenTelemetry", () => {
  test("an inference span; its service pays where nobody else is named", () => {
    const record = span({
      "gen_ai.operation.name": { stringValue: "chat" },
      "gen_ai.provider.name": { stringValue: "vllm" },
      "gen_ai.request.model": { stringValue: "m" },
      "gen_ai.usage.input_tokens": { intValue: "100" },
      "gen_ai.usage.output_tokens": { intValue: 5 },
      "gen_ai.output.messages": { stringValue: '[{"role":"assistant","parts":[{"type":"text","content":"Hi"}]}]' },
    });
    expect(unwrap(readSpans(record))).toEqual([
      {
        ...{ row: 1, ok: true },
        execution: {
          ...{ source: "opentelemetry", id: "t1-s1", span: "t1-s1", parent: "t1-s0", timeMs: 1_760_000_000_123 },
          ...{ payer: "shop", model: "m", operator: "vllm", tokensIn: 100, tokensOut: 5, answer: "Hi" },
        },
      },
    ]);
  });

  test.each([
    ["a tool's span", { "gen_ai.operation.name": { stringValue: "execute_tool" } }],
    ["a span of something else", { "http.method": { stringValue: "GET" } }],
  ])("%s is no execution", (_name, attributes) => expect(unwrap(readSpans(span(attributes)))).toEqual([]));

  test("what is no export is refused", () => expect(readSpans({ spans: [] }).ok).toBe(false));
});

test("LiteLLM: what its generic API callback posts", () => {
  const payload = {
    ...{ id: "chatcmpl-9", trace_id: "t", call_type: "acompletion", response_cost: 0.00012, status: "success" },
    ...{ custom_llm_provider: "openai", total_tokens: 40, prompt_tokens: 30, completion_tokens: 10 },
    ...{ startTime: 1760000000.25, endTime: 1760000001.5, model: "gpt-x", model_group: "support-de", end_user: "" },
    ...{ metadata: { user_api_key_team_id: "acme", user_api_key_user_id: "u1", user_api_key_hash: "h" } },
    ...{ messages: [{ role: "user", content: "Hi" }], response: { choices: [{ message: { content: "Hello" } }] } },
  };
  expect(unwrap(readLiteLlm(payload))).toEqual([
    {
      ...{ source: "litellm", id: "chatcmpl-9", timeMs: 1_760_000_001_500, payer: "acme", model: "support-de" },
      ...{ operator: "openai", tokensIn: 30, tokensOut: 10, costNanoUsd: 120_000, prompt: "Hi", answer: "Hello" },
    },
  ]);
});

test("a row has one hash, whatever its texts are and however its numbers are written", () => {
  const row = {
    request_id: "r",
    endTime: "2026-01-02T00:00:00Z",
    team_id: "a",
    model: "m",
    spend: "0.5",
    prompt_tokens: "7",
  };
  const [a, b, c] = [row, { ...row, spend: 5e-1, prompt_tokens: 7, messages: "Hi" }, { ...row, spend: 0.6 }].map(
    (one) => Buffer.from(executionHash(unwrap(readLiteLlm(one))[0]!)).toString("hex"),
  );
  expect(a).toBe(b);
  expect(a).not.toBe(c);
});

describe("batches", () => {
  const row = (id: number) => ({
    request_id: `r${id}`,
    endTime: "2026-01-02T00:00:00Z",
    team_id: "a",
    model: "m",
    spend: 1,
  });
  test.each([
    ["a list", "json", JSON.stringify([row(1), row(2)]), [1, 2]],
    ["a page of a list", "json", JSON.stringify({ data: [row(1)] }), [1]],
    ["one record", "json", JSON.stringify(row(1)), [1]],
    ["lines", "jsonl", `${JSON.stringify(row(1))}\n\n{\n${JSON.stringify(row(2))}`, [1, "3: the line is not JSON", 4]],
    ["a table", "csv", "request_id,endTime,team_id,model,spend\nr1,2026-01-02,a,m,1\n,2026-01-02,a,m,1\n", [1, "2"]],
  ] as const)("%s", (_, spelling, text, rows) => {
    const readings = unwrap(readReport(text, spelling, { format: "litellm" }));
    expect(readings.map(({ row: at, ...reading }) => (reading.ok ? at : `${at}: ${reading.message}`))).toEqual(
      rows.map((wanted) => (wanted === "2" ? expect.stringMatching(/^2: .*id/) : wanted)),
    );
  });

  test("what is nothing of the kind is refused whole", () => {
    expect(readReport("{", "json", { format: "openai" }).ok).toBe(false);
    expect(readReport('a\n"', "csv", { format: "csv" }).ok).toBe(false);
  });
});

test("CloudEvents: a token event of OpenMeter names one direction", () => {
  const event = {
    ...{
      specversion: "1.0",
      type: "prompt",
      id: "e1",
      source: "app",
      subject: "acme",
      time: "2026-01-01T00:00:00.001Z",
    },
    data: { tokens: "123", model: "m", type: "input" },
  };
  expect(unwrap(readCloudEvent(event))[0]).toMatchObject({ id: "app#e1", payer: "acme", tokensIn: 123, tokensOut: 0 });
  expect(readCloudEvent({ ...event, specversion: "0.3" }).ok).toBe(false);
});

test("CSV: a mapping, quotes and a row that cannot be read", () => {
  const text =
    '\uFEFFref,when,who,model,out,usd\n1,2026-01-01T00:00:00Z,"Acme, Inc",m,5,0.1\n2,yesterday,b,m,5,0.1\n3,2026-01-01T00:00:00Z,b,m,5\n';
  const rows = unwrap(parseCsv(text));
  const reader = csvReader({ id: "ref", time: "when", payer: "who", model: "model", tokensOut: "out", cost: "usd" });
  const readings = readRecords(rows, reader);
  expect(readings.map((reading) => (reading.ok ? reading.execution.costNanoUsd : reading.message))).toEqual([
    100_000_000,
    "when is not a time",
    undefined,
  ]);
  expect(readings[0]).toMatchObject({ row: 1, execution: { payer: "Acme, Inc", tokensOut: 5 } });
  expect(parseCsv('a,b\n"never closed').ok).toBe(false);
});

test("nothing that is thrown at a reader makes it throw", () => {
  const readers = [readOpenAi, readLiteLlm, readSpans, readCloudEvent];
  const keys = [
    "id",
    "usage",
    "resourceSpans",
    "scopeSpans",
    "spans",
    "attributes",
    "data",
    "specversion",
    "spend",
    "time",
  ];
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, "", "1.0", "x", -1, 0, 1.5, 1e300, true, "2026-01-01"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(value, (record) => {
      for (const read of readers) expect(typeof read(record).ok).toBe("boolean");
      expect(typeof contentText(record)).toBe("string");
    }),
    { numRuns: 500 },
  );
});

import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { OpenMeter } from "@openmeter/sdk";
import { type AttributeValue, type Context, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { toHex } from "../core/bytes.ts";
import { noPrices } from "../core/quote.ts";
import { unwrap } from "../core/result.ts";
import { assets, parties, type SmallLedger, smallLedger, verified } from "../ledger/testing/smallLedger.ts";
import { type ExecutionsView, executionsSchema } from "../protocol/executions.ts";
import { executionListSchema, receiptDetailSchema } from "../protocol/receipts.ts";
import { Gateway } from "./gateway.ts";
import type { ReportedModel } from "./reportedModels.ts";
import { testGrounding, testId } from "./testing/node.ts";

let small: SmallLedger;
let gateway: Gateway;
let url: string;
let admin: string;
let own: { readonly account: string; readonly secret: string };

beforeAll(async () => {
  small = await smallLedger();
  const { accounts } = small.ledger;
  const open = async (name: string, isAdmin: boolean) => {
    const account = unwrap(await accounts.open({ name })).id;
    unwrap(await accounts.credit({ account, amount: 1_000, key: "first", note: "" }));
    return { account, secret: unwrap(await accounts.createKey({ account, name, admin: isAdmin })).secret };
  };
  admin = (await open("owner", true)).secret;
  own = await open("someone", false);
  const world = { nowMs: () => Date.now(), elapsedMs: () => performance.now(), randomBytes, log: () => {} };
  const reports = { payers: "open", credit: "arrears", operator: parties.operator } as const;
  gateway = new Gateway({ world, ledger: small.ledger, reports });
  const pool = unwrap(
    await small.ledger.assets.declare(assets.model, [
      { payee: parties.ann, type: "party", weight: 3 },
      { payee: parties.ben, type: "party", weight: 1 },
    ]),
  );
  const texts = async () => testGrounding({ attribute: async () => ({ ...someEvidence }) });
  gateway.catalog.reported.put({
    ...model,
    name: "support-de",
    asset: assets.model,
    pool,
    contributors: 2,
    grounding: texts,
  });
  gateway.catalog.reported.put({ ...model, name: "bare", isUndeclared: true });
  url = unwrap(await gateway.listen(0)).url;
});
afterAll(async () => {
  await verified(small);
  await gateway.drain(100);
  await small.ledger.close();
});

describe("a batch", () => {
  test("an outcome for each row: what cannot be read or booked holds up nothing else", async () => {
    const body = [
      spend("a1"),
      { ...spend("a2"), endTime: "yesterday" },
      { ...spend("a3"), model_group: "nobody" },
      spend("a4"),
    ];
    const view = await report("?format=litellm", body);
    expect(view).toMatchObject({ booked: 2, refused: 2 });
    expect(view.rows.map(({ row, outcome, code }) => [row, outcome, code])).toEqual([
      [1, "booked", undefined],
      [2, "refused", "invalid_request"],
      [3, "refused", "model_not_found"],
      [4, "booked", undefined],
    ]);
    expect(view.rows[2]).toMatchObject({
      reason: 'the model "nobody" is not registered here',
      hint: "register it: openledger model import MANIFEST",
    });
    // Half of it, in another order, once more: nothing is booked twice.
    expect(await report("?format=litellm", [spend("a4"), spend("a1")])).toMatchObject({ booked: 0, known: 2 });
    expect(await report("?format=litellm", [spend("a1", 0.5)])).toMatchObject({
      refused: 1,
      rows: [{ code: "conflict" }],
    });
    const amended = await report("?format=litellm&amend=true", [spend("a1", 0.5)]);
    expect(amended).toMatchObject({ corrected: 1, rows: [{ amount: 300_000_000 }] });
  });

  test("what a row says that it cost is its fee, to the nano, and the royalty a part of it", async () => {
    const { rows } = await report("?format=litellm", [spend("b1", "0.000000333")]);
    const receipt = await receiptOf(rows[0]?.receipt);
    expect(receipt.fee).toMatchObject({ cost: 273, royalty: 60, own: 333 });
    expect(receipt.flags).toMatchObject({ reported: true, undeclared: false });
    expect(receipt.model.name).toBe("support-de");
    const { rows: bare } = await report("?format=litellm", [{ ...spend("b2", "0.000001"), model_group: "bare" }]);
    const undeclared = await receiptOf(bare[0]?.receipt);
    expect(undeclared.flags).toMatchObject({ reported: true, undeclared: true });
    expect(undeclared.legs.map(({ role }) => role)).toEqual(["operator", "model", "reserve", "treasury"]);
  });

  test("what says nothing of its cost is charged by the model's terms", async () => {
    const { rows } = await report("?format=openai&payer=acme", [
      {
        id: "c1",
        created: 1_760_000_000,
        model: "support-de",
        usage: { prompt_tokens: 2_000_000, completion_tokens: 0 },
      },
    ]);
    expect((await receiptOf(rows[0]?.receipt)).fee).toMatchObject({ cost: 14, royalty: 6 });
  });

  test("a text is attributed, what it does not explain goes to the declared, and it is kept nowhere", async () => {
    const { rows } = await report("?format=litellm", [{ ...spend("d1"), response: "A secret answer" }]);
    const { legs, hashes } = await receiptOf(rows[0]?.receipt);
    const weights = legs.filter(({ role }) => role === "contributor").map(({ weight }) => weight);
    expect(weights.sort()).toEqual([250_000, 750_000]);
    expect(hashes.evidence).toBe(toHex(testId("evidence")));
    const found = await small.ledger.books.receipt(Buffer.from((rows[0]?.receipt ?? "").slice(2), "hex"));
    expect(found?.opening).toBeUndefined();
  });

  test("what is booked counts in the rhythm, and what is known does not", async () => {
    const minute = async () => rhythm.parse(await (await fetch(`${url}/api/rhythm`)).json()).lastHour.executions;
    const before = await minute();
    await report("?format=litellm", [spend("g1"), spend("g2")]);
    await report("?format=litellm", [spend("g2")]);
    expect(await minute()).toBe(before + 2);
  });

  test("tables, lines and gzip", async () => {
    const csv = "key,at,who,what,usd\nx1,2026-01-02,acme,support-de,0.5\nx2,never,acme,support-de,0.5\n";
    const columns = "?col.id=key&col.time=at&col.payer=who&col.model=what&col.cost=usd";
    expect(await report(columns, csv, { "content-type": "text/csv" })).toMatchObject({ booked: 1, refused: 1 });
    const lines = [spend("e1"), spend("e2")].map((row) => JSON.stringify(row)).join("\n");
    const headers = { "content-type": "application/x-ndjson", "content-encoding": "gzip" };
    expect(await report("?format=litellm", gzipSync(lines), headers)).toMatchObject({ booked: 2 });
  });

  test("any key reports for its own account, within its credit, whoever the row names", async () => {
    const rows = [spend("f1", "0.0000006"), spend("f2", "0.0000006")];
    const view = await report("?format=litellm", rows, {}, own.secret);
    expect(view).toMatchObject({ booked: 1, refused: 1, rows: [{}, { code: "insufficient_funds" }] });
    expect(small.ledger.accounts.balance(own.account)).toMatchObject({ spent: 600n, available: 400n });
  });

  test.each([
    ["without a key", "?format=litellm", "[]", {}, "", 401],
    ["of no known format", "", "[]", {}, undefined, 400],
    ["that is no JSON", "?format=openai", "{", {}, undefined, 400],
    ["of a type that a form can send", "?format=openai", "[]", { "content-type": "text/plain" }, undefined, 415],
    ["that is not gzip", "?format=openai", "[]", { "content-encoding": "gzip" }, undefined, 400],
    ["in an unknown encoding", "?format=openai", "[]", { "content-encoding": "br" }, undefined, 415],
    ["of too many rows", "?format=openai", `[${"0,".repeat(10_000)}0]`, {}, undefined, 413],
    ["with an unknown column", "?format=csv&col.id=", "[]", {}, undefined, 400],
  ])("%s is refused", async (_, query, body, headers, secret, status) => {
    expect((await send(`/api/executions${query}`, body, headers, secret ?? admin)).status).toBe(status);
  });
});

describe("from a row to its receipt and back", () => {
  const row = {
    created: 1_760_000_000,
    model: "support-de",
    usage: { prompt_tokens: 1_000_000, completion_tokens: 0 },
  };
  const get = async (path: string, secret: string) =>
    fetch(`${url}${path}`, { headers: { authorization: `Bearer ${secret}` } });

  test("its payer and the owner find either by the other, a stranger neither; a later word is on it", async () => {
    const sent = { ...row, id: "traced-1" };
    const [{ receipt = "", seq } = { receipt: "" }] = (await report("?format=openai", [sent], {}, own.secret)).rows;
    const more = { ...sent, usage: { prompt_tokens: 2_000_000, completion_tokens: 0 } };
    const [word] = (await report("?format=openai&amend=true", [more], {}, own.secret)).rows;
    for (const secret of [own.secret, admin]) {
      const found = executionListSchema.parse(await (await get("/api/executions/traced-1", secret)).json());
      expect(found.data).toMatchObject([
        { source: "openai", id: "traced-1", laterWords: [word?.seq], receipt: { id: receipt, seq } },
      ]);
      const detail = receiptDetailSchema.parse(await (await get(`/api/receipts/${receipt}`, secret)).json());
      expect(detail.reported).toEqual({ source: "openai", id: "traced-1", caused: [], laterWords: [word?.seq] });
      expect((await get("/api/executions/traced-1?source=litellm", secret)).status).toBe(404);
    }
    const { accounts } = small.ledger;
    const other = unwrap(await accounts.open({ name: "other" })).id;
    const { secret } = unwrap(await accounts.createKey({ account: other, name: "other" }));
    expect((await get("/api/executions/traced-1", secret)).status).toBe(404);
    expect(await (await get(`/api/receipts/${receipt}`, secret)).json()).not.toHaveProperty("reported");
  });

  test("a child that comes before its cause, by its span, is a root and linked to it once that is there", async () => {
    const spanOf = (spanId: string, parentSpanId: string, responseId: string) => {
      const said = { "gen_ai.request.model": "support-de", "gen_ai.response.id": responseId, "enduser.id": "linked" };
      const attributes = Object.entries(said).map(([key, stringValue]) => ({ key, value: { stringValue } }));
      attributes.push({ key: "gen_ai.usage.input_tokens", value: { stringValue: "1000000" } });
      const span = { traceId: "t9", spanId, parentSpanId, endTimeUnixNano: "1760000000000000000", attributes };
      return { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] };
    };
    const show = async (id: string) => {
      const found = executionListSchema.parse(await (await get(`/api/executions/${id}`, admin)).json());
      return found.data[0]!;
    };
    await report("?format=otlp", spanOf("inner", "outer", "resp-inner"));
    const early = await show("resp-inner");
    expect([early.receipt.nesting.depth, early.causedBy]).toEqual([0, { source: "opentelemetry", id: "t9-outer" }]);
    await report("?format=otlp", spanOf("outer", "", "resp-outer"));
    const [inner, outer] = [await show("resp-inner"), await show("t9-outer")];
    expect(inner.causedBy).toEqual({ source: "opentelemetry", id: "t9-outer", receipt: outer.receipt.id });
    expect(outer.caused).toEqual([{ source: "opentelemetry", id: "resp-inner", receipt: inner.receipt.id }]);
  });
});

describe("clients as they are", () => {
  test("the OpenTelemetry SDK and its OTLP exporter", async () => {
    const headers = { authorization: `Bearer ${admin}` };
    const exporter = new OTLPTraceExporter({ url: `${url}/v1/traces`, headers });
    const failures: unknown[] = [];
    const provider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
    const tracer = provider.getTracer("test");
    const span = (name: string, attributes: Record<string, AttributeValue>, parent: Context = ROOT_CONTEXT) => {
      const started = tracer.startSpan(name, { attributes }, parent);
      return { started, within: trace.setSpan(parent, started) };
    };
    const chat = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "vllm",
      "gen_ai.request.model": "support-de",
    };
    const usage = {
      "gen_ai.usage.input_tokens": 1_000_000,
      "gen_ai.usage.output_tokens": 0,
      "enduser.id": "otel payer",
    };
    const outer = span("chat support-de", { ...chat, ...usage });
    const inner = span("chat support-de", { ...chat, ...usage }, outer.within);
    const tool = span("execute_tool search", { "gen_ai.operation.name": "execute_tool" }, outer.within);
    const stranger = span("chat other", { ...chat, ...usage, "gen_ai.request.model": "other" });
    for (const { started } of [inner, tool, outer, stranger]) started.end();
    await provider.forceFlush().catch((error: unknown) => failures.push(error));
    await provider.shutdown();
    expect(failures).toEqual([]);
    const account = small.ledger.accounts.findExternal("otel payer");
    const booked = await small.ledger.books.recent({ limit: 10, account: account?.id ?? "" });
    // The inner one was caused by the outer one, and is journalled before it. What is not registered was refused, and the others booked.
    expect(booked.map(({ receipt: { nesting, fee } }) => [nesting.depth, nesting.childrenTotal, fee.cost])).toEqual([
      [0, 10, 7],
      [1, 0, 7],
    ]);
  });

  test("an OTLP export answers which spans it refused", async () => {
    const attributes = [{ key: "gen_ai.request.model", value: { stringValue: "nobody" } }];
    const body = {
      resourceSpans: [
        {
          scopeSpans: [{ spans: [{ traceId: "t", spanId: "s", endTimeUnixNano: "1760000000000000000", attributes }] }],
        },
      ],
    };
    const response = await send("/v1/traces", JSON.stringify(body), {}, admin);
    const text = /payer/;
    expect(await response.json()).toEqual({
      partialSuccess: { rejectedSpans: 1, errorMessage: expect.stringMatching(text) },
    });
  });

  test("OpenMeter's client: events one by one, many at once, and sent again", async () => {
    const { events } = new OpenMeter({ baseUrl: url, token: admin });
    const data = { model: "support-de", tokens: "12", type: "output" };
    const [type, subject] = ["prompt", "om payer"];
    // Neither says when: the client leaves it to the server, and sends it again as it was.
    const first = { id: "om-1", type, subject, data };
    for (let sent = 0; sent < 2; sent++) await events.ingest(first);
    const dated = { id: "om-2", source: "app", time: new Date(1_760_000_000_123), type, subject };
    await events.ingest([first, { ...dated, data: { model: "support-de", input_tokens: 5, output_tokens: 1 } }]);
    const { id = "" } = small.ledger.accounts.findExternal(subject) ?? {};
    expect((await small.ledger.books.recent({ limit: 10, account: id })).map(({ receipt }) => receipt.usage)).toEqual([
      { tokensIn: 5, tokensOut: 1, calls: 1 },
      { tokensIn: 0, tokensOut: 12, calls: 1 },
    ]);
    const unknown = events.ingest({ ...first, id: "om-3", data: { ...data, model: "nobody" } });
    await expect(unknown).rejects.toMatchObject({
      statusCode: 400,
      problem: { detail: expect.stringContaining("nobody") },
    });
  });

  test("OpenMeter's client: a batch as @openmeter/sdk 1.0.0-beta.232 posts it", async () => {
    const headers = { "content-type": "application/cloudevents-batch+json", accept: "*/*" };
    const taken = await send("/api/v1/events", openMeterBatch, headers, admin);
    expect([taken.status, await taken.text()]).toEqual([204, ""]);
    expect((await send("/api/v1/events", openMeterBatch, headers, admin)).status).toBe(204);
    const { id = "" } = small.ledger.accounts.findExternal("meter payer") ?? {};
    expect((await small.ledger.books.recent({ limit: 10, account: id })).map(({ receipt }) => receipt.usage)).toEqual([
      { tokensIn: 7, tokensOut: 2, calls: 1 },
      { tokensIn: 0, tokensOut: 25, calls: 1 },
      { tokensIn: 100, tokensOut: 0, calls: 1 },
    ]);
    const unknown = openMeterBatch.replace('"id":"e2"', '"id":"e3"').replaceAll("support-de", "nobody");
    const refused = await send("/api/v1/events", unknown, headers, admin);
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringMatching(/nobody/)]);
  });
});

/** Recorded from that version, which asks for Node 22, as it posted it to a server of ours; only the subject is another. */
const openMeterBatch =
  '[{"type":"prompt","subject":"meter payer","data":{"tokens":100,"model":"support-de","type":"input"},"id":"6028c703-334d-4f65-8eea-0c599ee8e778","source":"@openmeter/sdk","specversion":"1.0","time":"2026-11-28T20:22:04.239Z"},' +
  '{"id":"e1","source":"app","type":"prompt","subject":"meter payer","time":"2026-01-02T03:04:05.678Z","data":{"tokens":"25","model":"support-de","type":"output"},"specversion":"1.0"},' +
  '{"id":"e2","source":"app","type":"prompt","subject":"meter payer","data":{"input_tokens":7,"output_tokens":2,"model":"support-de"},"specversion":"1.0","time":"2026-11-28T20:22:04.273Z"}]';

const model: ReportedModel = {
  ...{ name: "", asset: assets.plain, ownedBy: "us", operator: parties.operator, createdMs: 0, datanets: [] },
  terms: {
    ...{ unit: "nano", cost: { ...noPrices, inPerMillion: 7 }, royalty: { ...noPrices, inPerMillion: 3 } },
    royaltyBps: 0,
  },
  ...{ contributors: 0, isUndeclared: false },
};

const someEvidence = {
  shares: [{ payee: testId("author"), type: "identity", weight: 750_000 }],
  ...{ unattributed: 250_000, evidenceRoot: testId("evidence"), evidence: [] },
} as const;

function spend(id: string, usd: number | string = 0.2) {
  return {
    ...{ request_id: id, call_type: "acompletion", api_key: "hash", spend: usd, total_tokens: 30, cache_hit: "False" },
    ...{
      prompt_tokens: 20_000_000,
      completion_tokens: 10,
      startTime: "2026-01-02 03:04:05",
      endTime: "2026-01-02 03:04:06",
    },
    ...{ model: "vllm/support-de", model_group: "support-de", custom_llm_provider: "vllm", team_id: "acme", user: "" },
  };
}

function send(
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
  secret: string,
): Promise<Response> {
  const key: Record<string, string> = secret === "" ? {} : { authorization: `Bearer ${secret}` };
  return fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...key, ...headers },
    body,
  });
}

async function report(
  query: string,
  body: unknown,
  headers: Record<string, string> = {},
  secret = admin,
): Promise<ExecutionsView> {
  const sent =
    typeof body === "string" ? body : body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body);
  return executionsSchema.parse(await (await send(`/api/executions${query}`, sent, headers, secret)).json());
}

const rhythm = z.object({ lastHour: z.object({ executions: z.number() }) });
const receiptView = z.object({
  flags: z.object({ reported: z.boolean(), undeclared: z.boolean() }),
  fee: z.object({ cost: z.number(), royalty: z.number(), own: z.number() }),
  model: z.object({ name: z.string().optional() }),
  hashes: z.object({ evidence: z.string() }),
  legs: z.array(z.object({ role: z.string(), weight: z.number() })),
});

async function receiptOf(id: string | undefined) {
  return receiptView.parse(await (await fetch(`${url}/api/receipts/${id?.slice(2)}`)).json());
}

import { afterAll, beforeAll, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import { structuringContext } from "../datanets/context.ts";
import { prepareContribution } from "../datanets/contribution.ts";
import { createDatanet, type Datanet } from "../datanets/datanet.ts";
import { MemoryDatanetStore } from "../datanets/memoryStore.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { buildVersion } from "../datanets/version.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { receiptDetailSchema } from "../protocol/receipts.ts";
import { embeddedInfinigram } from "../upstream/infinigramHost.ts";
import { datanetDirectory } from "./datanetDirectory.ts";
import { indexGrounding } from "./grounding.ts";
import { startNode, type TestNode, testId, testModel } from "./testing/node.ts";

/** The real parts together: a datanet, its ∞-gram model in a worker, retrieval, span attribution, and the own API over them. */
const owner = toHex(testId("owner"));
const said = [
  [
    "npm:tar",
    "tar",
    "The tar command packs files. Use `tar -cf archive.tar folder` to create an archive of a folder on the disk.",
  ],
  [
    "npm:cat",
    "cat",
    "The cat command prints files. Use `cat file` to print the whole content of a file to the terminal.",
  ],
] as const;
const store = new MemoryDatanetStore();
let records: readonly DatanetRecord[] = [];
let contribution = "";
let node: TestNode;
let stopEngine: () => Promise<void>;

const payeeOf = (identity: string) => testId(`payee ${identity}`);

beforeAll(async () => {
  const draft = { name: "unix-docs", summary: "Commands", licence: "MIT" };
  const datanet: Datanet = unwrap(await store.createDatanet(unwrap(createDatanet(draft, owner, 1)), testId("secret")));
  const contents = said.map(([identity, name, text]) => ({
    ...{ title: name, headingPath: [], text, source: `${identity}@1.0.0 README.md`, licence: "MIT", date: null },
    authors: [{ identity, name }],
  }));
  const prepared = unwrap(
    prepareContribution(datanet, { by: owner, label: "first", licence: "MIT", records: contents }, 2),
  );
  const added = unwrap(await store.addContribution(prepared));
  contribution = added.id;
  const payee = async (_: Datanet, identity: string) => payeeOf(identity);
  const datanets = datanetDirectory({
    store,
    nowMs: () => 3,
    payeeOf: payee,
    accrued: (id) => node.ledger.books.accrued(id).lifetime,
  });
  const index = buildIndex(houseTokenizer(), prepared.records);
  records = prepared.records;
  const grounding = indexGrounding({
    ...{ datanets: ["unix-docs"], index, records, retrieval: new Bm25Index(records) },
    payeesOf: (record) =>
      record.authors.map(({ identity }) => ({ payee: payeeOf(identity), type: "identity", weight: 1 })),
  });
  const engine = embeddedInfinigram(new Map([["upstream-name", index]]));
  stopEngine = () => engine.close();
  node = await startNode({ engines: { embedded: engine }, parts: { datanets }, model: { grounding } });
});
afterAll(async () => {
  await node.stop();
  await stopEngine();
});

async function ask(question: string): Promise<{ answer: string; receipt: string }> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${node.secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model: testModel, messages: [{ role: "user", content: question }] }),
  });
  const body: unknown = await response.json();
  const answer = String(
    Reflect.get(
      Object(Reflect.get(Object(Reflect.get(Object(Reflect.get(Object(body), "choices")), 0)), "message")),
      "content",
    ),
  );
  return { answer, receipt: response.headers.get("openledger-receipt") ?? "" };
}

async function api(path: string, method = "GET", body?: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${node.adminSecret}`, ...(body && { "content-type": "application/json" }) };
  return (await fetch(`${node.url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })).json();
}

test("an answer credits whoever wrote what it says, and nobody else", async () => {
  const { answer, receipt } = await ask("How do I create an archive with tar?");
  expect(answer).toContain("tar -cf archive.tar folder");
  const view = receiptDetailSchema.parse(await api(`/api/receipts/${receipt}`));
  const credited = view.legs.filter((leg) => leg.role === "contributor");
  expect(credited.map((leg) => leg.payee)).toEqual([toHex(payeeOf("npm:tar"))]);
  expect(credited[0]?.weight).toBeGreaterThan(900_000);
  const span = view.opening?.evidence.find((item) => item.kind === "span");
  expect(span).toMatchObject({ record: records[0]?.id, author: "tar", source: "npm:tar@1.0.0 README.md" });
  expect(span?.text).toBe(answer.slice(span?.output?.[0], span?.output?.[1]));
  expect(said[0][2].slice(span?.position?.[0], span?.position?.[1])).toBe(span?.text);
});

test("a question that the datanet cannot answer credits nobody", async () => {
  const { answer, receipt } = await ask("Who won the football championship in Lisbon?");
  expect(answer).toContain("I cannot answer that");
  const view = receiptDetailSchema.parse(await api(`/api/receipts/${receipt}`));
  expect(view.legs.some((leg) => leg.role === "contributor")).toBe(false);
  expect(view.unattributed).toBe(1_000_000);
});

test("the own API shows the datanet from its store, through review to a version", async () => {
  expect(await api("/api/datanets/unix-docs")).toMatchObject({ version: 0, records: 0 });
  expect(await api("/api/datanets/unix-docs/contributions?state=open")).toMatchObject({
    data: [{ id: contribution, state: "open" }],
  });
  const review = { decision: "approve", reason: "clear and short" };
  expect(await api(`/api/datanets/unix-docs/contributions/${contribution}/review`, "POST", review)).toMatchObject({
    state: "approved",
  });
  expect(await api(`/api/datanets/unix-docs/contributions/${contribution}/review`, "POST", review)).toMatchObject({
    status: 409,
  });
  const [approved] = await store.contributions("unix-docs", "approved");
  const datanet = await store.datanet("unix-docs");
  if (approved === undefined || datanet === undefined) throw new Error("the store lost it");
  const context = unwrap(structuringContext(toHex(testId("owner"))));
  const draft = {
    datanet,
    previous: undefined,
    context: context.id,
    approved: [{ contribution: approved, records }],
    timeMs: 4,
  };
  unwrap(await store.addVersion(unwrap(buildVersion(draft)), context));
  expect(await api("/api/datanets")).toMatchObject({
    data: [{ name: "unix-docs", records: 2, contributors: 2, version: 1 }],
  });
  expect(await api("/api/datanets/unix-docs/records?q=archive")).toMatchObject({ total: 1, data: [{ title: "tar" }] });
  expect(await api("/api/datanets/unix-docs/records?offset=1")).toMatchObject({ total: 2, data: [{ title: "cat" }] });
  expect(await api("/api/datanets/unix-docs/versions")).toMatchObject({ data: [{ version: 1, records: 2 }] });
  expect(await api("/api/datanets/unix-docs/diff?from=1&to=1")).toMatchObject({ unchanged: 2, added: [] });
  expect(await api("/api/datanets/unix-docs/diff?from=1&to=9")).toMatchObject({ status: 404 });
  expect(await api("/api/datanets/unix-docs/contributors")).toMatchObject({ data: [{ records: 1 }, { records: 1 }] });
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { indexCombination } from "../attribution/attribute.ts";
import { combinationText } from "../attribution/policy.ts";
import { runLine } from "../cli/testing/commandLine.ts";
import { padAddress, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { sealRecord } from "../datanets/record.ts";
import { startNode, type TestNode, testModel } from "../gateway/testing/node.ts";
import { hello, ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { chatCompletionSchema } from "../protocol/completions.ts";
import { type Explanation, explanationSchema } from "../protocol/explanation.ts";
import { groundModel } from "./grounding.ts";
import { People } from "./people.ts";

const annWrote =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.";
const benWrote =
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.";
const question = "A private question about my own canal?";
const secretWords = "Between us, nobody else is to know this part of what you were told.";
const answer = `${annWrote} ${secretWords} ${benWrote}`;

const scope = {
  chainId: 31_337,
  registry: new Uint8Array(20),
  datanet: new Uint8Array(32),
  secret: new Uint8Array(32),
};
const payeeOf = (name: string): Uint8Array => identityPayeeId(scope, `git:${name}@example.org`);
const wallet = padAddress(new Uint8Array(20).fill(7));
const records = [annWrote, benWrote].map((text, i) => {
  const name = ["ann", "ben"][i]!;
  const content = { title: `${name}'s notes`, headingPath: [], text, source: `notes ${i}`, licence: "MIT", date: null };
  return sealRecord(
    { ...content, authors: [{ identity: `git:${name}@example.org`, name }] },
    toHex(new Uint8Array(32)),
  );
});
const people = new People({ scope, records });
const index = buildIndex(houseTokenizer(), records);
const grounding = groundModel({ datanets: ["notes"], records, index, people });

let node: TestNode;
let receipt: string;
const keys: Record<string, string> = {};

beforeAll(async () => {
  node = await startNode({
    engines: { scripted: new ScriptedEngine([{ say: answer }, { end: "stop" }]) },
    model: { grounding, contextTokens: 32_768 },
    parts: {
      labels: (payee) => people.labelOf(payee),
      combinations: async (hash) =>
        toHex(hash) === toHex(grounding.methodsHash) ? combinationText(indexCombination) : undefined,
    },
  });
  // Ann is paid herself, Ben's identity is bound to an address, Eve stands for somebody who wrote nothing.
  const payees = { ann: payeeOf("ann"), ben: wallet, eve: payeeOf("eve") };
  for (const [name, payee] of Object.entries(payees)) {
    const account = unwrap(await node.ledger.accounts.open({ name, payee }));
    keys[name] = unwrap(await node.ledger.accounts.createKey({ account: account.id, name })).secret;
  }
  receipt = await ask({});
  const binding = { identity: payeeOf("ben"), to: wallet, proofHash: new Uint8Array(32) };
  unwrap(await node.ledger.books.bind({ ...binding, state: "bound" }));
});
afterAll(() => node.stop());

async function ask(headers: Record<string, string>): Promise<string> {
  const body = JSON.stringify({ model: testModel, messages: [{ role: "user", content: question }] });
  const all = { authorization: `Bearer ${node.secret}`, "content-type": "application/json", ...headers };
  const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers: all, body });
  const reply: unknown = await response.json();
  return chatCompletionSchema.parse(reply).openledger!.receipt;
}

async function explanation(id: string, key?: string): Promise<Explanation> {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`${node.url}/api/receipts/${id}/explanation`, { headers });
  expect(response.status).toBe(200);
  return explanationSchema.parse(await response.json());
}

test("the payer sees which words are whose, by which evidence, how sure, and what is nobody's", async () => {
  const {
    view,
    evidence,
    people: who,
    unattributed,
    says,
    methods,
    trace,
    answer: said,
  } = await explanation(receipt, node.secret);
  expect(view).toBe("payer");
  expect(said).toBe(answer);
  for (const [text, author] of [
    [annWrote, "ann"],
    [benWrote, "ben"],
  ] as const) {
    const found = evidence.find((item) => item.author === author)!;
    expect(text).toContain(found.text!.trim());
    expect(answer.slice(...found.output!)).toBe(found.text);
    expect(text.slice(...found.position!)).toBe(found.text);
    expect(found.payees).toEqual([{ payee: toHex(payeeOf(author)), label: author, weight: 1 }]);
  }
  const parts = evidence.reduce((sum, { partPpm }) => sum + partPpm, 0);
  expect(Math.abs(parts + unattributed.weightPpm - 1_000_000)).toBeLessThanOrEqual(evidence.length);
  expect(who.map(({ label }) => label).sort()).toEqual(["ann", "ben"]);
  expect(who.every(({ kinds }) => kinds.includes("span"))).toBe(true);
  expect(methods.map(({ id, measures, basis }) => [id, measures, basis])).toEqual([
    ["span", "match", "exact"],
    ["passage", "match", "exact"],
    ["lineage", "match", "exact"],
  ]);
  expect(says.join("\n")).toMatch(
    /could not be attributed.*\n.*2 records\.\nspan \(match, counted whole\).*does not say/,
  );
  expect(trace!.documents.map(({ author }) => author).sort()).toEqual(["ann", "ben"]);
});

test.each([
  ["whose account is linked to it", "ann", annWrote, "Copper kettles"],
  ["whose identity is bound to the address that its account is linked to", "ben", benWrote, "eastern canal"],
])(
  "a contributor %s sees the words of its own records, and nothing of the prompt, the answer or others",
  async (_, name, wrote, others) => {
    const shown = await explanation(receipt, keys[name]);
    expect(shown.view).toBe("contributor");
    expect(shown.evidence.length).toBeGreaterThan(0);
    expect(shown.evidence.map(({ author }) => author)).toEqual(shown.evidence.map(() => name));
    expect(shown.evidence.every(({ text }) => wrote.includes(text!.trim()))).toBe(true);
    expect(shown.people.filter(({ kinds }) => kinds.length > 0).map(({ label }) => label)).toEqual([name]);
    const all = JSON.stringify(shown);
    for (const hidden of [question, secretWords, others, "private", "Between us"]) expect(all).not.toContain(hidden);
    expect(shown.trace).toBeUndefined();
    expect(shown.evidence.every(({ output }) => output === undefined)).toBe(true);
  },
);

test.each([
  ["nobody", undefined],
  ["somebody who contributed nothing", "eve"],
])("%s sees the sums that stand in the journal, and the methods", async (_who, name) => {
  const shown = await explanation(receipt, name === undefined ? undefined : keys[name]);
  expect(shown).toMatchObject({ view: "public", evidence: [] });
  expect(shown.people.map(({ label }) => label).sort()).toEqual(["ann", "ben"]);
  for (const hidden of [question, secretWords, "sluice", "Copper"]) expect(JSON.stringify(shown)).not.toContain(hidden);
  expect(shown.methods.length).toBe(3);
});

test("of a receipt that may not be opened it says so, and shows no more than the journal", async () => {
  const unaudited = await ask({ "openledger-audit": "forbid" });
  for (const key of [node.secret, keys["ben"], undefined]) {
    const { says, evidence, people: who } = await explanation(unaudited, key);
    expect(says.join(" ")).toContain("forbade to keep the texts");
    expect([evidence, who.flatMap(({ kinds }) => kinds), who.length]).toEqual([[], [], 2]);
  }
});

test("a model without records says that nothing was declared", async () => {
  const plain = await startNode({ engines: { scripted: new ScriptedEngine(hello) } });
  const headers = { authorization: `Bearer ${plain.secret}`, "content-type": "application/json" };
  const body = JSON.stringify({ model: testModel, messages: [{ role: "user", content: "?" }] });
  const reply: unknown = await (
    await fetch(`${plain.url}/v1/chat/completions`, { method: "POST", headers, body })
  ).json();
  const id = chatCompletionSchema.parse(reply).openledger!.receipt;
  const shown = explanationSchema.parse(
    await (await fetch(`${plain.url}/api/receipts/${id}/explanation`, { headers })).json(),
  );
  expect(shown.says.join(" ")).toContain("declares no records");
  await plain.stop();
});

test("on the command line it reads as text, and unknown receipts are refused", async () => {
  const where = ["--url", node.url, "--key", node.secret];
  const { code, out } = await runLine(["receipt", "explain", receipt, ...where]);
  expect(code).toBe(0);
  for (const words of ["could not be attributed", "People", "ann", "Evidence", "The sluice gate", "for the eye"])
    expect(out).toContain(words);
  const refused = await runLine(["receipt", "explain", `0x${"ab".repeat(16)}`, ...where]);
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain("there is no receipt");
});

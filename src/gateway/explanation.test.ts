import { expect, test } from "vitest";
import {
  influenceMethod,
  likelihoodMethod,
  lineageMethod,
  passageMethod,
  spanMethod,
} from "../attribution/description.ts";
import { combinationOf, combinationText, defaultPolicy } from "../attribution/policy.ts";
import type { Opening, ReceiptView } from "../protocol/receipts.ts";
import { type Explained, explain } from "./explanation.ts";

const [ann, ben] = [`0x${"aa".repeat(32)}`, `0x${"bb".repeat(32)}`];
const id = `0x${"01".repeat(16)}`;
const hash = `0x${"02".repeat(32)}`;
const none = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
const leg = (role: string, payee: string, weight: number) => ({
  role,
  payee,
  number: 1,
  weight,
  amount: weight / 1_000,
});

const receipt: ReceiptView = {
  ...{ id, seq: 1, timeMs: 1, payer: hash, account: id, operator: { payee: hash }, model: { asset: hash } },
  flags: { reported: false, unaudited: false, partial: false, undeclared: false },
  nesting: { depth: 0, parent: id, root: id, sibling: id, childrenTotal: 0 },
  ...{ policyHash: hash, unit: "nano", rate: { nanoPerUsd: 1, source: "test" }, prices: { cost: none, royalty: none } },
  usage: { tokensIn: 1, tokensOut: 1, calls: 1 },
  fee: { cost: 0, royalty: 1_000, own: 1_000, amount: 1_000, earned: 0 },
  hashes: { prompt: hash, answer: hash, evidence: hash, index: hash, methods: hash },
  unattributed: 200_000,
  legs: [
    leg("contributor", ann, 500_000),
    leg("contributor", ben, 300_000),
    leg("prior", hash, 150_000),
    leg("reserve", hash, 50_000),
  ],
};

const secret = "what the payer was told";
const payees = [{ payee: ann, weight: 1 }];
/** Ann's record made the whole answer likelier, repeats an earlier answer, and stands in it word for word once. */
const opening: Opening = {
  ...{ v: 1, promptSalt: "0x00", answerSalt: "0x00", prompt: "what the payer asked", answer: secret },
  evidence: [
    { kind: "passage", payee: ann, payees, weight: 4, record: "r1", output: [0, 23], position: [0, 0], text: secret },
    { kind: "lineage", payee: ann, payees, weight: 2, record: "r2", output: [0, 23], text: secret },
    { kind: "span", payee: ann, payees, weight: 1, record: "r1", output: [0, 4], position: [7, 11], text: "what" },
    {
      kind: "span",
      payee: ben,
      payees: [{ payee: ben, weight: 1 }],
      weight: 1,
      record: "r3",
      output: [5, 8],
      position: [0, 3],
      text: "the",
    },
  ],
};
const explained: Explained = {
  ...{ receipt, opening, payees: new Set([ann]), view: "contributor", combination: undefined, trace: undefined },
  labelOf: () => undefined,
};

test("a contributor is never shown words of an answer that do not stand in its own record", () => {
  const shown = explain(explained);
  expect(shown.evidence.map(({ kind, text }) => [kind, text])).toEqual([
    ["passage", undefined],
    ["lineage", undefined],
    ["span", "what"],
  ]);
  expect(JSON.stringify(shown)).not.toContain("payer was told");
  expect(JSON.stringify(shown)).not.toContain("payer asked");
  expect(shown.people.map(({ kinds }) => kinds)).toEqual([["passage", "lineage", "span"], []]);
});

test.each([
  //  method          words of the answer                      what its sentence says
  [spanMethod, "what", "as measured on this model", "The answer repeats these words"],
  [passageMethod, "what the payer was told", "assumed: nobody has measured it on this model", "The record was read"],
  [likelihoodMethod, undefined, "counted 43.0 %", "finds the answer so much likelier"],
  [influenceMethod, undefined, "counted 43.0 %", "training without the record"],
  [lineageMethod, "what the payer was told", "counted whole", "repeats an earlier answer"],
] as const)("$id: the payer sees words where there are some, and how sure it is", (method, words, sure, says) => {
  const item = { ...opening.evidence[0]!, kind: method.kind };
  const own = words === "what" ? { ...item, text: "what", output: [0, 4] as [number, number] } : item;
  const trust = { exact: "exact", assumed: "unmeasured", counted: { measuredPpm: 430_000 } } as const;
  const how = sure.startsWith("assumed") ? trust.assumed : sure === "counted whole" ? trust.exact : trust.counted;
  const combination = combinationText(combinationOf(defaultPolicy, [[method, how]]));
  const shown = explain({ ...explained, view: "payer", combination, opening: { ...opening, evidence: [own] } });
  const [piece] = shown.evidence;
  expect([piece!.kind, piece!.measures, piece!.text]).toEqual([method.kind, method.measures, words]);
  expect(piece!.output).toEqual(own.output);
  expect([piece!.reliabilityPpm, piece!.basis]).toEqual([shown.methods[0]!.reliabilityPpm, shown.methods[0]!.basis]);
  const sentence = shown.says.find((one) => one.startsWith(`${method.kind} (${method.measures}`));
  expect(sentence).toContain(sure);
  expect(sentence).toContain(says);
  expect(sentence).toContain(`It does not say: ${method.doesNotSay}`);
});

test("parts are of the whole contributors' part, and what is unattributed is told with where it goes", () => {
  const shown = explain({ ...explained, view: "payer" });
  expect(shown.evidence.map(({ partPpm }) => partPpm)).toEqual([400_000, 200_000, 100_000, 100_000]);
  expect(shown.unattributed).toEqual({ weightPpm: 200_000, prior: 150, reserve: 50 });
  expect(shown.says.join(" ")).toContain("20.0 % could not be attributed");
  expect(explain({ ...explained, view: "public" }).evidence).toEqual([]);
});

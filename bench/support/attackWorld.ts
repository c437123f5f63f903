import { attributeText } from "../../src/attribution/attribute.ts";
import { PAYEES_MAX, weighPayees } from "../../src/attribution/payeeWeights.ts";
import { utf8 } from "../../src/core/bytes.ts";
import { keccak256 } from "../../src/core/hash.ts";
import { defaultPolicyBps } from "../../src/core/policy.ts";
import { ok, type Result } from "../../src/core/result.ts";
import { routeFee } from "../../src/core/route.ts";
import { Bm25Index } from "../../src/datanets/bm25.ts";
import { createDatanet } from "../../src/datanets/datanet.ts";
import { authorIdentity } from "../../src/datanets/identity.ts";
import { publishVersion, submitContribution } from "../../src/datanets/intake.ts";
import { MemoryDatanetStore } from "../../src/datanets/memoryStore.ts";
import type { DatanetRecord, RecordContent } from "../../src/datanets/record.ts";
import { answer } from "../../src/models/answer.ts";
import { buildIndex, type CorpusIndex } from "../../src/models/corpusIndex.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";

export type Draft = RecordContent;

/** A datanet after its intake and its publication, indexed as a model of it would be. */
export interface World {
  readonly records: readonly DatanetRecord[];
  readonly search: Bm25Index;
  readonly index: CorpusIndex;
  /** Sources of records that stand behind another, and of that other. */
  readonly collapsed: readonly (readonly [own: string, other: string])[];
  recordsBy(identities: readonly string[]): number;
}

/** Nano by identity, and what contributors earned in all. */
export interface Income {
  readonly byIdentity: ReadonlyMap<string, number>;
  readonly contributors: number;
}

const OWNER = `0x${"11".repeat(32)}` as const;
const PASSAGES = 6;
const ROYALTY = 1_000_000;
const [OPERATOR, MODEL, CONTEXT, TREASURY, RESERVE, DATANETS, FIRST] = [1, 2, 3, 4, 5, 6, 100];

export function recordOf(authors: readonly string[], title: string, text: string, source: string): Draft {
  const named = authors.map((name) => ({ identity: authorIdentity("github.com/tldr-pages/tldr", name), name }));
  return { title, headingPath: [], text, source, licence: "CC-BY-4.0", date: null, authors: named };
}

/** One contribution for each identity that comes first in its records, in order of their first record. */
export async function worldOf(drafts: readonly Draft[]): Promise<Result<World>> {
  const store = new MemoryDatanetStore();
  const rules = { review: "open" as const };
  const datanet = createDatanet({ name: "pages", summary: "manual pages", licence: "CC-BY-4.0", rules }, OWNER, 0);
  if (!datanet.ok) return datanet;
  const created = await store.createDatanet(datanet.value, new Uint8Array(32));
  if (!created.ok) return created;
  const groups = new Map<string, Draft[]>();
  for (const draft of drafts) {
    const by = draft.authors[0]!.identity;
    groups.set(by, [...(groups.get(by) ?? []), draft]);
  }
  for (const [by, records] of groups) {
    const submitted = await submitContribution(store, "pages", { by, label: by, licence: "CC-BY-4.0", records }, 0);
    // What the checks refuse as a whole is not there.
    if (!submitted.ok && submitted.error.code !== "rule_violated") return submitted;
  }
  const built = await publishVersion(store, "pages", OWNER, 0);
  if (!built.ok) return built;
  const { records, version } = built.value;
  const sources = new Map(records.map(({ id, source }) => [id, source]));
  const put = new Map(drafts.map((draft) => [draft.source, draft]));
  const duplicates = new Map<string, string>();
  for (const contribution of await store.contributions("pages"))
    for (const { id, source } of await store.contributionRecords("pages", contribution.id)) duplicates.set(id, source);
  return ok({
    records,
    search: new Bm25Index(records),
    index: buildIndex(houseTokenizer(), records),
    collapsed: version.duplicates.flatMap(({ id, of }) => {
      const [own, other] = [duplicates.get(id), sources.get(of)];
      return own === undefined || other === undefined || !put.has(own) ? [] : [[own, other] as const];
    }),
    recordsBy: (identities) =>
      records.filter(({ authors }) => authors.some(({ identity }) => identities.includes(identity))).length,
  });
}

/**
 * Each question is answered, attributed and routed as a node does it. What had no evidence goes to the prior pool, up to its cap: divided by what
 * evidence earned, which is known once all questions are paid.
 */
export function incomeOf(world: World, questions: readonly string[]): Income {
  const identities = [
    ...new Set(world.records.flatMap(({ authors }) => authors.map(({ identity }) => identity))),
  ].sort();
  const numbers = new Map(identities.map((identity, i) => [identity, FIRST + i]));
  const payeesOf = (record: number) =>
    world.records[record]!.authors.map(({ identity }) => ({ payee: numbers.get(identity)!, weight: 1 }));
  const earned = new Map<number, number>();
  let prior = 0;
  for (const [seq, question] of questions.entries()) {
    const { text, context } = ask(world, question);
    const found = attributeText(world.index, text, { context });
    const receiptId = keccak256(utf8(question)).subarray(0, 16);
    const { shares, unattributed } = weighPayees(found, { payeesOf, receiptId, payeesMax: PAYEES_MAX });
    const legs = routeFee({
      ...{ ledger: new Uint8Array(32), seq, cost: 0, royalty: ROYALTY, operator: OPERATOR, stakers: 0 },
      policy: { ...defaultPolicyBps, treasury: TREASURY, reserve: RESERVE, datanetReserve: DATANETS },
      ...{ model: [{ payee: MODEL, weight: 1 }], context: [{ payee: CONTEXT, weight: 1 }] },
      contributors: { shares, unattributed, priors: [{ payee: DATANETS, weight: 1 }] },
    });
    for (const { role, payee, amount } of legs) {
      if (role === "contributor") earned.set(payee, (earned.get(payee) ?? 0) + amount);
      if (role === "prior") prior += amount;
    }
  }
  const measured = [...earned.values()].reduce((sum, amount) => sum + amount, 0);
  const byIdentity = new Map(
    [...earned].map(([payee, amount]) => [identities[payee - FIRST]!, amount + (prior * amount) / measured] as const),
  );
  return { byIdentity, contributors: measured + prior };
}

function ask({ records, search, index }: World, question: string): { text: string; context: number[] } {
  const found = search.search(question, PASSAGES);
  const hits = found.isAnswerable ? found.hits : [];
  const passages = hits.map(({ record, score }) => {
    const { title, headingPath: headings, text } = records[record]!;
    return { number: record, title, headings, text, score };
  });
  let text = "";
  const messages = [{ role: "user", content: question }];
  for (const delta of answer(index, { messages, records: passages, maxTokens: 400 })) text += delta.text;
  return { text, context: hits.map(({ record }) => record) };
}

import { fromHex, padAddress, toHex } from "../../core/bytes.ts";
import { batchDigest, type Domain, signDigest } from "../../core/eip712.ts";
import { decodeEntry, type Entry, encodeEntry } from "../../core/entry.ts";
import { leafHash, rootOf } from "../../core/merkle.ts";
import { assert, ok, type Result, refuse } from "../../core/result.ts";
import { EVIDENCE_TOTAL, type Leg } from "../../core/route.ts";
import { type ContributionDraft, prepareContribution } from "../../datanets/contribution.ts";
import type { DatanetRecord } from "../../datanets/record.ts";
import { buildVersion } from "../../datanets/version.ts";
import type { Attribution, Grounding } from "../../gateway/ports.ts";
import { Publisher } from "../../ledger/publish.ts";
import { verifyJournal } from "../../ledger/verify.ts";
import { answer } from "../../models/answer.ts";
import { buildIndex, type CorpusIndex } from "../../models/corpusIndex.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { groundModel } from "../../node/grounding.ts";
import { scopeOf } from "../../node/modelShelf.ts";
import type { Node } from "../../node/node.ts";
import { People } from "../../node/people.ts";
import { keepSecrets } from "../../node/secrets.ts";

/** A model tried on the side: nothing of it is served, charged or journalled. */
export interface Trial {
  readonly text: string;
  readonly attribution: Attribution;
  /** Weight, out of 1,000,000, by payee's hex id. */
  readonly weights: ReadonlyMap<string, number>;
}

/** Answers a question with the given records alone, and attributes the answer. */
export async function tryRecords(
  node: Node,
  datanet: string,
  records: readonly DatanetRecord[],
  question: string,
): Promise<Trial> {
  const index = buildIndex(houseTokenizer(), records);
  const scope = await scopeOf(node.datanets, { chain: node.chain.chain, ledger: node.ledger }, datanet);
  const people = new People({ scope, records });
  const grounding = groundModel({ datanets: [datanet], records, index, people });
  const text = await write(grounding, index, question);
  const passages = await grounding.retrieve(question, new AbortController().signal);
  const attribution = await grounding.attribute({
    receipt: new Uint8Array(16),
    prompt: question,
    answer: text,
    passages,
  });
  return { text, attribution, weights: new Map(attribution.shares.map(({ payee, weight }) => [toHex(payee), weight])) };
}

async function write(grounding: Grounding, index: CorpusIndex, question: string): Promise<string> {
  const records = await grounding.retrieve(question, new AbortController().signal);
  let text = "";
  for (const delta of answer(index, { messages: [{ role: "user", content: question }], records, maxTokens: 220 }))
    text += delta.text;
  return text;
}

export interface Removal {
  readonly before: Trial;
  readonly after: Trial;
  readonly removed: DatanetRecord;
}

/** Proof 1: without the record that was credited most, the answer and the credit are others. */
export async function removeTopRecord(
  node: Node,
  datanet: string,
  records: readonly DatanetRecord[],
  question: string,
): Promise<Result<Removal>> {
  const before = await tryRecords(node, datanet, records, question);
  const [top] = before.attribution.evidence.toSorted((a, b) => b.weight - a.weight);
  const removed = records.find((record) => record.id === top?.record);
  if (removed === undefined) return refuse("not_found", `nothing is credited for “${question}”`);
  const after = await tryRecords(
    node,
    datanet,
    records.filter((record) => record !== removed),
    question,
  );
  return ok({ before, after, removed });
}

export interface Copying {
  readonly copies: number;
  readonly collapsed: number;
  readonly copierWeight: number;
  readonly victimBefore: number;
  readonly victimAfter: number;
}

/** Proof 2: somebody contributes five copies of the top record, each touched up a little; a version is built of it all. */
export async function plantCopies(
  node: Node,
  datanet: string,
  removal: Removal,
  question: string,
  timeMs: number,
): Promise<Result<Copying>> {
  const owner = await node.datanets.datanet(datanet);
  const previous = await node.datanets.version(datanet);
  assert(owner !== undefined && previous !== undefined, "the demonstration's datanet is published");
  const address = new Uint8Array(20).fill(0xc0);
  const copier = toHex(padAddress(address));
  const draft: ContributionDraft = {
    by: copier,
    label: "a copier",
    licence: removal.removed.licence,
    records: copiesOf(removal.removed, toHex(address)),
  };
  const planted = prepareContribution(owner, draft, timeMs);
  if (!planted.ok) return planted;
  const approved = [];
  for (const contribution of await node.datanets.contributions(datanet, "approved")) {
    approved.push({ contribution, records: await node.datanets.contributionRecords(datanet, contribution.id) });
  }
  const contribution = { ...planted.value.contribution, number: approved.length + 1 };
  approved.push({ contribution, records: planted.value.records });
  const version = buildVersion({ datanet: owner, previous, context: previous.context, approved, timeMs });
  const records = version.ok ? version.value.records : await node.datanets.versionRecords(datanet, previous.number);
  const trial = await tryRecords(node, datanet, records, question);
  const victim = [...removal.before.weights].sort((a, b) => b[1] - a[1])[0]![0];
  const kept = records.filter((record) => record.contributionId === contribution.id).length;
  return ok({
    ...{
      copies: draft.records.length,
      collapsed: draft.records.length - kept,
      copierWeight: trial.weights.get(copier) ?? 0,
    },
    ...{ victimBefore: removal.before.weights.get(victim) ?? 0, victimAfter: trial.weights.get(victim) ?? 0 },
  });
}

function copiesOf(record: DatanetRecord, copier: string): ContributionDraft["records"] {
  const touches = ["", " ", "\n\nCopied.", "\u200b", "!"];
  return touches.map((touch, i) => ({
    ...{ title: `${record.title} (copy ${i + 1})`, headingPath: record.headingPath, text: `${record.text}${touch}` },
    ...{
      source: `copy-${i + 1}`,
      licence: record.licence,
      date: null,
      authors: [{ identity: `address:${copier}`, name: "a copier" }],
    },
  }));
}

/** Proof 3: a proposer who keeps 1 % of the contributors' legs, and signs everything anew with the ledger's own keys, is named by entry. */
export async function skim(
  node: Node,
  data: string,
  randomBytes: (size: number) => Uint8Array,
): Promise<Result<{ readonly seq: number; readonly says: string }>> {
  const secrets = await keepSecrets(data, randomBytes);
  const { chain } = node.chain;
  const domain: Domain = { chainId: chain.chainId, verifyingContract: chain.settlement };
  const entries = await skimmedEntries(node, domain, secrets.signer);
  const files = new Map<string, Uint8Array>();
  const sink = {
    write: async (path: string, bytes: Uint8Array) => void files.set(path, bytes),
    read: async (path: string) => files.get(path),
    removeNarrower: async () => undefined,
  };
  const keys = { domain, ed25519: secrets.log, secp256k1: secrets.signer };
  const publisher = new Publisher({
    ledger: node.ledger.id,
    sink,
    keys,
    entries: (from, until) => listed(entries.slice(from, until)),
  });
  await publisher.publish(entries.length);
  const trust = {
    ledger: node.ledger.id,
    domain,
    signer: fromHex(node.trust.signer),
    ed25519: fromHex(node.trust.logKey),
  };
  const verdict = await verifyJournal({ read: sink.read, trust });
  if (verdict.ok) return refuse("verification_failed", "the verifier did not notice the skimming");
  return ok({ seq: verdict.error.seq ?? -1, says: verdict.error.message });
}

async function* listed(entries: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* entries;
}

async function skimmedEntries(node: Node, domain: Domain, signer: Uint8Array): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = [];
  let first = 0;
  for await (const bytes of node.ledger.books.entries(0, node.ledger.books.size())) {
    const decoded = decodeEntry(bytes);
    assert(decoded.ok, "our own journal decodes");
    if (decoded.value.kind !== "batch") {
      entries.push(encodeEntry(skimmed(decoded.value)));
      continue;
    }
    const root = rootOf(entries.slice(first).map(leafHash));
    const statement = { ...decoded.value.batch, ledger: node.ledger.id, root };
    const signature = signDigest(signer, batchDigest(domain, statement));
    entries.push(encodeEntry({ ...decoded.value, batch: { ...decoded.value.batch, root, signature } }));
    first = entries.length;
  }
  return entries;
}

function skimmed(entry: Entry): Entry {
  if (entry.kind !== "receipt") return entry;
  const taken = entry.receipt.legs.map((leg) => (leg.role === "contributor" ? Math.floor(leg.amount / 100) : 0));
  const total = taken.reduce((sum, part) => sum + part, 0);
  const legs = entry.receipt.legs.map(
    (leg, i): Leg => ({ ...leg, amount: leg.amount - taken[i]! + (leg.role === "operator" ? total : 0) }),
  );
  return { ...entry, receipt: { ...entry.receipt, legs } };
}

/** Weights as people read them. */
export function share(weight: number): string {
  return `${Math.round((1_000 * weight) / EVIDENCE_TOTAL) / 10} %`;
}

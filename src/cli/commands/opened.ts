import { stat } from "node:fs/promises";
import { z } from "zod";
import { attributeAnswer } from "../../attribution/answer.ts";
import { indexCombination } from "../../attribution/attribute.ts";
import type { Attribution } from "../../attribution/attributor.ts";
import type { WholeMethod } from "../../attribution/combine.ts";
import { type Corpus, memoryCorpus } from "../../attribution/corpus.ts";
import { type Evidence, evidenceRoot } from "../../attribution/evidence.ts";
import type { Derivation } from "../../attribution/lineage.ts";
import { PAYEES_MAX, weighPayees } from "../../attribution/payeeWeights.ts";
import { type Combination, combinationText, parseCombination } from "../../attribution/policy.ts";
import { equalBytes, fromHex, parseHex, toHex, utf8 } from "../../core/bytes.ts";
import { decodeEntry } from "../../core/entry.ts";
import { keccak256 } from "../../core/hash.ts";
import type { Receipt } from "../../core/receipt.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { decodeBundle, TILE_WIDTH, tileAt } from "../../core/tile.ts";
import { checkOpening } from "../../gateway/opening.ts";
import { readIfThere } from "../../host/files.ts";
import { readTile } from "../../ledger/publishedTile.ts";
import type { Verdict } from "../../ledger/verify.ts";
import { recordCount } from "../../models/corpusIndex.ts";
import { loadIndex } from "../../models/corpusIndexFile.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { PageCache } from "../../models/shardPages.ts";
import { type DiskCorpus, openDiskFolder } from "../../node/diskGround.ts";
import { parseInput, parseJson } from "../../protocol/parse.ts";
import { type Opening, openingSchema } from "../../protocol/receipts.ts";
import { type EngineCheck, engineChecks, normal } from "./openedEngine.ts";

/** An opened receipt as `receipt show --json` prints it: the entry, and what opens it. */
const openedSchema = z.looseObject({
  entry: z.string(),
  /** The text of the methods that the receipt names; the default's where it is left out. */
  combination: z.string().optional(),
  opening: openingSchema,
});

interface OpenedFile {
  readonly seq: number;
  readonly receipt: Receipt;
  /** The receipt's entry. */
  readonly bytes: Uint8Array;
  readonly opening: Opening;
  readonly combination: string | undefined;
}

export interface VerifiedAttribution {
  readonly receipt: string;
  readonly seq: number;
  /** Pieces of evidence, and the records that they credit. */
  readonly evidence: number;
  readonly records: number;
  /** What only the model can find again: asked of it where it is at hand, else taken as stated. */
  readonly engine: readonly EngineCheck[];
  /** Whether the weights of the receipt follow from its evidence; undefined where the opening does not say who is paid for a record. */
  readonly hasWeights: boolean | undefined;
}

/** Attributes an opened receipt's answer again: its texts, its index and its methods must be what the entry names, and so must the evidence. */
export async function verifyOpened(input: {
  readonly opened: string;
  readonly index: string;
  readonly read: (path: string) => Promise<Uint8Array | undefined>;
  readonly verdict: Verdict;
  /** The data folder, in which the model may be. */
  readonly data: string;
  /** A datanet's `records.jsonl`. */
  readonly records?: string | undefined;
}): Promise<Result<VerifiedAttribution>> {
  const file = await readOpened(input.opened);
  if (!file.ok) return file;
  const { seq, receipt, bytes, opening } = file.value;
  const { size } = input.verdict;
  if (seq >= size)
    return refuse("not_found", `the receipt is entry ${seq}; the journal here has ${size} entries as yet`, {
      hint: "a journal is published every few seconds: --wait 30 waits for it",
    });
  const published = await entryAt(input.read, seq, size);
  if (published === undefined || !equalBytes(published, bytes))
    return failed(`the receipt is not entry ${seq} of this journal`);
  const texts = checkOpening(opening, receipt);
  if (!texts.ok) return texts;
  const index = await corpusAt(input.index);
  if (!index.ok) return index;
  if (!equalBytes(index.value.id, receipt.indexId))
    return failed(`the receipt names index ${toHex(receipt.indexId)}, this is ${toHex(index.value.id)}`);
  const combination = combinationNamed(receipt.methodsHash, file.value.combination);
  if (!combination.ok) return combination;
  const numbers = numbersOf(index.value);
  const stated = engineChecks(
    {
      ...{ data: input.data, contentRoot: input.verdict.contentRoots.get(toHex(receipt.model)), opening, receipt },
      ...{ corpus: index.value.corpus, numberOf: (id) => numbers.get(normal(id)), records: input.records },
      versionOf: (id) => combination.value.methods.find(({ method }) => method.id === id)?.method.version,
    },
    statedMethods(opening, numbers),
  );
  const again = await attributeAgain(index.value.corpus, numbers, combination.value, opening, {
    ...{ root: receipt.evidenceRoot, whole: stated.methods },
  });
  if (again === undefined)
    return failed(`the evidence of receipt ${toHex(receipt.id)} does not come out again from its answer and its index`);
  const hasWeights = weightsFollow(again, opening, receipt);
  if (hasWeights === false)
    return failed(`the weights of receipt ${toHex(receipt.id)} do not follow from its evidence`);
  const { evidence } = again;
  const records = new Set(evidence.map(({ recordNumber }) => recordNumber)).size;
  const engine = await stated.checks();
  if (!engine.ok) return engine;
  return ok({ receipt: toHex(receipt.id), seq, evidence: evidence.length, records, engine: engine.value, hasWeights });
}

/** An opened receipt as a file. Refuses `not_found`, and `invalid_request` for anything else. */
export async function readOpened(path: string): Promise<Result<OpenedFile>> {
  const text = await readIfThere(path);
  if (text === undefined) return refuse("not_found", `there is no file ${path}`, { field: "opened" });
  const json = parseJson(text);
  const opened = json.ok ? parseInput(openedSchema, json.value) : json;
  if (!opened.ok) {
    return refuse("invalid_request", `${path} is not an opened receipt: ${opened.error.message}`, {
      ...{ field: "opened", hint: "openledger receipt show ID --json, with the payer's key" },
    });
  }
  const bytes = parseHex(opened.value.entry);
  const entry = bytes === undefined ? undefined : decodeEntry(bytes);
  if (bytes === undefined || !entry?.ok || entry.value.kind !== "receipt")
    return refuse("invalid_request", `the entry in ${path} is not a receipt's`, { field: "opened" });
  const { seq, receipt } = entry.value;
  const { opening, combination } = opened.value;
  return ok({ seq, receipt, bytes, opening, combination });
}

/** An index as a file, or as a folder of shards. */
async function corpusAt(path: string): Promise<Result<Omit<DiskCorpus, "close">>> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return openDiskFolder(path, new PageCache(PAGE_CACHE_BYTES));
  const index = loadIndex(path, houseTokenizer());
  if (!index.ok) return index;
  const { id } = index.value;
  return ok({ id, corpus: memoryCorpus(index.value), records: recordCount(index.value) });
}

const PAGE_CACHE_BYTES = 64 * 1024 * 1024;

function combinationNamed(hash: Uint8Array, text: string = combinationText(indexCombination)): Result<Combination> {
  if (!equalBytes(keccak256(utf8(text)), hash))
    return failed("the receipt was attributed by another combination of methods than the one that is given");
  const parsed = parseCombination(text);
  return parsed.ok ? parsed : failed("the receipt was attributed with methods that this program does not have");
}

/**
 * The evidence root decides. Where an opening does not list its context, the contexts that its evidence allows are tried: none, the records that were
 * credited as passages, and all that were credited.
 */
async function attributeAgain(
  corpus: Corpus,
  numbers: ReadonlyMap<string, number>,
  combination: Combination,
  opening: Opening,
  { root, whole }: { readonly root: Uint8Array; readonly whole: readonly WholeMethod[] },
): Promise<Attribution | undefined> {
  const recordsOf = (ids: readonly (string | undefined)[]): number[] => [
    ...new Set(ids.flatMap((id) => (id === undefined ? [] : (numbers.get(normal(id)) ?? [])))),
  ];
  const passages = opening.evidence.filter(({ kind }) => kind === "passage").map(({ record }) => record);
  const contexts =
    opening.context === undefined
      ? [[], recordsOf(passages), recordsOf(opening.evidence.map(({ record }) => record))]
      : [recordsOf(opening.context)];
  const derivations = derivationsOf(opening, numbers);
  const methods = { corpus, combination, clusters: new Map<number, number>(), derivations };
  for (const context of contexts) {
    const found = await attributeAnswer(methods, opening.answer, context, whole);
    if (equalBytes(evidenceRoot(found.evidence, found.totalUnits), root)) return found;
  }
  return undefined;
}

/** Each record's number by its id. */
function numbersOf({ corpus, records }: Pick<DiskCorpus, "corpus" | "records">): ReadonlyMap<string, number> {
  return new Map(Array.from({ length: records }, (_, i) => [toHex(corpus.recordId(i)), i]));
}

/** What only the engine could find again, as the opening states it. */
function statedMethods({ stated = [], answer }: Opening, numbers: ReadonlyMap<string, number>): WholeMethod[] {
  const items = stated.flatMap(({ kind, record, weight }): Evidence[] => {
    const recordNumber = numbers.get(normal(record));
    if (recordNumber === undefined) return [];
    const place = { output: { from: 0, until: answer.length }, source: { from: 0, until: 0 } };
    return [{ kind, record: fromHex(normal(record)), recordNumber, ...place, weight }];
  });
  const kinds = [...new Set(items.map(({ kind }) => kind))];
  return kinds.map((kind) => ({ kind, explain: () => items.filter((item) => item.kind === kind) }));
}

function derivationsOf(
  { derivations = [] }: Opening,
  numbers: ReadonlyMap<string, number>,
): ReadonlyMap<number, readonly Derivation[]> {
  const byRecord = new Map<number, Derivation[]>();
  for (const { record, receipt, partPpm, attributedPpm } of derivations) {
    const number = numbers.get(normal(record));
    if (number === undefined) continue;
    const own = { receipt: fromHex(normal(receipt)), partPpm, attributedPpm };
    byRecord.set(number, [...(byRecord.get(number) ?? []), own]);
  }
  return byRecord;
}

/** Whether the contributors' weights in the receipt are those that its evidence gives; undefined where the opening does not tell whose the records are. */
function weightsFollow(found: Attribution, { evidence }: Opening, receipt: Receipt): boolean | undefined {
  const payees = new Map<string, NonNullable<(typeof evidence)[number]["payees"]>>();
  for (const { record, payees: whose } of evidence) {
    if (record === undefined || whose === undefined) return undefined;
    payees.set(normal(record), whose);
  }
  const ids = [...new Set([...payees.values()].flat().map(({ payee }) => payee))].sort();
  const numbers = new Map(ids.map((id, i) => [id, i + 1]));
  const records = new Map(
    found.evidence.map(({ kind, record, recordNumber }) => [
      recordNumber,
      toHex(kind === "lineage" ? record.subarray(0, 16) : record),
    ]),
  );
  const { shares, unattributed } = weighPayees(found, {
    ...{ receiptId: receipt.id, payeesMax: PAYEES_MAX },
    payeesOf: (record) =>
      (payees.get(records.get(record)!) ?? []).map(({ payee, weight }) => ({ payee: numbers.get(payee)!, weight })),
  });
  const inReceipt = receipt.legs.filter(({ role }) => role === "contributor").map(({ weight }) => weight);
  const again = shares.map(({ weight }) => weight);
  const same = inReceipt.toSorted((a, b) => a - b).join() === again.toSorted((a, b) => a - b).join();
  return same && unattributed === receipt.unattributed;
}

async function entryAt(
  read: (path: string) => Promise<Uint8Array | undefined>,
  seq: number,
  size: number,
): Promise<Uint8Array | undefined> {
  const tile = tileAt("entries", Math.floor(seq / TILE_WIDTH), size);
  const bundle = tile === undefined ? undefined : await readTile(read, tile);
  const entries = tile === undefined || bundle === undefined ? undefined : decodeBundle(bundle, tile.width);
  return entries?.ok ? entries.value[seq % TILE_WIDTH] : undefined;
}

function failed(message: string): Result<never> {
  return refuse("verification_failed", message);
}

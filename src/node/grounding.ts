import { attributeAnswer } from "../attribution/answer.ts";
import { indexCombination } from "../attribution/attribute.ts";
import type { Attribution as Found } from "../attribution/attributor.ts";
import type { WholeMethod } from "../attribution/combine.ts";
import { type Corpus, memoryCorpus } from "../attribution/corpus.ts";
import { type Evidence, evidenceRoot } from "../attribution/evidence.ts";
import { likelihoodOf } from "../attribution/likelihood.ts";
import { PAYEES_MAX, weighPayees } from "../attribution/payeeWeights.ts";
import { type Combination, combinationHash } from "../attribution/policy.ts";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Passage } from "../core/engine.ts";
import type { Share } from "../core/route.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import { type Meanings, searchHybrid } from "../datanets/hybrid.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { Attribution, AttributionInput, Grounding } from "../gateway/ports.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import type { DiskCorpus } from "./diskGround.ts";
import type { People } from "./people.ts";
import { drawsOf, lengthsOf, type Reading } from "./reading.ts";
import { traceView } from "./traceView.ts";
import { noUpstream, type Upstream } from "./upstream.ts";

/** What a grounded model stands on: the records of one version, or of several, with their index, who is paid for each, and how evidence is combined. */
export interface Ground {
  readonly datanets: readonly string[];
  readonly records: readonly DatanetRecord[];
  readonly index: CorpusIndex | DiskCorpus;
  readonly people: People;
  /** The records' search, where several models share one, or it is still being made. */
  readonly search?: () => Promise<Bm25Index>;
  /** Tokens of records that the model's context has room for; 0 retrieves nothing. */
  readonly contextTokensMax?: number;
  /** That of an ∞-gram model by the default policy, where it is left out. */
  readonly combination?: Combination;
  readonly upstream?: Upstream;
  /** Finds records by meaning too; undefined while there are no vectors. */
  readonly meanings?: () => Meanings | undefined;
  /** Of a model that reads records, and whose engine says what its answers owe to them. */
  readonly reading?: Reading;
  /** Other methods that speak of the whole answer, for one answer; none where the model has none. */
  readonly wholeMethods?: (input: AttributionInput) => readonly WholeMethod[];
}

export function corpusOf(index: CorpusIndex | DiskCorpus): Corpus {
  return "corpus" in index ? index.corpus : memoryCorpus(index);
}

const PASSAGES_MAX = 6;
/** Six records of at most 20,000 characters would be too much context: longer ones are cut for the hold's sake. */
const CONTEXT_TOKENS_MAX = 8_192;

/** Retrieval before, and attribution after: both over the same records, so that what was read can be credited. */
export function groundModel(ground: Ground): Grounding {
  const { datanets, records, index, combination = indexCombination, contextTokensMax = CONTEXT_TOKENS_MAX } = ground;
  const making = contextTokensMax === 0 ? undefined : (ground.search?.() ?? new Bm25Index(records));
  const passages = (hits: readonly { readonly record: number; readonly score: number }[]): Passage[] =>
    hits.map(({ record: number, score }) => {
      const { id, title, headingPath, text, source, notes = [] } = records[number]!;
      const headings = [...headingPath, ...notes.map((note) => note.text)];
      return { record: id, number, title, headings, text, source, score };
    });
  return {
    datanets,
    indexId: index.id,
    methodsHash: combinationHash(combination),
    contextTokensMax,
    retrieve: async (question, signal) => {
      const search = making instanceof Promise ? await making : making;
      if (search === undefined) return [];
      return passages(await searchHybrid(search, ground.meanings?.(), question, PASSAGES_MAX, signal));
    },
    attribute: (input) => attribute(ground, input),
    trace: async (prompt, answer) => traceView({ corpus: corpusOf(index), ...ground }, prompt, answer),
  };
}

/** A version's records are the first registered of their near-duplicates: those that stand behind them are in no index. */
const noClusters: ReadonlyMap<number, number> = new Map();

/** What the engine says it owes to what it read; where it cannot tell, or nothing was read, what matches. */
async function attribute(ground: Ground, input: AttributionInput): Promise<Attribution> {
  const { reading, people, combination = indexCombination, upstream = noUpstream } = ground;
  const other = ground.wholeMethods?.(input) ?? [];
  const asked = reading === undefined || input.passages.length === 0 ? undefined : ask(ground, reading, input);
  const read =
    asked === undefined ? undefined : await find(ground, reading!.combination, input, [asked.method, ...other]);
  const isTold = read !== undefined && asked?.isTold() === true;
  const { found, stated } = isTold ? read : await find(ground, combination, input, other);
  const payeesOf = (number: number): readonly Share[] => {
    const answer = upstream.answers.get(number);
    return answer === undefined ? people.sharesOf(ground.records[number]!) : people.numbered(answer.shares);
  };
  const { shares, unattributed } = weighPayees(found, {
    ...{ payeesOf, receiptId: input.receipt, payeesMax: PAYEES_MAX },
  });
  const derivations = derivationsView(ground, found.evidence);
  return {
    shares: shares.map(({ payee, weight }) => ({ ...people.payee(payee), weight })),
    unattributed,
    evidenceRoot: evidenceRoot(found.evidence, found.totalUnits),
    ...(isTold ? { methodsHash: combinationHash(reading!.combination) } : {}),
    evidence: found.evidence.map((item) => ({
      ...{ kind: item.kind, weight: item.weight },
      ...describe(ground, item),
      ...payeesView(people, payeesOf(item.recordNumber)),
      output: [item.output.from, item.output.until] as [number, number],
      position: [item.source.from, item.source.until] as [number, number],
      text: input.answer.slice(item.output.from, item.output.until),
    })),
    grounds: {
      context: input.passages.map(({ record }) => record),
      ...(derivations.length === 0 ? {} : { derivations }),
      ...(stated.length === 0 ? {} : { stated: stated.map(statedView) }),
    },
  };
}

async function find(
  { index, upstream = noUpstream }: Ground,
  combination: Combination,
  { answer, passages }: AttributionInput,
  whole: readonly WholeMethod[],
): Promise<{ readonly found: Found; readonly stated: readonly Evidence[] }> {
  const stated: Evidence[] = [];
  const { derivations } = upstream;
  const methods = { corpus: corpusOf(index), combination, clusters: noClusters, derivations };
  const context = passages.map(({ number }) => number);
  const noting = whole.map((method) => noted(method, stated));
  return { found: await attributeAnswer(methods, answer, context, noting), stated };
}

/** Asks the engine, and remembers whether it could tell. */
function ask({ index }: Ground, reading: Reading, input: AttributionInput) {
  const scores = reading.scores(input);
  let isTold = true;
  const method = likelihoodOf({
    ...{ corpus: corpusOf(index), canonicalOf: (record) => record, draw: drawsOf(input.receipt) },
    ...{ context: input.passages.map(({ number }) => number), answerLength: input.answer.length },
    lengthOf: lengthsOf(input.passages),
    scores: async (sets) => {
      const found = await scores(sets);
      isTold = found !== undefined;
      return found;
    },
  });
  return { method, isTold: () => isTold };
}

/** The same method, that notes what it has found: it cannot be run again without its engine. */
function noted({ kind, explain }: WholeMethod, into: Evidence[]): WholeMethod {
  return {
    kind,
    explain: async (units) => {
      const found = await explain(units);
      into.push(...found);
      return found;
    },
  };
}

function statedView({ kind, record, weight }: Evidence) {
  return { kind, record: toHex(record), weight };
}

function describe({ records, people, upstream = noUpstream }: Ground, { recordNumber }: Evidence) {
  const answer = upstream.answers.get(recordNumber);
  if (answer !== undefined) {
    const receipt = toHex(answer.receipt);
    return { record: receipt, title: "an earlier answer", source: `receipt ${receipt}`, author: "whom it credits" };
  }
  const record = records[recordNumber]!;
  return { record: record.id, title: record.title, source: record.source, author: people.namesOf(record) };
}

function payeesView(people: People, shares: readonly Share[]) {
  const payees = shares.map(({ payee, weight }) => ({ payee: toHex(people.payee(payee).payee), weight }));
  return { payee: payees[0]?.payee ?? toHex(new Uint8Array(32)), payees };
}

function derivationsView({ records, upstream = noUpstream }: Ground, evidence: readonly Evidence[]) {
  const credited = [...new Set(evidence.map(({ recordNumber }) => recordNumber))].sort((a, b) => a - b);
  return credited.flatMap((number) =>
    (upstream.derivations.get(number) ?? []).map(({ receipt, partPpm, attributedPpm }) => ({
      ...{ record: toHex(fromHex(records[number]!.id)), receipt: toHex(receipt), partPpm, attributedPpm },
    })),
  );
}

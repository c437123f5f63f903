import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { WholeMethod } from "../../attribution/combine.ts";
import type { Corpus } from "../../attribution/corpus.ts";
import { influenceMethod, likelihoodMethod } from "../../attribution/description.ts";
import type { Evidence } from "../../attribution/evidence.ts";
import { type FactorsFile, parseFactors, recordsOf } from "../../attribution/influence/factorsFile.ts";
import { evidenceDistance } from "../../attribution/influence/influenceEvidence.ts";
import { exampleSizes } from "../../attribution/influence/kronecker.ts";
import { likelihoodOf } from "../../attribution/likelihood.ts";
import { equalBytes, fromHex, parseHex, toHex } from "../../core/bytes.ts";
import type { Passage } from "../../core/engine.ts";
import type { Receipt } from "../../core/receipt.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { evidenceOf, influenceScores, RECORDS_MAX } from "../../factory/influence.ts";
import type { Base } from "../../factory/ports.ts";
import { readIfThere } from "../../host/files.ts";
import { readAdapterFolder } from "../../models/formats/peftFile.ts";
import { houseModelFolder } from "../../models/houseModelFile.ts";
import { hashTensors } from "../../models/training/trainingRun.ts";
import { BaseShelf } from "../../node/factoryBases.ts";
import { answerExample, influenceFolder } from "../../node/neuralInfluence.ts";
import { NeuralManifests } from "../../node/neuralModels.ts";
import { answerScores, drawsOf, lengthsOf } from "../../node/reading.ts";
import { parseJson } from "../../protocol/parse.ts";
import type { Opening } from "../../protocol/receipts.ts";

/** What became of one kind of stated evidence. */
export interface EngineCheck {
  readonly kind: Evidence["kind"];
  readonly pieces: number;
  /** L1 distance to what the model says here, as a share of the larger sum; undefined where it was not asked. */
  readonly distance: number | undefined;
  /** Why it was not asked. */
  readonly why?: string;
}

/** Two executions on a named build agree within so much. */
const DISTANCE_MAX = 0.02;

export interface EngineInput {
  readonly data: string;
  /** What the journal says of the model's content: of an adapter the hash of its tensors. Undefined where it names no such asset. */
  readonly contentRoot: Uint8Array | undefined;
  readonly corpus: Corpus;
  /** Number of a record by its id, in lower-case hex. */
  readonly numberOf: (record: string) => number | undefined;
  readonly opening: Opening;
  readonly receipt: Receipt;
  /** Of a method that the receipt's combination has, by its id. */
  readonly versionOf: (method: string) => number | undefined;
  /** A datanet's `records.jsonl`, for what was read. */
  readonly records: string | undefined;
}

/**
 * Asks the model again for what an opening states, where this data folder has the model: its adapter must be what the journal's asset names. `stated` gives what was stated by kind, and is what the rest
 * is computed from. Refuses `verification_failed` where the model says otherwise.
 */
export function engineChecks(
  input: EngineInput,
  stated: readonly WholeMethod[],
): { readonly methods: WholeMethod[]; checks(): Promise<Result<readonly EngineCheck[]>> } {
  const units = new Map<Evidence["kind"], number>();
  const items = new Map<Evidence["kind"], readonly Evidence[]>();
  const methods = stated.map(
    ({ kind, explain }): WholeMethod => ({
      kind,
      explain: async (open) => {
        const found = await explain(open);
        units.set(kind, open);
        items.set(kind, found);
        return found;
      },
    }),
  );
  return { methods, checks: () => check(input, units, items) };
}

async function check(
  input: EngineInput,
  units: ReadonlyMap<Evidence["kind"], number>,
  stated: ReadonlyMap<Evidence["kind"], readonly Evidence[]>,
): Promise<Result<readonly EngineCheck[]>> {
  const checks: EngineCheck[] = [];
  if (stated.size === 0) return ok(checks);
  const model = await modelAtHand(input);
  for (const [kind, own] of stated) {
    const asked = typeof model === "string" ? model : await askAgain(kind, units.get(kind)!, model, input);
    if (typeof asked === "string") {
      checks.push({ kind, pieces: own.length, distance: undefined, why: asked });
      continue;
    }
    const distance = evidenceDistance(own, asked);
    if (distance > DISTANCE_MAX)
      return refuse(
        "verification_failed",
        `asked again, the model gives other ${kind} evidence: ${(100 * distance).toFixed(1)} % apart, 2 % are allowed`,
      );
    checks.push({ kind, pieces: own.length, distance });
  }
  return ok(checks);
}

interface ModelAtHand {
  readonly base: Base;
  readonly adapter: string;
  readonly factors: FactorsFile | undefined;
}

/** The adapter of this data folder that the journal names; else why there is none. */
async function modelAtHand({ data, contentRoot }: EngineInput): Promise<ModelAtHand | string> {
  const manifests = await new NeuralManifests(data).all();
  if (!manifests.ok) return manifests.error.message;
  const manifest = manifests.value.find(
    ({ kind, hash }) => kind === "adapter" && contentRoot !== undefined && equalBytes(fromHex(hash), contentRoot),
  );
  if (manifest?.weights === undefined) return `the model is not at hand in ${data}`;
  const base = await new BaseShelf(data, houseModelFolder()).find(manifest.base.name);
  if (!base.ok || base.value.hash !== manifest.base.hash) return `its base ${manifest.base.name} is not at hand`;
  const adapter = resolve(data, manifest.weights);
  const read = await readAdapterFolder(adapter, base.value.shape);
  if (!read.ok || `0x${hashTensors(read.value.tensors)}` !== manifest.hash)
    return "its weights here are not what the journal names";
  const bytes = await readFile(join(influenceFolder(adapter), "factors.bin")).catch(() => undefined);
  const factors = bytes === undefined ? undefined : parseFactors(bytes);
  const isOwn = factors?.ok === true && factors.value.adapter === manifest.hash;
  return { base: base.value, adapter, factors: isOwn ? factors.value : undefined };
}

/** The same evidence from the model; else why it cannot be asked. */
async function askAgain(
  kind: Evidence["kind"],
  units: number,
  model: ModelAtHand,
  input: EngineInput,
): Promise<readonly Evidence[] | string> {
  if (kind === "influence") return askInfluence(units, model, input);
  return kind === "passage" ? askLikelihood(units, model, input) : `there is no way to ask a model for ${kind}`;
}

async function askInfluence(
  units: number,
  { base, adapter, factors: file }: ModelAtHand,
  { opening, numberOf, versionOf }: EngineInput,
): Promise<readonly Evidence[] | string> {
  const version = versionOf(influenceMethod.id);
  if (version !== influenceMethod.version)
    return `it was found by version ${version} of influence, this program has version ${influenceMethod.version}`;
  if (file === undefined) return "its influence factors are not at hand";
  const { ChildEvaluator } = await import("../../upstream/trainer.ts");
  const evaluator = new ChildEvaluator();
  const { members, sequenceTokens = base.shape.contextTokens } = file;
  const place = { base: base.folder, adapter, sequenceTokens };
  const query = answerExample(opening.prompt, opening.answer);
  const scored = await influenceScores({ evaluator, pause }, members, place, [query], new AbortController().signal);
  await evaluator.close();
  if (!scored.ok) return scored.error.message;
  const records = recordsOf(members);
  const recordOf = (example: number) => {
    const id = records[example]!;
    const number = numberOf(id);
    return number === undefined ? undefined : { id: fromHex(normal(id)), number };
  };
  const output = { from: 0, until: opening.answer.length };
  const options = { recordOf, units, output, recordsMax: RECORDS_MAX };
  return evidenceOf(scored.value[0] ?? [], options, { members, sizes: exampleSizes(members) }, pause);
}

/** Nobody else has anything to do here. */
async function pause(): Promise<void> {}

async function askLikelihood(
  units: number,
  { base, adapter }: ModelAtHand,
  { corpus, opening, numberOf, versionOf, receipt, records }: EngineInput,
): Promise<readonly Evidence[] | string> {
  const ids = opening.context ?? [];
  if (records === undefined) return "what was read is not at hand: name the datanet's records.jsonl with --records";
  const texts = await readTexts(records, ids);
  if (texts === undefined) return `there is no file ${records}`;
  const passages = ids.flatMap((id): Passage[] => {
    const [text, number] = [texts.get(normal(id)), numberOf(id)];
    return text === undefined || number === undefined
      ? []
      : [{ record: id, number, ...text, headings: [], source: "", score: 0 }];
  });
  if (passages.length < ids.length) return `${records} lacks records that were read`;
  const { LlamaEngine } = await import("../../upstream/llama.ts");
  const cacheFolder = await mkdtemp(join(tmpdir(), "openledger-verify-"));
  const engine = new LlamaEngine({ cacheFolder, find: () => ({ base: base.folder, adapter }) });
  const { prompt, answer } = opening;
  const scores = answerScores(engine, "it", { prompt, answer, passages }, WAIT_MS);
  let isTold = true;
  const found = await likelihoodOf({
    ...{ corpus, canonicalOf: (record) => record, draw: drawsOf(receipt.id), answerLength: answer.length },
    ...{ context: passages.map(({ number }) => number), lengthOf: lengthsOf(passages) },
    version: versionOf(likelihoodMethod.id),
    scores: async (sets) => {
      const told = await scores(sets);
      isTold = told !== undefined;
      return told;
    },
  }).explain(units);
  await engine.close();
  await rm(cacheFolder, { recursive: true, force: true });
  return isTold ? found : "its engine cannot tell here";
}

/** A verifier has more time than somebody who waits for an answer. */
const WAIT_MS = 300_000;
const lineSchema = z.object({ id: z.string(), title: z.string(), text: z.string() });

/** Of a datanet's export, the records with these ids. */
async function readTexts(
  file: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, { readonly title: string; readonly text: string }> | undefined> {
  const lines = (await readIfThere(file))?.split("\n");
  const wanted = new Set(ids.map(normal));
  return (
    lines &&
    new Map(
      lines.flatMap((line) => {
        const json = parseJson(line);
        const record = json.ok ? lineSchema.safeParse(json.value).data : undefined;
        return record === undefined || !wanted.has(normal(record.id))
          ? []
          : [[normal(record.id), { title: record.title, text: record.text }]];
      }),
    )
  );
}

/** An id in the one form in which it is compared. */
export function normal(id: string): string {
  const bytes = parseHex(id);
  return bytes === undefined ? id : toHex(bytes);
}

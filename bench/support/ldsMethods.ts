import { dataInf, gradientNorm, randomScores, tracIn, trak } from "../../src/attribution/influence/controls.ts";
import { influenceEvidence } from "../../src/attribution/influence/influenceEvidence.ts";
import {
  ekfac,
  exampleSizes,
  type Factors,
  influenceOf,
  KroneckerFit,
  type KroneckerOptions,
} from "../../src/attribution/influence/kronecker.ts";
import { dot } from "../../src/attribution/influence/matrix.ts";
import { ensembleScores, type Gradients, type InfluenceMethod } from "../../src/attribution/influence/method.ts";
import { mutualScores } from "../../src/attribution/influence/mutualScores.ts";
import { spectraOf } from "../../src/attribution/influence/spectrum.ts";
import { Bm25Index } from "../../src/datanets/bm25.ts";
import type { Curvature } from "../../src/models/training/evaluation.ts";
import { mean } from "./ldsScore.ts";
import type { AdapterView, EndView, FactorsView } from "./ldsTraining.ts";
import type { LdsRecord, LdsWorld } from "./ldsWorld.ts";

/** Scores of all records for each query: [queries][records]. */
export type Scores = readonly Float64Array[];

/** What a method found and what it took, beside the gradients that it is given. */
export interface Scored {
  readonly scores: Scores;
  readonly fitMs: number;
  readonly queryMs: number;
}

/** A method with each setting that may be tuned; most have one. */
export interface Contender {
  readonly name: string;
  readonly settings: readonly { readonly damping?: number; readonly score: () => Scored }[];
}

const DAMPINGS = [0.01, 0.1, 1, 10];
/** Whole weights hardly care, and each takes a while. */
const WHOLE_DAMPINGS = [0.1, 1];
const TRAK_DIMENSIONS = 512;

/** Everything that is compared. `views` are of adapters that differ in their seed; all but the ensembles see the first only. */
export function contenders(
  world: LdsWorld,
  views: readonly AdapterView[],
  records: readonly LdsRecord[],
  queries: readonly LdsRecord[],
): readonly Contender[] {
  const [first] = views.slice(0, 1);
  const whole = (name: string, score: (damping: number) => Scored) => tuned(name, score, WHOLE_DAMPINGS);
  const bothEnds = views.flatMap(({ start, end }) => [start, end]);
  const known = new Map<string, Scored>();
  const atEnds = (ends: readonly EndView[], options: Partial<KroneckerOptions>): Scored =>
    combined(
      ends.map((end) => {
        const key = `${bothEnds.indexOf(end)} ${JSON.stringify(options)}`;
        const scored = known.get(key) ?? scoresAtEnds([end], options);
        known.set(key, scored);
        return scored;
      }),
    );
  return [
    whole(`EK-FAC × ${views.length}`, (damping) => atEnds(bothEnds, { damping })),
    whole("EK-FAC", (damping) => atEnds(bothEnds.slice(0, 2), { damping })),
    whole("K-FAC", (damping) => atEnds(bothEnds.slice(0, 2), { damping, isCorrected: false })),
    whole("EK-FAC at the end", (damping) => atEnds([first!.end], { damping })),
    whole("EK-FAC at the start", (damping) => atEnds([first!.start], { damping })),
    plain("EK-FAC, as paid", () => paidBy(first!)),
    plain("dot product at the end", () => dotProducts(first!.end)),
    ...rivals(
      { ...world, records, queries },
      views.map(({ factors }) => factors),
    ),
  ];
}

/** What is fitted from the factors that were trained, or from texts. */
export function rivals(world: LdsWorld, all: readonly FactorsView[]): readonly Contender[] {
  const { records, queries } = world;
  const one = all.slice(0, 1);
  const published = (members: readonly FactorsView[]) => scoresBy(dataInf(), members.map(perToken), BOTH);
  return [
    tuned(`EK-FAC on B × ${all.length}`, (damping) => scoresBy(ekfac({ damping }), all, B_ALONE)),
    tuned("EK-FAC on B", (damping) => scoresBy(ekfac({ damping }), one, B_ALONE)),
    plain("TracIn", () => scoresBy(tracIn, one, BOTH)),
    plain("DataInf", () => published(one)),
    tuned("DataInf, tuned", (damping) => scoresBy(dataInf(damping), one, BOTH)),
    plain(`DataInf × ${all.length}`, () => published(all)),
    tuned("TRAK", (damping) => scoresBy(trak(TRAK_DIMENSIONS, 1, damping), one, BOTH)),
    plain("BM25", () => lexicalScores(records, queries)),
    plain("mean embedding", () => embeddingScores(world, records, queries)),
    plain("gradient norm", () => scoresBy(gradientNorm, one, BOTH)),
    plain("random", () => scoresBy(randomScores(1), one, BOTH)),
  ];
}

function tuned(name: string, score: (damping: number) => Scored, dampings = DAMPINGS): Contender {
  return { name, settings: dampings.map((damping) => ({ damping, score: () => score(damping) })) };
}

function plain(name: string, score: () => Scored): Contender {
  return { name, settings: [{ score }] };
}

/** Their mean. What is the same is paid for once. */
function combined(parts: readonly Scored[]): Scored {
  const own = [...new Set(parts)];
  const total = (of: (one: Scored) => number): number => own.reduce((sum, one) => sum + of(one), 0);
  const scores = parts[0]!.scores.map((some, q) =>
    some.map((_score, record) => mean(parts.map((part) => part.scores[q]![record]!))),
  );
  return { scores, fitMs: total(({ fitMs }) => fitMs), queryMs: total(({ queryMs }) => queryMs) };
}

/** The mean over some ends of trainings. */
export function scoresAtEnds(ends: readonly EndView[], options: Partial<KroneckerOptions>): Scored {
  return timed(
    () => ends.map((end) => influenceOf(fitAt(end, options))),
    (members) =>
      ends[0]!.queries.map((_query, q) =>
        ensembleScores(
          members,
          ends.map(({ queries }) => queries[q]!),
        ),
      ),
  );
}

function fitAt({ curvature, records }: EndView, options: Partial<KroneckerOptions>): Factors {
  const fit = new KroneckerFit(spectraOf(curvature), options);
  records.forEach((gradients, i) => {
    fit.add(String(i), gradients);
  });
  return fit.factors();
}

/** Without any curvature: bases that are orthonormal and whole change no dot product. */
function dotProducts({ records, queries }: EndView): Scored {
  const product = (a: Gradients, b: Gradients): number =>
    [...a].reduce((sum, [name, own]) => sum + dot(own, b.get(name)!), 0);
  return timed(
    () => records,
    (all) => queries.map((query) => Float64Array.from(all, (record) => product(query, record))),
  );
}

/** Which of the trained tensors a method is given. The rivals' papers take all that is trained. */
type Trained = (name: string) => boolean;
const BOTH: Trained = () => true;
const B_ALONE: Trained = (name) => name.endsWith(".lora_B.weight");

function scoresBy(method: InfluenceMethod, views: readonly FactorsView[], isTaken: Trained): Scored {
  return timed(
    () =>
      views.map((view) => {
        const fit = method.begin(curvatureBy(view, isTaken));
        view.records.forEach((gradients, i) => {
          fit.add(String(i), gradients);
        });
        return fit.finish();
      }),
    (members) =>
      views[0]!.queries.map((_query, q) =>
        ensembleScores(
          members,
          views.map(({ queries }) => queries[q]!),
        ),
      ),
  );
}

/** Methods without K-FAC's factors need the names and sizes only. */
function curvatureBy({ curvature, records }: FactorsView, isTaken: Trained): Curvature {
  if (isTaken === B_ALONE) return curvature;
  const nothing = new Float64Array(0);
  const modules = [...records[0]!].map(([name, { length }]) => ({
    ...{ name, columns: length, out: 1, inputs: nothing, outputs: nothing },
  }));
  return { ...curvature, modules };
}

/** Gradients of the mean loss of an example's targets, as DataInf's authors take them, instead of the sum that training weighs them by. */
function perToken({ records, queries, targets, ...view }: FactorsView): FactorsView {
  const divided = (all: readonly Gradients[], by: readonly number[]): readonly Gradients[] =>
    all.map((gradients, i) => new Map([...gradients].map(([name, own]) => [name, own.map((value) => value / by[i]!)])));
  return {
    ...{ ...view, targets },
    ...{ records: divided(records, targets.records), queries: divided(queries, targets.queries) },
  };
}

/** What the product makes of EK-FAC's scores: the part of the income from each query that each record gets. */
export function paidBy({ start, end }: AdapterView, canonicalOf = (record: number) => record): Scored {
  const nameless = new Uint8Array(32);
  const ends = [start, end];
  return timed(
    () => {
      const members = ends.map((one) => fitAt(one, {}));
      const among = (some: readonly (readonly number[])[]) => mutualScores(members, some);
      return { influences: members.map(influenceOf), measures: { sizes: exampleSizes(members), mutualScores: among } };
    },
    ({ influences, measures }) =>
      end.queries.map((_query, q) => {
        const weights = new Float64Array(end.records.length);
        const scores = ensembleScores(
          influences,
          ends.map(({ queries }) => queries[q]!),
        );
        const options = { units: PAID_UNITS, output: { from: 0, until: 1 }, recordsMax: PAID_RECORDS_MAX };
        const recordOf = (example: number) => ({ id: nameless, number: canonicalOf(example) });
        const evidence = influenceEvidence(scores, { ...options, recordOf }, measures);
        for (const { recordNumber, weight } of evidence) weights[recordNumber] = weight / PAID_UNITS;
        return weights;
      }),
  );
}

const PAID_UNITS = 1_000_000;
const PAID_RECORDS_MAX = 256;

function timed<Fitted>(make: () => Fitted, score: (fitted: Fitted) => Scores): Scored {
  const startedAt = performance.now();
  const fitted = make();
  const fittedAt = performance.now();
  const scores = score(fitted);
  return { scores, fitMs: fittedAt - startedAt, queryMs: (performance.now() - fittedAt) / scores.length };
}

/** BM25 of the query's whole text, prompt and answer. */
function lexicalScores(records: readonly LdsRecord[], queries: readonly LdsRecord[]): Scored {
  return timed(
    () => new Bm25Index(records.map(({ text }) => ({ title: "", headingPath: [], text }))),
    (index) =>
      queries.map(({ text }) => {
        const scores = new Float64Array(records.length);
        for (const { record, score } of index.search(text, records.length).hits) scores[record] = score;
        return scores;
      }),
  );
}

/** Cosine between mean token embeddings of the base, centred: the base is the only embedder at hand. */
function embeddingScores(
  { base, shape }: LdsWorld,
  records: readonly LdsRecord[],
  queries: readonly LdsRecord[],
): Scored {
  const table = base.get("model.embed_tokens.weight")!.data;
  const embed = ({ example }: LdsRecord): Float64Array => {
    const sum = new Float64Array(shape.hidden);
    for (const token of example.tokens)
      for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + table[token * sum.length + i]! / example.tokens.length;
    return sum;
  };
  const centre = new Float64Array(shape.hidden);
  const unit = (vector: Float64Array): Float64Array => {
    const shifted = vector.map((value, i) => value - centre[i]!);
    const norm = Math.hypot(...shifted);
    return shifted.map((value) => value / norm);
  };
  return timed(
    () => {
      const all = records.map(embed);
      centre.forEach((_zero, i) => {
        centre[i] = mean(all.map((one) => one[i]!));
      });
      return all.map(unit);
    },
    (units) =>
      queries.map((query) => {
        const own = unit(embed(query));
        return Float64Array.from(units, (other) => other.reduce((sum, value, i) => sum + value * own[i]!, 0));
      }),
  );
}

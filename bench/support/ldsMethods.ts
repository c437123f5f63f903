import { dataInf, gradientNorm, randomScores, tracIn, trak } from "../../src/attribution/influence/controls.ts";
import { influenceEvidence } from "../../src/attribution/influence/influenceEvidence.ts";
import { ekfac, exampleSizes, influenceOf, KroneckerFit, kfac } from "../../src/attribution/influence/kronecker.ts";
import { ensembleScores, type InfluenceMethod } from "../../src/attribution/influence/method.ts";
import { Bm25Index } from "../../src/datanets/bm25.ts";
import { mean } from "./ldsScore.ts";
import type { AdapterView } from "./ldsTraining.ts";
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
const TRAK_DIMENSIONS = 512;

/** Everything that is compared. `views` are of adapters that differ in their seed; all but the ensembles see the first only. */
export function contenders(
  world: LdsWorld,
  views: readonly AdapterView[],
  records: readonly LdsRecord[],
  queries: readonly LdsRecord[],
): readonly Contender[] {
  const first = views.slice(0, 1);
  const tuned = (
    name: string,
    make: (damping: number) => InfluenceMethod,
    members: readonly AdapterView[] = first,
  ): Contender => ({
    name,
    settings: DAMPINGS.map((damping) => ({ damping, score: () => scoresBy(make(damping), members) })),
  });
  const plain = (name: string, score: () => Scored): Contender => ({ name, settings: [{ score }] });
  return [
    tuned("K-FAC", (damping) => kfac({ damping })),
    tuned("EK-FAC", (damping) => ekfac({ damping })),
    tuned(`K-FAC × ${views.length}`, (damping) => kfac({ damping }), views),
    tuned(`EK-FAC × ${views.length}`, (damping) => ekfac({ damping }), views),
    plain("EK-FAC, as paid", () => paidBy(first[0]!)),
    plain("TracIn", () => scoresBy(tracIn, first)),
    tuned("DataInf", dataInf),
    plain(`DataInf × ${views.length}`, () => scoresBy(dataInf(), views)),
    tuned("TRAK", (damping) => trak(TRAK_DIMENSIONS, 1, damping)),
    plain("BM25", () => lexicalScores(records, queries)),
    plain("mean embedding", () => embeddingScores(world, records, queries)),
    plain("gradient norm", () => scoresBy(gradientNorm, first)),
    plain("random", () => scoresBy(randomScores(1), first)),
  ];
}

export function scoresBy(method: InfluenceMethod, views: readonly AdapterView[]): Scored {
  return timed(
    () =>
      views.map(({ curvature, records }) => {
        const fit = method.begin(curvature);
        records.forEach((gradients, i) => {
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

/** What the product makes of EK-FAC's scores: the part of the income from each query that each record gets. */
export function paidBy({ curvature, records, queries }: AdapterView, canonicalOf = (record: number) => record): Scored {
  const nameless = new Uint8Array(32);
  return timed(
    () => {
      const fit = new KroneckerFit(curvature, 0.1, true);
      for (const gradients of records) fit.add("", gradients);
      const factors = fit.factors();
      return { influence: influenceOf(factors), sizes: exampleSizes(factors) };
    },
    ({ influence, sizes }) =>
      queries.map((query) => {
        const weights = new Float64Array(records.length);
        const evidence = influenceEvidence(influence.scores(query), {
          ...{ units: PAID_UNITS, output: { from: 0, until: 1 }, recordsMax: PAID_RECORDS_MAX, sizes },
          recordOf: (example) => ({ id: nameless, number: canonicalOf(example) }),
        });
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

import { dataInf, gradientNorm, randomScores, tracIn, trak } from "../../src/attribution/influence/controls.ts";
import { ekfac, kfac } from "../../src/attribution/influence/kronecker.ts";
import { ensembleScores, type InfluenceMethod } from "../../src/attribution/influence/method.ts";
import { Bm25Index } from "../../src/datanets/bm25.ts";
import type { AdapterView } from "./ldsTraining.ts";
import type { LdsRecord, LdsWorld } from "./ldsWorld.ts";

/** Scores of all records for each query: [queries][records]. */
export type Scores = readonly Float64Array[];

/** A method with each setting that may be tuned; most have one. */
export interface Contender {
  readonly name: string;
  readonly settings: readonly { readonly damping?: number; readonly scores: () => Scores }[];
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
  const [first] = views;
  const tuned = (name: string, make: (damping: number) => InfluenceMethod, members = [first!]): Contender => ({
    name,
    settings: DAMPINGS.map((damping) => ({ damping, scores: () => scoresBy(make(damping), members) })),
  });
  const plain = (name: string, scores: () => Scores): Contender => ({ name, settings: [{ scores }] });
  return [
    tuned("K-FAC", (damping) => kfac({ damping })),
    tuned("EK-FAC", (damping) => ekfac({ damping })),
    plain(`K-FAC × ${views.length}`, () => scoresBy(kfac(), views)),
    plain(`EK-FAC × ${views.length}`, () => scoresBy(ekfac(), views)),
    plain("TracIn", () => scoresBy(tracIn, [first!])),
    tuned("DataInf", dataInf),
    tuned("TRAK", (damping) => trak(TRAK_DIMENSIONS, 1, damping)),
    plain("BM25", () => lexicalScores(records, queries)),
    plain("mean embedding", () => embeddingScores(world, records, queries)),
    plain("gradient norm", () => scoresBy(gradientNorm, [first!])),
    plain("random", () => scoresBy(randomScores(1), [first!])),
  ];
}

export function scoresBy(method: InfluenceMethod, views: readonly AdapterView[]): Scores {
  const members = views.map(({ curvature, records }) => {
    const fit = method.begin(curvature);
    records.forEach((gradients, i) => {
      fit.add(String(i), gradients);
    });
    return fit.finish();
  });
  return views[0]!.queries.map((_query, q) =>
    ensembleScores(
      members,
      views.map(({ queries }) => queries[q]!),
    ),
  );
}

/** BM25 of the query's whole text, prompt and answer. */
function lexicalScores(records: readonly LdsRecord[], queries: readonly LdsRecord[]): Scores {
  const index = new Bm25Index(records.map(({ text }) => ({ title: "", headingPath: [], text })));
  return queries.map(({ text }) => {
    const scores = new Float64Array(records.length);
    for (const { record, score } of index.search(text, records.length).hits) scores[record] = score;
    return scores;
  });
}

/** Cosine between mean token embeddings of the base, centred: the base is the only embedder at hand. */
function embeddingScores(
  { base, shape }: LdsWorld,
  records: readonly LdsRecord[],
  queries: readonly LdsRecord[],
): Scores {
  const table = base.get("model.embed_tokens.weight")!.data;
  const embed = ({ example }: LdsRecord): Float64Array => {
    const sum = new Float64Array(shape.hidden);
    for (const token of example.tokens)
      for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + table[token * sum.length + i]! / example.tokens.length;
    return sum;
  };
  const all = records.map(embed);
  const centre = Float64Array.from({ length: shape.hidden }, (_unused, i) =>
    all.reduce((sum, one) => sum + one[i]! / all.length, 0),
  );
  const unit = (vector: Float64Array): Float64Array => {
    const shifted = vector.map((value, i) => value - centre[i]!);
    const norm = Math.hypot(...shifted);
    return shifted.map((value) => value / norm);
  };
  const units = all.map(unit);
  return queries.map((query) => {
    const own = unit(embed(query));
    return Float64Array.from(units, (other) => other.reduce((sum, value, i) => sum + value * own[i]!, 0));
  });
}

import { charRange } from "../models/bpe.ts";
import type { Attributor, CorpusInput, Finding } from "./attributor.ts";
import { type CorpusSpan, sourceRange } from "./corpus.ts";
import { spanMethod } from "./description.ts";
import type { Evidence } from "./evidence.ts";
import { UNITS_PER_BIT } from "./rarity.ts";

/** Which spans count. Changing a default changes the version of {@link spanMethod}. */
interface SpanOptions {
  /** Shorter spans are nobody's. */
  readonly tokensMin: number;
  /** So are spans that say less than this: 1/256 bit. */
  readonly unitsMin: number;
  /** Only the rarest are kept. */
  readonly spansMax: number;
  /** A span that occurs more often is a common phrase. */
  readonly occurrencesMax: number;
  /** So is one that is shared by more unrelated records. */
  readonly recordsMax: number;
  /** A longer span in several records is a copy: the first registered is credited alone. */
  readonly copyTokensMin: number;
}

const spanDefaults: SpanOptions = {
  tokensMin: 5,
  unitsMin: 40 * UNITS_PER_BIT,
  spansMax: 64,
  occurrencesMax: 256,
  recordsMax: 8,
  copyTokensMin: 24,
};

/** A maximal span with what it says: the summed units of its tokens. */
interface RatedSpan {
  readonly span: CorpusSpan;
  readonly units: number;
}

/**
 * Credits records whose text the output repeats. The rarest spans come first, and each takes the tokens that no rarer one has taken.
 * Records of the context are preferred to others with the same words, since it is they that the model read; otherwise a long span is
 * credited to its first registration and a short one to all records that share it, in equal parts.
 */
export const spanAttributor: Attributor = {
  method: spanMethod,
  attribute: (input, explained) => creditSpans(input, explained),
};

/** The maximal spans of an output that are long and rare enough, rarest first; of equals the earlier one. */
function selectSpans({ corpus, output }: CorpusInput, options: SpanOptions): RatedSpan[] {
  const { units } = corpus;
  const prefix = new Float64Array(output.length + 1);
  for (let i = 0; i < output.length; i++) prefix[i + 1] = prefix[i]! + units[output[i]!]!;
  return corpus
    .spans(output, options.tokensMin)
    .map((span) => ({ span, units: prefix[span.until]! - prefix[span.from]! }))
    .filter((rated) => rated.units >= options.unitsMin)
    .sort((a, b) => b.units - a.units || a.span.from - b.span.from)
    .slice(0, options.spansMax);
}

function creditSpans(input: CorpusInput, before: Uint8Array, options: SpanOptions = spanDefaults): Finding {
  const { corpus, output } = input;
  const { tokenizer, units } = corpus;
  const inContext = new Set(input.context.map(input.canonicalOf));
  const explained = before.slice();
  const evidence: Evidence[] = [];
  for (const { span } of selectSpans(input, options)) {
    const credited = creditedRecords(input, span, inContext, options);
    if (credited.length === 0) continue;
    let own = 0;
    for (let i = span.from; i < span.until; i++) {
      if (explained[i] === 1) continue;
      explained[i] = 1;
      own += units[output[i]!]!;
    }
    const range = charRange(tokenizer, output, span.from, span.until);
    credited.forEach(({ record, position }, i) => {
      const weight = equalPart(own, i, credited.length);
      if (weight === 0) return;
      const source =
        position === undefined ? { from: 0, until: 0 } : sourceRange(corpus, record, position, span.until - span.from);
      const id = corpus.recordId(record);
      evidence.push({ kind: "span", record: id, recordNumber: record, output: range, source, weight });
    });
  }
  return { evidence, explained };
}

interface Credited {
  readonly record: number;
  /** Where the span stands in the corpus, if the record itself holds it. */
  readonly position: number | undefined;
}

/** Who is credited for a span, ascending by record; nobody for a common phrase. */
function creditedRecords(
  input: CorpusInput,
  span: CorpusSpan,
  inContext: ReadonlySet<number>,
  options: SpanOptions,
): Credited[] {
  const occurrences = span.positions(options.occurrencesMax);
  if (occurrences === undefined) return [];
  const positions = new Map<number, number | undefined>();
  for (const position of occurrences) {
    const record = input.corpus.recordAt(position);
    const canonical = input.canonicalOf(record);
    const known = positions.get(canonical);
    if (known === undefined) positions.set(canonical, record === canonical ? position : undefined);
  }
  const all = Array.from(positions, ([record, position]) => ({ record, position }));
  all.sort((a, b) => a.record - b.record);
  const read = all.filter(({ record }) => inContext.has(record));
  const candidates = read.length > 0 ? read : all;
  if (span.until - span.from >= options.copyTokensMin) return candidates.slice(0, 1);
  return candidates.length > options.recordsMax ? [] : candidates;
}

/** The i-th of `parts` parts of a whole number that differ by at most one and sum to it. */
function equalPart(whole: number, i: number, parts: number): number {
  return Math.floor((whole * (i + 1)) / parts) - Math.floor((whole * i) / parts);
}

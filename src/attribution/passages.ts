import { charRange } from "../models/bpe.ts";
import type { Attributor, CorpusInput, Finding } from "./attributor.ts";
import { passageMethod } from "./description.ts";
import type { Evidence } from "./evidence.ts";

/** Fewer tokens in a row are no use of a passage. */
const TOKENS_MIN = 4;

/**
 * Credits records that were retrieved into the context for what the output takes from them and no span explains: shorter stretches
 * than a span, which mean little in a whole corpus and much when the model had just read them. The longest match takes the
 * tokens; of equals, the record that was ranked higher. A retrieved record that the output does not use gets nothing.
 */
export const passageAttributor: Attributor = {
  method: passageMethod,
  attribute: creditPassages,
};

function creditPassages(input: CorpusInput, before: Uint8Array): Finding {
  const { corpus, output } = input;
  const { tokenizer, units } = corpus;
  const explained = before.slice();
  const passages = [...new Set(input.context)].map((record): Passage => {
    const tokens = corpus.recordTokens(record);
    return { record, tokens, starts: gramStarts(tokens) };
  });
  const evidence: Evidence[] = [];
  for (let from = 0; from + TOKENS_MIN <= output.length; ) {
    const match = longestPassage(output, passages, explained, from);
    if (match === undefined) {
      from++;
      continue;
    }
    let weight = 0;
    for (let i = from; i < from + match.length; i++) {
      explained[i] = 1;
      weight += units[output[i]!]!;
    }
    const record = input.canonicalOf(match.record);
    evidence.push({
      kind: "passage",
      record: corpus.recordId(record),
      recordNumber: record,
      output: charRange(tokenizer, output, from, from + match.length),
      source:
        record === match.record
          ? charRange(tokenizer, match.tokens, match.at, match.at + match.length)
          : { from: 0, until: 0 },
      weight,
    });
    from += match.length;
  }
  return { evidence, explained };
}

interface Passage {
  readonly record: number;
  readonly tokens: Uint16Array;
  /** Gram of {@link TOKENS_MIN} tokens → where it begins in the record, ascending. */
  readonly starts: ReadonlyMap<string, readonly number[]>;
}

interface PassageMatch {
  readonly record: number;
  readonly tokens: Uint16Array;
  readonly at: number;
  readonly length: number;
}

function longestPassage(
  output: Uint16Array,
  passages: readonly Passage[],
  explained: Uint8Array,
  from: number,
): PassageMatch | undefined {
  for (let i = from; i < from + TOKENS_MIN; i++) if (explained[i] === 1) return undefined;
  const gram = output.subarray(from, from + TOKENS_MIN).join();
  let best: PassageMatch | undefined;
  for (const { record, tokens, starts } of passages) {
    for (const at of starts.get(gram) ?? []) {
      let length = TOKENS_MIN;
      while (
        from + length < output.length &&
        explained[from + length] === 0 &&
        tokens[at + length] === output[from + length]
      )
        length++;
      if (best === undefined || length > best.length) best = { record, tokens, at, length };
    }
  }
  return best;
}

function gramStarts(tokens: Uint16Array): Map<string, number[]> {
  const starts = new Map<string, number[]>();
  for (let at = 0; at + TOKENS_MIN <= tokens.length; at++) {
    const gram = tokens.subarray(at, at + TOKENS_MIN).join();
    const known = starts.get(gram);
    if (known === undefined) starts.set(gram, [at]);
    else known.push(at);
  }
  return starts;
}

import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { endOfRecordText, makeTokenizer, TOKENS_MAX, type Tokenizer } from "./bpe.ts";
import { bytesToChars, charsToBytes } from "./byteAlphabet.ts";

/** Hugging Face's `tokenizer.json` for a byte-level BPE: the same file trains and serves a neural model later. */
export function writeTokenizerJson(tokenizer: Tokenizer): string {
  const names = tokenizer.bytes.map((bytes, id) => (id === 0 ? endOfRecordText : bytesToChars(bytes)));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return `${JSON.stringify(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [{ id: 0, content: endOfRecordText, ...special }],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(names.map((name, id) => [name, id])),
        merges: tokenizer.merges.map(([left, right]) => `${names[left]} ${names[right]}`),
      },
    },
    null,
    2,
  )}\n`;
}

/** Reads what {@link writeTokenizerJson} writes; merges may stand as "left right" or as pairs. Refuses `invalid_request` otherwise. */
export function parseTokenizerJson(text: string): Result<Tokenizer> {
  const model = field(parseJson(text), "model");
  if (field(model, "type") !== "BPE") return damaged("it is not a BPE");
  const vocab = field(model, "vocab");
  if (typeof vocab !== "object" || vocab === null) return damaged("it has no vocabulary");
  const entries = Object.entries(vocab);
  const size = entries.length;
  if (size < 257 || size > TOKENS_MAX) return damaged(`it has ${size} tokens, not 257 to ${TOKENS_MAX}`);
  const bytes = new Array<Uint8Array>(size);
  const ids = new Map<string, number>();
  for (const [name, id] of entries) {
    const token = name === endOfRecordText ? new Uint8Array(0) : charsToBytes(name);
    if (token === undefined || typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= size || bytes[id])
      return damaged(`token ${JSON.stringify(name)} is not one of ours`);
    bytes[id] = token;
    ids.set(name, id);
  }
  if (ids.get(endOfRecordText) !== 0) return damaged(`token 0 is not ${endOfRecordText}`);
  for (let byte = 0; byte < 256; byte++)
    if (!ids.has(bytesToChars(Uint8Array.of(byte)))) return damaged(`byte ${byte} has no token`);
  const merges = parseMerges(field(model, "merges"), ids);
  return merges.ok ? ok(makeTokenizer(bytes, merges.value)) : merges;
}

function parseMerges(merges: unknown, ids: ReadonlyMap<string, number>): Result<[number, number][]> {
  if (!Array.isArray(merges)) return damaged("it has no merges");
  const pairs: [number, number][] = [];
  for (const merge of merges) {
    const [left, right, ...rest] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    const [a, b] = [ids.get(String(left)), ids.get(String(right))];
    if (a === undefined || b === undefined || rest.length > 0 || !ids.has(`${left}${right}`))
      return damaged(`merge ${JSON.stringify(merge)} names no tokens of the vocabulary`);
    pairs.push([a, b]);
  }
  return ok(pairs);
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This tokenizer.json cannot be used: ${why}.`, {
    hint: "Use a byte-level BPE as this package writes it.",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

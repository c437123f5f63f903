import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { END_OF_RECORD, makeTokenizer, type Tokenizer, VOCABULARY_MAX } from "./bpe.ts";
import { bytesToChars, charsToBytes } from "./byteAlphabet.ts";
import { field, isRecord, isWhole, parseJson } from "./formats/json.ts";

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

/** Hugging Face's `tokenizer.json` for a byte-level BPE: the same file trains and serves a neural model. */
export function writeTokenizerJson(tokenizer: Tokenizer): string {
  const { bytes, specials, splitsDigits, merges } = tokenizer;
  const names = bytes.map((token, id) => specials.get(id) ?? bytesToChars(token));
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const digits = { type: "Digits", individual_digits: true };
  return `${JSON.stringify(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [...specials].map(([id, content]) => ({ id, content, ...special })),
      normalizer: null,
      pre_tokenizer: splitsDigits ? { type: "Sequence", pretokenizers: [digits, byteLevel] } : byteLevel,
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
        merges: merges.map(([left, right]) => `${names[left]} ${names[right]}`),
      },
    },
    null,
    2,
  )}\n`;
}

/**
 * Reads a byte-level BPE: GPT-2's words, each digit apart if it says so, no normaliser, nothing added around a text, token 0 a special one that
 * ends a text. Merges may stand as "left right" or as pairs. Refuses `invalid_request` for anything that would encode otherwise than Hugging Face does.
 */
export function parseTokenizerJson(text: string): Result<Tokenizer> {
  const json = parseJson(text);
  const model = field(json, "model");
  const why = unsupported(json, model);
  if (why !== undefined) return cannot(why);
  const vocab = field(model, "vocab");
  if (!isRecord(vocab)) return cannot("it has no vocabulary");
  const specials = parseSpecials(field(json, "added_tokens"));
  if (specials === undefined) return cannot("its added tokens are not special ones with an id");
  const ids = new Map<string, unknown>(Object.entries(vocab));
  for (const [id, name] of specials) {
    if (ids.has(name) && ids.get(name) !== id) return cannot(`token ${JSON.stringify(name)} has two ids`);
    ids.set(name, id);
  }
  const bytes = parseVocabulary(ids, specials);
  if (!bytes.ok) return bytes;
  const merges = parseMerges(field(model, "merges"), vocab, specials);
  if (!merges.ok) return merges;
  const splitsDigits = field(field(json, "pre_tokenizer"), "type") === "Sequence";
  return ok(makeTokenizer(bytes.value, merges.value, { specials, splitsDigits }));
}

/** What would encode a text otherwise than we do; undefined where nothing does. */
function unsupported(json: unknown, model: unknown): string | undefined {
  if (field(model, "type") !== "BPE") return "it is not a BPE";
  for (const name of ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"])
    if (isSet(field(model, name))) return `its model has ${name}`;
  if (isSet(field(json, "normalizer"))) return "it normalises texts";
  const after = field(json, "post_processor");
  if (isSet(after) && field(after, "type") !== "ByteLevel") return "it adds tokens around texts";
  const decoder = field(json, "decoder");
  if (isSet(decoder) && field(decoder, "type") !== "ByteLevel") return "its tokens are not bytes";
  return cutsWords(field(json, "pre_tokenizer")) ? undefined : "it cuts texts into words in another way";
}

function cutsWords(before: unknown): boolean {
  if (field(before, "type") === "ByteLevel")
    return field(before, "add_prefix_space") === false && (field(before, "use_regex") ?? true) === true;
  const [digits, words, ...rest] = listOf(field(before, "pretokenizers"));
  const isDigits = field(digits, "type") === "Digits" && field(digits, "individual_digits") === true;
  return field(before, "type") === "Sequence" && isDigits && rest.length === 0 && field(words, "type") === "ByteLevel"
    ? cutsWords(words)
    : false;
}

function parseSpecials(added: unknown): Map<number, string> | undefined {
  const specials = new Map<number, string>();
  for (const token of listOf(added)) {
    const [id, content] = [field(token, "id"), field(token, "content")];
    if (!isWhole(id, 0, VOCABULARY_MAX - 1) || typeof content !== "string" || content === "") return undefined;
    if (field(token, "special") !== true || specials.has(id)) return undefined;
    specials.set(id, content);
  }
  return specials;
}

function parseVocabulary(
  ids: ReadonlyMap<string, unknown>,
  specials: ReadonlyMap<number, string>,
): Result<readonly Uint8Array[]> {
  const size = ids.size;
  if (size < 257 || size > VOCABULARY_MAX) return cannot(`it has ${size} tokens, not 257 to ${VOCABULARY_MAX}`);
  const bytes = new Array<Uint8Array>(size);
  for (const [name, id] of ids) {
    if (!isWhole(id, 0, size - 1) || bytes[id]) return cannot(`token ${JSON.stringify(name)} has no id of its own`);
    const token = specials.get(id) === name ? new Uint8Array(0) : charsToBytes(name);
    if (token === undefined) return cannot(`token ${JSON.stringify(name)} is not made of bytes`);
    if (token.length === 0 && !specials.has(id)) return cannot("a token is empty");
    bytes[id] = token;
  }
  if (!specials.has(END_OF_RECORD)) return cannot("token 0 is no special one, which ends a text");
  for (let byte = 0; byte < 256; byte++)
    if (!ids.has(bytesToChars(Uint8Array.of(byte)))) return cannot(`byte ${byte} has no token`);
  return ok(bytes);
}

function parseMerges(
  merges: unknown,
  vocab: Readonly<Record<string, unknown>>,
  specials: ReadonlyMap<number, string>,
): Result<readonly (readonly [number, number])[]> {
  if (!Array.isArray(merges)) return cannot("it has no merges");
  const pairs: (readonly [number, number])[] = [];
  for (const merge of listOf(merges)) {
    const [left, right, ...rest] = typeof merge === "string" ? merge.split(" ") : listOf(merge);
    const [a, b, both] = [`${left}`, `${right}`, `${left}${right}`].map((name) => field(vocab, name));
    const isPlain = (id: unknown): id is number => isWhole(id) && !specials.has(id);
    if (!isPlain(a) || !isPlain(b) || !isPlain(both) || rest.length > 0)
      return cannot(`merge ${JSON.stringify(merge)} names no tokens of the vocabulary`);
    pairs.push([a, b]);
  }
  return ok(pairs);
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== "" && value !== 0;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function cannot(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This tokenizer.json cannot be used: ${why}.`, {
    hint: "Byte-level BPE tokenizers with GPT-2's words can be used, such as this package's own or SmolLM's.",
  });
}

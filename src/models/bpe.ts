import { utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { assert } from "../core/result.ts";
import { NumberHeap } from "./numberHeap.ts";
import { TokenBuffer } from "./tokenBuffer.ts";

/**
 * Byte-level byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2): text is cut into words by GPT-2's expression, each word's
 * bytes are merged pair by pair in the order in which the pairs were learnt. Lossless for any bytes.
 */
export const TOKENS_MAX = 8_192;
/** Of tokenizers made elsewhere: a token is 16 bits. */
export const VOCABULARY_MAX = 65_536;

/** Token 0 separates records and never comes out of text, so no span crosses records. */
export const END_OF_RECORD = 0;
export const endOfRecordText = "<|endoftext|>";

/** Where GPT-2 cuts: contractions, letters, digits and marks each with at most one space before them, then runs of white space. */
export const wordPattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

export interface Tokenizer {
  /** The bytes of each token; empty for {@link END_OF_RECORD} and other specials. Shape [tokens]. */
  readonly bytes: readonly Uint8Array[];
  /** What the tokens without bytes are called; none of them ever comes out of text. */
  readonly specials: ReadonlyMap<number, string>;
  /** Whether each digit is a word of its own. */
  readonly splitsDigits: boolean;
  /** Learnt pairs in order of rank: left and right token. */
  readonly merges: readonly (readonly [left: number, right: number])[];
  /** UTF-16 units of the characters whose first byte lies in the token. Shape [tokens]. */
  readonly units: Uint16Array;
  /** 1 where the token begins in the middle of a character. Shape [tokens]. */
  readonly continues: Uint8Array;
  /** 32 bytes, over the tokens and merges: two tokenizers with the same hash encode alike. */
  readonly hash: Uint8Array;
  readonly tokenOfByte: Uint16Array;
  /** left · 65,536 + right → rank · 65,536 + merged token. */
  readonly ranks: ReadonlyMap<number, number>;
}

/** How a tokenizer made elsewhere differs from the house's. */
export interface TokenizerExtras {
  readonly specials?: ReadonlyMap<number, string>;
  readonly splitsDigits?: boolean;
}

/** A tokenizer from its parts; `bytes[0]` must be empty, every byte must have a token, and merged tokens must exist. */
export function makeTokenizer(
  bytes: readonly Uint8Array[],
  merges: readonly (readonly [number, number])[],
  extras: TokenizerExtras = {},
): Tokenizer {
  assert(
    bytes.length <= VOCABULARY_MAX && bytes[END_OF_RECORD]?.length === 0,
    `token 0 of at most ${VOCABULARY_MAX} is empty`,
  );
  const { specials = new Map([[END_OF_RECORD, endOfRecordText]]), splitsDigits = false } = extras;
  const tokenOfBytes = new Map(bytes.map((token, id) => [latin1(token), id]));
  const ranks = new Map<number, number>();
  merges.forEach(([left, right], rank) => {
    const merged = tokenOfBytes.get(latin1(bytes[left]!) + latin1(bytes[right]!));
    assert(merged !== undefined, "a merge makes a token of the vocabulary");
    ranks.set(left * 65_536 + right, rank * 65_536 + merged);
  });
  const tokenOfByte = Uint16Array.from({ length: 256 }, (_unused, byte) => {
    const id = tokenOfBytes.get(String.fromCharCode(byte));
    assert(id !== undefined, "every byte is a token");
    return id;
  });
  return {
    bytes,
    specials,
    splitsDigits,
    merges,
    units: Uint16Array.from(bytes, (token) => token.reduce((sum, byte) => sum + unitsOfByte(byte), 0)),
    continues: Uint8Array.from(bytes, (token) => (token.length > 0 && isContinuation(token[0]!) ? 1 : 0)),
    hash: hashTokenizer(bytes, merges, splitsDigits),
    tokenOfByte,
    ranks,
  };
}

/** The tokens of a text. Lone surrogates become U+FFFD, as in every UTF-8 encoder. */
export function encode(tokenizer: Tokenizer, text: string): Uint16Array {
  const cache = wordCache(tokenizer);
  const out = new TokenBuffer(text.length + 16);
  for (const word of wordsOf(tokenizer, text)) {
    let tokens = cache.get(word);
    if (tokens === undefined) {
      tokens = mergeWord(tokenizer, utf8(word));
      if (cache.size >= CACHE_WORDS_MAX) cache.clear();
      if (word.length <= CACHE_WORD_LENGTH_MAX) cache.set(word, tokens);
    }
    out.append(tokens);
  }
  return out.finish();
}

/** The tokens of any bytes: those that are UTF-8 as {@link encode}, stray bytes one token each. */
export function encodeBytes(tokenizer: Tokenizer, bytes: Uint8Array): Uint16Array {
  const out = new TokenBuffer(bytes.length + 16);
  let from = 0;
  const flush = (until: number): void => {
    if (until > from) out.append(encode(tokenizer, utf8Decoder.decode(bytes.subarray(from, until))));
  };
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    flush(at);
    out.append(tokenizer.tokenOfByte.subarray(bytes[at]!, bytes[at]! + 1));
    at++;
    from = at;
  }
  flush(bytes.length);
  return out.finish();
}

export function decodeBytes(tokenizer: Tokenizer, tokens: ArrayLike<number>): Uint8Array {
  let length = 0;
  for (let i = 0; i < tokens.length; i++) length += tokenizer.bytes[tokens[i]!]!.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokenizer.bytes[tokens[i]!]!;
    out.set(token, at);
    at += token.length;
  }
  return out;
}

/** The text of tokens; bytes that are not UTF-8 become U+FFFD. */
export function decode(tokenizer: Tokenizer, tokens: ArrayLike<number>): string {
  return utf8Decoder.decode(decodeBytes(tokenizer, tokens));
}

/** Half-open, in UTF-16 code units, as `String.prototype.slice` takes them. */
export interface CharRange {
  readonly from: number;
  readonly until: number;
}

/**
 * Where the tokens [from, until) of an encoded text stand in it, shrunk to whole characters: a token may hold a part of one.
 * `tokens` is the encoding of the whole text.
 */
export function charRange(tokenizer: Tokenizer, tokens: ArrayLike<number>, from: number, until: number): CharRange {
  let start = 0;
  for (let i = 0; i < from; i++) start += tokenizer.units[tokens[i]!]!;
  let end = start;
  for (let i = from; i < until; i++) end += tokenizer.units[tokens[i]!]!;
  if (until < tokens.length && tokenizer.continues[tokens[until]!] === 1)
    end -= unfinishedUnits(tokenizer, tokens, until);
  return { from: start, until: Math.max(start, end) };
}

/** Turns a stream of tokens into text; bytes of a character that is not complete yet wait for the next token. */
export class TokenDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  push(token: number): string {
    return this.#decoder.decode(this.#tokenizer.bytes[token]!, { stream: true });
  }

  end(): string {
    return this.#decoder.decode();
  }
}

function* wordsOf({ splitsDigits }: Tokenizer, text: string): Generator<string> {
  // A split with a group keeps what it splits at.
  for (const piece of splitsDigits ? text.split(/(\p{N})/u) : [text])
    for (const [word] of piece.matchAll(wordPattern)) yield word;
}

const CACHE_WORDS_MAX = 131_072;
const CACHE_WORD_LENGTH_MAX = 64;
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const caches = new WeakMap<Tokenizer, Map<string, Uint16Array>>();

function wordCache(tokenizer: Tokenizer): Map<string, Uint16Array> {
  let cache = caches.get(tokenizer);
  if (cache === undefined) {
    cache = new Map();
    caches.set(tokenizer, cache);
  }
  return cache;
}

/** Merges the lowest-ranked pair, leftmost first, until none is left: O(n log n), so that one endless word stalls nobody. */
function mergeWord(tokenizer: Tokenizer, bytes: Uint8Array): Uint16Array {
  const { ranks } = tokenizer;
  const n = bytes.length;
  const tokens = Int32Array.from(bytes, (byte) => tokenizer.tokenOfByte[byte]!);
  const next = Int32Array.from(bytes, (_byte, i) => i + 1);
  const previous = Int32Array.from(bytes, (_byte, i) => i - 1);
  const heap = new NumberHeap();
  const offer = (at: number): void => {
    const right = next[at]!;
    if (at < 0 || right >= n) return;
    const rank = ranks.get(tokens[at]! * 65_536 + tokens[right]!);
    if (rank !== undefined) heap.push(Math.floor(rank / 65_536) * POSITIONS_MAX + at);
  };
  for (let i = 0; i + 1 < n; i++) offer(i);
  for (let item = heap.pop(); item !== undefined; item = heap.pop()) {
    const at = item % POSITIONS_MAX;
    const right = next[at]!;
    if (tokens[at]! < 0 || right >= n) continue;
    const rank = ranks.get(tokens[at]! * 65_536 + tokens[right]!);
    if (rank === undefined || Math.floor(rank / 65_536) !== Math.floor(item / POSITIONS_MAX)) continue;
    tokens[at] = rank % 65_536;
    tokens[right] = -1;
    next[at] = next[right]!;
    if (next[at]! < n) previous[next[at]!] = at;
    if (previous[at]! >= 0) offer(previous[at]!);
    offer(at);
  }
  return Uint16Array.from(tokens.filter((token) => token >= 0));
}

const POSITIONS_MAX = 2 ** 32;

/** UTF-16 units of the character that began before token `until` and ends in it. */
function unfinishedUnits(tokenizer: Tokenizer, tokens: ArrayLike<number>, until: number): number {
  for (let i = until - 1; i >= 0; i--) {
    const bytes = tokenizer.bytes[tokens[i]!]!;
    for (let b = bytes.length - 1; b >= 0; b--) if (!isContinuation(bytes[b]!)) return unitsOfByte(bytes[b]!);
  }
  return 0;
}

function unitsOfByte(byte: number): number {
  if (isContinuation(byte)) return 0;
  return byte >= 0xf0 ? 2 : 1;
}

function isContinuation(byte: number): boolean {
  return byte >= 0x80 && byte < 0xc0;
}

/** Bytes of the UTF-8 character at `at` (RFC 3629, section 4); 0 where there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const length =
    lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let i = 1; i < length; i++) if (!isContinuation(bytes[at + i]!)) return 0;
  const second = bytes[at + 1]!;
  const isOverlong = (lead === 0xe0 && second < 0xa0) || (lead === 0xf0 && second < 0x90);
  const isOutside = (lead === 0xed && second >= 0xa0) || (lead === 0xf4 && second >= 0x90);
  return isOverlong || isOutside ? 0 : length;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function hashTokenizer(
  bytes: readonly Uint8Array[],
  merges: readonly (readonly [number, number])[],
  splitsDigits: boolean,
): Uint8Array {
  const kind = `openledger/tokenizer/1${splitsDigits ? "/digits" : ""}`;
  const lines = bytes.map((token) => Array.from(token).join(" "));
  return sha256(utf8(`${kind}\n${lines.join("\n")}\n\n${merges.map((pair) => pair.join(" ")).join("\n")}`));
}

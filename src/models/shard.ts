import { RefusalError, refuse } from "../core/result.ts";
import { reachOf } from "./shardGrams.ts";
import { PAGE_BYTES, type PageCache } from "./shardPages.ts";
import { KEY_TOKENS, LEAF_SUFFIXES, PREFIX_MAX, type ShardTop, STARTS_PER_PAGE, type Tombstones } from "./shardTop.ts";

const TOKENS_PER_PAGE = PAGE_BYTES / 2;
const IDS_PER_PAGE = PAGE_BYTES / 32;

export interface ShardMatch {
  readonly length: number;
  /** A place of the shard's suffix array that begins with the match. */
  readonly at: number;
}

const NOTHING: ShardMatch = { length: 0, at: 0 };

/**
 * A corpus index of which only the top is in memory and the rest is read page by page: the leaf level of a string B-tree
 * (Ferragina and Grossi 1999). A leaf holds the suffixes of {@link LEAF_SUFFIXES} places: their positions, what each shares with the one before it and
 * the token by which it differs. The top holds the first tokens of each leaf. So a look-up costs a search in memory, one leaf and mostly one page of text.
 */
export class Shard {
  readonly top: ShardTop;
  readonly #cache: PageCache;
  readonly #file: number;
  #tombstones: Tombstones | undefined;

  constructor(top: ShardTop, cache: PageCache, file: number, tombstones?: Tombstones) {
    this.top = top;
    this.#cache = cache;
    this.#file = file;
    this.#tombstones = tombstones;
  }

  get tombstones(): Tombstones | undefined {
    return this.#tombstones;
  }

  /** Takes effect with the next look-up. */
  bury(tombstones: Tombstones | undefined): void {
    this.#tombstones = tombstones;
  }

  isDead(record: number): boolean {
    return this.#tombstones !== undefined && ((this.#tombstones.bits[record >> 3]! >> (record & 7)) & 1) === 1;
  }

  /** No more than so many tokens of query[from…], of at most `lengthMax`, occur: what can be told without a page. */
  reach(query: Uint16Array, from: number, lengthMax: number): number {
    return reachOf(this.top.grams, query, from, lengthMax);
  }

  /**
   * The longest prefix of query[from…], of at most `lengthMax` tokens, that occurs in a live record. What is shorter than
   * `lengthMin` may be reported as shorter still.
   */
  longestMatch(query: Uint16Array, from: number, lengthMax: number, lengthMin = 1): ShardMatch {
    const match = this.#longestAny(query, from, Math.min(lengthMax, PREFIX_MAX));
    return this.#tombstones === undefined || match.length < lengthMin ? match : this.#longestLive(match, lengthMin);
  }

  /** The places whose suffixes share the first `length` tokens with the one at `at`: [low, high), dead ones included. */
  widen(query: Uint16Array, from: number, { length, at }: ShardMatch): { low: number; high: number } {
    return { low: this.#edgeDown(query, from, length, at), high: this.#edgeUp(query, from, length, at) };
  }

  /** Positions of live suffixes in places [low, high), ascending; undefined where there are more than `countMax`. */
  positions(low: number, high: number, countMax: number): Uint32Array | undefined {
    if (this.#tombstones === undefined && high - low > countMax) return undefined;
    const found: number[] = [];
    for (let place = low; place < high; place++) {
      const position = this.#positionAt(place);
      if (this.#tombstones !== undefined && this.isDead(this.recordAt(position))) continue;
      if (found.length === countMax) return undefined;
      found.push(position);
    }
    return Uint32Array.from(found).sort();
  }

  /** The number, within the shard, of the record in which a position lies. */
  recordAt(position: number): number {
    const { startTops, pages, records } = this.top;
    const page = lastAtMost(startTops, 0, startTops.length, position);
    const offset = this.#cache.slotOf(this.#file, pages.starts + page) * STARTS_PER_PAGE;
    const count = Math.min(STARTS_PER_PAGE, records - page * STARTS_PER_PAGE);
    return page * STARTS_PER_PAGE + lastAtMost(this.#cache.longs, offset, offset + count, position) - offset;
  }

  startOf(record: number): number {
    const page = this.top.pages.starts + Math.floor(record / STARTS_PER_PAGE);
    return this.#cache.longs[this.#cache.slotOf(this.#file, page) * STARTS_PER_PAGE + (record % STARTS_PER_PAGE)]!;
  }

  /** The tokens of a record, without its separator. */
  recordTokens(record: number): Uint16Array {
    const start = this.startOf(record);
    const end = this.startOf(record + 1) - 1;
    if (start > end || end >= this.top.tokens) throw damaged();
    const tokens = new Uint16Array(end - start);
    for (let at = start; at < end; ) {
      const within = at % TOKENS_PER_PAGE;
      const count = Math.min(end - at, TOKENS_PER_PAGE - within);
      const offset = this.#textSlot(at) * TOKENS_PER_PAGE + within;
      tokens.set(this.#cache.words.subarray(offset, offset + count), at - start);
      at += count;
    }
    return tokens;
  }

  /** A copy of the record's 32-byte id. */
  recordId(record: number): Uint8Array {
    const slot = this.#cache.slotOf(this.#file, this.top.pages.ids + Math.floor(record / IDS_PER_PAGE));
    const at = slot * PAGE_BYTES + 32 * (record % IDS_PER_PAGE);
    return this.#cache.bytes.slice(at, at + 32);
  }

  /** The first four bytes of the record's id, little-endian. */
  idPrefix(record: number): number {
    const slot = this.#cache.slotOf(this.#file, this.top.pages.ids + Math.floor(record / IDS_PER_PAGE));
    return this.#cache.longs[(slot * PAGE_BYTES + 32 * (record % IDS_PER_PAGE)) / 4]!;
  }

  #longestAny(query: Uint16Array, from: number, lengthMax: number): ShardMatch {
    const { buckets } = this.top;
    const first = query[from]!;
    const low = buckets[first]!;
    const high = buckets[first + 1]!;
    if (low === high || lengthMax === 0) return NOTHING;
    const firstLeaf = Math.floor(low / LEAF_SUFFIXES);
    let leaf = firstLeaf;
    let shared = low % LEAF_SUFFIXES === 0 ? this.#sharedWithKey(query, from, lengthMax, leaf) : -1;
    let nextShared = 0;
    // The last leaf whose first suffix is not above the query.
    for (let end = Math.ceil(high / LEAF_SUFFIXES); end - leaf > 1; ) {
      const middle = (leaf + end) >>> 1;
      const reach = this.#sharedWithKey(query, from, lengthMax, middle);
      if (reach === lengthMax) return { length: reach, at: middle * LEAF_SUFFIXES };
      if (this.#tokenOfLeaf(middle, reach) < query[from + reach]!) {
        leaf = middle;
        shared = reach;
      } else {
        end = middle;
        nextShared = reach;
      }
    }
    if (shared === lengthMax) return { length: shared, at: leaf * LEAF_SUFFIXES };
    const place = Math.max(low, leaf * LEAF_SUFFIXES);
    const within = this.#searchLeaf(query, from, lengthMax, leaf, place, high, shared);
    const after = (leaf + 1) * LEAF_SUFFIXES;
    return nextShared > within.length && after < high ? { length: nextShared, at: after } : within;
  }

  /** How many tokens the query shares with a leaf's first suffix: of the key, and of the text only where the key is too short. */
  #sharedWithKey(query: Uint16Array, from: number, lengthMax: number, leaf: number): number {
    const { keys } = this.top;
    const key = leaf * KEY_TOKENS;
    const known = Math.min(KEY_TOKENS, lengthMax);
    let shared = 0;
    while (shared < known && keys[key + shared] === query[from + shared]) shared++;
    if (shared < KEY_TOKENS || shared === lengthMax) return shared;
    return this.#sharedWithText(this.#positionAt(leaf * LEAF_SUFFIXES), query, from, lengthMax, shared);
  }

  #tokenOfLeaf(leaf: number, depth: number): number {
    if (depth < KEY_TOKENS) return this.top.keys[leaf * KEY_TOKENS + depth]!;
    return this.#tokenAt(this.#positionAt(leaf * LEAF_SUFFIXES) + depth);
  }

  /**
   * The longest match within a leaf, from `place` on, blindly: what tells neighbours apart leads to the suffix that shares most with the
   * query, and only that one is compared. `shared` is what the suffix at `place` is known to share, −1 where it is not known.
   */
  #searchLeaf(
    query: Uint16Array,
    from: number,
    lengthMax: number,
    leaf: number,
    place: number,
    high: number,
    shared: number,
  ): ShardMatch {
    const slot = this.#cache.slotOf(this.#file, this.top.pages.leaves + leaf);
    const { words } = this.#cache;
    const prefixes = slot * TOKENS_PER_PAGE + 2 * LEAF_SUFFIXES;
    const branches = prefixes + LEAF_SUFFIXES;
    const end = Math.min(high - leaf * LEAF_SUFFIXES, LEAF_SUFFIXES);
    const start = place - leaf * LEAF_SUFFIXES;
    let found = start;
    let isBlind = shared < 0;
    // While not blind, what shares more than `shared` with the first suffix stands before the query.
    let limit = isBlind ? PREFIX_MAX : shared;
    const floor = isBlind ? 1 : shared;
    for (let i = start + 1; i < end; i++) {
      const depth = words[prefixes + i]!;
      if (depth > limit) continue;
      if (depth < floor) break;
      const branch = words[branches + i]!;
      const wanted = depth < lengthMax ? query[from + depth]! : 0;
      if (branch === wanted && wanted !== 0) {
        found = i;
        isBlind = true;
        limit = PREFIX_MAX;
      } else {
        // Siblings ascend: above the query at the depth that is known, nothing more can be equal.
        if (depth === floor && branch > wanted) break;
        limit = depth;
      }
    }
    const at = leaf * LEAF_SUFFIXES + found;
    if (!isBlind) return { length: shared, at };
    const position = this.#cache.longs[slot * STARTS_PER_PAGE + found]!;
    const known = found === start ? 1 : floor + (shared < 0 ? 0 : 1);
    return { length: this.#sharedWithText(position, query, from, lengthMax, known), at };
  }

  /** From the longest match of all to the longest of the living: its neighbours share with the query what they share with it. */
  #longestLive(match: ShardMatch, lengthMin: number): ShardMatch {
    if (this.#isLiveAt(match.at)) return match;
    let best = NOTHING;
    const needed = (): number => Math.max(lengthMin, best.length + 1);
    for (let place = match.at, shared = match.length; place > 0; ) {
      shared = Math.min(shared, this.#prefixAt(place));
      if (shared < needed()) break;
      if (this.#isLiveAt(--place)) best = { length: shared, at: place };
    }
    const count = this.top.buckets.at(-1)!;
    for (let place = match.at + 1, shared = match.length; place < count; place++) {
      shared = Math.min(shared, this.#prefixAt(place));
      if (shared < needed()) break;
      if (this.#isLiveAt(place)) best = { length: shared, at: place };
    }
    return best;
  }

  #isLiveAt(place: number): boolean {
    return !this.isDead(this.recordAt(this.#positionAt(place)));
  }

  #edgeDown(query: Uint16Array, from: number, length: number, at: number): number {
    let leaf = Math.floor(at / LEAF_SUFFIXES);
    let place = at;
    if (this.#sharedWithKey(query, from, length, leaf) === length) {
      // The first leaf that begins with the pattern; the range may begin in the leaf before it.
      let before = Math.max(-1, Math.floor(this.top.buckets[query[from]!]! / LEAF_SUFFIXES) - 1);
      while (leaf - before > 1) {
        const middle = (leaf + before) >> 1;
        if (this.#sharedWithKey(query, from, length, middle) === length) leaf = middle;
        else before = middle;
      }
      place = leaf * LEAF_SUFFIXES;
    }
    while (place > 0 && this.#prefixAt(place) >= length) place--;
    return place;
  }

  #edgeUp(query: Uint16Array, from: number, length: number, at: number): number {
    let leaf = Math.floor(at / LEAF_SUFFIXES);
    const count = this.top.buckets[query[from]! + 1]!;
    let after = Math.ceil(count / LEAF_SUFFIXES);
    while (after - leaf > 1) {
      const middle = (leaf + after) >> 1;
      if (this.#sharedWithKey(query, from, length, middle) === length) leaf = middle;
      else after = middle;
    }
    let place = Math.max(at, leaf * LEAF_SUFFIXES) + 1;
    while (place < count && this.#prefixAt(place) >= length) place++;
    return place;
  }

  #sharedWithText(position: number, query: Uint16Array, from: number, lengthMax: number, known: number): number {
    let shared = known;
    while (shared < lengthMax) {
      const at = position + shared;
      const slot = this.#textSlot(at);
      const { words } = this.#cache;
      const end = Math.min(lengthMax, shared + TOKENS_PER_PAGE - (at % TOKENS_PER_PAGE));
      let offset = slot * TOKENS_PER_PAGE + (at % TOKENS_PER_PAGE);
      while (shared < end && words[offset] === query[from + shared]) {
        shared++;
        offset++;
      }
      if (shared < end) break;
    }
    return shared;
  }

  #tokenAt(position: number): number {
    return this.#cache.words[this.#textSlot(position) * TOKENS_PER_PAGE + (position % TOKENS_PER_PAGE)]!;
  }

  #textSlot(position: number): number {
    if (position >= this.top.tokens) throw damaged();
    return this.#cache.slotOf(this.#file, this.top.pages.tokens + Math.floor(position / TOKENS_PER_PAGE));
  }

  #positionAt(place: number): number {
    const slot = this.#cache.slotOf(this.#file, this.top.pages.leaves + Math.floor(place / LEAF_SUFFIXES));
    return this.#cache.longs[slot * STARTS_PER_PAGE + (place % LEAF_SUFFIXES)]!;
  }

  /** What the suffix at a place shares with the one before it. */
  #prefixAt(place: number): number {
    const slot = this.#cache.slotOf(this.#file, this.top.pages.leaves + Math.floor(place / LEAF_SUFFIXES));
    return this.#cache.words[slot * TOKENS_PER_PAGE + 2 * LEAF_SUFFIXES + (place % LEAF_SUFFIXES)]!;
  }
}

/** The last index in [low, high) whose value is at most `value`; `low` where there is none. */
function lastAtMost(values: Uint32Array, low: number, high: number, value: number): number {
  let [at, end] = [low, high];
  while (end - at > 1) {
    const middle = (at + end) >>> 1;
    if (values[middle]! <= value) at = middle;
    else end = middle;
  }
  return at;
}

function damaged(): RefusalError {
  const refusal = refuse("data_folder_damaged", "A shard of the index points outside its text.", {
    hint: "Delete the index; it is built again from the datanet.",
  });
  return new RefusalError(refusal.error);
}

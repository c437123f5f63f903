import { assert } from "../core/result.ts";

/**
 * The suffix array of a corpus, each position in as many half bytes as the corpus needs: three bytes below 2^24 tokens, three and a half below
 * 2^28, four above. Plain data in shared memory, so that workers use one copy.
 */
export interface Suffixes {
  readonly length: number;
  readonly halfBytes: number;
  /** Little-endian, the earlier half byte below; {@link suffixBytes} long. */
  readonly view: DataView<SharedArrayBuffer>;
}

/** The position of the suffix at a place. */
export function suffixAt({ view, halfBytes }: Suffixes, place: number): number {
  if (halfBytes === HALVES_MAX) return view.getUint32(4 * place, true);
  const at = halfBytes * place;
  return (view.getUint32(at >>> 1, true) >>> ((at & 1) << 2)) & (halfBytes === HALVES_MIN ? 0xff_ffff : 0xfff_ffff);
}

/** Packs positions below `tokens`, in their order. */
export function packSuffixes(positions: Int32Array, tokens: number): Suffixes {
  const bytes = new Uint8Array(new SharedArrayBuffer(suffixBytes(positions.length, tokens)));
  const suffixes = viewSuffixes(bytes, positions.length, tokens);
  const { halfBytes, view } = suffixes;
  for (let place = 0; place < positions.length; place++) {
    const position = positions[place]!;
    if (halfBytes === HALVES_MAX) {
      view.setUint32(4 * place, position, true);
      continue;
    }
    const at = halfBytes * place;
    const before = (at & 1) === 0 ? 0 : view.getUint8(at >>> 1);
    view.setUint32(at >>> 1, before | (position << ((at & 1) << 2)), true);
  }
  return suffixes;
}

/** Suffixes as they lie in memory already. */
export function viewSuffixes(bytes: Uint8Array<SharedArrayBuffer>, length: number, tokens: number): Suffixes {
  assert(
    bytes.length === suffixBytes(length, tokens),
    "packed suffixes have the length that follows from their number",
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { length, halfBytes: halfBytesFor(tokens), view };
}

/** What `length` suffixes of a corpus of `tokens` take: whole words, and one more, since each is read with the half bytes that follow it. */
export function suffixBytes(length: number, tokens: number): number {
  return 4 * Math.ceil((halfBytesFor(tokens) * length) / 8) + 4;
}

const HALVES_MIN = 6;
const HALVES_MAX = 8;

function halfBytesFor(tokens: number): number {
  if (tokens <= 2 ** 24) return HALVES_MIN;
  return tokens <= 2 ** 28 ? 7 : HALVES_MAX;
}

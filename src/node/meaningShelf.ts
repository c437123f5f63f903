import { appendFile, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromHex, type Hex, toHex, utf8 } from "../core/bytes.ts";
import type { Embedder } from "../core/engine.ts";
import { sha256 } from "../core/hash.ts";
import { Meanings } from "../datanets/hybrid.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { OpenAiEmbedder } from "../upstream/embeddings.ts";
import type { Children } from "./children.ts";
import type { EmbeddingOptions } from "./nodeOptions.ts";

/** A datanet with more records is searched by words only: its vectors would be looked through one by one. */
const RECORDS_MAX = 200_000;
const BATCH = 64;
const HEAD_BYTES = 4;
const ID_BYTES = 32;

/**
 * Vectors of records, made once and kept in the data folder: a file a server and model, of u32 length of a vector, then a record's 32-byte id and its floats, little-endian,
 * again and again. What an end of the process cut off is made again.
 */
export class MeaningShelf {
  readonly #embedder: Embedder;
  readonly #folder: string;
  readonly #say: (text: string) => void;
  readonly #stop = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(data: string, embedder: Embedder, say: (text: string) => void) {
    this.#embedder = embedder;
    this.#folder = join(data, "vectors");
    this.#say = say;
  }

  /** Embeds what is not kept yet, after all that was asked for before; undefined where that fails, which is said. */
  of(records: readonly DatanetRecord[]): Promise<Meanings | undefined> {
    const made = this.#turn
      .then(() => (records.length > RECORDS_MAX ? undefined : this.#make(records)))
      .catch((error: unknown) => this.#without(error instanceof Error ? error.message : String(error)));
    this.#turn = made;
    return made;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#turn;
  }

  async #make(records: readonly DatanetRecord[]): Promise<Meanings | undefined> {
    await mkdir(this.#folder, { recursive: true });
    const known = await readVectors(this.#path);
    const missing = records.filter(({ id }) => !known.has(id));
    for (let from = 0; from < missing.length; from += BATCH) {
      const some = missing.slice(from, from + BATCH);
      const embedded = await this.#embedder.embed(some.map(textOf), this.#stop.signal);
      if (!embedded.ok) return this.#stop.signal.aborted ? undefined : this.#without(embedded.error.message);
      const [kept] = known.values();
      const { length } = embedded.value[0]!;
      if (kept !== undefined && kept.length !== length) {
        this.#say("the embeddings server has another model by now: records are embedded again");
        await rm(this.#path);
        return this.#make(records);
      }
      const entries = embedded.value.map((vector, i) => entryOf(some[i]!.id, vector));
      if (known.size === 0) entries.unshift(headOf(length));
      await appendFile(this.#path, Buffer.concat(entries));
      for (const [i, vector] of embedded.value.entries()) known.set(some[i]!.id, vector);
    }
    return new Meanings(
      this.#embedder,
      records.map(({ id }) => known.get(id)!),
    );
  }

  #without(why: string): undefined {
    this.#say(`records are found by their words only: ${why}`);
  }

  get #path(): string {
    return join(this.#folder, `${toHex(sha256(utf8(this.#embedder.name))).slice(2, 34)}.vectors`);
  }
}

/** With the server that the node's owner has configured. */
export function openMeanings(
  data: string,
  { url, model, key }: EmbeddingOptions,
  say: (text: string) => void,
  children: Children,
): MeaningShelf {
  const embedder = new OpenAiEmbedder({ baseUrl: url, model, ...(key === undefined ? {} : { apiKey: key }) });
  children.add({ name: "embeddings client", stop: () => embedder.close() });
  const shelf = new MeaningShelf(data, embedder, say);
  children.add({ name: "vectors", stop: () => shelf.close() });
  return shelf;
}

/** Made behind whoever asks: until then records are found by their words. */
export function meaningsOf(
  shelf: MeaningShelf | undefined,
  records: readonly DatanetRecord[],
): () => Meanings | undefined {
  let made: Meanings | undefined;
  void shelf?.of(records).then((meanings) => {
    made = meanings;
  });
  return () => made;
}

/** By record id. A part of an entry at the end is cut off for good, so that what is appended stands in its place. */
async function readVectors(path: string): Promise<Map<Hex, Float32Array>> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw error;
  });
  const vectors = new Map<Hex, Float32Array>();
  const length = bytes.length < HEAD_BYTES ? 0 : bytes.readUInt32LE(0);
  const entryBytes = ID_BYTES + 4 * length;
  let at = length === 0 ? 0 : HEAD_BYTES;
  for (; length > 0 && at + entryBytes <= bytes.length; at += entryBytes) {
    const vector = new Float32Array(length);
    for (let k = 0; k < length; k++) vector[k] = bytes.readFloatLE(at + ID_BYTES + 4 * k);
    vectors.set(toHex(bytes.subarray(at, at + ID_BYTES)), vector);
  }
  const whole = vectors.size === 0 ? 0 : at;
  if (whole < bytes.length) await cut(path, whole);
  return vectors;
}

async function cut(path: string, bytes: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}

function headOf(length: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(length);
  return head;
}

function entryOf(id: Hex, vector: Float32Array): Buffer {
  const entry = Buffer.alloc(ID_BYTES + 4 * vector.length);
  entry.set(fromHex(id));
  for (const [k, value] of vector.entries()) entry.writeFloatLE(value, ID_BYTES + 4 * k);
  return entry;
}

/** A record with the context that lets it stand alone. */
function textOf({ title, headingPath, text }: DatanetRecord): string {
  return [title, ...headingPath, text].join("\n");
}

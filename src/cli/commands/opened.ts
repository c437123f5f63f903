import { z } from "zod";
import { attributeText, indexMethodsHash } from "../../attribution/attribute.ts";
import { evidenceRoot } from "../../attribution/evidence.ts";
import { equalBytes, parseHex, toHex } from "../../core/bytes.ts";
import { decodeEntry } from "../../core/entry.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { decodeBundle, TILE_WIDTH, tileAt, tilePath } from "../../core/tile.ts";
import { checkOpening } from "../../gateway/opening.ts";
import { readIfThere } from "../../host/files.ts";
import type { Verdict } from "../../ledger/verify.ts";
import { type CorpusIndex, recordCount, recordId } from "../../models/corpusIndex.ts";
import { loadIndex } from "../../models/corpusIndexFile.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { parseInput, parseJson } from "../../protocol/parse.ts";
import { openingSchema } from "../../protocol/receipts.ts";

/** An opened receipt as `receipt show --json` prints it: the entry, and what opens it. */
const openedSchema = z.looseObject({
  entry: z.string(),
  opening: openingSchema.extend({
    /** Ids of the records that were retrieved into the context, best first. */
    context: z.array(z.string()).optional(),
  }),
});
type Opening = z.infer<typeof openedSchema>["opening"];

export interface VerifiedAttribution {
  readonly receipt: string;
  readonly seq: number;
  /** Pieces of evidence, and the records that they credit. */
  readonly evidence: number;
  readonly records: number;
}

/** Attributes an opened receipt's answer again: its texts, its index and its methods must be what the entry names, and so must the evidence. */
export async function verifyOpened(input: {
  readonly opened: string;
  readonly index: string;
  readonly read: (path: string) => Promise<Uint8Array | undefined>;
  readonly verdict: Verdict;
}): Promise<Result<VerifiedAttribution>> {
  const text = await readIfThere(input.opened);
  if (text === undefined) return refuse("not_found", `there is no file ${input.opened}`, { field: "opened" });
  const json = parseJson(text);
  const opened = json.ok ? parseInput(openedSchema, json.value) : json;
  if (!opened.ok) {
    return refuse("invalid_request", `${input.opened} is not an opened receipt: ${opened.error.message}`, {
      ...{ field: "opened", hint: "openledger receipt show ID --json, with the payer's key" },
    });
  }
  const bytes = parseHex(opened.value.entry);
  const entry = bytes === undefined ? undefined : decodeEntry(bytes);
  if (bytes === undefined || !entry?.ok || entry.value.kind !== "receipt")
    return refuse("invalid_request", `the entry in ${input.opened} is not a receipt's`, { field: "opened" });
  const { seq, receipt } = entry.value;
  const published = await entryAt(input.read, seq, input.verdict.size);
  if (published === undefined || !equalBytes(published, bytes))
    return failed(`the receipt is not entry ${seq} of this journal`);
  const { opening } = opened.value;
  const texts = checkOpening(opening, receipt);
  if (!texts.ok) return texts;
  const index = loadIndex(input.index, houseTokenizer());
  if (!index.ok) return index;
  if (!equalBytes(index.value.id, receipt.indexId))
    return failed(`the receipt names index ${toHex(receipt.indexId)}, this is ${toHex(index.value.id)}`);
  if (!equalBytes(receipt.methodsHash, indexMethodsHash))
    return failed("the receipt was attributed with methods that this program does not have");
  const again = attributeAgain(index.value, opening, receipt.evidenceRoot);
  return again === undefined
    ? failed(`the evidence of receipt ${toHex(receipt.id)} does not come out again from its answer and its index`)
    : ok({ receipt: toHex(receipt.id), seq, ...again });
}

/**
 * The evidence root decides. Where an opening does not list its context, the contexts that its evidence allows are tried: none, the records that were
 * credited as passages, and all that were credited.
 */
export function attributeAgain(
  index: CorpusIndex,
  opening: Pick<Opening, "answer" | "context" | "evidence">,
  root: Uint8Array,
): Pick<VerifiedAttribution, "evidence" | "records"> | undefined {
  const numbers = new Map<string, number>();
  for (let i = 0; i < recordCount(index); i++) numbers.set(toHex(recordId(index, i)), i);
  const recordsOf = (ids: readonly (string | undefined)[]): number[] => [
    ...new Set(ids.flatMap((id) => (id === undefined ? [] : (numbers.get(normal(id)) ?? [])))),
  ];
  const passages = opening.evidence.filter(({ kind }) => kind === "passage").map(({ record }) => record);
  const contexts =
    opening.context === undefined
      ? [[], recordsOf(passages), recordsOf(opening.evidence.map(({ record }) => record))]
      : [recordsOf(opening.context)];
  for (const context of contexts) {
    const { evidence, totalUnits } = attributeText(index, opening.answer, { context });
    if (equalBytes(evidenceRoot(evidence, totalUnits), root))
      return { evidence: evidence.length, records: new Set(evidence.map(({ recordNumber }) => recordNumber)).size };
  }
  return undefined;
}

async function entryAt(
  read: (path: string) => Promise<Uint8Array | undefined>,
  seq: number,
  size: number,
): Promise<Uint8Array | undefined> {
  const tile = tileAt("entries", Math.floor(seq / TILE_WIDTH), size);
  const bundle = tile === undefined ? undefined : await read(tilePath(tile));
  const entries = tile === undefined || bundle === undefined ? undefined : decodeBundle(bundle, tile.width);
  return entries?.ok ? entries.value[seq % TILE_WIDTH] : undefined;
}

function normal(id: string): string {
  const bytes = parseHex(id);
  return bytes === undefined ? id : toHex(bytes);
}

function failed(message: string): Result<never> {
  return refuse("verification_failed", message);
}

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  type Combination,
  type CombinationPolicy,
  combinationText,
  defaultPolicy,
  policyBounds,
} from "../attribution/policy.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { ok, RefusalError, type Result, refuse } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";

const part = ({ min, max }: { readonly min: number; readonly max: number }) => z.number().int().min(min).max(max);
const policySchema = z.strictObject({
  assumedPpm: part(policyBounds.assumedPpm).default(defaultPolicy.assumedPpm),
  lineage: z
    .strictObject({
      keepPpm: part(policyBounds.keepPpm).default(defaultPolicy.lineage.keepPpm),
      partMinPpm: part(policyBounds.partMinPpm).default(defaultPolicy.lineage.partMinPpm),
    })
    .default(defaultPolicy.lineage),
});

/** How this node combines evidence: its policy from `attribution.json` in the data folder, and the text of every combination that it has used. */
export class CombinationShelf {
  readonly policy: CombinationPolicy;
  readonly #folder: string;
  #publish: (text: Uint8Array) => Promise<Result<void>> = async () => ok(undefined);

  private constructor(policy: CombinationPolicy, folder: string) {
    this.policy = policy;
    this.#folder = folder;
  }

  /** Refuses `data_folder_damaged` for a policy that is none, or beyond the bounds. */
  static async open(data: string): Promise<Result<CombinationShelf>> {
    const folder = join(data, "combinations");
    await mkdir(folder, { recursive: true });
    const path = join(data, "attribution.json");
    const text = await readIfThere(path);
    if (text === undefined) return ok(new CombinationShelf(defaultPolicy, folder));
    const json = parseJson(text);
    const policy = json.ok ? parseInput(policySchema, json.value) : json;
    return policy.ok
      ? ok(new CombinationShelf(policy.value, folder))
      : refuse("data_folder_damaged", `${path} is no attribution policy: ${policy.error.message}`, {
          hint: "mend it, or move it away: the default policy holds then",
        });
  }

  /** Where a combination is made public before a receipt names it: the ledger's journal. */
  publishTo(publish: (text: Uint8Array) => Promise<Result<void>>): void {
    this.#publish = publish;
  }

  /** Writes the text down for good and publishes it; receipts name it by its hash. Throws what the ledger refuses. */
  keep(combination: Combination): Promise<void> {
    return this.keepText(combinationText(combination));
  }

  /** The same of what divides a part otherwise than by methods of attribution. */
  async keepText(text: string): Promise<void> {
    await writeAtomically(this.#pathOf(keccak256(utf8(text))), text);
    const published = await this.#publish(utf8(text));
    if (!published.ok) throw new RefusalError(published.error);
  }

  text(hash: Uint8Array): Promise<string | undefined> {
    return readIfThere(this.#pathOf(hash));
  }

  #pathOf(hash: Uint8Array): string {
    return join(this.#folder, `${toHex(hash)}.txt`);
  }
}

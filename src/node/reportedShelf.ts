import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { type Hex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { noPrices } from "../core/quote.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import type { ReportRules } from "../gateway/executionDesk.ts";
import type { Grounding } from "../gateway/ports.ts";
import type { ReportedModel, ReportedModels } from "../gateway/reportedModels.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import {
  type ImportedModel,
  type ImportModels,
  newReportedModel,
  type ReportedModelInput,
  reportedModelInput,
} from "../protocol/executions.ts";
import { parseInput } from "../protocol/parse.ts";
import type { ChainPart } from "./chainPart.ts";
import { type Declaration, type DeclaredVersion, type FindVersion, partyId, resolveDeclaration } from "./declared.ts";
import { groundModel } from "./grounding.ts";
import { indexRecords } from "./indexing.ts";
import { People } from "./people.ts";
import { type Provenance, registerAsset, termsOf } from "./provenance.ts";

/** What is kept of a registered model. Versions are named by number: what was the latest then is not what is the latest now. */
const keptSchema = z.object({
  input: reportedModelInput,
  asset: z.string(),
  pool: z.string().nullable(),
  createdMs: z.number(),
});
type Kept = z.infer<typeof keptSchema>;

/** As JSON has it: what is read back has its fields in another order, and none that are undefined. */
function asKept(input: Kept["input"]): unknown {
  return JSON.parse(JSON.stringify(input));
}

export interface ReportedShelfParts {
  /** Where registrations are kept; none are where it is left out. */
  readonly folder?: string;
  readonly provenance: Provenance;
  readonly models: ReportedModels;
  readonly find: FindVersion;
  /** 32 bytes: who is paid the cost where a model names nobody. */
  readonly operator: Uint8Array;
  /** Whether assets can be registered for others than the node: on credit they can. */
  readonly hasOwners: boolean;
  readonly nowMs: () => number;
}

/** The models that others serve: registered with their terms and with what they were made from, hundreds at once. */
export class ReportedShelf {
  readonly #parts: ReportedShelfParts;
  readonly #kept = new Map<string, Kept>();
  readonly #names = new Map<string, string>();
  readonly #groundings = new Map<string, Promise<Grounding>>();

  constructor(parts: ReportedShelfParts) {
    this.#parts = parts;
  }

  async restore(): Promise<Result<void>> {
    const { folder } = this.#parts;
    if (folder === undefined) return ok(undefined);
    await mkdir(folder, { recursive: true });
    for (const file of (await readdir(folder)).filter((name) => name.endsWith(".json")).sort()) {
      const kept = keptSchema.safeParse(parsed((await readIfThere(join(folder, file))) ?? ""));
      if (!kept.success) return refuse("data_folder_damaged", `${file} in ${folder} cannot be read`);
      const declaration = await resolveDeclaration(kept.data.input.trainedOn, this.#parts.find);
      if (!declaration.ok) return declaration;
      this.#place(kept.data, declaration.value);
    }
    return ok(undefined);
  }

  /** One after the other, each on its own: what is refused holds up no other, and what was registered before is known. */
  async importAll({ models, dryRun, replace }: ImportModels): Promise<readonly ImportedModel[]> {
    const done: ImportedModel[] = [];
    for (const [i, raw] of models.entries()) {
      const input = parseInput(newReportedModel, raw);
      const imported = input.ok ? await this.#import(input.value, dryRun, replace) : input;
      const [row, name] = [i + 1, input.ok ? input.value.name : nameIn(raw)];
      done.push(imported.ok ? { row, name, ...imported.value } : { row, name, ...refusalOf(imported.error) });
    }
    return done;
  }

  labelOf(payee: Uint8Array): string | undefined {
    return this.#names.get(toHex(payee));
  }

  async #import(
    given: ReportedModelInput,
    dryRun: boolean,
    replace: boolean,
  ): Promise<Result<Pick<ImportedModel, "outcome" | "asset" | "contributors">>> {
    const { provenance, find, hasOwners, nowMs } = this.#parts;
    if (given.owner !== undefined && !hasOwners)
      return refuse("invalid_request", "on a chain a model is registered by its owner", {
        hint: "leave `owner` out, and transfer the asset afterwards",
        field: "owner",
      });
    const declaration = await resolveDeclaration(given.trainedOn, find);
    if (!declaration.ok) return declaration;
    const { parents, shares, entries } = declaration.value;
    const input = { ...given, trainedOn: [...entries] };
    const contentRoot = sha256(utf8(`openledger reported model 1\n${JSON.stringify(input)}`));
    const known = this.#kept.get(input.name);
    const isSame = known !== undefined && isDeepStrictEqual(asKept(known.input), asKept(input));
    if (isSame) return ok({ outcome: "known", asset: hexOf(known.asset), contributors: shares.length });
    if (known !== undefined && !replace)
      return refuse("already_exists", `"${input.name}" is registered with other terms or records`, {
        hint: "--replace makes this its new version: what was reported before keeps the old one",
        field: "name",
      });
    const outcome = known === undefined ? "registered" : "replaced";
    if (dryRun) return ok({ outcome, contributors: shares.length });
    const terms = { ...termsOf(input.licence, input.parentsBps, input.royalty ?? noPrices), unit: input.unit };
    const owner = input.owner === undefined ? {} : { owner: partyId(input.owner) };
    const uri = `openledger:model/${encodeURIComponent(input.name)}`;
    const asset = await registerAsset(provenance, { kind: "model", contentRoot, terms, parents, uri, ...owner });
    if (!asset.ok) return asset;
    const pool = shares.length === 0 ? ok(undefined) : await provenance.ledger.assets.declare(asset.value.id, shares);
    if (!pool.ok) return pool;
    const kept: Kept = {
      ...{ input, asset: toHex(asset.value.id), pool: pool.value === undefined ? null : toHex(pool.value) },
      createdMs: nowMs(),
    };
    await this.#keep(kept);
    this.#place(kept, declaration.value);
    return ok({ outcome, asset: toHex(asset.value.id), contributors: shares.length });
  }

  async #keep(kept: Kept): Promise<void> {
    const { folder } = this.#parts;
    if (folder === undefined) return;
    await mkdir(folder, { recursive: true });
    const file = `${toHex(sha256(utf8(kept.input.name))).slice(2, 34)}.json`;
    await writeAtomically(join(folder, file), `${JSON.stringify(kept)}\n`);
  }

  #place(kept: Kept, { versions, shares, names }: Declaration): void {
    const { input, asset, pool, createdMs } = kept;
    const { operator, provenance } = this.#parts;
    this.#kept.set(input.name, kept);
    for (const [payee, name] of names) this.#names.set(payee, name);
    if (pool !== null) this.#names.set(pool, `declared contributors of ${input.name}`);
    const { books, assets } = provenance.ledger;
    const makers = assets.get(partyId(asset))?.royaltyPayee;
    if (makers !== undefined && books.payee(books.payeeNumber(makers) ?? 0)?.type === "pool")
      this.#names.set(toHex(makers), `makers of ${input.name}`);
    const model: ReportedModel = {
      ...{ name: input.name, asset: partyId(asset), createdMs, ownedBy: input.owner ?? toHex(provenance.chain.node) },
      operator: input.operator === undefined ? operator : partyId(input.operator),
      terms: {
        ...{ unit: input.unit, cost: input.cost ?? noPrices, royalty: input.royalty ?? noPrices },
        royaltyBps: input.royaltyBps,
      },
      ...{ datanets: versions.map(({ datanet }) => datanet), contributors: shares.length },
      ...{ isUndeclared: input.trainedOn.length === 0, ...(pool === null ? {} : { pool: partyId(pool) }) },
      ...(versions.length === 0 ? {} : { grounding: () => this.#ground(versions) }),
    };
    this.#parts.models.put(model);
  }

  /** One index for all models that were made from the same versions; made when the first text comes. */
  #ground(versions: readonly DeclaredVersion[]): Promise<Grounding> {
    const key = versions.map(({ asset }) => toHex(asset)).join(" ");
    let grounding = this.#groundings.get(key);
    if (grounding === undefined) {
      grounding = groundVersions(versions);
      this.#groundings.set(key, grounding);
      // What could not be made is made again for the next text.
      grounding.catch(() => this.#groundings.delete(key));
      for (const oldest of this.#groundings.keys()) {
        if (this.#groundings.size <= INDEXES_MAX) break;
        this.#groundings.delete(oldest);
      }
    }
    return grounding;
  }
}

/** Attribution alone, over the records of all versions: what others' models read before they answered is not known. */
async function groundVersions(versions: readonly DeclaredVersion[]): Promise<Grounding> {
  const records = versions.flatMap((version) => version.records);
  const index = await indexRecords(records);
  const datanets = versions.map(({ datanet }) => datanet);
  return groundModel({ datanets, records, index, people: new People(...versions), contextTokensMax: 0 });
}

/** Indexes are kept in memory: those used last. */
const INDEXES_MAX = 8;

/** On credit whoever is reported gets an account and pays later; on a chain nobody can owe more than was deposited. */
export function reportRules({ rpcUrl }: ChainPart, said: Partial<ReportRules>): ReportRules {
  return rpcUrl === undefined
    ? { payers: "open", credit: "arrears", ...said }
    : { payers: "known", credit: "prepaid", ...said };
}

function refusalOf({ code, message, hint }: Refusal): Pick<ImportedModel, "outcome" | "code" | "reason" | "hint"> {
  return { outcome: "refused", code, reason: message, ...(hint === undefined ? {} : { hint }) };
}

function nameIn(raw: unknown): string {
  const name = typeof raw === "object" && raw !== null && "name" in raw ? raw.name : undefined;
  return typeof name === "string" ? name.slice(0, 256) : "";
}

function hexOf(text: string): Hex {
  return toHex(partyId(text));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

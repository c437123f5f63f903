import { padAddress, toHex, utf8 } from "../core/bytes.ts";
import { keccak256, sha256 } from "../core/hash.ts";
import { creditLedgerId } from "../core/move.ts";
import { defaultPolicyBps } from "../core/policy.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { collectImport, type ImportReport, importLimits } from "../datanets/importing.ts";
import { importJsonl } from "../datanets/importJsonl.ts";
import { sealRecord } from "../datanets/record.ts";
import { ExecutionDesk } from "../gateway/executionDesk.ts";
import { type ReportedModel, ReportedModels } from "../gateway/reportedModels.ts";
import { type ReportOptions, readAll } from "../ingest/formats.ts";
import { creditChain } from "../ledger/creditChain.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import { openLedger } from "../ledger/openLedger.ts";
import type { PeriodParty } from "../ledger/period.ts";
import type { DeclaredVersion, FindVersion } from "../node/declared.ts";
import { registerAsset, termsOf } from "../node/provenance.ts";
import { ReportedShelf } from "../node/reportedShelf.ts";
import type { ExecutionRow, ImportedModel } from "../protocol/executions.ts";
import type { ReportChunk } from "./reportFile.ts";
import { ShadowStore } from "./shadowStore.ts";

export interface ShadowOptions {
  readonly report: ReportOptions;
  readonly models: readonly unknown[];
  /** Files of records, by the datanet's name. */
  readonly datanets: ReadonlyMap<string, string>;
  /** The royalty, in basis points of the cost, of models that no manifest names; such models are undeclared. */
  readonly royaltyBps: number;
  readonly nanoPerUsd: number;
  readonly nowMs: number;
  readonly onProgress: (text: string) => void;
}

/** What everybody would have been owed. No money moves, and nothing is kept. */
export interface Shadow {
  readonly rows: { booked: number; known: number; refused: number };
  readonly refused: readonly ExecutionRow[];
  readonly models: readonly ImportedModel[];
  /** Names of models that no manifest names, with their rows. */
  readonly undeclared: ReadonlyMap<string, number>;
  readonly charged: bigint;
  readonly parties: readonly (PeriodParty & { readonly name: string })[];
  /** Of the hex of an asset, or of the pool of a model's declared contributors. */
  modelName(id: string): string | undefined;
}

const REFUSED_KEPT_MAX = 1_000;
const node = keccak256(utf8("openledger shadow")).slice(12);

/** Books a file's executions on a ledger that keeps sums alone, and gives the statements that would follow. */
export async function castShadow(chunks: AsyncIterable<ReportChunk>, options: ShadowOptions): Promise<Result<Shadow>> {
  const store = new ShadowStore(creditLedgerId(node));
  const opened = await openShadowLedger(store, options.nowMs);
  if (!opened.ok) return opened;
  const ledger = opened.value;
  const provenance = { chain: creditChain(node), ledger };
  const models = new ReportedModels();
  const find = await versionsOf(options.datanets, provenance, options.onProgress);
  if (!find.ok) return find;
  const operator = padAddress(node);
  const parts = { provenance, models, find: find.value, operator, hasOwners: true, nowMs: () => options.nowMs };
  const shelf = new ReportedShelf(parts);
  const imported = await shelf.importAll({ models: [...options.models], dryRun: false, replace: false });
  const undeclared = new Map<string, number>();
  const bare = await undeclaredModel(provenance, operator, options.royaltyBps);
  if (!bare.ok) return bare;
  const desk = new ExecutionDesk({
    ...{ ledger, rules: { payers: "open", credit: "arrears" } },
    model: (name) => models.get(name) ?? countedIn(undeclared, name, bare.value),
    rateFor: () => ok({ nanoPerUsd: options.nanoPerUsd, source: "shadow" }),
  });
  const rows = { booked: 0, known: 0, refused: 0 };
  const refused: ExecutionRow[] = [];
  for await (const chunk of chunks) {
    const done = await bookChunk(desk, chunk, options.report);
    if (!done.ok) return done;
    for (const name of ["booked", "known", "refused"] as const) rows[name] += done.value.counts[name];
    refused.push(...done.value.refused.slice(0, REFUSED_KEPT_MAX - refused.length));
    const percent = chunk.total === 0 ? 100 : Math.floor((100 * chunk.bytes) / chunk.total);
    options.onProgress(`${Math.min(100, percent)} %: ${rows.booked} executions`);
  }
  const found = store.close((payee) => ledger.books.accrued(payee).open);
  const names = namesOf(ledger, shelf, operator);
  const parties = found.map((party) => ({ ...party, name: names(party) }));
  const { debited } = ledger.books.totals();
  const modelName = (id: string) =>
    models.list().find(({ asset, pool }) => toHex(asset) === id || (pool !== undefined && toHex(pool) === id))?.name;
  await ledger.close();
  return ok({ rows, refused, models: imported, undeclared, charged: debited, parties, modelName });
}

async function bookChunk(desk: ExecutionDesk, chunk: ReportChunk, report: ReportOptions) {
  const numbers: number[] = [];
  const records = chunk.records.filter((record, i) => record !== undefined && numbers.push(chunk.first + i));
  const readings = readAll(records, report).map((reading) => {
    if (!reading.ok) return reading;
    // Nothing is kept that could be amended: the first word on a row counts.
    const { isAmendment: _, ...execution } = reading.execution;
    return { ...reading, execution };
  });
  const booked = await desk.book(readings, { tellsRefused: true });
  if (!booked.ok) return booked;
  const told = booked.value.rows.map((row) => ({ ...row, row: numbers[row.row - 1] ?? row.row }));
  const broken = chunk.broken.map(
    ({ row, reason }) => ({ row, outcome: "refused", code: "invalid_request", reason }) as const,
  );
  const counts = { ...booked.value, refused: booked.value.refused + broken.length };
  return ok({ counts, refused: [...broken, ...told] });
}

function openShadowLedger(store: ShadowStore, nowMs: number): Promise<Result<OpenLedger>> {
  const purse = (name: string): Uint8Array => keccak256(utf8(`openledger shadow ${name}`));
  let drawn = 0;
  return openLedger({
    ...{ id: creditLedgerId(node), store, node: padAddress(node), requireDeposit: false, secret: purse("secret") },
    world: {
      nowMs: () => nowMs,
      randomBytes: (size) => sha256(utf8(`shadow ${drawn++}`)).slice(0, size),
      warn: () => undefined,
    },
    // Nobody is shown this journal, so nobody needs its signatures.
    signer: { sign: () => new Uint8Array(65) },
    domain: { chainId: 0, verifyingContract: new Uint8Array(20) },
    policy: {
      ...defaultPolicyBps,
      ...{ treasuryPayee: purse("treasury"), reservePayee: purse("reserve"), datanetReservePayee: purse("datanets") },
    },
  });
}

type Provenance = Parameters<typeof registerAsset>[0];

/** Datanets read from files of records, each as its own first version. */
async function versionsOf(
  files: ReadonlyMap<string, string>,
  provenance: Provenance,
  onProgress: (text: string) => void,
): Promise<Result<FindVersion>> {
  const versions = new Map<string, DeclaredVersion>();
  for (const [datanet, file] of files) {
    onProgress(`reading ${file}`);
    const read: Result<ImportReport> = await collectImport(importJsonl({ file, label: datanet, limits: importLimits }));
    if (!read.ok) return read;
    const records = read.value.groups.flatMap((group) => group.records.map((content) => sealRecord(content, "0x00")));
    const id = sha256(utf8(`shadow datanet ${datanet}`));
    const asset = await registerAsset(provenance, {
      ...{ kind: "datanet", contentRoot: id, parents: [], terms: termsOf("NOASSERTION", 0), uri: `shadow:${datanet}` },
    });
    if (!asset.ok) return asset;
    const scope = { chainId: 0, registry: new Uint8Array(20), datanet: id, secret: sha256(id) };
    versions.set(datanet, { datanet, number: 1, asset: asset.value.id, scope, records });
  }
  return ok((datanet, version) => {
    const found = versions.get(datanet);
    if (found !== undefined && (version ?? 1) === 1) return Promise.resolve(ok(found));
    return Promise.resolve(
      refuse("not_found", `there is no file for the datanet ${datanet}`, {
        hint: `name it: --datanet ${datanet}=FILE`,
      }),
    );
  });
}

async function undeclaredModel(
  provenance: Provenance,
  operator: Uint8Array,
  royaltyBps: number,
): Promise<Result<ReportedModel>> {
  const none = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
  const asset = await registerAsset(provenance, {
    ...{ kind: "model", contentRoot: sha256(utf8("shadow undeclared")), parents: [], uri: "shadow:undeclared" },
    terms: termsOf("NOASSERTION", 0),
  });
  if (!asset.ok) return asset;
  return ok({
    ...{
      name: "undeclared",
      asset: asset.value.id,
      ownedBy: "",
      operator,
      createdMs: 0,
      datanets: [],
      contributors: 0,
    },
    ...{ isUndeclared: true, terms: { unit: "nano", cost: none, royalty: none, royaltyBps } },
  });
}

function countedIn(counts: Map<string, number>, name: string, model: ReportedModel): ReportedModel {
  counts.set(name, (counts.get(name) ?? 0) + 1);
  return model;
}

function namesOf(ledger: OpenLedger, shelf: ReportedShelf, operator: Uint8Array): (party: PeriodParty) => string {
  const policy = ledger.books.policy();
  const accounts = new Map(ledger.accounts.list().map(({ pseudonym, name }) => [toHex(pseudonym), name]));
  const known = new Map([
    [toHex(operator), "operator, and owner of models that name none"],
    [toHex(policy.treasuryPayee), "treasury"],
    [toHex(policy.reservePayee), "reserve: validation, disputes, refunds"],
    [toHex(policy.datanetReservePayee), "reserved for datanets: models that declare nothing"],
  ]);
  return ({ type, id }) =>
    type === "account"
      ? (accounts.get(`0x${id.slice(2)}`) ?? id)
      : (known.get(`0x${id.slice(2)}`) ?? labelOf(shelf, id));
}

function labelOf(shelf: ReportedShelf, id: string): string {
  return shelf.labelOf(Buffer.from(id.slice(2), "hex")) ?? id;
}

import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Annotation, type AnnotationDraft, annotationsRoot, prepareAnnotation } from "./annotation.ts";
import { structuringContext } from "./context.ts";
import { type Contribution, type ContributionDraft, prepareContribution } from "./contribution.ts";
import type { Import, LeftOut, Progress } from "./importing.ts";
import type { RecordLineage } from "./outputs.ts";
import type { DatanetRecord } from "./record.ts";
import type { DatanetStore } from "./store.ts";
import { type BuiltVersion, buildVersion } from "./version.ts";

/** From documents to a version, over the store: what a command or a request asks for in one go. */
export interface Submitted {
  readonly contribution: Contribution;
  readonly leftOut: readonly LeftOut[];
}

/** Which of some records repeat earlier answers; see {@link ./outputs.ts}. */
export type LineageFinder = (records: readonly DatanetRecord[], timeMs: number) => Promise<readonly RecordLineage[]>;

export async function submitContribution(
  store: DatanetStore,
  datanetName: string,
  draft: ContributionDraft,
  timeMs: number,
  lineageOf?: LineageFinder,
): Promise<Result<Submitted>> {
  const datanet = await store.datanet(datanetName);
  if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
  const prepared = prepareContribution(datanet, draft, timeMs);
  if (!prepared.ok) return prepared;
  const { contribution, records } = prepared.value;
  const lineage = (await lineageOf?.(records, timeMs)) ?? [];
  const added = await store.addContribution({
    contribution: lineage.length === 0 ? contribution : { ...contribution, lineage },
    records,
  });
  return added.ok ? ok({ contribution: added.value, leftOut: prepared.value.leftOut }) : added;
}

/**
 * The same records put in again by the same party, perhaps with more to say of them: what they repeat, which is taken at its word, or what they build on. `isNew`
 * where something is. As when they were put in, they are compared with answers that were given before.
 */
export async function declareAgain(
  store: DatanetStore,
  datanetName: string,
  draft: ContributionDraft,
  timeMs: number,
  lineageOf?: LineageFinder,
): Promise<Result<{ readonly contribution: Contribution; readonly isNew: boolean }>> {
  const datanet = await store.datanet(datanetName);
  if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
  const prepared = prepareContribution(datanet, draft, timeMs);
  if (!prepared.ok) return prepared;
  const { id, documents } = prepared.value.contribution;
  const known = await store.contribution(datanetName, id);
  if (known === undefined) return refuse("not_found", `datanet ${datanetName} has no contribution ${id}`);
  const lineage = await lineageOf?.(await store.contributionRecords(datanetName, id), known.submittedMs);
  const said = {
    ...(lineage === undefined || lineage.length === 0 ? {} : { lineage }),
    ...(documents === undefined ? {} : { documents }),
  };
  if (JSON.stringify({ ...known, ...said }) === JSON.stringify(known)) return ok({ contribution: known, isNew: false });
  const declared = await store.declare(datanetName, id, said);
  return declared.ok ? ok({ contribution: declared.value, isNew: true }) : declared;
}

export interface ImportedInto {
  readonly contributions: readonly Contribution[];
  readonly records: number;
  /** Groups that the datanet has from before, unchanged. */
  readonly known: number;
  readonly leftOut: readonly LeftOut[];
}

/** Each group of an import becomes a contribution by `by`. Running the same import again adds only what is new. */
export async function importInto(
  store: DatanetStore,
  datanetName: string,
  events: Import,
  by: string,
  now: () => number,
  onProgress: Progress = () => undefined,
): Promise<Result<ImportedInto>> {
  const [contributions, leftOut] = [[] as Contribution[], [] as LeftOut[]];
  let known = 0;
  for await (const event of events) {
    if (event.kind === "refused") return { ok: false, error: event.refusal };
    if (event.kind === "progress") onProgress(event.done, event.total, event.label);
    if (event.kind === "leftOut") leftOut.push({ what: event.what, reason: event.reason });
    if (event.kind !== "group") continue;
    const { group } = event;
    const { label } = group;
    const submitted = await submitContribution(store, datanetName, { by, ...group }, now());
    if (submitted.ok) {
      contributions.push(submitted.value.contribution);
      leftOut.push(...submitted.value.leftOut);
    } else if (submitted.error.code === "already_exists") known++;
    else if (submitted.error.code === "rule_violated") leftOut.push({ what: label, reason: whyNone(submitted.error) });
    else return submitted;
  }
  return ok({ contributions, records: contributions.reduce((sum, { records }) => sum + records, 0), known, leftOut });
}

/** Freezes what is approved now as the next version. `structuredBy`: 32-byte party id of the context's owner. */
export async function publishVersion(
  store: DatanetStore,
  datanetName: string,
  structuredBy: Hex,
  timeMs: number,
): Promise<Result<BuiltVersion>> {
  const datanet = await store.datanet(datanetName);
  if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
  const approved = [];
  for (const contribution of await store.contributions(datanetName, "approved")) {
    approved.push({ contribution, records: await store.contributionRecords(datanetName, contribution.id) });
  }
  const present = new Set(approved.flatMap(({ records }) => records.map(({ id }) => id)));
  const added = (await store.annotations(datanetName)).filter(
    ({ status, record }) => status === "approved" && present.has(record),
  );
  const context = structuringContext(structuredBy, added.length === 0 ? undefined : annotationsRoot(added));
  if (!context.ok) return context;
  const previous = await store.version(datanetName);
  const built = buildVersion({
    ...{ datanet, previous, context: context.value.id, approved, timeMs },
    ...(added.length === 0 ? {} : { annotations: added.map(({ id }) => id) }),
  });
  if (!built.ok) return built;
  const kept = await store.addVersion(built.value, context.value);
  return kept.ok ? built : kept;
}

/** Adds words to a record of the latest version; from the next version on it is found by them. */
export async function annotateRecord(
  store: DatanetStore,
  datanetName: string,
  draft: AnnotationDraft,
  timeMs: number,
): Promise<Result<Annotation>> {
  const [datanet, version] = [await store.datanet(datanetName), await store.version(datanetName)];
  if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
  if (version === undefined)
    return refuse("conflict", `datanet ${datanetName} has no version yet`, { hint: "publish one first" });
  const records = await store.versionRecords(datanetName, version.number);
  const prepared = prepareAnnotation(datanet, draft, records, await store.annotations(datanetName), timeMs);
  return prepared.ok ? store.addAnnotation(prepared.value) : prepared;
}

function whyNone(refusal: { readonly message: string; readonly hint?: string }): string {
  return refusal.hint === undefined ? refusal.message : `${refusal.message} (${refusal.hint})`;
}

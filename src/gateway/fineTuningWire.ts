import { ok, type Result, refuse } from "../core/result.ts";
import { isOver, type Job, type JobEvent } from "../factory/job.ts";
import type { TrainingWish } from "../factory/options.ts";
import { type TrainingOrder, usualName } from "../factory/order.ts";
import { DATANETS_MAX } from "../factory/source.ts";
import type { StoredFile } from "../factory/store.ts";
import type { FineTune } from "../protocol/fineTuning.ts";

/** Between OpenAI's words for fine-tuning and the factory's. */
export function orderOf(body: FineTune): Result<TrainingOrder> {
  const { openledger: ours = {}, suffix, metadata } = body;
  const source = sourceOf(body);
  if (!source.ok) return source;
  const deploy = ours.deploy ?? true;
  return ok({
    ...{ base: body.model, source: source.value, wish: wishOf(body) },
    ...(ours.heldOut === undefined ? {} : { heldOutShare: ours.heldOut }),
    ...(suffix == null ? {} : { suffix }),
    ...(metadata == null ? {} : { metadata }),
    ...(deploy === false ? {} : { deploy: deploy === true ? {} : present(deploy) }),
    ...(ours.paused === true ? { isPaused: true } : {}),
  });
}

/** Which jobs a list of them is asked for: `metadata[team]=a`, several of which must all hold, or `metadata=null`. */
export function metadataFilter(query: Readonly<Record<string, string>>): Result<(job: Job) => boolean> {
  const wanted: [name: string, value: string][] = [];
  for (const [field, value] of Object.entries(query)) {
    const name = /^metadata\[([^[\]]{1,64})\]$/.exec(field)?.[1];
    if (name !== undefined) wanted.push([name, value]);
    else if (field !== "metadata" || (value !== "null" && value !== ""))
      return refuse("invalid_request", `${field.slice(0, 80)} is not supported here`, {
        hint: "jobs are filtered by metadata[NAME]=VALUE, or metadata=null",
        field: field.slice(0, 80),
      });
  }
  if ("metadata" in query && wanted.length > 0)
    return refuse("invalid_request", "jobs have this metadata, or none", { field: "metadata" });
  if ("metadata" in query) return ok(({ metadata }) => Object.keys(metadata ?? {}).length === 0);
  return ok(({ metadata = {} }) =>
    wanted.every(([name, value]) => Object.hasOwn(metadata, name) && metadata[name] === value),
  );
}

export function jobView(job: Job, nowMs: number): object {
  const { id, options, source, deployments, result, error, progress, estimate, metadata, account } = job;
  const hyperparameters = {
    ...{ n_epochs: options.epochs, batch_size: options.batchSize },
    learning_rate_multiplier: job.rateMultiplier ?? "auto",
  };
  return {
    ...{ id, object: "fine_tuning.job", created_at: seconds(job.createdMs), model: job.base.name, status: job.status },
    fine_tuned_model: deployments.find(({ step }) => step === undefined)?.name ?? null,
    ...{ finished_at: job.finishedMs === undefined ? null : seconds(job.finishedMs), organization_id: account },
    ...{ result_files: [], seed: options.seed, trained_tokens: result?.trainedTokens ?? null, integrations: [] },
    ...{
      training_file: sourceText(source),
      validation_file: source.kind === "file" ? (source.validation ?? null) : null,
    },
    ...{ hyperparameters, method: { type: "supervised", supervised: { hyperparameters } } },
    ...{ metadata: metadata ?? null, estimated_finish: finishOf(job, nowMs) },
    error: error === undefined ? null : { code: error.code, message: error.message, param: error.field ?? null },
    openledger: {
      ...{ base: job.base, options, estimate, held_out: job.heldOutShare },
      ...(progress === undefined || isOver(job) ? {} : { progress }),
      ...(job.baseLoss === undefined ? {} : { baseLoss: job.baseLoss }),
      ...(result === undefined ? {} : { result }),
      ...{ deployments, paid: job.paid, ...(job.owed === undefined ? {} : { owed: job.owed }) },
    },
  };
}

export function eventView(job: string, { number, timeMs, level, message, data = {} }: JobEvent): Row {
  const type = Object.keys(data).length === 0 ? "message" : "metrics";
  return {
    ...{ id: `ftevent-${job.replace(/^ftjob-/, "")}-${number}`, object: "fine_tuning.job.event" },
    ...{ created_at: seconds(timeMs), level, message, type, data },
  };
}

/** A row of a list: whatever it is, it has an id. */
interface Row {
  readonly id: string;
  readonly [name: string]: unknown;
}

/** The number of an event of this job; undefined where it is no such event's id. */
export function eventNumber(job: string, id: string): number | undefined {
  const [head, number] = [`ftevent-${job.replace(/^ftjob-/, "")}-`, id.slice(id.lastIndexOf("-") + 1)];
  return id === `${head}${number}` && /^[1-9]\d{0,8}$/.test(number) ? Number(number) : undefined;
}

/** Newest first. */
export function checkpointViews(job: Job): readonly Row[] {
  return job.checkpoints.toReversed().map(({ step, timeMs, trainLoss, heldOutLoss, isKept }) => ({
    ...{ id: `ftckpt-${job.id.replace(/^ftjob-/, "")}-${step}`, object: "fine_tuning.job.checkpoint" },
    ...{ created_at: seconds(timeMs), fine_tuning_job_id: job.id, step_number: step },
    fine_tuned_model_checkpoint: job.deployments.find((one) => one.step === step)?.name ?? usualName(job, step),
    metrics: {
      step,
      ...(trainLoss === undefined ? {} : { train_loss: trainLoss }),
      ...(heldOutLoss === undefined ? {} : { valid_loss: heldOutLoss }),
    },
    openledger: { isKept },
  }));
}

export function fileView({ id, name, bytes, examples, hash, createdMs }: StoredFile): Row {
  return {
    ...{ id, object: "file", bytes, created_at: seconds(createdMs), filename: name, purpose: "fine-tune" },
    ...{ status: "processed", openledger: { examples, sha256: hash } },
  };
}

/** One page of a list, of which one more than `limit` was asked for. */
export function listView(rows: readonly Row[], limit: number): object {
  const data = rows.slice(0, limit);
  const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return { object: "list", data, has_more: rows.length > limit, ...ends };
}

const DATANET = /^datanet:([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:@([1-9]\d{0,8}))?$/;

function sourceOf({ training_file, validation_file }: FineTune): Result<TrainingOrder["source"]> {
  const field = "training_file";
  if (!training_file.startsWith("datanet:"))
    return ok({
      ...{ kind: "file", file: training_file },
      ...(validation_file == null ? {} : { validation: validation_file }),
    });
  if (validation_file != null)
    return refuse("invalid_request", "of a datanet's records some are held out: it has no validation file", {
      field: "validation_file",
    });
  const texts = training_file.split(",");
  if (texts.length > DATANETS_MAX)
    return refuse("invalid_request", `a job learns from at most ${DATANETS_MAX} datanets`, { field });
  const datanets: { readonly name: string; readonly version?: number }[] = [];
  for (const text of texts) {
    const [, name, version] = DATANET.exec(text.trim()) ?? [];
    if (name === undefined)
      return refuse("invalid_request", `"${text.slice(0, 80)}" is not datanet:NAME@VERSION`, { field });
    datanets.push({ name, ...(version === undefined ? {} : { version: Number(version) }) });
  }
  return ok({ kind: "datanets", datanets });
}

function sourceText(source: Job["source"]): string {
  if (source.kind === "file") return source.file;
  return source.datanets.map(({ name, version }) => `datanet:${name}@${version}`).join(",");
}

function wishOf({ openledger: ours = {}, method, hyperparameters: older, seed }: FineTune): TrainingWish {
  const { n_epochs, batch_size, learning_rate_multiplier } = method?.supervised?.hyperparameters ?? older ?? {};
  const { full, rank, alpha, dropout, targets, learningRate, sequenceTokens, patience, checkpointEvery, influence } =
    ours;
  return {
    ...(full === true ? { lora: false } : { lora: present({ rank, alpha, dropout, targets }) }),
    ...present({ epochs: numberOf(n_epochs), batchSize: numberOf(batch_size), seed: seed ?? undefined }),
    ...present({ learningRateMultiplier: numberOf(learning_rate_multiplier), learningRate, sequenceTokens }),
    ...present({ patience, checkpointEvery, fitsInfluence: influence }),
  };
}

function numberOf(value: "auto" | number | null | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** In seconds since 1970; null where it does not run. */
function finishOf({ status, progress, estimate, startedMs }: Job, nowMs: number): number | null {
  if (status !== "running" || startedMs === undefined) return null;
  const left = progress === undefined ? 1 : 1 - progress.step / Math.max(1, progress.steps);
  const speed = progress?.tokensPerSecond ?? estimate.tokensPerSecond;
  return seconds(nowMs) + Math.ceil((left * estimate.trainedTokens) / Math.max(1, speed));
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

/** Without the fields that are undefined: what `exactOptionalPropertyTypes` asks for. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const name in fields) {
    const value = fields[name];
    if (isPresent(value)) kept[name] = value;
  }
  return kept;
}

function isPresent<T>(value: T): value is Exclude<T, undefined> {
  return value !== undefined;
}

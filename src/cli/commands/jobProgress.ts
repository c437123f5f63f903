import type { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result } from "../../core/result.ts";
import { gainOfPart, gainText, isGain, verdictOf } from "../../factory/gain.ts";
import {
  type estimateSchema,
  type evaluationSchema,
  type JobView,
  jobViewSchema,
  lossesSchema,
} from "../../protocol/jobs.ts";
import type { Client } from "../client.ts";
import { counted, type Output, percent } from "../output.ts";
import type { Shell } from "./command.ts";

const LOOK_MS = 500;
const LOOKS_FOR_RECEIPT_MAX = 10;

/** What a training will take, as people read it. */
export function showEstimate(view: z.infer<typeof estimateSchema>, output: Output): void {
  const { estimate, options, base, heldOutShare } = view;
  const {
    examples,
    heldOut,
    cut = 0,
    unlearnt = 0,
    tokens,
    trainedTokens,
    steps,
    seconds,
    isMeasured,
    tokensPerSecond,
  } = estimate;
  const lora = options.adapter;
  const isApart = view.source.kind === "file" && view.source.validation !== undefined;
  const share = isApart ? ", a file of their own" : ` (${Math.round(heldOutShare * 100)} %)`;
  const kind = lora === undefined ? "all weights" : `an adapter of rank ${lora.rank}, alpha ${lora.alpha}`;
  output.table([
    { what: "base", is: `${base.name}, ${kind}` },
    { what: "learns from", is: sourceText(view.source) },
    { what: "examples", is: `${examples}, and ${heldOut} held out${share}` },
    ...(cut === 0 ? [] : [{ what: "cut", is: cutText(cut, unlearnt, options.sequenceTokens) }]),
    { what: "tokens", is: `${tokens} × ${options.epochs} epochs = ${trainedTokens}, in ${steps} steps` },
    {
      what: "time",
      is: `about ${timeText(seconds)} (${tokensPerSecond} tokens/s, ${isMeasured ? "measured" : "reckoned"})`,
    },
    { what: "cost", is: `${formatOpen(estimate.cost)} OPEN` },
    { what: "data fees", is: `${formatOpen(estimate.dataFee)} OPEN` },
    { what: "held until then", is: `${formatOpen(estimate.cost + estimate.dataFee)} OPEN; charged is what is used` },
  ]);
}

function cutText(cut: number, unlearnt: number, sequenceTokens: number): string {
  const said = `${counted(cut, "conversation")} after ${sequenceTokens} tokens`;
  return unlearnt === 0 ? said : `${said}; of ${unlearnt} of them no answer is left, and nothing is learnt`;
}

/** Tells of a job until it is over or set aside. Ctrl-C stops the telling, not the job: the answer is then undefined. */
export async function followJob(client: Client, id: string, shell: Shell): Promise<Result<JobView | undefined>> {
  const { output, world } = shell;
  let isLeft = false;
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => {
    leave = () => {
      isLeft = true;
      resolve();
    };
  });
  world.hooks.on("SIGINT", leave);
  let shown: number | undefined;
  let waited = 0;
  try {
    for (;;) {
      const job = await client.get(`/api/jobs/${id}`, jobViewSchema);
      if (!job.ok || isLeft) return job.ok ? ok(undefined) : job;
      const losses = await client.get(
        `/api/jobs/${id}/losses`,
        lossesSchema,
        shown === undefined ? {} : { after: shown },
      );
      if (!losses.ok) return losses;
      for (const { step, loss, heldOutLoss } of losses.value.data) {
        if (heldOutLoss === undefined) continue;
        const learnt = loss === undefined ? "" : `, training loss ${loss.toFixed(3)}`;
        const at = step === 0 ? `base ${job.value.base.name}` : `step ${step}`;
        output.line(`  ${at}: held-out loss ${heldOutLoss.toFixed(3)}${learnt}`);
        shown = step;
      }
      const { status, owed } = job.value;
      const isRunning = status === "queued" || status === "running";
      // What it was charged is posted right after its end.
      if (!isRunning && owed !== undefined) waited += 1;
      if (!isRunning && (owed === undefined || waited > LOOKS_FOR_RECEIPT_MAX)) return job;
      output.progress(progressText(job.value));
      await Promise.race([world.sleep(LOOK_MS), left]);
      if (isLeft) return ok(undefined);
    }
  } finally {
    world.hooks.off("SIGINT", leave);
  }
}

/** How a job ended, and what to do next. */
export function showJob(job: JobView, output: Output): void {
  const { id, status, error, result, evaluations, deployments, checkpoints, base, gain } = job;
  output.line(
    `${id} ${statusText[status]}${job.progress === undefined ? "" : `, step ${job.progress.step}/${job.progress.steps}`}`,
  );
  if (error !== undefined) output.line(`  ${error.message}${error.hint === undefined ? "" : ` (${error.hint})`}`);
  output.line(`  base ${base.name}, from ${sourceText(job.source)}`);
  if (result !== undefined)
    output.line(`  ${result.kind} ${result.hash}, ${result.steps} steps, ${result.trainedTokens} tokens`);
  if (gain !== undefined) output.line(`  ${verdictOf(gain)} over ${base.name}: ${gainText(gain)}`);
  if (gain !== undefined && !isGain(gain) && deployments.length === 0)
    output.line(`  it is not served; serve it all the same: openledger model deploy ${id} --anyway`);
  const kept = checkpoints.filter(({ isKept }) => isKept).map(({ step }) => step);
  if (kept.length > 0) output.line(`  checkpoints that can be deployed: ${kept.join(", ")}`);
  showPayments(job, output);
  for (const evaluation of evaluations) showEvaluation(evaluation, output);
  for (const { name, step } of deployments) {
    output.line(`  served as ${name}${step === undefined ? "" : ` (step ${step})`}`);
    output.line(`  ask it: openledger ask ${name} "…"`);
  }
}

/** What was charged beside what was estimated, and who has it. */
function showPayments({ paid, owed, estimate }: JobView, output: Output): void {
  const charged = paid.reduce((sum, { cost, dataFee }) => sum + cost + dataFee, 0);
  const said = formatOpen(estimate.cost + estimate.dataFee);
  if (paid.length > 0) output.line(`  charged ${formatOpen(charged)} OPEN of ${said} OPEN that were estimated`);
  for (const { receipt, step, tokens, credited } of paid) {
    const parts = Object.entries(credited).filter(([, nano]) => nano > 0);
    output.line(`  receipt ${receipt}: ${tokens} tokens, to step ${step}`);
    output.line(`    ${parts.map(([role, nano]) => `${role} ${formatOpen(nano)}`).join(", ") || "nothing"}`);
  }
  if (owed !== undefined)
    output.line(
      `  owed for ${owed.tokens} tokens, which is not in the journal yet; where money is missing, add credit to the account`,
    );
}

/** Base and model side by side. */
export function showEvaluation({ parts, step }: z.infer<typeof evaluationSchema>, output: Output): void {
  output.heading(step === undefined ? "Measured on held-out records" : `Step ${step} on held-out records`);
  const rows = parts.flatMap(({ name, version, examples, base, model }) =>
    ([["base", base] as const, ["model", model] as const] as const).map(([which, measured]) => ({
      ...{ of: version === undefined ? name : `${name}@${version}`, which, examples, loss: measured.loss.toFixed(4) },
      "exact match": partOf(measured.exactMatch),
      grounding: partOf(measured.grounding),
    })),
  );
  output.table(rows);
  for (const { name, base, model, compared } of parts) {
    const [ofBase, ofModel] = [base.cut ?? 0, model.cut ?? 0];
    if (ofBase + ofModel > 0)
      output.line(
        `  cut at their limit on ${name}, and so no match: ${ofBase} of the base's answers, ${ofModel} of the model's`,
      );
    const gain = gainOfPart({ base, model, compared });
    output.line(`  ${verdictOf(gain)} on ${name}: ${gainText(gain)}`);
  }
}

export function sourceText(source: JobView["source"]): string {
  if (source.kind === "file") return source.file;
  return source.datanets
    .map(({ name, version, records }) => `${name}@${version} (${counted(records, "record")})`)
    .join(", ");
}

export function timeText(seconds: number): string {
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`;
}

const statusText: Readonly<Record<JobView["status"], string>> = {
  queued: "waits",
  running: "runs",
  paused: "is set aside",
  succeeded: "has succeeded",
  failed: "has failed",
  cancelled: "was cancelled",
};

function progressText({ status, progress, estimate }: JobView): string {
  if (status === "queued") return "waiting for its turn";
  if (progress === undefined) return "reading the examples";
  const { step, steps, loss, tokensPerSecond } = progress;
  if (step >= steps) return `step ${step}/${steps}: deploying and measuring`;
  const speed = tokensPerSecond ?? estimate.tokensPerSecond;
  const left = Math.ceil(((steps - step) / Math.max(1, steps)) * (estimate.trainedTokens / Math.max(1, speed)));
  return `step ${step}/${steps}${loss === undefined ? "" : `, loss ${loss.toFixed(3)}`}, ${speed} tokens/s, ${timeText(left)} left`;
}

function partOf(part: number | undefined): string {
  return part === undefined ? "–" : percent(part, 1, 0);
}

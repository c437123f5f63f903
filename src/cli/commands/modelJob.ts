import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { isGain, isOfFew } from "../../factory/gain.ts";
import { PROVENANCE_FILE } from "../../factory/peftExport.ts";
import { fineTuningJobSchema } from "../../protocol/fineTuning.ts";
import {
  deploymentSchema,
  evaluationSchema,
  type JobView,
  jobListSchema,
  jobViewSchema,
  tariffSchema,
} from "../../protocol/jobs.ts";
import { measurementSchema } from "../../protocol/models.ts";
import type { Client } from "../client.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command, type Shell } from "./command.ts";
import { count, flag, openAmount, wholeNumber, wholeText } from "./inputs.ts";
import { followJob, showEvaluation, showJob, sourceText } from "./jobProgress.ts";
import { priceInput, priceOptions, royaltyOf, sendForm } from "./trainingOrder.ts";

const id = z.string().regex(/^ftjob-[0-9a-f]{24}$/, "must be a job's id: ftjob- and 24 hex digits");
const step = wholeNumber(1, 1_000_000_000).optional();
const job = [["<job>", "a training job: openledger model jobs"]] as const;

const list = command({
  path: "model jobs",
  summary: "Training jobs, newest first",
  options: [["--limit <count>", "so many at most"]],
  examples: ["openledger model jobs"],
  input: z.object({ limit: count.optional() }),
  run: async ({ limit }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/jobs", jobListSchema, { limit });
    if (found.ok)
      output.table(
        found.value.data.map((one) => ({
          ...{ job: one.id, status: one.status, base: one.base.name, from: sourceText(one.source) },
          step: one.progress === undefined ? "–" : `${one.progress.step}/${one.progress.steps}`,
          "held-out loss": lossText(one),
          served: one.deployments.map(({ name }) => name),
        })),
        "begin one: openledger model train --help",
      );
    return found;
  },
});

function lossText({ gain, result }: JobView): string {
  if (gain === undefined) return result?.heldOutLoss?.toFixed(4) ?? "–";
  const what = isOfFew(gain) ? ", too few to tell" : isGain(gain) ? "" : ", nothing gained";
  return `${gain.before.toFixed(4)} → ${gain.after.toFixed(4)}${what}`;
}

const show = command({
  path: "model job",
  summary: "One training job: how far it is, what came of it, how it measures",
  arguments: job,
  examples: ["openledger model job ftjob-0123456789abcdef01234567"],
  input: z.object({ job: id }),
  run: async ({ job: name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/jobs/${name}`, jobViewSchema);
    if (found.ok) showJob(found.value, output);
    return found;
  },
});

const follow = command({
  path: "model follow",
  summary: "Watch a training job with its losses; Ctrl-C leaves it running",
  arguments: job,
  examples: ["openledger model follow ftjob-0123456789abcdef01234567"],
  input: z.object({ job: id }),
  run: async ({ job: name }, shell) => {
    const client = await shell.client();
    if (!client.ok) return client;
    const found = await followJob(client.value, name, shell);
    if (!found.ok) return found;
    if (found.value === undefined) {
      shell.output.line(`The job goes on. End it: openledger model cancel ${name}`);
      return ok({ id: name });
    }
    showJob(found.value, shell.output);
    return ok(found.value);
  },
});

const changes = [
  ["cancel", "End a training job for good", "was cancelled"],
  ["pause", "Set a training job aside; it keeps its checkpoint", "is set aside"],
  ["resume", "Go on with a training job that was set aside", "goes on"],
] as const;

const changing = changes.map(([action, summary, done]) =>
  command({
    path: `model ${action}`,
    ...{ summary, arguments: job, input: z.object({ job: id }) },
    examples: [`openledger model ${action} ftjob-0123456789abcdef01234567`],
    run: async ({ job: name }, { client: open, output }) => {
      const client = await open();
      if (!client.ok) return client;
      const changed = await client.value.post(`/v1/fine_tuning/jobs/${name}/${action}`, {}, fineTuningJobSchema);
      if (changed.ok) output.line(`${name} ${done}`);
      return changed;
    },
  }),
);

const evaluate = command({
  path: "model eval",
  summary: "Measure a job's model beside its base on held-out records: loss, exact answers, grounding",
  arguments: job,
  options: [["--step <number>", "a kept checkpoint instead of the result"]],
  examples: ["openledger model eval ftjob-0123456789abcdef01234567 --step 40"],
  input: z.object({ job: id, step }),
  run: async ({ job: name, step: at }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    output.progress("measuring base and model");
    const body = at === undefined ? {} : { step: at };
    const done = await client.value.post(`/api/jobs/${name}/evaluations`, body, evaluationSchema);
    if (!done.ok) return done;
    showEvaluation(done.value, output);
    for (const { prompt, expected, base, model } of done.value.parts.flatMap(({ samples }) => samples).slice(0, 3)) {
      output.heading(prompt.replaceAll(/\s+/g, " ").slice(0, 100));
      output.table(Object.entries({ expected, base, model }).map(([who, says]) => ({ who, says })));
    }
    return done;
  },
});

const deploy = command({
  path: "model deploy",
  summary: "Serve a job's model, or one of its checkpoints, under a name and a price",
  arguments: job,
  options: [
    ["--step <number>", "a kept checkpoint instead of the result"],
    ["--name <name>", "what callers will name"],
    ["--parents-bps <bps>", "the part of its own share that flows to what it was made from, in basis points"],
    ["--anyway", "also where nothing was gained over its base"],
    ...priceOptions,
  ],
  examples: ["openledger model deploy ftjob-0123456789abcdef01234567 --name my-model --royalty-out 0.5"],
  input: z.object({
    ...{ job: id, step, name: wholeText.optional(), parentsBps: wholeNumber(0, 10_000).optional(), ...priceInput },
    anyway: flag,
  }),
  run: async ({ job: name, step: at, name: as, parentsBps, anyway, ...prices }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    output.progress("registering the asset and serving it");
    const body = { step: at, name: as, parentsBps, royalty: royaltyOf(prices), ...(anyway ? { anyway } : {}) };
    const done = await client.value.post(`/api/jobs/${name}/deployments`, body, deploymentSchema);
    if (!done.ok) return done;
    output.line(`served as ${done.value.name}\n  ask it: openledger ask ${done.value.name} "…"`);
    await showTrust(client.value, done.value.name, output);
    return done;
  },
});

/** What its methods of attribution count for is measured on each model anew, on a checkpoint too. */
async function showTrust(client: Client, name: string, output: Output): Promise<void> {
  const found = await client.get(`/api/models/${encodeURIComponent(name)}/measurement`, measurementSchema);
  // One that stands on no datanet has nothing to be measured.
  if (!found.ok) return;
  const assumed = found.value.methods.filter(({ basis }) => basis === "assumed").map(({ id }) => id);
  if (assumed.length === 0) return;
  const how =
    found.value.open.length > 0
      ? `it is being measured; how far that is: openledger model measure ${name}`
      : `measure it: openledger model measure ${name} [--influence]`;
  output.line(`  what ${assumed.join(" and ")} count for on it is assumed so far; ${how}`);
}

const price = command({
  path: "model price",
  summary: "Another royalty for a model that a job has made, from the next request on; what is not named stays",
  arguments: [["<name>", "a deployed model"]],
  options: priceOptions,
  examples: ["openledger model price my-model --royalty-out 0.5 --royalty-call 0.0001"],
  input: z.object({ name: wholeText, ...priceInput }),
  run: async ({ name, ...prices }, { client: open, output }) => {
    const { royaltyIn: inPerMillion, royaltyOut: outPerMillion, royaltyCall: perCall } = prices;
    const royalty = { inPerMillion, outPerMillion, perCall };
    if (royaltyOf(prices) === undefined)
      return refuse("invalid_request", "name a price", { hint: "openledger model price --help" });
    const client = await open();
    if (!client.ok) return client;
    const path = `/api/models/${encodeURIComponent(name)}/price`;
    const done = await client.value.post(path, { royalty }, deploymentSchema);
    if (done.ok) {
      const { inPerMillion, outPerMillion, perCall } = done.value.royalty;
      output.table([
        {
          ...{ model: name, "per million in": formatOpen(inPerMillion), "per million out": formatOpen(outPerMillion) },
          "per call": formatOpen(perCall),
        },
      ]);
    }
    return done;
  },
});

const tariff = command({
  path: "model training-prices",
  summary: "What trainings cost at this node, in OPEN per million tokens that are learnt; options set it",
  options: [
    ["--cost <open>", "for running one: the operator's"],
    ["--base <open>", "added for whoever made the base, and what it was made from"],
    ["--records <open>", "added for a datanet's contributors and context, where it learns from datanets"],
  ],
  examples: ["openledger model training-prices", "openledger model training-prices --cost 0.3 --records 0.2"],
  input: z.object({ cost: openAmount.optional(), base: openAmount.optional(), records: openAmount.optional() }),
  run: async ({ records, ...rest }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const changes = { ...rest, data: records };
    const isChange = Object.values(changes).some((price) => price !== undefined);
    const done = isChange
      ? await client.value.post("/api/jobs/prices", changes, tariffSchema)
      : await client.value.get("/api/jobs/prices", tariffSchema);
    if (done.ok) {
      const { cost, base, data } = done.value;
      output.table([{ cost: formatOpen(cost), base: formatOpen(base), records: formatOpen(data) }]);
    }
    return done;
  },
});

const importAdapter = command({
  path: "model import-adapter",
  summary: "Take an adapter that PEFT trained elsewhere as the result of a job that was exported",
  arguments: [...job, ["<folder>", "with adapter_config.json and adapter_model.safetensors"]],
  examples: ["openledger model import-adapter ftjob-0123456789abcdef01234567 ./job/adapter"],
  input: z.object({ job: id, folder: wholeText }),
  run: async ({ job: name, folder }, shell) => {
    const client = await shell.client();
    if (!client.ok) return client;
    const done = await sendAdapter(client.value, name, folder, shell);
    if (done.ok) showJob(done.value, shell.output);
    return done;
  },
});

async function sendAdapter(client: Client, name: string, folder: string, { output }: Shell): Promise<Result<JobView>> {
  const form = new FormData();
  for (const [field, file] of [
    ["config", "adapter_config.json"],
    ["weights", "adapter_model.safetensors"],
  ] as const) {
    const bytes = await regularFile(join(folder, file));
    if (bytes === undefined) return refuse("not_found", `there is no ${file} in ${folder}`, { field: "folder" });
    form.set(field, new File([bytes], file));
  }
  const provenance = await regularFile(join(folder, PROVENANCE_FILE));
  if (provenance !== undefined) form.set("provenance", new File([provenance], PROVENANCE_FILE));
  output.progress("checking the adapter, serving and measuring it");
  return sendForm(client, `/api/jobs/${name}/adapter`, form, jobViewSchema);
}

/** A pipe that nobody writes to would be waited for for ever. */
async function regularFile(path: string): Promise<Buffer<ArrayBuffer> | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? readFile(path).catch(() => undefined) : undefined;
}

export const modelJobCommands: readonly CliCommand[] = [
  ...[list, show, follow, ...changing],
  ...[evaluate, deploy, price, tariff, importAdapter],
];

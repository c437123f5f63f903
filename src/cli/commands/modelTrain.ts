import { z } from "zod";
import { ok, refuse } from "../../core/result.ts";
import { fineTuningJobSchema } from "../../protocol/fineTuning.ts";
import { estimateSchema } from "../../protocol/jobs.ts";
import { type CliCommand, command } from "./command.ts";
import { flag } from "./inputs.ts";
import { followJob, showEstimate, showJob } from "./jobProgress.ts";
import { orderBody, orderInput, orderOptions } from "./trainingOrder.ts";

const train = command({
  path: "model train",
  summary: "Train an adapter, or a whole model, and serve it; says first what it takes",
  arguments: [["<base>", "what it is trained on: openledger model bases"]],
  options: [
    ...orderOptions,
    ["--paused", "set the job aside at once: to be exported, or resumed later"],
    ["--estimate", "say what it takes, and begin nothing"],
    ["--detach", "do not wait for its end"],
    ["--yes", "begin without asking"],
  ],
  examples: [
    "openledger model train house --datanet handbook --yes",
    "openledger model train house --file questions.jsonl --epochs 5 --name my-model --royalty-out 0.5",
    "openledger model train smollm --datanet handbook@2 --rank 16 --estimate",
  ],
  input: z.object({ ...orderInput, paused: flag, estimate: flag, detach: flag, yes: flag }),
  run: async ({ paused, estimate: isEstimate, detach, yes, ...input }, shell) => {
    const { output, world } = shell;
    const client = await shell.client();
    if (!client.ok) return client;
    output.progress("reading the examples");
    const body = await orderBody(client.value, input);
    if (!body.ok) return body;
    const estimate = await client.value.post("/api/jobs/estimate", body.value, estimateSchema);
    if (!estimate.ok) return estimate;
    showEstimate(estimate.value, output);
    if (isEstimate) return estimate;
    if (!yes) {
      const wants = output.json ? undefined : await world.confirm("Begin?");
      if (wants === undefined)
        return refuse("invalid_request", "nobody is here to say yes", { hint: "begin with --yes", field: "yes" });
      if (!wants) return refuse("cancelled", "nothing was begun");
    }
    const { openledger: ours, ...rest } = body.value;
    const whole = { ...rest, openledger: { ...Object(ours), ...(paused ? { paused } : {}) } };
    const made = await client.value.post("/v1/fine_tuning/jobs", whole, fineTuningJobSchema);
    if (!made.ok) return made;
    const { id } = made.value;
    output.line(`${id} was ordered`);
    const ways = [`  follow it: openledger model follow ${id}`, `  end it:    openledger model cancel ${id}`];
    if (detach || paused) {
      for (const way of ways) output.line(way);
      return ok(made.value);
    }
    const job = await followJob(client.value, id, shell);
    if (!job.ok) return job;
    if (job.value === undefined) {
      output.line("The job goes on.");
      for (const way of ways) output.line(way);
      return ok(made.value);
    }
    showJob(job.value, output);
    if (job.value.status === "failed") shell.endAs("upstream_failed");
    return ok(job.value);
  },
});

export const modelTrainCommands: readonly CliCommand[] = [train];

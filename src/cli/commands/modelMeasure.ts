import { z } from "zod";
import { type MeasurementView, measurementSchema } from "../../protocol/models.ts";
import { type Output, percent } from "../output.ts";
import { command } from "./command.ts";
import { wholeText } from "./inputs.ts";

export const modelMeasureCommand = command({
  path: "model measure",
  summary: "Measure in the background what repeated words are worth on a model; again, say how far that is",
  arguments: [["<name>", "a served model that a job has trained on datanets"]],
  options: [["--influence", "also find whose records shape its answers: two more trainings"]],
  examples: ["openledger model measure handbook-ft", "openledger model measure handbook-ft --influence"],
  input: z.object({ name: wholeText, influence: z.boolean().optional() }),
  run: async ({ name, influence = false }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const path = `/api/models/${encodeURIComponent(name)}/measurement`;
    const measured = await client.value.post(path, { influence }, measurementSchema);
    if (measured.ok) showMeasurement(measured.value, output);
    return measured;
  },
});

function showMeasurement({ methods, open }: MeasurementView, output: Output): void {
  output.table(
    methods.map(({ id, version, measures, reliabilityPpm, basis }) => ({
      ...{ method: `${id} ${version}`, measures, "counts for": percent(reliabilityPpm, 1_000_000) },
      "known from": knownFrom[basis],
    })),
  );
  for (const { what, stage, done, total, why } of open) {
    const far = done === undefined || total === undefined ? "" : `, ${done} of ${total}`;
    output.line(`  ${whatText[what]}: ${stageText[stage]}${far}${why === undefined ? "" : `: ${why}`}`);
  }
  if (open.length === 0) output.line("  nothing is being measured");
}

const knownFrom: Readonly<Record<MeasurementView["methods"][number]["basis"], string>> = {
  exact: "how it works",
  measured: "measured on this model",
  assumed: "assumed by the node's policy",
};

const whatText: Readonly<Record<MeasurementView["open"][number]["what"], string>> = {
  influence: "whose records shape its answers",
  matches: "what repeated words are worth",
};

const stageText: Readonly<Record<MeasurementView["open"][number]["stage"], string>> = {
  waiting: "waits for its turn",
  training: "training another to set it beside",
  fitting: "fitting",
  asking: "asking held-out questions",
  failed: "could not be measured",
};

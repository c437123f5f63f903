import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ok, type Result, refuse } from "../../core/result.ts";
import { type ImportedModel, importedModelsSchema } from "../../protocol/executions.ts";
import { parseManifest } from "../manifest.ts";
import { counted, type Output } from "../output.ts";
import { command } from "./command.ts";
import { flag, wholeText } from "./inputs.ts";

/** What one request registers: small enough to be answered soon, and to go on after it. */
const MODELS_AT_ONCE = 100;
const MANIFEST_BYTES_MAX = 256 * 1024 * 1024;
const REFUSED_SHOWN_MAX = 20;

export const modelImportCommand = command({
  path: "model import",
  summary: "Register models that others serve, hundreds at once, with their terms and what they were made from",
  arguments: [["<manifest>", "a JSON list, JSON lines or a CSV table: one model a row"]],
  options: [
    ["--dry-run", "check every row, register none"],
    ["--replace", "a model that is known with other contents becomes this one"],
  ],
  examples: ["openledger model import adapters.json --dry-run", "openledger model import adapters.csv"],
  input: z.object({ manifest: wholeText, dryRun: flag, replace: flag }),
  run: async ({ manifest, dryRun, replace }, { client: open, output, endAs }) => {
    const models = await readManifest(manifest);
    if (!models.ok) return models;
    const client = await open();
    if (!client.ok) return client;
    const done: ImportedModel[] = [];
    for (let from = 0; from < models.value.length; from += MODELS_AT_ONCE) {
      const body = { models: models.value.slice(from, from + MODELS_AT_ONCE), dryRun, replace };
      const sent = await client.value.post("/api/models/import", body, importedModelsSchema);
      // What was registered is known when the manifest is sent again.
      if (!sent.ok) return sent;
      done.push(...sent.value.data.map((one) => ({ ...one, row: one.row + from })));
      output.progress(`${done.length} of ${counted(models.value.length, "model")}`);
    }
    show(done, dryRun, output);
    if (done.some(({ outcome }) => outcome === "refused")) endAs("invalid_request");
    return ok({ dryRun, ...countsOf(done), models: done });
  },
});

export async function readManifest(path: string): Promise<Result<readonly unknown[]>> {
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined) return refuse("not_found", `there is no file ${path}`, { field: "manifest" });
  if (bytes.length > MANIFEST_BYTES_MAX)
    return refuse("payload_too_large", `${path} is larger than ${MANIFEST_BYTES_MAX} bytes`, { field: "manifest" });
  const models = parseManifest(bytes.toString("utf8"));
  return models.ok && models.value.length === 0 ? refuse("invalid_request", `${path} names no model`) : models;
}

function countsOf(done: readonly ImportedModel[]) {
  const count = (wanted: ImportedModel["outcome"]) => done.filter(({ outcome }) => outcome === wanted).length;
  const [registered, replaced] = [count("registered"), count("replaced")];
  return { registered, replaced, known: count("known"), refused: count("refused") };
}

function show(done: readonly ImportedModel[], dryRun: boolean, output: Output): void {
  const { registered, replaced, known, refused } = countsOf(done);
  const would = dryRun ? "would be " : "";
  output.line(`${registered} ${would}registered, ${replaced} ${would}replaced, ${known} known, ${refused} refused`);
  const wrong = done.filter(({ outcome }) => outcome === "refused").slice(0, REFUSED_SHOWN_MAX);
  for (const { row, name, reason, hint } of wrong)
    output.line(`  row ${row}${name === "" ? "" : ` (${name})`}: ${reason}${hint === undefined ? "" : ` – ${hint}`}`);
  if (refused > wrong.length) output.line(`  and ${refused - wrong.length} more: --json lists all`);
}

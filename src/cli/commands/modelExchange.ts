import { mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { fromUtf8 } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { refuseOnDisk } from "../../host/files.ts";
import {
  baseListSchema,
  baseViewSchema,
  type ExportView,
  exportFormats,
  exportViewSchema,
} from "../../protocol/models.ts";
import { servedModelSchema } from "../../protocol/service.ts";
import type { Client } from "../client.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeText } from "./inputs.ts";

const card = command({
  path: "model card",
  summary: "A model's card, or its bill of materials: what it is made of, by whom, for which terms",
  arguments: [["<name>", "a served model, or a training job"]],
  options: [["--bom", "CycloneDX 1.7 instead of Markdown"]],
  examples: ["openledger model card npm-docs > README.md", "openledger model card npm-docs --bom > bom.json"],
  input: z.object({ name: wholeText, bom: z.boolean().optional() }),
  run: async ({ name, bom = false }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.bytes(`${pathOf(name)}/${bom ? "bom" : "card"}`);
    if (!found.ok) return found;
    const text = fromUtf8(found.value);
    output.line(text.trimEnd());
    return ok(bom ? JSON.parse(text) : { name, card: text });
  },
});

const exportCommand = command({
  path: "model export",
  summary: "Write a model, or a training job, to a folder for other programs",
  arguments: [
    ["<name>", "a served model, or a training job"],
    ["<folder>", "a folder that does not exist yet"],
  ],
  options: [
    [
      "--format <format>",
      "hf: a Hugging Face or PEFT folder (default); gguf: for llama.cpp; peft: the job itself, for a GPU machine",
    ],
  ],
  examples: [
    "openledger model export my-model ./my-model --format gguf",
    "openledger model export ftjob-0123456789abcdef01234567 ./job --format peft",
  ],
  input: z.object({ name: wholeText, folder: wholeText, format: z.enum(exportFormats).default("hf") }),
  run: async ({ name, folder, format }, { client: open, output }) => {
    const target = resolve(folder);
    const isThere = await stat(target).then(
      () => true,
      () => false,
    );
    if (isThere)
      return refuse("already_exists", `${folder} is there already`, { hint: "name a folder that does not exist" });
    const client = await open();
    if (!client.ok) return client;
    const path = `${pathOf(name)}/exports/${format}`;
    const made = await client.value.post(path, {}, exportViewSchema);
    if (!made.ok) return made;
    const written = await refuseOnDisk(dirname(target), () => download(client.value, path, made.value, target));
    if (!written.ok) return written;
    if (!written.value.ok) return written.value;
    for (const file of made.value.files) output.line(`${String(file.bytes).padStart(12)}  ${join(folder, file.name)}`);
    return ok({ name, format, folder: target, files: made.value.files });
  },
});

const bases = command({
  path: "model bases",
  summary: "Models that can be trained on",
  examples: ["openledger model bases"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/bases", baseListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ name, weights, contextTokens, licence, madeFrom }) => ({
          ...{ name, weights: `${(weights / 1e6).toFixed(1)} M`, context: contextTokens, licence },
          "made from": madeFrom.map((source) => source.name),
        })),
      );
    return found;
  },
});

const addBase = command({
  path: "model add-base",
  summary: "Take up a Llama's Hugging Face folder, on the node's machine, as a base to train on",
  arguments: [
    ["<name>", "what trainings will name"],
    ["<folder>", "where it lies; it stays there"],
  ],
  options: [["--licence <spdx>", "its licence, where its README does not say it"]],
  examples: ["openledger model add-base smollm ./SmolLM-135M --licence Apache-2.0"],
  input: z.object({ name: wholeText, folder: wholeText, licence: wholeText.optional() }),
  run: async ({ name, folder, licence }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = { name, folder: resolve(folder), ...(licence === undefined ? {} : { licence }) };
    const added = await client.value.post("/api/bases", body, baseViewSchema);
    if (added.ok) output.line(`${name}: ${added.value.weights} weights, licence ${added.value.licence}`);
    return added;
  },
});

const serveBase = command({
  path: "model serve",
  summary: "Register a base as an asset with its parents, and serve it as it is",
  arguments: [["<base>", "one of: openledger model bases"]],
  options: [["--as <name>", "what callers will name; the base's own name where it is left out"]],
  examples: ["openledger model serve house"],
  input: z.object({ base: wholeText, as: wholeText.optional() }),
  run: async ({ base, as }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const path = `/api/bases/${encodeURIComponent(base)}/serve`;
    const served = await client.value.post(path, as === undefined ? {} : { as }, servedModelSchema);
    if (served.ok)
      output.line(`model ${served.value.name} is served\n  ask it: openledger ask ${served.value.name} "…"`);
    return served;
  },
});

export const modelExchangeCommands: readonly CliCommand[] = [card, exportCommand, bases, addBase, serveBase];

/** Jobs have names that no model has. */
function pathOf(name: string): string {
  return /^ftjob-[0-9a-f]{24}$/.test(name) ? `/api/jobs/${name}` : `/api/models/${encodeURIComponent(name)}`;
}

/** The folder appears whole or not at all. */
async function download(client: Client, path: string, { files }: ExportView, target: string): Promise<Result<void>> {
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(join(dirname(target), ".export-"));
  try {
    for (const { name, bytes: length } of files) {
      // A name leads into the folder and nowhere else, whatever the node says.
      if (!/^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/.test(name))
        return refuse("upstream_failed", `the node names a file ${JSON.stringify(name.slice(0, 100))}`);
      const bytes = await client.bytes(`${path}/${name.split("/").map(encodeURIComponent).join("/")}`);
      if (!bytes.ok) return bytes;
      if (bytes.value.length !== length)
        return refuse("upstream_failed", `${name} came with ${bytes.value.length} bytes, not ${length}`);
      await mkdir(dirname(join(draft, name)), { recursive: true });
      await writeFile(join(draft, name), bytes.value);
    }
    await rename(draft, target);
    return ok(undefined);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

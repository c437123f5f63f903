import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { fromUtf8 } from "../../core/bytes.ts";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { errorCode } from "../../host/files.ts";
import { datanetSchema } from "../../protocol/datanets.ts";
import { RSL_BYTES_MAX, type RslTerms, readRsl } from "../../protocol/rsl.ts";
import { servedModelSchema } from "../../protocol/service.ts";
import type { Client } from "../client.ts";
import { type CliCommand, command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { flag, wholeText } from "./inputs.ts";

const show = command({
  path: "terms show",
  summary: "What a model or a datanet asks for, as a Really Simple Licensing document",
  arguments: [["<name>", "the model, or the datanet with --datanet"]],
  options: [["--datanet", "it is a datanet: the terms of its latest version"]],
  examples: ["openledger terms show npm-docs > license.xml", "openledger terms show npm-docs --datanet"],
  input: z.object({ name: wholeText, datanet: flag }),
  run: async ({ name, datanet }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const asset = await assetOf(client.value, name, datanet);
    if (!asset.ok) return asset;
    const document = await client.value.bytes(`/api/assets/${asset.value}/rsl`);
    if (!document.ok) return document;
    const text = fromUtf8(document.value);
    output.line(text.trimEnd());
    return ok({ asset: asset.value, rsl: text });
  },
});

const read = command({
  path: "terms read",
  summary: "Read a Really Simple Licensing document: what it allows, what a use costs, and as which terms it is taken",
  arguments: [["<file>", "an RSL 1.0 document"]],
  examples: ["openledger terms read ./license.xml"],
  input: z.object({ file: wholeText }),
  run: async ({ file }, { output }) => {
    const found = await readTerms(file);
    if (!found.ok) return found;
    output.table(
      found.value.map(({ url, terms: { licence, unit, royalty, parentsBps }, permits }) => ({
        ...{ content: url, licence, permits: permits.length === 0 ? "not said" : permits },
        "a call": unit === "nano" ? `${formatOpen(royalty.perCall)} OPEN` : `${royalty.perCall / 1e6} USD`,
        "to parents": `${parentsBps / 100} %`,
      })),
    );
    return ok(found.value.map(({ url, terms, permits, prohibits }) => ({ url, ...terms, permits, prohibits })));
  },
});

export const termsCommands: readonly CliCommand[] = [show, read];

/** The licences in a file; refuses a file that is not there, too large, or no RSL. */
export async function readTerms(file: string): Promise<Result<readonly RslTerms[]>> {
  try {
    if ((await stat(file)).size > RSL_BYTES_MAX)
      return refuse("invalid_request", `${file} is larger than an RSL document may be`, { field: "file" });
    return readRsl(await readFile(file, "utf8"));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return refuse("not_found", `there is no file ${file}`, { field: "file" });
    if (errorCode(error) === "EISDIR") return refuse("invalid_request", `${file} is a folder`, { field: "file" });
    throw error;
  }
}

async function assetOf(client: Client, name: string, isDatanet: boolean): Promise<Result<string>> {
  if (!isDatanet) {
    const model = await client.get(`/api/models/${encodeURIComponent(name)}`, servedModelSchema);
    return model.ok ? ok(model.value.asset) : model;
  }
  const found = await client.get(pathOf(name), datanetSchema);
  if (!found.ok) return found;
  return found.value.asset === undefined
    ? refuse("not_found", `${name} has no version yet`, { hint: `openledger datanet publish ${name}` })
    : ok(found.value.asset);
}

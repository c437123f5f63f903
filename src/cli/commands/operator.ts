import { readFile } from "node:fs/promises";
import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { detachedSchema } from "../../protocol/operators.ts";
import { operatorListSchema, operatorSchema } from "../../protocol/service.ts";
import { type CliCommand, command } from "./command.ts";
import { openAmount, payeeId, wholeNumber, wholeText } from "./inputs.ts";

const attach = command({
  path: "operator attach",
  summary: "Let another server run models of this node: vLLM, llama.cpp, a provider, another node",
  arguments: [["<name>", "what it is called here"]],
  options: [
    ["--server <url>", "its base URL, with the path: http://127.0.0.1:8000/v1"],
    ["--model <name...>", "served models that it runs; MODEL=NAME where the server calls it otherwise"],
    ["--vllm", "it loads adapters on vLLM's runtime LoRA endpoints; NAME is then the base"],
    ["--adapter <model=folder...>", "where the server sees an adapter; the node's own folder where it is left out"],
    ["--api-key-file <file>", "a file with the server's key"],
    ["--cost-in <open>", "OPEN per million tokens in, which the operator keeps"],
    ["--cost-out <open>", "OPEN per million tokens out"],
    ["--cost-call <open>", "OPEN per call"],
    ["--payee <id>", "who is paid; this node where it is left out"],
    ["--concurrency <requests>", "requests that it takes at once; 16"],
  ],
  examples: [
    "openledger operator attach gpu-1 --server http://127.0.0.1:8000/v1 --vllm --model ft:house:x=house --cost-out 0.3",
    "openledger operator attach other --server https://example.org/v1 --model house --api-key-file key.txt",
  ],
  input: z.object({
    ...{
      name: wholeText,
      server: wholeText,
      model: z.array(wholeText, "is missing"),
      vllm: z.boolean().default(false),
    },
    ...{ adapter: z.array(wholeText).default([]), apiKeyFile: wholeText.optional(), payee: payeeId.optional() },
    ...{ costIn: openAmount.optional(), costOut: openAmount.optional(), costCall: openAmount.optional() },
    concurrency: wholeNumber(1, 10_000).optional(),
  }),
  run: async (input, { client: open, output }) => {
    const {
      name,
      server: baseUrl,
      vllm,
      costIn = 0,
      costOut = 0,
      costCall = 0,
      payee,
      concurrency,
      apiKeyFile,
    } = input;
    const models = modelsOf(input.model, input.adapter);
    if (!models.ok) return models;
    const apiKey = apiKeyFile === undefined ? ok(undefined) : await readKey(apiKeyFile);
    if (!apiKey.ok) return apiKey;
    const client = await open();
    if (!client.ok) return client;
    const body = {
      ...{ name, baseUrl, kind: vllm ? "vllm" : "openai", models: models.value },
      cost: { inPerMillion: costIn, outPerMillion: costOut, perCall: costCall },
      ...{ payee, concurrency, apiKey: apiKey.value },
    };
    const attached = await client.value.post("/api/operators", body, operatorSchema);
    if (attached.ok) output.line(`operator ${name} runs ${attached.value.models.join(", ")}`);
    return attached;
  },
});

const list = command({
  path: "operator list",
  summary: "Operators: what they run, for how much, and how they are",
  examples: ["openledger operator list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/operators", operatorListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ name, state, models, unit, cost, served, failed }) => ({
          ...{ name, state, models: models.length, served, failed },
          "cost out": unit === "nano" ? `${formatOpen(cost.outPerMillion)} OPEN` : `${cost.outPerMillion / 1e6} USD`,
        })),
        "attach one: openledger operator attach --help",
      );
    return found;
  },
});

const detach = command({
  path: "operator detach",
  summary: "Give an attached server no more requests, and forget it",
  arguments: [["<name>", "the operator"]],
  examples: ["openledger operator detach gpu-1"],
  input: z.object({ name: wholeText }),
  run: async ({ name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const detached = await client.value.delete(`/api/operators/${encodeURIComponent(name)}`, detachedSchema);
    if (detached.ok) output.line(`operator ${name} is detached`);
    return detached;
  },
});

export const operatorCommands: readonly CliCommand[] = [attach, list, detach];

interface Model {
  readonly model: string;
  as?: string;
  adapter?: string;
}

function modelsOf(names: readonly string[], adapters: readonly string[]): Result<readonly Model[]> {
  const models = new Map<string, Model>();
  for (const text of names) {
    const [model = "", ...as] = text.split("=");
    models.set(model, { model, ...(as.length === 0 ? {} : { as: as.join("=") }) });
  }
  for (const text of adapters) {
    const [name = "", ...folder] = text.split("=");
    const model = models.get(name);
    if (model === undefined || folder.length === 0)
      return refuse("invalid_request", `"${text}" is not MODEL=FOLDER of a model that was named`, { field: "adapter" });
    model.adapter = folder.join("=");
  }
  return ok([...models.values()]);
}

async function readKey(file: string): Promise<Result<string>> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return refuse("not_found", `there is no file ${file}`, { field: "apiKeyFile" });
  return ok(text.trim());
}

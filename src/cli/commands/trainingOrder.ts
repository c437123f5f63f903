import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { Prices } from "../../core/quote.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { FILE_BYTES_MAX } from "../../factory/trainingFile.ts";
import { type FineTune, fileSchema } from "../../protocol/fineTuning.ts";
import type { Client } from "../client.ts";
import { flag, openAmount, wholeNumber, wholeText } from "./inputs.ts";

/** A number as people type it. */
const share = z
  .string()
  .regex(/^\d{0,6}(\.\d{1,9})?$/, "must be a number")
  .transform(Number);

export const priceOptions: readonly (readonly [string, string])[] = [
  ["--royalty-in <open>", "OPEN per million tokens of prompt and context"],
  ["--royalty-out <open>", "OPEN per million tokens of answer"],
  ["--royalty-call <open>", "OPEN per call"],
];
export const priceInput = {
  ...{ royaltyIn: openAmount.optional(), royaltyOut: openAmount.optional(), royaltyCall: openAmount.optional() },
} as const;

type PriceInput = Partial<Record<keyof typeof priceInput, number | undefined>>;

/** Prices where one was named; what was left out is nothing. */
export function royaltyOf({ royaltyIn, royaltyOut, royaltyCall }: PriceInput): Prices | undefined {
  if (royaltyIn === undefined && royaltyOut === undefined && royaltyCall === undefined) return undefined;
  return { inPerMillion: royaltyIn ?? 0, outPerMillion: royaltyOut ?? 0, perCall: royaltyCall ?? 0 };
}

export const orderOptions: readonly (readonly [string, string])[] = [
  ["--datanet <name...>", "learn from a datanet, NAME or NAME@VERSION; several may be named"],
  ["--file <path>", "learn from a file of JSON lines: messages, prompt and completion, or text"],
  ["--validation <path>", "measure by this file instead of held-out lines"],
  ["--name <name>", "what callers will name"],
  ["--suffix <text>", "a part of the name that is made up otherwise"],
  ["--epochs <count>", "how often each example is seen"],
  ["--batch <count>", "sequences a step"],
  ["--rate <factor>", "scales the learning rate that would be chosen"],
  ["--rank <count>", "rank of the adapter"],
  ["--alpha <number>", "scale of the adapter; twice its rank where it is left out"],
  ["--dropout <share>", "dropout before the adapter"],
  ["--target <name...>", "projections that are adapted: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"],
  ["--full", "train all weights instead of an adapter"],
  ["--held-out <share>", "share of records that are kept out to measure it; 0.1 where it is left out"],
  [
    "--influence",
    "find whose records shaped each answer, and what repeated words are worth; fitted in the background, by two more trainings",
  ],
  ["--patience <count>", "stop after so many checkpoints that were no better, 3 by default; 0 trains to the end"],
  ["--seed <number>", "the same seed, data and options give the same adapter"],
  ["--no-deploy", "do not serve what comes of it"],
  ["--anyway", "serve it also where nothing was gained over its base"],
  ["--parents-bps <bps>", "the part of its own share that flows to what it was made from, in basis points"],
  ...priceOptions,
];

export const orderInput = {
  ...{ base: wholeText, datanet: z.array(wholeText).optional(), file: wholeText.optional() },
  ...{ validation: wholeText.optional(), name: wholeText.optional(), suffix: wholeText.optional() },
  ...{ epochs: wholeNumber(1, 1_000).optional(), batch: wholeNumber(1, 1_024).optional(), rate: share.optional() },
  ...{ rank: wholeNumber(1, 512).optional(), alpha: share.optional(), dropout: share.optional() },
  ...{ target: z.array(wholeText).optional(), full: flag, heldOut: share.optional() },
  patience: wholeNumber(0, 1_000).optional(),
  influence: flag,
  ...{ seed: wholeNumber(0, 2_147_483_647).optional(), deploy: z.boolean().default(true), anyway: flag },
  ...{ parentsBps: wholeNumber(0, 10_000).optional(), ...priceInput },
} as const;
const orderShape = z.object(orderInput);
export type OrderInput = z.infer<typeof orderShape>;

/** The order as the node takes it; files are uploaded on the way, the same file once. */
export async function orderBody(
  client: Client,
  input: OrderInput,
): Promise<Result<Record<string, unknown> & Pick<FineTune, "training_file">>> {
  const { base, datanet, file, validation, seed, suffix, epochs, batch, rate } = input;
  if ((datanet === undefined) === (file === undefined))
    return refuse("invalid_request", "name what to learn from: --datanet NAME, or --file PATH", { field: "datanet" });
  const training =
    file === undefined ? ok((datanet ?? []).map((name) => `datanet:${name}`).join(",")) : await upload(client, file);
  if (!training.ok) return training;
  const measured = validation === undefined ? ok(undefined) : await upload(client, validation);
  if (!measured.ok) return measured;
  const {
    rank,
    alpha,
    dropout,
    target: targets,
    full,
    heldOut,
    patience,
    deploy,
    name,
    parentsBps,
    influence,
    anyway,
  } = input;
  const hyperparameters = { n_epochs: epochs, batch_size: batch, learning_rate_multiplier: rate };
  const wish = deploy ? { name, parentsBps, royalty: royaltyOf(input), ...(anyway ? { anyway } : {}) } : false;
  return ok({
    ...{ model: base, training_file: training.value, seed, suffix, hyperparameters },
    ...(measured.value === undefined ? {} : { validation_file: measured.value }),
    openledger: {
      ...(full ? { full } : { rank, alpha, dropout, targets }),
      heldOut,
      patience,
      deploy: wish,
      influence,
    },
  });
}

async function upload(client: Client, path: string): Promise<Result<string>> {
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined) return refuse("not_found", `there is no file ${path}`, { field: "file" });
  if (bytes.length > FILE_BYTES_MAX)
    return refuse("payload_too_large", `${path} is larger than ${FILE_BYTES_MAX} bytes`, { field: "file" });
  const form = new FormData();
  form.set("purpose", "fine-tune");
  form.set("file", new File([bytes], basename(path)));
  const sent = await sendForm(client, "/v1/files", form, fileSchema);
  return sent.ok ? ok(sent.value.id) : sent;
}

export async function sendForm<T>(client: Client, path: string, form: FormData, schema: z.ZodType<T>) {
  const body = new Response(form);
  const type = body.headers.get("content-type") ?? "";
  return client.send(path, new Uint8Array(await body.arrayBuffer()), type, schema);
}

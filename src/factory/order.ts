import { type Hex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import type { Prices } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { encodeAll, estimate, speedKey } from "./estimate.ts";
import type { DatanetRef, DeployWish, Job, TrainingSource } from "./job.ts";
import { resolveOptions, type TrainingWish } from "./options.ts";
import type { FactoryPorts } from "./ports.ts";
import { loadSource } from "./source.ts";
import { pricesOf } from "./tariff.ts";

/** What somebody orders. */
export interface TrainingOrder {
  readonly base: string;
  readonly source:
    | { readonly kind: "file"; readonly file: string; readonly validation?: string }
    | { readonly kind: "datanets"; readonly datanets: readonly { readonly name: string; readonly version?: number }[] };
  readonly wish: TrainingWish;
  readonly heldOutShare?: number;
  readonly suffix?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deploy?: DeployWish;
  /** Set aside at once, to be exported, or resumed later. */
  readonly isPaused?: boolean;
}

export const HELD_OUT_SHARE_DEFAULT = 0.1;
const nothingYet = { paid: [], checkpoints: [], evaluations: [], deployments: [] } as const;

/** An order made whole: versions and options are fixed, and it is known how long it will take. `id` and times are the caller's. */
export type PreparedJob = Pick<
  Job,
  | "base"
  | "source"
  | "options"
  | "heldOutShare"
  | "estimate"
  | "prices"
  | "paid"
  | "checkpoints"
  | "evaluations"
  | "deployments"
>;

export async function prepareJob(
  ports: FactoryPorts,
  account: string,
  order: TrainingOrder,
): Promise<Result<PreparedJob>> {
  const base = await ports.bases.find(order.base);
  if (!base.ok) return base;
  const source = await resolveSource(ports, account, order.source);
  if (!source.ok) return source;
  const heldOutShare = order.heldOutShare ?? HELD_OUT_SHARE_DEFAULT;
  const loaded = await loadSource(ports, source.value, heldOutShare);
  if (!loaded.ok) return loaded;
  const { tokenizer, shape, name, hash } = base.value;
  const train = await encodeAll(tokenizer, loaded.value.train, ports.pause);
  const tokens = train.reduce((sum, example) => sum + example.tokens.length, 0);
  const options = resolveOptions(order.wish, shape, tokens);
  if (!options.ok) return options;
  const heldOut = loaded.value.heldOut.reduce((sum, { examples }) => sum + examples.length, 0);
  const measured = await ports.store.speed(speedKey(shape, options.value));
  const datanets = source.value.kind === "datanets" ? source.value.datanets : [];
  const prices = pricesOf(ports.tariff.now, datanets);
  const reckoned = estimate({ train, heldOut, options: options.value, shape, measured, prices });
  if (!reckoned.ok) return reckoned;
  if (reckoned.value.steps === 0)
    return refuse("invalid_request", "there is nothing to learn: no example has an answer or text", {
      field: "training_file",
    });
  return ok({
    ...{ base: { name, hash }, source: source.value, options: options.value, heldOutShare, estimate: reckoned.value },
    prices,
    ...nothingYet,
  });
}

/** sha256 over what was ordered. */
export function orderHash(order: TrainingOrder): Hex {
  return toHex(sha256(utf8(JSON.stringify(order))));
}

/** The name under which callers find what a job has made, if nobody chooses another. */
export function usualName(job: Pick<Job, "id" | "base" | "suffix">, step?: number): string {
  const short = job.id.slice(-8);
  const name = ["ft", job.base.name, ...(job.suffix === undefined ? [] : [job.suffix]), short].join(":");
  return step === undefined ? name : `${name}:ckpt-step-${step}`;
}

export const deployDefaults: { readonly royalty: Prices; readonly parentsBps: number } = {
  royalty: { inPerMillion: 0, outPerMillion: 2_000_000_000, perCall: 200_000 },
  parentsBps: 3_000,
};

async function resolveSource(
  { datanets, store }: Pick<FactoryPorts, "datanets" | "store">,
  account: string,
  source: TrainingOrder["source"],
): Promise<Result<TrainingSource>> {
  if (source.kind === "file") {
    for (const [field, id] of [
      ["training_file", source.file] as const,
      ["validation_file", source.validation] as const,
    ]) {
      if (id === undefined) continue;
      const file = await store.file(id);
      if (file === undefined || file.account !== account)
        return refuse("not_found", `there is no file ${id.slice(0, 80)}`, { field });
    }
    return ok(source);
  }
  const refs: DatanetRef[] = [];
  for (const { name, version: number } of source.datanets) {
    const datanet = await datanets.datanet(name);
    const version = await datanets.version(name, number);
    if (datanet === undefined || version === undefined)
      return refuse(
        "not_found",
        `the datanet ${name.slice(0, 80)} has no ${number === undefined ? "" : "such "}version`,
        {
          hint: "openledger datanet publish makes one",
          field: "training_file",
        },
      );
    if (refs.some((ref) => ref.name === name))
      return refuse("invalid_request", `the datanet ${name} is named twice`, { field: "training_file" });
    const { id, records } = version;
    refs.push({ name, version: version.number, id, licence: datanet.licence, records: records.length });
  }
  return ok({ kind: "datanets", datanets: refs });
}

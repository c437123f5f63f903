import { z } from "zod";
import { nano, total } from "./scalars.ts";

/** Health, models, rhythm and pressure of the own API. */
export const healthSchema = z.object({
  status: z.enum(["ok", "draining", "waiting", "stopped"]).meta({
    description:
      "waiting: the books can be read, and nothing is written until their store takes it again, by itself; stopped: until the node is restarted",
  }),
  why: z.string().optional().meta({ description: "why nothing is written" }),
  version: z.string(),
  ledger: z.string(),
  journalSize: z.number().int(),
  uptimeSeconds: z.number(),
  inFlight: z.number().int(),
});

const prices = z.object({ inPerMillion: z.number(), outPerMillion: z.number(), perCall: z.number() });
export const operatorSchema = z.object({
  name: z.string(),
  payee: z.string(),
  models: z.array(z.string()),
  unit: z.enum(["nano", "microUsd"]),
  cost: prices,
  state: z.enum(["up", "draining", "open"]).meta({ description: "open: its circuit breaker is open" }),
  inFlight: z.number().int(),
  concurrency: z.number().int(),
  served: z.number().int(),
  failed: z.number().int(),
  retryAtMs: z.number().optional(),
});
export type OperatorView = z.infer<typeof operatorSchema>;
export const operatorListSchema = z.object({ data: z.array(operatorSchema) });
export const operatorParam = z.object({ name: z.string().min(1).max(128) });
export const drainSchema = z.object({ draining: z.boolean() });

export const servedModelSchema = z.object({
  name: z.string(),
  asset: z.string(),
  owner: z.string(),
  contextTokens: z.number().int(),
  /** Tokens of records that it may be given to read beside a question; 0: it says what it has learnt. */
  retrievedTokensMax: z.number().int(),
  unit: z.enum(["nano", "microUsd"]),
  royalty: prices,
  datanets: z.array(z.string()),
  indexId: z.string(),
  methodsHash: z.string(),
  operators: z.array(z.object({ name: z.string(), cost: prices, state: z.string() })),
  /** Served by others: what was reported of it is booked, and it cannot be called here. */
  external: z
    .object({ royaltyBps: z.number().int(), contributors: z.number().int(), undeclared: z.boolean() })
    .optional(),
});
export type ServedModelView = z.infer<typeof servedModelSchema>;
export const servedModelListSchema = z.object({ data: z.array(servedModelSchema) });
export const modelParam = z.object({ name: z.string().min(1).max(256) });

const beat = z.object({
  untilMs: z.number(),
  executions: z.number().int(),
  compensations: z.number().int(),
  distributions: z.number().int(),
  distributed: total,
});
export type Beat = z.infer<typeof beat>;
export const rhythmSchema = z.object({ lastMinute: beat, lastHour: beat, lastDay: beat, perMinute: z.array(beat) });
export type RhythmView = z.infer<typeof rhythmSchema>;

export const pressureSchema = z.object({
  waiting: z.number().int(),
  waitingMax: z.number().int(),
  waitingPerAccountMax: z.number().int(),
  queueTimeoutMs: z.number(),
  inFlight: z.number().int(),
  /** Answers whose last byte has come, being attributed and posted. */
  unposted: z.number().int(),
  holds: z.object({ count: z.number().int(), total }),
  waitMs: z.object({ p50: z.number(), p95: z.number(), max: z.number(), samples: z.number().int() }),
  accounts: z.array(
    z.object({ account: z.string(), waiting: z.number().int(), inFlight: z.number().int(), served: z.number() }),
  ),
  refusals: z.record(z.string(), z.number().int()),
  operators: z.array(operatorSchema),
});
export type PressureView = z.infer<typeof pressureSchema>;

const stagesSchema = z.object({ accrued: total, funded: total, settled: total, claimed: total });
export const totalsSchema = z.object({
  deposited: total,
  granted: total,
  debited: total,
  credited: total,
  held: total,
  receipts: nano,
  /** What was credited, by how far it got; on a ledger on credit. */
  stages: stagesSchema.optional(),
});

export const journalParam = z.object({ path: z.string().max(200) });

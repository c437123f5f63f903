import { z } from "zod";
import { hex32, name } from "./scalars.ts";
import { modelPrices } from "./workshop.ts";

/** Somebody else's server as an operator of models that are served here. */
export const attachOperatorSchema = z.object({
  name,
  /** Any OpenAI-compatible server; `vllm` also loads and unloads adapters on its runtime LoRA endpoints. */
  kind: z.enum(["openai", "vllm"]).default("openai"),
  /** With its path, for example `http://127.0.0.1:8000/v1`. */
  baseUrl: z.string().min(1).max(2_000),
  apiKey: z.string().min(1).max(1_000).optional(),
  models: z
    .array(
      z.object({
        /** As callers of this node name it. */
        model: name,
        /** What the server calls it; for an adapter, what it calls the base. The same where it is left out. */
        as: z.string().min(1).max(300).optional(),
        /** The adapter's PEFT folder as the server sees it; a deployed adapter's own folder where it is left out. */
        adapter: z.string().min(1).max(4_096).optional(),
      }),
    )
    .min(1)
    .max(1_000),
  /** Nano OPEN: what the operator asks for and keeps. */
  cost: modelPrices,
  /** Who is paid: a 32-byte payee id; this node where it is left out. */
  payee: hex32.optional(),
  concurrency: z.number().int().min(1).max(10_000).default(16),
  /** Adapters that the server holds at once: not above its `--max-cpu-loras`. */
  adaptersMax: z.number().int().min(1).max(10_000).default(32),
});
export type AttachOperator = z.infer<typeof attachOperatorSchema>;
export const detachedSchema = z.object({ name: z.string(), detached: z.literal(true) });

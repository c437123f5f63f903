import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Usage } from "../core/quote.ts";
import type { RefusalCode } from "../core/result.ts";
import type { Produced } from "./dispatch.ts";

/**
 * Prometheus metrics of one gateway. Names and labels follow the OpenTelemetry GenAI semantic conventions where they have one
 * (`gen_ai.server.request.duration`, `gen_ai.server.time_to_first_token`, `gen_ai.client.token.usage`), written as Prometheus writes names.
 */
export class GatewayMetrics {
  readonly registry = new Registry();
  readonly #seconds = histogram(
    "gen_ai_server_request_duration_seconds",
    "from request to last byte",
    seconds,
    this.registry,
  );
  readonly #firstToken = histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "from dispatch to first byte",
    seconds,
    this.registry,
  );
  readonly #journal = histogram(
    "openledger_journal_delay_seconds",
    "from last byte to durable receipt",
    delays,
    this.registry,
  );
  readonly #tokens: Counter<"gen_ai_request_model" | "gen_ai_token_type">;
  readonly #executions: Counter<"gen_ai_request_model" | "outcome">;
  readonly #refusals: Counter<"code">;
  readonly #refused = new Map<RefusalCode, number>();
  readonly #models = new Map<string, ModelSeries>();

  constructor(gauges: Readonly<Record<string, { readonly help: string; readonly read: () => number }>>) {
    const registers = [this.registry];
    this.#tokens = new Counter({
      ...{ name: "gen_ai_client_token_usage_total", help: "tokens charged", registers },
      labelNames: ["gen_ai_request_model", "gen_ai_token_type"],
    });
    this.#executions = new Counter({
      ...{ name: "openledger_executions_total", help: "posted executions", registers },
      labelNames: ["gen_ai_request_model", "outcome"],
    });
    this.#refusals = new Counter({
      ...{ name: "openledger_refusals_total", help: "refused requests by code", registers },
      labelNames: ["code"],
    });
    for (const [name, { help, read }] of Object.entries(gauges)) {
      const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(read()) });
    }
  }

  executed(model: string, produced: Produced, usage: Usage, journalMs: number): void {
    const series = this.#seriesOf(model);
    series.tokensIn.inc(usage.tokensIn);
    series.tokensOut.inc(usage.tokensOut);
    (produced.failure === undefined ? series.whole : series.partial).inc();
    series.firstToken.observe(produced.firstByteMs / 1_000);
    series.journal.observe(journalMs / 1_000);
  }

  took(model: string, ms: number): void {
    this.#seriesOf(model).seconds.observe(ms / 1_000);
  }

  refused(code: RefusalCode): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    this.#refusals.inc({ code });
  }

  refusals(): Record<string, number> {
    return Object.fromEntries(this.#refused);
  }

  /** Label lookups are what metrics cost; each model's series are looked up once. */
  #seriesOf(model: string): ModelSeries {
    const present = this.#models.get(model);
    if (present !== undefined) return present;
    const labels = { gen_ai_request_model: model };
    const made = {
      seconds: this.#seconds.labels(labels),
      firstToken: this.#firstToken.labels(labels),
      journal: this.#journal.labels(labels),
      tokensIn: this.#tokens.labels({ ...labels, gen_ai_token_type: "input" }),
      tokensOut: this.#tokens.labels({ ...labels, gen_ai_token_type: "output" }),
      whole: this.#executions.labels({ ...labels, outcome: "whole" }),
      partial: this.#executions.labels({ ...labels, outcome: "partial" }),
    };
    this.#models.set(model, made);
    return made;
  }
}

interface ModelSeries {
  readonly seconds: Histogram.Internal<"gen_ai_request_model">;
  readonly firstToken: Histogram.Internal<"gen_ai_request_model">;
  readonly journal: Histogram.Internal<"gen_ai_request_model">;
  readonly tokensIn: Counter.Internal;
  readonly tokensOut: Counter.Internal;
  readonly whole: Counter.Internal;
  readonly partial: Counter.Internal;
}

const seconds = [0.005, 0.02, 0.08, 0.32, 1.28, 5.12, 20.48, 81.92];
const delays = [0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.512, 2];

function histogram(
  name: string,
  help: string,
  buckets: number[],
  registry: Registry,
): Histogram<"gen_ai_request_model"> {
  return new Histogram({ name, help, buckets, labelNames: ["gen_ai_request_model"], registers: [registry] });
}

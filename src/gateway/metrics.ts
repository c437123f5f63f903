import { Counter, Gauge, Registry } from "prom-client";
import type { Usage } from "../core/quote.ts";
import type { RefusalCode } from "../core/result.ts";
import type { Produced } from "./dispatch.ts";
import { ModelSeries, seriesText } from "./modelSeries.ts";

/**
 * Prometheus metrics of one gateway. Names and labels follow the OpenTelemetry GenAI semantic conventions where they have one
 * (`gen_ai.server.request.duration`, `gen_ai.server.time_to_first_token`, `gen_ai.client.token.usage`), written as Prometheus writes names.
 */
export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #refusals: Counter<"code">;
  readonly #refused = new Map<RefusalCode, number>();
  readonly #models = new Map<string, ModelSeries>();

  constructor(gauges: Readonly<Record<string, { readonly help: string; readonly read: () => number }>>) {
    const registers = [this.#registry];
    this.#refusals = new Counter({
      ...{ name: "openledger_refusals_total", help: "refused requests by code", registers },
      labelNames: ["code"],
    });
    for (const [name, { help, read }] of Object.entries(gauges)) {
      const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(read()) });
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return (await this.#registry.metrics()) + seriesText(this.#models);
  }

  executed(model: string, produced: Produced, usage: Usage, journalMs: number): void {
    const series = this.#seriesOf(model);
    series.tokensIn += usage.tokensIn;
    series.tokensOut += usage.tokensOut;
    if (produced.failure === undefined) series.whole += 1;
    else series.partial += 1;
    series.firstToken.observe(produced.firstByteMs / 1_000);
    series.journal.observe(journalMs / 1_000);
  }

  took(model: string, ms: number): void {
    this.#seriesOf(model).request.observe(ms / 1_000);
  }

  refused(code: RefusalCode): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    this.#refusals.inc({ code });
  }

  refusals(): Record<string, number> {
    return Object.fromEntries(this.#refused);
  }

  #seriesOf(model: string): ModelSeries {
    let series = this.#models.get(model);
    if (series === undefined) {
      series = new ModelSeries();
      this.#models.set(model, series);
    }
    return series;
  }
}

/** What is counted and timed of one model, as plain numbers: a metrics library looks each observation's labels up, which is dearer than all of this. */
export class ModelSeries {
  tokensIn = 0;
  tokensOut = 0;
  whole = 0;
  partial = 0;
  readonly request = new Durations(SECONDS);
  readonly firstToken = new Durations(SECONDS);
  readonly journal = new Durations(DELAYS);
}

/** A histogram of seconds. */
export class Durations {
  readonly bounds: readonly number[];
  /** One for each bound, and one for what is above all of them. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    let at = 0;
    while (at < this.bounds.length && seconds > this.bounds[at]!) at++;
    this.counts[at]! += 1;
    this.sum += seconds;
  }
}

const SECONDS = [0.005, 0.02, 0.08, 0.32, 1.28, 5.12, 20.48, 81.92];
const DELAYS = [0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.512, 2];

type Read<T> = (series: ModelSeries) => T;

const counters: readonly [name: string, help: string, labels: string, read: Read<number>][] = [
  ["gen_ai_client_token_usage_total", "tokens charged", `gen_ai_token_type="input"`, ({ tokensIn }) => tokensIn],
  ["gen_ai_client_token_usage_total", "tokens charged", `gen_ai_token_type="output"`, ({ tokensOut }) => tokensOut],
  ["openledger_executions_total", "posted executions", `outcome="whole"`, ({ whole }) => whole],
  ["openledger_executions_total", "posted executions", `outcome="partial"`, ({ partial }) => partial],
];
const histograms: readonly [name: string, help: string, read: Read<Durations>][] = [
  ["gen_ai_server_request_duration_seconds", "from request to last byte", ({ request }) => request],
  ["gen_ai_server_time_to_first_token_seconds", "from dispatch to first byte", ({ firstToken }) => firstToken],
  ["openledger_journal_delay_seconds", "from last byte to durable receipt", ({ journal }) => journal],
];

/** The series of all models in Prometheus' text format 0.0.4. */
export function seriesText(models: ReadonlyMap<string, ModelSeries>): string {
  const lines: string[] = [];
  let last = "";
  const open = (name: string, help: string, type: string) => {
    if (name !== last) lines.push("", `# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    last = name;
  };
  for (const [name, help, labels, read] of counters) {
    open(name, help, "counter");
    for (const [model, series] of models) lines.push(`${name}{${labelOf(model)},${labels}} ${read(series)}`);
  }
  for (const [name, help, read] of histograms) {
    open(name, help, "histogram");
    for (const [model, series] of models) lines.push(...durationLines(name, labelOf(model), read(series)));
  }
  return `${lines.join("\n")}\n`;
}

function durationLines(name: string, label: string, { bounds, counts, sum }: Durations): string[] {
  let count = 0;
  const buckets = [...bounds, "+Inf"].map((bound, i) => {
    count += counts[i]!;
    return `${name}_bucket{le="${bound}",${label}} ${count}`;
  });
  return [...buckets, `${name}_sum{${label}} ${sum}`, `${name}_count{${label}} ${count}`];
}

function labelOf(model: string): string {
  return `gen_ai_request_model="${model.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}

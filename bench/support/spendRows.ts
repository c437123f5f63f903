/** Rows of LiteLLM's spend table as its export writes them: made up, but of the form of real ones; the same for the same seed. */
export interface SpendRow {
  readonly request_id: string;
  readonly team_id: string;
  readonly model_group: string;
  /** US dollars with up to nine decimals, as text. */
  readonly spend: string;
  readonly [column: string]: string | number | null | object;
}

export interface SpendOptions {
  readonly teams: number;
  readonly models: number;
  /** Milliseconds since 1970 of the first and the last row. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Row `i` of a month's export. Teams and models are heavy-tailed, as usage is. */
export function spendRow(i: number, random: () => number, { teams, models, fromMs, untilMs }: SpendOptions): SpendRow {
  const endMs = fromMs + Math.floor(random() * (untilMs - fromMs));
  const [tokensIn, tokensOut] = [50 + Math.floor(random() * 4_000), 1 + Math.floor(random() * 900)];
  const model = `adapter-${heavy(random, models)}`;
  const nano = tokensIn * 150 + tokensOut * 600 + Math.floor(random() * 1_000);
  const [start, end] = [endMs - 900, endMs].map((ms) => new Date(ms).toISOString().replace("T", " ").replace("Z", ""));
  return {
    ...{ request_id: `chatcmpl-${i.toString(16).padStart(8, "0")}-${(i * 2_654_435_761) % 4_294_967_296}` },
    ...{ call_type: "acompletion", api_key: "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b" },
    spend: `${Math.floor(nano / 1e9)}.${String(nano % 1e9).padStart(9, "0")}`,
    ...{ total_tokens: tokensIn + tokensOut, prompt_tokens: tokensIn, completion_tokens: tokensOut },
    ...{ startTime: start ?? "", endTime: end ?? "", completionStartTime: start ?? "", model: `hosted_vllm/${model}` },
    ...{ model_id: "0b3c1f", model_group: model, custom_llm_provider: "hosted_vllm", api_base: "http://vllm:8000/v1" },
    ...{ user: "", metadata: {}, cache_hit: "False", cache_key: "Cache OFF", request_tags: [], end_user: "" },
    ...{
      team_id: `team-${heavy(random, teams)}`,
      requester_ip_address: null,
      messages: {},
      response: {},
      status: "success",
    },
  };
}

/** Nano dollars of a row's spend, by another way than the reader's. */
export function spendNano({ spend }: SpendRow): bigint {
  return BigInt(spend.replace(".", ""));
}

/** A seeded generator (mulberry32): the same rows in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A number below `count`, small ones much more often. */
function heavy(random: () => number, count: number): number {
  return Math.floor(count * random() ** 3);
}

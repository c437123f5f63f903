import OpenAI from "openai";
import { parseHex } from "../../core/bytes.ts";
import { formatOpen } from "../../core/money.ts";
import type { Receipt } from "../../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../../core/result.ts";
import { EVIDENCE_TOTAL } from "../../core/route.ts";
import type { Node } from "../../node/node.ts";
import { settlementSchema } from "../../protocol/completions.ts";
import { openingSchema } from "../../protocol/receipts.ts";
import type { Output } from "../output.ts";

/** A payer of the demonstration: an account with play money, asking through the official OpenAI client. */
export interface Payer {
  readonly account: string;
  readonly client: OpenAI;
}

const CREDIT_NANO = 100_000_000_000;

export async function openPayer(node: Node): Promise<Result<Payer>> {
  const { accounts } = node.ledger;
  const known = accounts.list().find((account) => account.name === "demonstration");
  const account = known === undefined ? await accounts.open({ name: "demonstration" }) : ok(known);
  if (!account.ok) return account;
  const { id } = account.value;
  const credited = await accounts.credit({
    account: id,
    amount: CREDIT_NANO,
    key: "play money",
    note: "the demonstration's play money",
  });
  if (!credited.ok) return credited;
  const key = await accounts.createKey({ account: id, name: "demonstration" });
  if (!key.ok) return key;
  return ok({
    account: id,
    client: new OpenAI({ baseURL: `${node.url}/v1`, apiKey: key.value.secret, maxRetries: 2, defaultHeaders: waiting }),
  });
}

/** The demonstration shows each receipt beside its answer. */
const waiting = { prefer: "wait=60" };

export interface Asked {
  readonly question: string;
  readonly answer: string;
  readonly seq: number;
  readonly receipt: Receipt;
  readonly evidence: readonly Evidence[];
  readonly milliseconds: number;
}

export interface Evidence {
  readonly kind: string;
  readonly record: string;
  readonly author: string;
  readonly source: string;
  readonly text: string;
  readonly weight: number;
}

/** Asks, and reads the receipt behind the answer. With `stream` the words are handed on as they come. */
export async function ask(
  node: Node,
  payer: Payer,
  model: string,
  question: string,
  stream?: (text: string) => void,
): Promise<Result<Asked>> {
  const started = performance.now();
  const order = { model, messages: [{ role: "user" as const, content: question }], max_tokens: 220 };
  const said =
    stream === undefined ? await askWhole(payer.client, order) : await askStreaming(payer.client, order, stream);
  const settled = settlementSchema.safeParse(said.openledger);
  if (!settled.success) return refuse("upstream_failed", "the answer came without its receipt");
  const id = parseHex(settled.data.receipt);
  const found = id === undefined ? undefined : await node.ledger.books.receipt(id);
  if (found === undefined) return refuse("not_found", "the receipt of an answer is not in the journal");
  const opening = found.opening === undefined ? undefined : openingSchema.safeParse(JSON.parse(found.opening));
  const evidence = opening?.success === true ? opening.data.evidence.map(evidenceOf) : [];
  const { seq, receipt } = found;
  return ok({ question, answer: said.answer, seq, receipt, evidence, milliseconds: performance.now() - started });
}

/** What the person at the screen sees of an answer: the words, whose they are, and where the fee went. */
export function showAsked(
  node: Node,
  { question, answer, evidence, receipt, seq }: Asked,
  output: Output,
  wasStreamed = false,
): void {
  if (!wasStreamed) {
    output.heading(`“${question}”`);
    for (const line of shortened(answer, 7)) output.line(`  │ ${line}`);
  }
  const people = byAuthor(evidence);
  const weight = people.reduce((sum, person) => sum + person.weight, 0);
  for (const person of people.slice(0, 4)) {
    output.line(`  ▸ ${person.author}  (${person.source})`);
    output.line(`      ${percent(person.weight, weight)} of what was found, for example “${person.example}”`);
  }
  if (people.length === 0) output.line("  ▸ nobody: no passage of the datanet is in this answer");
  const { cost, royalty } = receipt.fee;
  output.line(
    `  receipt ${seq}: ${formatOpen(cost + royalty)} OPEN = cost ${formatOpen(cost)} + royalty ${formatOpen(royalty)}; ${percent(receipt.unattributed, EVIDENCE_TOTAL)} unattributed`,
  );
  for (const leg of receipt.legs) {
    const payee = node.ledger.books.payee(leg.payee)!;
    const label =
      node.gateway.floor.labels(payee.id) ?? (leg.role === "model" ? "the model's owner and ancestors" : payee.type);
    const reserved = payee.type === "identity" ? "reserved, play money" : "";
    output.line(
      `      ${leg.role.padEnd(12)}${formatOpen(leg.amount).padStart(14)} OPEN  ${shortened(label, 1)[0]!.slice(0, 56)}${reserved === "" ? "" : `  (${reserved})`}`,
    );
  }
}

function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.round((1_000 * part) / whole) / 10} %`;
}

async function askWhole(client: OpenAI, order: OpenAI.ChatCompletionCreateParamsNonStreaming) {
  const completion = await client.chat.completions.create(order);
  return { answer: completion.choices[0]?.message.content ?? "", openledger: field(completion) };
}

async function askStreaming(
  client: OpenAI,
  order: Omit<OpenAI.ChatCompletionCreateParamsStreaming, "stream">,
  stream: (text: string) => void,
) {
  let [answer, openledger]: [string, unknown] = ["", undefined];
  const chunks = await client.chat.completions.create({
    ...order,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of chunks) {
    const text = chunk.choices[0]?.delta.content ?? "";
    answer += text;
    stream(text);
    openledger = field(chunk) ?? openledger;
  }
  return { answer, openledger };
}

/** What our node adds to OpenAI's objects; the client's types do not know it. */
function field(body: object): unknown {
  return "openledger" in body ? body.openledger : undefined;
}

function evidenceOf(item: (typeof openingSchema)["_output"]["evidence"][number]): Evidence {
  const { kind, weight, record = "", author = "somebody", source = "", text = "" } = item;
  return { kind, weight, record, author, source, text };
}

function byAuthor(evidence: readonly Evidence[]) {
  const people = new Map<string, { author: string; source: string; weight: number; example: string; best: number }>();
  for (const { author, source, weight, text } of evidence) {
    const person = people.get(author) ?? { author, source, weight: 0, example: "", best: 0 };
    person.weight += weight;
    if (weight > person.best)
      Object.assign(person, { best: weight, source, example: shortened(text, 1)[0]!.slice(0, 70) });
    people.set(author, person);
  }
  return [...people.values()].sort((a, b) => b.weight - a.weight);
}

function shortened(text: string, lines: number): string[] {
  assert(lines > 0, "at least one line is shown");
  const all = text
    .trim()
    .split("\n")
    .map((line) => line.slice(0, 110));
  return all.length <= lines ? all : [...all.slice(0, lines), "…"];
}

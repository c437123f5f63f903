import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { isTraining } from "../../gateway/trainingMethod.ts";
import { correctionBody, correctionSchema } from "../../protocol/corrections.ts";
import { type Explanation, explanationSchema } from "../../protocol/explanation.ts";
import {
  executionListSchema,
  executionQuery,
  type ReceiptView,
  type ReportedView,
  receiptDetailSchema,
  receiptListSchema,
} from "../../protocol/receipts.ts";
import { counted, type Output, percent } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { count, flag, openAmount, receiptId, wholeNumber, wholeText } from "./inputs.ts";

export type ReceiptDetail = z.infer<typeof receiptDetailSchema>;

const sources = executionQuery.shape.source.unwrap().options;

const show = command({
  path: "receipt show",
  summary: "One receipt: its fee, its route, and with the payer's key what it credits and why",
  arguments: [["<id>", "the receipt's id, or the answer's"]],
  examples: ["openledger receipt show 0x5f0c…", "openledger receipt show 0x5f0c… --json > opened.json"],
  input: z.object({ id: receiptId }),
  run: async ({ id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/receipts/${id}`, receiptDetailSchema);
    if (!found.ok) return found;
    showReceipt(found.value, output);
    if (found.value.reported !== undefined) showReported(found.value.reported, output);
    showEvidence(found.value, output);
    showRoute(found.value, output);
    return found;
  },
});

const explain = command({
  path: "receipt explain",
  summary:
    "Why a receipt credits whom: words, records, people, evidence, how sure; with the key of an account that is linked to whom it credits, what is of its own records",
  arguments: [["<id>", "the receipt's id, or the answer's"]],
  examples: ["openledger receipt explain 0x5f0c…", "openledger receipt explain 0x5f0c… --json"],
  input: z.object({ id: receiptId }),
  run: async ({ id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/receipts/${id}/explanation`, explanationSchema);
    if (found.ok) showExplanation(found.value, output);
    return found;
  },
});

const find = command({
  path: "receipt find",
  summary: "The receipt of an execution that another gateway served, by what that calls it",
  arguments: [["<id>", "the id in the gateway's own records"]],
  options: [["--source <source>", `only of ${sources.join(", ")}`]],
  examples: ["openledger receipt find chatcmpl-9f2 --source litellm", "openledger receipt find app#evt-17"],
  input: z.object({ id: wholeText.max(300), source: executionQuery.shape.source }),
  run: async ({ id, source }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/executions/${encodeURIComponent(id)}`, executionListSchema, { source });
    if (!found.ok) return found;
    for (const { receipt, ...reported } of found.value.data) {
      showReceipt(receipt, output);
      showReported(reported, output);
    }
    return found;
  },
});

const list = command({
  path: "receipt list",
  summary: "Receipts, newest first",
  options: [
    ["--mine", "only those of the key's account"],
    ["--limit <count>", "at most this many (default 20)"],
    ["--before <seq>", "older than this entry"],
  ],
  examples: ["openledger receipt list", "openledger receipt list --mine --limit 100"],
  input: z.object({
    ...{ mine: flag, limit: count.default(20), before: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional() },
  }),
  run: async ({ mine, limit, before }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const query = { limit, beforeSeq: before, ...(mine ? { mine: true } : {}) };
    const found = await client.value.get("/api/receipts", receiptListSchema, query);
    if (found.ok) {
      output.table(
        found.value.data.map(({ id, seq, timeMs, model, fee, usage, unattributed, flags, hashes }) => ({
          ...{ seq, id, time: new Date(timeMs).toISOString(), model: model.name ?? model.asset.slice(0, 14) },
          ...{
            tokens: usage.tokensIn + usage.tokensOut,
            OPEN: formatOpen(fee.amount),
            credited: flags.undeclared || isTraining({ hashes }) ? "–" : percent(1_000_000 - unattributed, 1_000_000),
          },
        })),
        'ask a model: openledger ask MODEL "…"',
      );
    }
    return found;
  },
});

const correct = command({
  path: "receipt correct",
  summary: "Give back all or part of a receipt",
  arguments: [["<id>", "the receipt's id, or the answer's"]],
  options: [
    ["--reason <why>", "refund, chargeback, lateMeter or dispute"],
    ["--refund <open>", "an amount of OPEN; all of its own fee where it is left out"],
    ["--note <text>", "kept by the node; the journal holds its hash"],
    ["--once <text>", "the same text again corrects nothing more"],
  ],
  examples: [
    'openledger receipt correct 0x5f0c… --reason refund --note "answered twice"',
    "openledger receipt correct 0x5f0c… --reason dispute --refund 0.0001 --once case-17",
  ],
  input: z.object({
    ...{ id: receiptId, reason: correctionBody.shape.reason, refund: openAmount.optional() },
    ...{ note: z.string().max(2_000).default(""), once: wholeText.max(200).optional() },
  }),
  run: async ({ id, reason, refund, note, once }, { client: open, output, world }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = { reason, note, key: once ?? world.randomId(), ...(refund === undefined ? {} : { refund }) };
    const made = await client.value.post(`/api/receipts/${id}/corrections`, body, correctionSchema);
    if (made.ok) {
      const { seq, refund: back, earned, legs } = made.value;
      output.line(`entry ${seq}: ${formatOpen(back + earned)} OPEN given back`);
      output.table(
        legs.map(({ role, payee, label, amount }) => ({
          role,
          payee: label ?? payee,
          OPEN: formatOpen(BigInt(amount)),
        })),
      );
    }
    return made;
  },
});

export const receiptCommands: readonly CliCommand[] = [show, explain, find, list, correct];

export function showReceipt(receipt: ReceiptView, output: Output): void {
  const { id, seq, timeMs, fee, usage, rate, operator, earner } = receipt;
  output.heading(`Receipt ${id}`);
  output.line(
    `entry ${seq} of the journal, ${new Date(timeMs).toISOString()}, run by ${operator.label ?? operator.payee}`,
  );
  output.line(
    `${formatOpen(fee.amount)} OPEN = cost ${formatOpen(fee.cost)} + royalty ${formatOpen(fee.royalty)}; ` +
      `${usage.tokensIn} tokens in, ${usage.tokensOut} out; 1 USD = ${formatOpen(rate.nanoPerUsd)} OPEN (${rate.source})`,
  );
  if (earner !== undefined)
    output.line(`${formatOpen(fee.earned)} OPEN of it were paid from what ${earner.label ?? earner.payee} earned`);
  output.line(attributedText(receipt));
}

function showReported({ source, id, causedBy, caused, laterWords }: ReportedView, output: Output): void {
  output.line(`reported as ${source} ${id}`);
  if (causedBy !== undefined)
    output.line(`caused by ${causedBy.id}, of another batch: ${causedBy.receipt ?? "which was not reported yet"}`);
  for (const one of caused) output.line(`caused ${one.id}, of another batch: ${one.receipt}`);
  if (laterWords.length > 0) output.line(`later words on it corrected it at entries ${laterWords.join(", ")}`);
}

function attributedText(receipt: ReceiptView): string {
  const { flags, unattributed, hashes } = receipt;
  if (isTraining(receipt) && !flags.undeclared)
    return "a training: the contributors' part goes to those who wrote what was learnt, by bytes";
  // Without a datanet nothing is looked for, and so nothing is found.
  if (flags.undeclared) return "no datanet stands behind it: the contributors' part is reserved for datanets";
  if (flags.reported && /^0x0+$/.test(hashes.evidence))
    return "no answer came with the report: the contributors' part is divided as the model's owner declared";
  return `${percent(1_000_000 - unattributed, 1_000_000)} of the contributors' part is attributed by evidence`;
}

function showExplanation({ receipt, says, people, evidence, trace }: Explanation, output: Output): void {
  output.heading(`Why receipt ${receipt} credits whom`);
  for (const sentence of says) output.line(`- ${sentence}`);
  output.heading("People");
  output.table(
    people.map(({ payee, label, kinds, weightPpm, amount }) => ({
      ...{ who: label ?? payee, part: percent(weightPpm, 1_000_000), OPEN: formatOpen(amount), by: kinds.join(", ") },
    })),
  );
  if (evidence.length > 0) output.heading("Evidence");
  output.table(
    evidence.map(({ kind, measures, partPpm, author, title, source, text }) => ({
      ...{ kind, measures: measures ?? "", part: percent(partPpm, 1_000_000), who: author ?? "", record: title ?? "" },
      ...{
        source: source ?? "",
        words: text ?? (measures === "use" || measures === "cause" ? "(the whole answer)" : ""),
      },
    })),
  );
  if (trace === undefined) return;
  output.heading("Where its words stand, for the eye");
  output.table(
    trace.documents.map(({ relevance, title, author, passages, snippet }) => ({
      ...{ relevance, record: title, who: author, places: passages.length, text: snippet },
    })),
  );
}

/** The credited passages and people, for whoever may open the receipt. */
export function showEvidence({ opening, unattributed, flags }: ReceiptDetail, output: Output): void {
  if (opening === undefined || flags.undeclared) return;
  output.heading("Credited passages and people");
  // Evidence is weighed in 1/256 bit; what is shown is its part of the whole answer.
  const total = opening.evidence.reduce((sum, { weight }) => sum + weight, 0);
  output.table(
    opening.evidence.map(({ kind, author, title, source, text, weight }) => ({
      ...{ kind, weight: percent((1_000_000 - unattributed) * weight, 1_000_000 * total) },
      ...{ who: author, record: title, source, text },
    })),
  );
}

export function showRoute({ legs, fee }: ReceiptView, output: Output): void {
  output.heading("Route");
  output.table(
    legs.map(({ role, label, payee, weight, amount }) => ({
      ...{ role, payee: label ?? payee, weight, nano: amount, OPEN: formatOpen(amount) },
    })),
  );
  const sum = legs.reduce((total, leg) => total + leg.amount, 0);
  output.line(`  ${counted(legs.length, "leg")}, ${sum} nano; the fee is ${fee.own} nano`);
}

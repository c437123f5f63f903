import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { closedEpochSchema, type EpochView, epochListSchema, epochSchema } from "../../protocol/epochs.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeNumber, wholeText } from "./inputs.ts";

const list = command({
  path: "epoch list",
  summary: "Closed epochs, newest first, and the open one",
  examples: ["openledger epoch list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/epochs", epochListSchema);
    if (found.ok) {
      output.table(found.value.data.map(row), "close one: openledger epoch close");
      const { epoch, first, sinceMs } = found.value.open;
      output.line(`  epoch ${epoch} is open, from entry ${first}, since ${new Date(sinceMs).toISOString()}`);
    }
    return found;
  },
});

const show = command({
  path: "epoch show",
  summary: "One epoch: its range, sums and roots",
  arguments: [["<epoch>", "its number"]],
  examples: ["openledger epoch show 1"],
  input: z.object({ epoch: wholeNumber(0, Number.MAX_SAFE_INTEGER) }),
  run: async ({ epoch }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/epochs/${epoch}`, epochSchema);
    if (found.ok) {
      output.table([row(found.value)]);
      const { postings, payouts, debitors, policyHash, registryBlock, reference } = found.value;
      const facts = { "postings root": postings.root, "payout root": payouts.root, "debit root": debitors.root };
      const rest = { policy: policyHash, "registry block": registryBlock, transaction: reference };
      output.table(Object.entries({ ...facts, ...rest }).map(([what, is]) => ({ what, is })));
    }
    return found;
  },
});

const close = command({
  path: "epoch close",
  summary: "Close the open epoch now and propose it on chain",
  examples: ["openledger epoch close"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const closed = await client.value.post("/api/epochs", {}, closedEpochSchema);
    if (closed.ok)
      output.line(`epoch ${closed.value.epoch} is closed; the journal has ${closed.value.journalSize} entries`);
    return closed;
  },
});

const fund = creditStep({
  ...{ verb: "fund", path: "funding", done: "is funded" },
  summary: "On credit: the money for a closed epoch has arrived",
  example: 'openledger epoch fund 3 --reference "transfer 2026-01-31/17"',
});
const settle = creditStep({
  ...{ verb: "settle", path: "settlement", done: "is settled: its payees can be paid" },
  summary: "On credit: release a funded epoch for payment",
  example: 'openledger epoch settle 3 --reference "approved by A. Ledger"',
});

/** What a chain does by itself, done by hand and under a reference. */
function creditStep(step: {
  readonly verb: string;
  readonly path: string;
  readonly done: string;
  readonly summary: string;
  readonly example: string;
}): CliCommand {
  return command({
    ...{ path: `epoch ${step.verb}`, summary: step.summary, examples: [step.example] },
    arguments: [["<epoch>", "its number"]],
    options: [["--reference <text>", "where it can be looked up: a bank transfer, an approval"]],
    input: z.object({ epoch: wholeNumber(0, Number.MAX_SAFE_INTEGER), reference: wholeText }),
    run: async ({ epoch, reference }, { client: open, output }) => {
      const client = await open();
      if (!client.ok) return client;
      const done = await client.value.post(`/api/epochs/${epoch}/${step.path}`, { reference }, epochSchema);
      if (done.ok) output.line(`epoch ${epoch} ${step.done}`);
      return done;
    },
  });
}

export const epochCommands: readonly CliCommand[] = [list, show, close, fund, settle];

function row({
  epoch,
  status,
  stage,
  isPast,
  first,
  end,
  credits,
  debits,
  postings,
  payouts,
}: EpochView): Record<string, unknown> {
  return {
    ...{
      epoch,
      status: isPast ? "on credit" : status,
      stage,
      entries: `${first}–${end - 1}`,
      postings: postings.count,
      payees: payouts.count,
    },
    ...{ "lifetime credits OPEN": formatOpen(BigInt(credits)), "debits OPEN": formatOpen(BigInt(debits)) },
  };
}

import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { closedEpochSchema, type EpochView, epochListSchema, epochSchema } from "../../protocol/epochs.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeNumber } from "./inputs.ts";

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
      output.table(found.value.data.map(row));
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

export const epochCommands: readonly CliCommand[] = [list, show, close];

function row({ epoch, status, first, end, credits, debits, postings, payouts }: EpochView): Record<string, unknown> {
  return {
    ...{ epoch, status, entries: `${first}–${end - 1}`, postings: postings.count, payees: payouts.count },
    ...{ "lifetime credits OPEN": formatOpen(BigInt(credits)), "debits OPEN": formatOpen(BigInt(debits)) },
  };
}

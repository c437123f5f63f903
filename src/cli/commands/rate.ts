import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { type acceptRateBody, rateSchema } from "../../protocol/rates.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeNumber } from "./inputs.ts";

const show = command({
  path: "rate show",
  summary: "What a dollar is here, who says so and since when",
  examples: ["openledger rate show"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/rate", rateSchema);
    if (found.ok) showRate(found.value, output);
    return found;
  },
});

const accept = command({
  path: "rate accept",
  summary: "Vouch for a rate that jumped, by naming it",
  arguments: [["<nano>", "nano OPEN for one USD, as openledger rate show says it is pending"]],
  examples: ["openledger rate accept 500000000"],
  input: z.object({ nano: wholeNumber(1, Number.MAX_SAFE_INTEGER) }),
  run: async ({ nano: nanoPerUsd }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body: z.infer<typeof acceptRateBody> = { nanoPerUsd };
    const accepted = await client.value.post("/api/rate/accept", body, rateSchema);
    if (accepted.ok) showRate(accepted.value, output);
    return accepted;
  },
});

export const rateCommands: readonly CliCommand[] = [show, accept];

function showRate(rate: z.infer<typeof rateSchema>, output: Output): void {
  const { nanoPerUsd, source, atMs, isFresh, pending, lastError } = rate;
  const since = atMs === null ? "" : `, as of ${new Date(atMs).toISOString()}`;
  output.line(
    nanoPerUsd === 0 ? "no rate is known" : `${formatOpen(nanoPerUsd)} OPEN for one USD, by ${source}${since}`,
  );
  if (!isFresh) output.line("  it may not be used: prices in dollars are refused until there is a fresh one");
  if (lastError !== "") output.line(`  ${lastError}`);
  if (pending !== null) output.line(`  pending: ${pending}; if it is right: openledger rate accept ${pending}`);
}

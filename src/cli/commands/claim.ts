import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok } from "../../core/result.ts";
import { claimSchema, payoutSchema } from "../../protocol/epochs.ts";
import { paidClaimSchema } from "../../protocol/workshop.ts";
import { command } from "./command.ts";
import { flag, payeeId } from "./inputs.ts";

export const claimCommand = command({
  path: "claim",
  summary: "What a payee can claim, and the proof that the contract asks for",
  arguments: [["<payee>", "the payee's address, or its id of 64 hex digits"]],
  options: [["--send", "claim through the node; the money goes to whoever is entitled to it"]],
  examples: ["openledger claim 0x…", "openledger claim 0x… --json", "openledger claim 0x… --send"],
  input: z.object({ payee: payeeId, send: flag }),
  run: async ({ payee, send }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/claims/${payee}`, claimSchema);
    if (!found.ok) return found;
    const { label, lifetime, openEpoch, latestEpoch, final, stages } = found.value;
    output.line(label ?? found.value.payee);
    const amounts = { lifetime, "of it in the open epoch": openEpoch, ...stages };
    output.table(Object.entries(amounts).map(([what, nano]) => ({ what, OPEN: formatOpen(BigInt(nano)) })));
    let proof: z.infer<typeof payoutSchema> | undefined;
    if (latestEpoch !== undefined && BigInt(final ?? 0) > 0n) {
      const leaf = await client.value.get(`/api/epochs/${latestEpoch}/payouts/${payee}`, payoutSchema);
      if (!leaf.ok) return leaf;
      proof = leaf.value;
      output.heading(`Proof in epoch ${latestEpoch}: leaf ${proof.index}, cumulative ${proof.cumulative} nano`);
      for (const hash of proof.proof) output.line(`  ${hash}`);
    }
    if (!send) return ok({ ...found.value, ...(proof === undefined ? {} : { proof }) });
    const paid = await client.value.post(`/api/claims/${payee}`, {}, paidClaimSchema);
    if (!paid.ok) return paid;
    output.line(`paid ${formatOpen(BigInt(paid.value.paid))} OPEN in transaction ${paid.value.transaction}`);
    return ok({ ...found.value, ...(proof === undefined ? {} : { proof }), sent: paid.value });
  },
});

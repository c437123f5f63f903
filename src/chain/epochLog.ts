import { keccak256 } from "viem";
import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { ChainEpoch } from "../ledger/chain.ts";
import { settlementAbi } from "./abi.ts";
import type { Sender } from "./sender.ts";

const statuses = [undefined, "proposed", "final", "voided"] as const;

/**
 * An epoch as it stands on chain; undefined where it was not proposed. The contract stores the hash of what was committed and the block in which it was
 * logged, which is cheaper than all of it ten times over: the log of that one block says the rest, and the hash that it is the right one.
 */
export async function readEpoch(
  sender: Sender,
  settlement: Uint8Array,
  query: { readonly ledger: Uint8Array; readonly epoch: number; readonly windowSeconds: number },
): Promise<Result<ChainEpoch | undefined>> {
  const at = { address: toHex(settlement), abi: settlementAbi } as const;
  const [ledger, epoch] = [toHex(query.ledger), BigInt(query.epoch)];
  const stored = await sender.read((client) =>
    client.readContract({ ...at, functionName: "epochOf", args: [ledger, epoch] }),
  );
  if (!stored.ok) return stored;
  const { status: code, proposedIn, proposedAt, commitmentHash } = stored.value;
  const status = statuses[code];
  if (status === undefined) return ok(undefined);
  const [fromBlock, toBlock] = [BigInt(proposedIn), BigInt(proposedIn)];
  const logs = await sender.read((client) =>
    client.getContractEvents({
      ...at,
      ...{ eventName: "EpochProposed", args: { ledger, epoch }, fromBlock, toBlock, strict: true },
    }),
  );
  if (!logs.ok) return logs;
  const commitment = logs.value.find(({ data }) => keccak256(data) === commitmentHash)?.args.commitment;
  if (commitment === undefined)
    return refuse("chain_unavailable", `the chain's node does not show what epoch ${epoch} committed to`, {
      hint: `use a node that keeps the logs of old blocks: it is in block ${proposedIn}`,
    });
  return ok({
    status,
    journalSize: Number(commitment.journalSize),
    journalRoot: fromHex(commitment.journalRoot),
    postingsRoot: fromHex(commitment.postingsRoot),
    postingsCount: Number(commitment.postingsCount),
    payoutRoot: fromHex(commitment.payoutRoot),
    payoutCount: Number(commitment.payoutCount),
    debitRoot: fromHex(commitment.debitRoot),
    debitCount: Number(commitment.debitCount),
    credits: commitment.credits,
    debits: commitment.debits,
    registryBlock: Number(commitment.registryBlock),
    policyHash: fromHex(commitment.policyHash),
    finalFrom: proposedAt + query.windowSeconds,
  });
}

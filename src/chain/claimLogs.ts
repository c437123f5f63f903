import { type Hex, type Log, parseEventLogs } from "viem";
import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result } from "../core/result.ts";
import type { ChainClaim, RelayFee } from "../ledger/chain.ts";
import { relayAbi, settlementAbi } from "./abi.ts";
import type { Sender } from "./sender.ts";

export interface ClaimPlaces {
  readonly chainId: number;
  readonly settlement: Uint8Array;
  /** Where there is one. */
  readonly relay: Uint8Array | undefined;
}

/** A ledger's claims in blocks [from, until], whoever sent them, each with the fee that a relay took in the same transaction. */
export async function readClaims(
  sender: Sender,
  { chainId, settlement, relay }: ClaimPlaces,
  query: { readonly ledger: Uint8Array; readonly from: number; readonly until: number },
): Promise<Result<readonly ChainClaim[]>> {
  const places = [settlement, ...(relay === undefined ? [] : [relay])].map(toHex);
  const logs = await sender.read((client) =>
    client.getLogs({ address: places, fromBlock: BigInt(query.from), toBlock: BigInt(query.until) }),
  );
  if (!logs.ok) return logs;
  const ledger = toHex(query.ledger);
  const from = (place: Uint8Array): Log[] => logs.value.filter(({ address }) => address === toHex(place));
  const fees = relay === undefined ? new Map<string, RelayFee>() : feesOf(ledger, from(relay));
  const claims: ChainClaim[] = [];
  const times = new Map<bigint, number>();
  for (const event of parseEventLogs({ abi: settlementAbi, eventName: "Claimed", logs: from(settlement) })) {
    const { payee, account, epoch, amount, cumulative } = event.args;
    if (event.args.ledger !== ledger) continue;
    const block = event.blockNumber;
    if (!times.has(block)) {
      const found = await sender.read((client) => client.getBlock({ blockNumber: block }));
      if (!found.ok) return found;
      times.set(block, Number(found.value.timestamp) * 1_000);
    }
    const fee = fees.get(`${event.transactionHash} ${payee}`);
    claims.push({
      ...{ payee: fromHex(payee), account: fromHex(account), epoch: Number(epoch), amount, cumulative },
      ...{ reference: `${chainId}:${event.transactionHash}:${event.logIndex}`, transaction: event.transactionHash },
      ...{ block: Number(block), timeMs: times.get(block)!, ...(fee === undefined ? {} : { fee }) },
    });
  }
  return ok(claims);
}

/** A payee is relayed once in a transaction at most: the second time nothing is due. */
function feesOf(ledger: Hex, logs: readonly Log[]): Map<string, RelayFee> {
  const fees = new Map<string, RelayFee>();
  for (const event of parseEventLogs({ abi: relayAbi, eventName: "Relayed", logs: [...logs] })) {
    if (event.args.ledger !== ledger) continue;
    const { payee, relayer, fee, cost } = event.args;
    fees.set(`${event.transactionHash} ${payee}`, {
      ...{ relayer: relayer.toLowerCase(), nano: fee, gasUsed: Number(cost.gasUsed), gasPriceWei: cost.gasPrice },
      microOpenPerEth: cost.rate,
    });
  }
  return fees;
}

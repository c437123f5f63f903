import { type Hex, type Log, parseEventLogs } from "viem";
import { fromHex, padAddress } from "../core/bytes.ts";
import { WEI_PER_NANO } from "../core/money.ts";
import type { Movement } from "../ledger/chain.ts";
import { escrowAbi } from "./abi.ts";

/**
 * What a ledger's payers can spend, from the escrow's events in their order. A withdrawal that is asked for is gone at once: a payer could otherwise
 * keep a thawed request open, spend, and withdraw first. What is cancelled, asked for anew or paid short comes back.
 */
export function escrowMovements(chainId: number, ledger: Hex, logs: readonly Log[]): Movement[] {
  const movements: Movement[] = [];
  const requested = new Map<Hex, bigint>();
  for (const event of parseEventLogs({ abi: escrowAbi, logs: [...logs] })) {
    if (event.args.ledger !== ledger) continue;
    const { payer } = event.args;
    let part = 0;
    const move = (kind: Movement["kind"], wei: bigint): void => {
      if (wei === 0n) return;
      const reference = `${chainId}:${event.transactionHash}:${event.logIndex}${part++ === 0 ? "" : "+"}`;
      const amount = wei / WEI_PER_NANO;
      movements.push({ kind, payer: padAddress(fromHex(payer)), amount, reference, block: Number(event.blockNumber) });
    };
    const before = requested.get(payer) ?? 0n;
    if (event.eventName === "Deposited") move("deposit", event.args.amount);
    if (event.eventName === "WithdrawalRequested") {
      move("deposit", before);
      move("withdrawal", event.args.amount);
      requested.set(payer, event.args.amount);
    }
    if (event.eventName === "WithdrawalCancelled") {
      move("deposit", before);
      requested.delete(payer);
    }
    if (event.eventName === "Withdrawn") {
      move("deposit", before - event.args.amount);
      requested.delete(payer);
    }
  }
  return movements;
}

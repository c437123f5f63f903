import { toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import type { PayoutStore } from "../ledger/payouts.ts";

export interface MoveOptions {
  readonly data: string;
  readonly databaseUrl?: string;
  readonly chain?: { readonly rpcUrl: string; readonly privateKey: string };
  /** Says what would be done, and writes nothing. */
  readonly dryRun: boolean;
  /** Nano to deposit beyond what is owed, for what accounts will spend. */
  readonly extraNano?: number;
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
}

export interface MoveDone {
  readonly state: "planned" | "moved" | "moved before";
  /** Of the node, on the chain too. */
  readonly node: string;
  readonly ledger: string;
  readonly chainId?: number;
  /** The entry of the journal with which it moved. */
  readonly movedAt?: number;
  readonly plan?: MovePlan;
}

/** What a move takes to the chain. Amounts are nano. */
export interface MovePlan {
  /** What the ledger has credited in all, and what of it was paid outside; the rest is owed, and is what the chain begins with. */
  readonly credited: bigint;
  readonly paid: bigint;
  readonly owed: bigint;
  /** Accrued in the open epoch, which is closed first: a part of what is owed. */
  readonly open: bigint;
  readonly payees: number;
  readonly assets: number;
  /** Identities that are bound to an address, or about to be. */
  readonly bindings: number;
  /** What accounts may still spend, and the chain asks a deposit for. */
  readonly unspent: bigint;
}

/** Refuses `conflict` where a payout by bank is under way: whether it is paid or owed is not known yet. Once a ledger has moved, the plan is what it moved with. */
export async function planMove(
  ledger: OpenLedger,
  {
    payouts,
    datanets,
  }: { readonly payouts: PayoutStore; readonly datanets: Pick<DatanetStore, "datanets" | "bindings"> },
): Promise<Result<MovePlan>> {
  const waiting = (await payouts.payouts()).find(({ status }) => status === "open");
  if (waiting !== undefined)
    return refuse("conflict", `payout ${waiting.number} is with the bank`, {
      hint: `openledger payout paid ${waiting.number} --reference …, or payout cancel`,
    });
  const paidTo = await paidOutside(payouts);
  const moved = ledger.moved();
  let [lifetime, paid, open, payees] = [0n, 0n, 0n, 0];
  for (const payee of ledger.books.payees()) {
    const outside = payee.type === "pool" ? 0n : paidTo(payee.id);
    lifetime += payee.lifetime;
    paid += outside;
    open += payee.open;
    if (payee.lifetime - (moved === undefined ? outside : 0n) > 0n) payees += 1;
  }
  // After the move lifetimes are what was owed then.
  const [credited, owed] = moved === undefined ? [lifetime, lifetime - paid] : [lifetime + paid, lifetime];
  let bindings = 0;
  for (const { name } of await datanets.datanets())
    bindings += (await datanets.bindings(name)).filter(({ to }) => to !== null).length;
  let unspent = 0n;
  for (const { id } of ledger.accounts.list()) {
    const available = ledger.accounts.balance(id)?.available ?? 0n;
    if (available > 0n) unspent += available;
  }
  return ok({ credited, paid, owed, open, payees, assets: ledger.assets.list().length, bindings, unspent });
}

/** Lifetime nano that payees were paid by bank, or that left with a datanet. */
export async function paidOutside(payouts: Pick<PayoutStore, "payouts">): Promise<(payee: Uint8Array) => bigint> {
  const paid = new Map<string, bigint>();
  for (const { status, lines } of await payouts.payouts())
    if (status === "paid") for (const { payee, nano } of lines) paid.set(payee, (paid.get(payee) ?? 0n) + nano);
  return (payee) => paid.get(toHex(payee)) ?? 0n;
}

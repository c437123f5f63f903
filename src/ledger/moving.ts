import { toHex } from "../core/bytes.ts";
import { addCharge, type Closing, closeEpoch, noTotals } from "../core/closing.ts";
import { type MoveLine, moveAmount, moveParts, type Place } from "../core/move.ts";
import { Postings } from "../core/postings.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Batch } from "./batch.ts";
import type { BookState } from "./bookState.ts";

export interface MoveDraft {
  readonly place: Place;
  /** The node as a payer, 32 bytes: what is owed becomes its debit, and it deposits that much. */
  readonly payer: Uint8Array;
  /** Lifetime nano that a payee was paid outside, by its id. */
  readonly paid: (payee: Uint8Array) => bigint;
  /** The block at which the policy is in force on the chain. */
  readonly registryBlock: number;
}

/** What a ledger on credit owes to whom: everybody that its epochs credited, ascending by payee. Refuses `conflict` where somebody has more than it was credited. */
export function positionsOf(state: BookState, paid: MoveDraft["paid"]): Result<MoveLine[]> {
  const lines: MoveLine[] = [];
  for (const [payee, credited] of state.accruals.settledTotals()) {
    const id = state.payee(payee)!.id;
    const owed = credited - paid(id);
    if (credited < 0n || owed < 0n)
      return refuse("conflict", `payee ${toHex(id)} has ${-owed} nano more than it was credited`, {
        hint: "a chain takes nothing back: wait until it has earned that much, and close and settle that epoch",
      });
    if (owed > BigInt(Number.MAX_SAFE_INTEGER))
      return refuse("conflict", `payee ${toHex(id)} is owed 2^53 nano or more`, { hint: "pay a part of it first" });
    lines.push({ payee, credited, owed: Number(owed) });
  }
  return ok(lines);
}

/** Adds the entries of a move, and works out the epoch that they are. What refuses has added nothing. */
export function journalMove(state: BookState, batch: Batch, draft: MoveDraft): Result<Closing> {
  const { place, payer, paid, registryBlock } = draft;
  if (state.moved !== undefined) return refuse("conflict", "the ledger has moved before");
  if (state.policy === undefined) return refuse("conflict", "the ledger has no fee policy yet");
  const lines = positionsOf(state, paid);
  if (!lines.ok) return lines;
  const [postings, charges] = [new Postings(), new Map()];
  const { epoch, first } = state.openEpoch();
  for (const move of moveParts({ place, payer }, lines.value)) {
    const { seq } = batch.add({ kind: "move", move });
    for (const [leg, { payee, owed }] of move.lines.entries()) if (owed > 0) postings.add(payee, seq, leg, owed);
    addCharge(charges, payer, moveAmount(move));
  }
  const end = state.size;
  state.accruals.cut();
  const idOf = (payee: number): Uint8Array => state.payee(payee)!.id;
  const policyHash = state.policy.hash;
  return ok(closeEpoch({ epoch, first, end, postings, charges, before: noTotals, idOf, registryBlock, policyHash }));
}

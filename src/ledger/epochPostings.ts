import { decodeEntry, type Entry } from "../core/entry.ts";
import { moveAmount } from "../core/move.ts";
import { splitPool } from "../core/pool.ts";
import { PostingSums } from "../core/postingSums.ts";
import { PostingTree, rankPayees } from "../core/postingTree.ts";
import { isReceipt, ReceiptView } from "../core/receiptView.ts";
import { assert } from "../core/result.ts";
import type { KeptLeaves } from "../core/settlementTreeStream.ts";
import { transferAmount } from "../core/transfer.ts";
import type { BookState } from "./bookState.ts";
import type { LedgerStore } from "./ports.ts";

/** What an entry does to the books: legs of payees, in their order, and charges of payers. */
export interface PostingVisitor {
  post(payee: number, seq: number, leg: number, amount: number): void;
  charge?(payer: Uint8Array, amount: number): void;
}

/** Shows the postings and charges of the entries [first, end) as they are read from the store, and keeps none of them. */
export async function readPostings(
  state: BookState,
  store: LedgerStore,
  range: { readonly first: number; readonly end: number },
  visitor: PostingVisitor,
): Promise<void> {
  const post: PostingVisitor["post"] = (payee, seq, leg, amount) => {
    if (!state.accruals.isPool(payee)) visitor.post(payee, seq, leg, amount);
  };
  const charge = (payer: Uint8Array, amount: number) => visitor.charge?.(payer, amount);
  for await (const { seq, bytes } of store.entries(state.ledger, range.first, range.end)) {
    if (isReceipt(bytes)) {
      const receipt = new ReceiptView(bytes);
      receipt.eachLeg((payee, amount, index) => post(payee, seq, index, amount));
      if (receipt.earned > 0) post(receipt.payerPayee, seq, receipt.legCount, -receipt.earned);
      charge(receipt.payer, receipt.own - receipt.earned);
      continue;
    }
    const entry = decodeEntry(bytes);
    assert(entry.ok, `entry ${seq} of our own journal decodes`);
    visit(state, entry.value, post, charge);
  }
}

/** The leaf of a closed epoch's postings tree around which proofs are asked for, with its neighbours. */
export async function postingsAround(
  state: BookState,
  store: LedgerStore,
  epoch: { readonly first: number; readonly end: number; readonly wanted: number },
  before: ReadonlyMap<number, bigint>,
): Promise<KeptLeaves> {
  const sums = new PostingSums();
  await readPostings(state, store, epoch, { post: (payee, _seq, _leg, amount) => sums.add(payee, amount) });
  let creditsBefore = 0n;
  for (const nano of before.values()) creditsBefore += nano;
  const tree = new PostingTree({
    ...{ sums, creditsBefore, wanted: epoch.wanted, lifetimeBefore: (payee) => before.get(payee) ?? 0n },
    ranked: rankPayees(new Set(sums.payees()), (payee) => state.payee(payee)!.id),
  });
  await growTree(state, store, epoch, tree);
  const { kept } = tree.finish();
  assert(kept !== undefined, "the leaf that was wanted is one of them");
  return kept;
}

/** Shows the postings of [first, end) to the tree in as many rounds as it asks for. */
export async function growTree(
  state: BookState,
  store: LedgerStore,
  range: { readonly first: number; readonly end: number },
  tree: PostingTree,
): Promise<void> {
  while (!tree.isWhole) {
    await readPostings(state, store, range, {
      post: (payee, seq, leg, amount) => tree.add(payee, seq, leg, amount),
    });
    tree.endRound();
  }
}

function visit(
  state: BookState,
  entry: Entry,
  post: PostingVisitor["post"],
  charge: (payer: Uint8Array, amount: number) => void,
): void {
  const { seq } = entry;
  if (entry.kind === "correction") {
    const { correction } = entry;
    for (const [index, leg] of correction.legs.entries()) post(leg.payee, seq, index, leg.amount);
    if (correction.earned > 0) post(correction.payerPayee, seq, correction.legs.length, correction.earned);
    charge(correction.payer, -correction.refund);
  } else if (entry.kind === "transfer") {
    const { transfer } = entry;
    for (const [index, line] of transfer.lines.entries()) post(line.payee, seq, index, line.amount);
    charge(transfer.payer, transferAmount(transfer));
  } else if (entry.kind === "move") {
    const { move } = entry;
    for (const [index, { payee, owed }] of move.lines.entries()) if (owed > 0) post(payee, seq, index, owed);
    charge(move.payer, moveAmount(move));
  } else if (entry.kind === "poolSplit") {
    const { split } = entry;
    const pool = { payee: split.pool, members: state.pool(split.pool)! };
    const parts = splitPool(state.ledger, split.epoch, state.payee(split.pool)!.id, pool, split.amount);
    for (const [index, part] of parts.entries()) post(pool.members[index]!.payee, seq, index, part);
  }
}

import { decodeEntry } from "../core/entry.ts";
import { amountOf, type Receipt, type ReceiptFacts } from "../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Batch, Commit } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import type { HoldTable, LiveHold } from "./holds.ts";
import type { Account, Posted, ReceiptDraft, ReceiptPromise } from "./ledger.ts";
import type { Purses } from "./purses.ts";
import { nestingOf, type Priced, type Routing } from "./routing.ts";
import type { Job } from "./writer.ts";

/** Turns holds into receipts: the fee from prices and usage, the payees by number, the route at the seq that the receipt gets. */
export class Posting {
  readonly #state: BookState;
  readonly #holds: HoldTable;
  readonly #purses: Purses;
  readonly #routing: Routing;

  constructor(state: BookState, holds: HoldTable, purses: Purses, routing: Routing) {
    this.#state = state;
    this.#routing = routing;
    this.#holds = holds;
    this.#purses = purses;
  }

  /** All that can be refused is checked before anything is journalled. */
  post(draft: ReceiptDraft): Job<Posted> {
    return (batch) => {
      const checked = this.#check(draft);
      if (!checked.ok) return checked;
      const { hold, account, priced } = checked.value;
      const earned = this.#holds.earnedOf(hold, priced.own);
      const facts = this.#routing.route(batch, priced, draft, {
        id: hold.id,
        nesting: nestingOf(this.#state, hold, priced.own),
        account,
        payerPayee: earned > 0 ? hold.payee : 0,
        earned,
      });
      const { seq, bytes } = batch.addReceipt(facts, this.#routing.legs);
      this.#holds.settle(hold, priced.own);
      if (draft.opening !== undefined) batch.openings.push({ receipt: hold.id, opening: draft.opening });
      if (draft.idempotency !== undefined) {
        const { key, bodyHash, response } = draft.idempotency;
        batch.idempotency.push({ account: hold.account, key, bodyHash, receipt: hold.id, response });
      }
      if (draft.metered !== undefined)
        batch.meter(draft.metered, priced.own, draft.usage.tokensIn + draft.usage.tokensOut);
      return ok((commit) => new PostedReceipt(batch, facts, seq, bytes, commit));
    };
  }

  #check(draft: ReceiptDraft): Result<Checked> {
    const hold = this.#holds.get(draft.hold);
    if (hold === undefined)
      return refuse("not_found", "the hold is not live any more: it was posted, released or not renewed");
    if (this.#holds.hasChildren(hold))
      return refuse("conflict", "executions that this one caused are still under way", {
        hint: "post or release them first",
      });
    const account = this.#purses.account(hold.account);
    if (account === undefined) return refuse("not_found", `there is no account ${hold.account}`);
    const priced = this.#routing.price(draft);
    if (!priced.ok) return priced;
    const { own } = priced.value;
    if (own > hold.amount)
      return refuse("insufficient_funds", `the fee of ${own} nano is more than the ${hold.amount} nano that are held`);
    return ok({ hold, account, priced: priced.value });
  }
}

/** A receipt that became durable. What is read of it is worked out when somebody asks: most receipts of a full ledger are only counted. */
class PostedReceipt implements Posted {
  readonly seq: number;
  readonly timeMs: number;
  readonly #id: Uint8Array;
  readonly #amount: number;
  readonly #entry: Uint8Array;
  readonly #commit: Commit;
  #receipt: Receipt | undefined;
  #promise: ReceiptPromise | undefined;

  constructor(batch: Batch, facts: ReceiptFacts, seq: number, entry: Uint8Array, commit: Commit) {
    this.seq = seq;
    this.timeMs = batch.timeMs;
    this.#id = facts.id;
    this.#amount = amountOf(facts);
    this.#entry = entry;
    this.#commit = commit;
  }

  get receipt(): Receipt {
    this.#receipt ??= receiptIn(this.#entry);
    return this.#receipt;
  }

  get promise(): ReceiptPromise {
    this.#promise ??= promiseOf(this.#commit, this.#id, this.#amount, this.seq, this.#entry);
    return this.#promise;
  }
}

function receiptIn(bytes: Uint8Array): Receipt {
  const entry = decodeEntry(bytes);
  assert(entry.ok && entry.value.kind === "receipt", "a receipt of our own decodes");
  return entry.value.receipt;
}

function promiseOf(
  commit: Commit,
  receipt: Uint8Array,
  amount: number,
  seq: number,
  entry: Uint8Array,
): ReceiptPromise {
  const { first, count, root, deadlineMs, signature } = commit;
  return { receipt, amount, seq, entry, first, count, root, path: commit.pathOf(seq), deadlineMs, signature };
}

interface Checked {
  readonly hold: LiveHold;
  readonly account: Account;
  readonly priced: Priced;
}

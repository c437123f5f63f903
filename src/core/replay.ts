import { KnownParties } from "./books.ts";
import { equalBytes, type Hex, toHex } from "./bytes.ts";
import { addCharge, closeEpoch, type LifetimeTotals, noTotals } from "./closing.ts";
import type { Correction } from "./correction.ts";
import { type BatchRecord, decodeEntry, type Entry } from "./entry.ts";
import type { EpochRecord } from "./epoch.ts";
import { FamilyLaw } from "./familyLaw.ts";
import { PublishedMethods } from "./methods.ts";
import { misledLeg } from "./misledLeg.ts";
import { type Move, moveAmount, type Place } from "./move.ts";
import { MoveReplay } from "./moveReplay.ts";
import { type PoolSplit, splitPool } from "./pool.ts";
import { Postings } from "./postings.ts";
import { ownOf, type Receipt } from "./receipt.ts";
import { checkReceipt } from "./receiptLaw.ts";
import { ok, type Result, refuse } from "./result.ts";
import { fillAmounts, type Leg } from "./route.ts";
import { type Transfer, transferAmount, transferFault, transferId } from "./transfer.ts";

/**
 * The strict reading of a journal: entry by entry, from the first, believing nothing that can be recomputed.
 * It is what a verifier runs; it shares the laws with the writer, and none of its state.
 */

/** What a replay needs from outside the journal. */
export interface ReplayChecks {
  readonly ledger: Uint8Array;
  /** Of a ledger that began on credit: its node as a payer, 32 bytes. Only such a ledger moves, and the node brings what is owed. */
  readonly creditNode?: Uint8Array;
  /** Checks a batch: the RFC 6962 root of its entries, and the node's signature for the place that the ledger has moved to, where it has. */
  batch(batch: BatchRecord, entries: readonly Uint8Array[], place: Place | undefined): Result<BatchRecord>;
}

/** The leg index of the posting that takes spent earnings from their payee, or gives them back. */
export function earnedLeg(from: Pick<Receipt | Correction, "legs">): number {
  return from.legs.length;
}

interface Charge {
  readonly seq: number;
  readonly payer: Uint8Array;
  readonly amount: number;
}

export class Replay {
  readonly parties: KnownParties;
  readonly #checks: ReplayChecks;
  readonly #unsigned: Uint8Array[] = [];
  readonly #receipts = new Map<string, { readonly seq: number; readonly receipt: Receipt }>();
  readonly #families = new FamilyLaw();
  readonly #refunded = new Map<string, Pick<Correction, "refund" | "earned">>();
  readonly #transferred = new Set<string>();
  readonly #poolOpen = new Map<number, number>();
  /** What every payee was credited, less what it spent, since the end of the last closed epoch. */
  #open = new Map<number, number>();
  readonly #postings = new Postings();
  #charges: Charge[] = [];
  #lifetime: LifetimeTotals = noTotals;
  readonly #epochs: EpochRecord[] = [];
  readonly #move: MoveReplay;
  readonly #methods = new PublishedMethods();
  #seq = 0;
  #timeMs = 0;

  constructor(checks: ReplayChecks) {
    this.#checks = checks;
    this.parties = new KnownParties(checks.ledger);
    this.#move = new MoveReplay(checks.creditNode);
  }

  /** Where the ledger went on, what had been paid outside by then, and the epoch that opened it there; undefined where it stayed. */
  get moved() {
    return this.#move.moved;
  }

  /** The seq of the next entry. */
  get size(): number {
    return this.#seq;
  }

  get receiptCount(): number {
    return this.#receipts.size;
  }

  receipt(id: Uint8Array): { readonly seq: number; readonly receipt: Receipt } | undefined {
    return this.#receipts.get(toHex(id));
  }

  /** Takes the next entry. A refusal names what does not hold; the replay must not be used after it. */
  take(bytes: Uint8Array): Result<Entry> {
    const decoded = decodeEntry(bytes);
    if (!decoded.ok) return decoded;
    const entry = decoded.value;
    if (!equalBytes(entry.ledger, this.#checks.ledger)) return wrong("it belongs to another ledger");
    if (entry.seq !== this.#seq) return wrong(`it says seq ${entry.seq} where ${this.#seq} comes next`);
    if (entry.timeMs < this.#timeMs) return wrong("it is older than the entry before it");
    const applied = this.#apply(entry);
    if (!applied.ok) return applied;
    if (entry.kind === "batch") this.#unsigned.length = 0;
    else this.#unsigned.push(bytes);
    this.#seq += 1;
    this.#timeMs = entry.timeMs;
    return ok(entry);
  }

  /** The epochs that were closed, each recomputed. */
  get epochs(): readonly EpochRecord[] {
    return this.#epochs;
  }

  /** Lifetime totals at the end of the last closed epoch. */
  get settled(): LifetimeTotals {
    return this.#lifetime;
  }

  /** Entries that no batch has signed yet. At the end of a published journal there are none. */
  get unsignedCount(): number {
    return this.#unsigned.length;
  }

  #apply(entry: Entry): Result<unknown> {
    const due = this.#move.dueAt(entry);
    if (due !== undefined) return wrong(due);
    switch (entry.kind) {
      case "policy":
        return this.parties.addPolicy(entry.policy);
      case "asset":
        return this.parties.addAsset(entry.asset);
      case "payee":
        return this.parties.addPayee(entry.payee);
      case "poolChunk":
        return this.parties.addPoolChunk(entry.chunk);
      case "binding":
        return this.parties.addBinding(entry.binding);
      case "receipt":
        return this.#applyReceipt(entry, entry.receipt);
      case "batch":
        return this.#applyBatch(entry.batch);
      case "poolSplit":
        return this.#applyPoolSplit(entry.seq, entry.split);
      case "correction":
        return this.#applyCorrection(entry.seq, entry.correction);
      case "epoch":
        return this.#applyEpoch(entry.epoch);
      case "transfer":
        return this.#applyTransfer(entry.seq, entry.transfer);
      case "move":
        return this.#applyMove(entry.seq, entry.move);
      case "methods":
        return lawfulUnless(this.#methods.add(entry.text));
      case "reversal":
        return wrong("a reversal follows a proven fault on chain, and none is known");
    }
  }

  #applyBatch(batch: BatchRecord): Result<unknown> {
    const first = this.#seq - this.#unsigned.length;
    if (batch.first !== first || batch.count !== this.#unsigned.length) {
      return wrong(
        `it signs ${batch.count} entries from ${batch.first}, unsigned are ${this.#unsigned.length} from ${first}`,
      );
    }
    return this.#checks.batch(batch, this.#unsigned, this.moved?.place);
  }

  #applyReceipt(head: Entry, receipt: Receipt): Result<unknown> {
    const id = toHex(receipt.id);
    if (this.#receipts.has(id)) return wrong(`receipt ${id} is journalled twice`);
    const policy = this.parties.policy(receipt.policyHash);
    if (policy === undefined) return wrong("it names a policy that was not journalled");
    const checked = checkReceipt(head, receipt, policy);
    if (!checked.ok) return checked;
    const unrelated =
      this.#methods.fault(receipt) ?? this.#families.take(receipt, (parent) => this.#receipts.has(toHex(parent)));
    if (unrelated !== undefined) return wrong(unrelated);
    const known = this.#checkParties(receipt);
    if (!known.ok) return known;
    this.#receipts.set(id, { seq: head.seq, receipt });
    this.#post(head.seq, receipt.legs);
    if (receipt.earned > 0) {
      this.#credit(receipt.payerPayee, head.seq, earnedLeg(receipt), -receipt.earned);
    }
    this.#charges.push({ payer: receipt.payer, amount: ownOf(receipt) - receipt.earned, seq: head.seq });
    return ok(receipt);
  }

  #checkParties(receipt: Receipt): Result<unknown> {
    const stranger = receipt.legs.find((leg) => this.parties.payee(leg.payee) === undefined);
    if (stranger !== undefined) return wrong(`payee ${stranger.payee} was not introduced`);
    for (const leg of receipt.legs) {
      const isPool = this.parties.payee(leg.payee)?.type === "pool";
      if (isPool && this.parties.pool(leg.payee) === undefined)
        return wrong(`pool ${leg.payee} was not published before it is credited`);
    }
    const misled = misledLeg(this.parties, receipt);
    if (misled !== undefined) return wrong(misled);
    if (receipt.earned > 0) {
      const open = this.#open.get(receipt.payerPayee) ?? 0;
      if (open < receipt.earned)
        return wrong(`it spends ${receipt.earned} nano of earnings, payee ${receipt.payerPayee} has ${open}`);
    }
    return ok(receipt);
  }

  #applyPoolSplit(seq: number, split: PoolSplit): Result<unknown> {
    const pool = this.parties.pool(split.pool);
    const payee = this.parties.payee(split.pool);
    if (pool === undefined || payee === undefined) return wrong(`pool ${split.pool} was not published`);
    const credited = this.#poolOpen.get(split.pool) ?? 0;
    if (split.amount !== credited)
      return wrong(`it divides ${split.amount} nano, pool ${split.pool} was credited ${credited}`);
    this.#poolOpen.delete(split.pool);
    const parts = splitPool(this.#checks.ledger, split.epoch, payee.id, pool, split.amount);
    for (const [leg, amount] of parts.entries()) this.#credit(pool.members[leg]!.payee, seq, leg, amount);
    return ok(split);
  }

  #applyCorrection(seq: number, correction: Correction): Result<unknown> {
    const named = this.#receipts.get(toHex(correction.receipt));
    if (named === undefined || named.seq !== correction.receiptSeq)
      return wrong("it names a receipt that is not in the journal");
    const { payer, account, earned, payerPayee } = named.receipt;
    if (!equalBytes(correction.payer, payer) || !equalBytes(correction.account, account)) {
      return wrong("it refunds somebody other than its receipt's payer");
    }
    const sum = correction.legs.reduce((total, leg) => total + leg.amount, 0);
    if (sum !== -correction.refund - correction.earned)
      return wrong(`its legs sum to ${sum}, what it gives back is ${correction.refund} + ${correction.earned}`);
    const overcharged = correction.refund < 0 ? this.#wrongCharge(seq, correction, named.receipt) : undefined;
    if (overcharged !== undefined) return wrong(overcharged);
    if (correction.payerPayee !== (correction.earned > 0 ? payerPayee : 0))
      return wrong("it gives back earnings that are not those its receipt spent");
    const before = this.#refunded.get(toHex(correction.receipt)) ?? { refund: 0, earned: 0 };
    const refunded = { refund: before.refund + correction.refund, earned: before.earned + correction.earned };
    if (refunded.refund > ownOf(named.receipt) - earned || refunded.earned > earned)
      return wrong(`${refunded.refund} + ${refunded.earned} nano of a receipt are refunded, more than it took`);
    this.#refunded.set(toHex(correction.receipt), refunded);
    this.#post(seq, correction.legs);
    if (correction.earned > 0) this.#credit(payerPayee, seq, earnedLeg(correction), correction.earned);
    this.#charges.push({ payer, amount: -correction.refund, seq });
    return ok(correction);
  }

  #applyTransfer(seq: number, transfer: Transfer): Result<unknown> {
    const id = toHex(transferId(transfer));
    if (this.#transferred.has(id)) return wrong("the same part of the same statement is transferred twice");
    const fault = transferFault(transfer);
    if (fault !== undefined) return wrong(fault);
    for (const { payee } of transfer.lines) {
      const known = this.parties.payee(payee);
      if (known === undefined) return wrong(`payee ${payee} was not introduced`);
      if (known.type === "pool") return wrong(`it moves money to pool ${payee}, whose members are not named`);
    }
    this.#transferred.add(id);
    for (const [leg, { payee, amount }] of transfer.lines.entries()) this.#credit(payee, seq, leg, amount);
    this.#charges.push({ payer: transfer.payer, amount: transferAmount(transfer), seq });
    return ok(transfer);
  }

  /** From here on everybody's total is what it was still owed, and nothing before is paid again. */
  #applyMove(seq: number, move: Move): Result<unknown> {
    const nothingOpen = this.#postings.count === 0 && [...this.#poolOpen.values()].every((amount) => amount === 0);
    if (move.index === 0 && (!nothingOpen || this.#charges.length > 0))
      return wrong("something is credited or charged that no epoch on credit has closed");
    const epoch = (this.#epochs.at(-1)?.epoch ?? 0) + 1;
    const fault = this.#move.take(seq, move, this.#lifetime.payees, epoch);
    if (fault !== undefined) return wrong(fault);
    for (const [leg, { payee, owed }] of move.lines.entries()) if (owed > 0) this.#credit(payee, seq, leg, owed);
    this.#charges.push({ payer: move.payer, amount: moveAmount(move), seq });
    if (move.index + 1 === move.count) this.#lifetime = noTotals;
    return ok(move);
  }

  /** What a late meter charges is divided like the receipt that it amends, by the policy of that moment. */
  #wrongCharge(seq: number, { legs, earned, refund }: Correction, receipt: Receipt): string | undefined {
    const policy = this.parties.currentPolicy;
    if (policy === undefined || earned !== 0) return "it charges what it cannot";
    const cost = legs.find((leg) => leg.role === "operator")?.amount ?? 0;
    if (cost < 0 || cost > -refund) return "its operator's part is not a part of what it charges";
    const due = fillAmounts(this.#checks.ledger, seq, cost, -refund - cost, policy, receipt.legs);
    const exact = due.filter((leg) => leg.amount !== 0);
    const isSame = legs.length === exact.length && legs.every((leg, i) => isSameLeg(leg, exact[i]!));
    return isSame ? undefined : "its legs are not those that the receipt's weights make of what it charges";
  }

  #post(seq: number, legs: readonly Leg[]): void {
    for (const [index, leg] of legs.entries()) this.#credit(leg.payee, seq, index, leg.amount);
  }

  #credit(payee: number, seq: number, leg: number, amount: number): void {
    if (this.parties.payee(payee)?.type === "pool")
      this.#poolOpen.set(payee, (this.#poolOpen.get(payee) ?? 0) + amount);
    else {
      this.#postings.add(payee, seq, leg, amount);
      this.#open.set(payee, (this.#open.get(payee) ?? 0) + amount);
    }
  }

  #applyEpoch(record: EpochRecord): Result<unknown> {
    const before = this.#epochs.at(-1);
    const [epoch, first] = [(before?.epoch ?? 0) + 1, before?.end ?? 0];
    if (record.epoch !== epoch || record.first !== first)
      return wrong(`it closes epoch ${record.epoch} from ${record.first}, next is epoch ${epoch} from ${first}`);
    if (record.end < first || record.end > this.#seq)
      return wrong(`it ends at ${record.end}, outside the journal before it`);
    const charges = new Map<Hex, bigint>();
    for (const charge of this.#charges) if (charge.seq < record.end) addCharge(charges, charge.payer, charge.amount);
    this.#charges = this.#charges.filter((charge) => charge.seq >= record.end);
    const postings = this.#postings.takeBefore(record.end);
    const idOf = (payee: number) => this.parties.payee(payee)!.id;
    const closing = closeEpoch({ ...record, postings, charges, before: this.#lifetime, idOf });
    const differing = differenceOf(record, closing.record);
    if (differing !== undefined) return wrong(differing);
    this.#lifetime = closing.after;
    this.#epochs.push(record);
    this.parties.turnEpoch();
    this.#open = new Map();
    for (let at = 0; at < this.#postings.count; at++) {
      const payee = this.#postings.payeeAt(at);
      this.#open.set(payee, (this.#open.get(payee) ?? 0) + this.#postings.amountAt(at));
    }
    return ok(record);
  }
}

/** The first field in which two records of an epoch differ, in words. */
export function differenceOf(said: EpochRecord, recomputed: EpochRecord): string | undefined {
  const saidFields = new Map<string, unknown>(Object.entries(said));
  for (const [field, value] of Object.entries(recomputed)) {
    const [a, b] = [text(saidFields.get(field)), text(value)];
    if (a !== b) return `its ${field} is ${a}, the journal makes it ${b}`;
  }
  return undefined;
}

function isSameLeg(a: Leg, b: Leg): boolean {
  return a.role === b.role && a.payee === b.payee && a.weight === b.weight && a.amount === b.amount;
}

function text(value: unknown): string {
  return value instanceof Uint8Array ? toHex(value) : String(value);
}

function lawfulUnless(fault: string | undefined): Result<unknown> {
  return fault === undefined ? ok(undefined) : wrong(fault);
}

function wrong(message: string): Result<never> {
  return refuse("verification_failed", message);
}

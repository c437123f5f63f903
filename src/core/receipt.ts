import type { Nano } from "./money.ts";
import type { PackedReader, PackedWriter } from "./packed.ts";
import type { Fee, Prices, PriceUnit, Rate, Usage } from "./quote.ts";
import { assert } from "./result.ts";
import { LEGS_MAX, type Leg, type LegColumns, legRoles, roleCode } from "./route.ts";

/**
 * A receipt: one execution, as it stands in the journal. Who paid, what ran, who ran it, what it used, what it cost,
 * which receipt caused it, and where every nano of its own fee went.
 */
export interface Receipt {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly flags: ReceiptFlags;
  /** Where it stands among the receipts that agents cause; the law is `amount = own + Σ children` at every node. */
  readonly nesting: Nesting;
  /** 32 bytes: whom the epoch's debit tree charges. */
  readonly payer: Uint8Array;
  /** 16 bytes: the paying account's pseudonym on this ledger. */
  readonly account: Uint8Array;
  /** The payee whose unsettled earnings paid `earned` of `own`; 0 for nobody. */
  readonly payerPayee: number;
  readonly earned: Nano;
  readonly operator: number;
  /** 32-byte asset id. */
  readonly model: Uint8Array;
  readonly policyHash: Uint8Array;
  readonly unit: PriceUnit;
  readonly rate: Rate;
  readonly costPrices: Prices;
  readonly royaltyPrices: Prices;
  readonly usage: Usage;
  readonly fee: Fee;
  /** 32-byte salted hashes and identifiers; all zero where there is nothing to name. */
  readonly promptHash: Uint8Array;
  readonly answerHash: Uint8Array;
  readonly evidenceRoot: Uint8Array;
  readonly indexId: Uint8Array;
  readonly methodsHash: Uint8Array;
  /** Weight, out of {@link EVIDENCE_TOTAL}, that no evidence explains. */
  readonly unattributed: number;
  readonly legs: readonly Leg[];
}

/** All of a receipt but its legs, which the writer keeps in columns. */
export type ReceiptFacts = Omit<Receipt, "legs">;

export interface ReceiptFlags {
  /** Executed by somebody else's gateway and reported to us; otherwise served here. */
  readonly reported: boolean;
  /** The payer forbade opening it: earns neither subsidy nor reputation. */
  readonly unaudited: boolean;
  /** The answer was cut short, by the payer or by a failure, and only what was delivered is charged. */
  readonly partial: boolean;
  /** The model declares no training records, so no contributor is paid. */
  readonly undeclared: boolean;
}

export interface Nesting {
  readonly depth: number;
  /** 16-byte receipt ids, all zero for none. A root names itself as root. */
  readonly parent: Uint8Array;
  readonly root: Uint8Array;
  /** The child of the same parent that was journalled before this one. */
  readonly sibling: Uint8Array;
  /** Σ amounts of this parent's children up to and including this receipt; its own amount for a root. */
  readonly runningTotal: Nano;
  readonly childrenTotal: Nano;
}

export const RECEIPT_HEAD_BYTES = 476;
export const LEG_BYTES = 17;

/** Only `own` is routed by this receipt; its children route theirs. */
export function ownOf(receipt: Pick<Receipt, "fee">): Nano {
  return receipt.fee.cost + receipt.fee.royalty;
}

/** What the caller of this execution pays for it and for all that it caused. */
export function amountOf(receipt: Pick<Receipt, "fee" | "nesting">): Nano {
  return ownOf(receipt) + receipt.nesting.childrenTotal;
}

/** The nesting of an execution that nobody else's execution caused. */
export function rootNesting(id: Uint8Array, own: Nano, childrenTotal: Nano = 0): Nesting {
  const none = new Uint8Array(16);
  return { depth: 0, parent: none, root: id, sibling: none, runningTotal: own + childrenTotal, childrenTotal };
}

export function receiptBytes(legs: number): number {
  return RECEIPT_HEAD_BYTES + legs * LEG_BYTES;
}

export function writeReceipt(to: PackedWriter, receipt: Receipt): void {
  writeFacts(to, receipt);
  writeLegs(to, receipt.legs);
}

/** The same with the legs in columns. */
export function writeReceiptColumns(to: PackedWriter, facts: ReceiptFacts, legs: LegColumns): void {
  writeFacts(to, facts);
  to.u8(legs.count);
  for (let i = 0; i < legs.count; i++)
    writeLeg(to, legs.roles[i]!, legs.payees[i]!, legs.weights[i]!, legs.amounts[i]!);
}

function writeFacts(to: PackedWriter, receipt: ReceiptFacts): void {
  const { flags, nesting, usage, fee } = receipt;
  to.raw(receipt.id, 16)
    .u8(packFlags(flags))
    .u8(nesting.depth)
    .raw(nesting.parent, 16)
    .raw(nesting.root, 16)
    .raw(nesting.sibling, 16)
    .u64(nesting.runningTotal)
    .u64(nesting.childrenTotal)
    .raw(receipt.payer, 32)
    .raw(receipt.account, 16)
    .u32(receipt.payerPayee)
    .u64(receipt.earned)
    .u32(receipt.operator)
    .raw(receipt.model, 32)
    .raw(receipt.policyHash, 32)
    .u8(receipt.unit === "nano" ? 0 : 1)
    .u64(receipt.rate.nanoPerUsd)
    .ascii(receipt.rate.source, 16);
  writePrices(to, receipt.costPrices);
  writePrices(to, receipt.royaltyPrices);
  to.u32(usage.tokensIn).u32(usage.tokensOut).u32(usage.calls).u64(fee.cost).u64(fee.royalty);
  to.raw(receipt.promptHash, 32)
    .raw(receipt.answerHash, 32)
    .raw(receipt.evidenceRoot, 32)
    .raw(receipt.indexId, 32)
    .raw(receipt.methodsHash, 32)
    .u32(receipt.unattributed);
}

export function readReceipt(from: PackedReader): Receipt {
  const id = from.raw(16);
  const flags = unpackFlags(from);
  const depth = from.u8();
  const [parent, root, sibling] = [from.raw(16), from.raw(16), from.raw(16)];
  const nesting = { depth, parent, root, sibling, runningTotal: from.u64(), childrenTotal: from.u64() };
  const [payer, account, payerPayee, earned, operator] = [
    from.raw(32),
    from.raw(16),
    from.u32(),
    from.u64(),
    from.u32(),
  ];
  const [model, policyHash, unitCode] = [from.raw(32), from.raw(32), from.u8()];
  if (unitCode > 1) from.fail();
  const unit = unitCode === 0 ? "nano" : "microUsd";
  const rate = { nanoPerUsd: from.u64(), source: from.ascii(16) };
  const [costPrices, royaltyPrices] = [readPrices(from), readPrices(from)];
  const usage = { tokensIn: from.u32(), tokensOut: from.u32(), calls: from.u32() };
  const fee = { cost: from.u64(), royalty: from.u64() };
  const [promptHash, answerHash, evidenceRoot] = [from.raw(32), from.raw(32), from.raw(32)];
  const [indexId, methodsHash, unattributed] = [from.raw(32), from.raw(32), from.u32()];
  return {
    ...{ id, flags, nesting, payer, account, payerPayee, earned, operator, model, policyHash, unit, rate },
    ...{
      costPrices,
      royaltyPrices,
      usage,
      fee,
      promptHash,
      answerHash,
      evidenceRoot,
      indexId,
      methodsHash,
      unattributed,
    },
    legs: readLegs(from),
  };
}

/** u8 count, then for each leg: u8 role, u32 payee, u32 weight (2^32 stands as 0), i64 amount. */
export function writeLegs(to: PackedWriter, legs: readonly Leg[]): void {
  assert(legs.length <= LEGS_MAX, `at most ${LEGS_MAX} legs`);
  to.u8(legs.length);
  for (const leg of legs) writeLeg(to, roleCode[leg.role], leg.payee, leg.weight, leg.amount);
}

function writeLeg(to: PackedWriter, role: number, payee: number, weight: number, amount: number): void {
  to.u8(role)
    .u32(payee)
    .u32(weight === 2 ** 32 ? 0 : weight)
    .i64(amount);
}

export function readLegs(from: PackedReader): Leg[] {
  const count = from.u8();
  if (count > LEGS_MAX) from.fail();
  const legs: Leg[] = [];
  for (let i = 0; i < count && !from.hasFailed; i++) {
    const role = legRoles[from.u8()];
    const [payee, weight, amount] = [from.u32(), from.u32() || 2 ** 32, from.i64()];
    if (role === undefined) from.fail();
    else legs.push({ role, payee, weight, amount });
  }
  return legs;
}

function writePrices(to: PackedWriter, prices: Prices): void {
  to.u64(prices.inPerMillion).u64(prices.outPerMillion).u64(prices.perCall);
}

function readPrices(from: PackedReader): Prices {
  return { inPerMillion: from.u64(), outPerMillion: from.u64(), perCall: from.u64() };
}

function packFlags(flags: ReceiptFlags): number {
  return (flags.reported ? 1 : 0) | (flags.unaudited ? 2 : 0) | (flags.partial ? 4 : 0) | (flags.undeclared ? 8 : 0);
}

function unpackFlags(from: PackedReader): ReceiptFlags {
  const bits = from.u8();
  if (bits > 15) from.fail();
  return {
    reported: (bits & 1) !== 0,
    unaudited: (bits & 2) !== 0,
    partial: (bits & 4) !== 0,
    undeclared: (bits & 8) !== 0,
  };
}

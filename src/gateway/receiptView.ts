import { amountOf, ownOf, type Receipt } from "../core/receipt.ts";
import type { Books } from "../ledger/ledger.ts";
import type { ReceiptView } from "../protocol/receipts.ts";
import type { ModelCatalog } from "./catalog.ts";
import { hexText } from "./hexText.ts";
import type { PayeeLabel } from "./ports.ts";

/** A receipt for people: payee numbers resolved to ids, and to labels where the node has one. */
export function receiptView(
  { seq, timeMs, receipt }: { readonly seq: number; readonly timeMs: number; readonly receipt: Receipt },
  books: Books,
  labels: PayeeLabel,
  catalog: ModelCatalog,
): ReceiptView {
  const payee = (number: number) => {
    const id = books.payee(number)?.id ?? new Uint8Array(32);
    const label = labels(id);
    return { payee: hexText(id), ...(label === undefined ? {} : { label }) };
  };
  const { nesting, fee, usage, rate } = receipt;
  const name = catalog.nameOf(receipt.model);
  return {
    ...{ id: hexText(receipt.id), seq, timeMs, flags: receipt.flags },
    nesting: {
      ...{ depth: nesting.depth, parent: hexText(nesting.parent), root: hexText(nesting.root) },
      ...{ sibling: hexText(nesting.sibling), childrenTotal: nesting.childrenTotal },
    },
    ...{ payer: hexText(receipt.payer), account: hexText(receipt.account), operator: payee(receipt.operator) },
    model: { asset: hexText(receipt.model), ...(name === undefined ? {} : { name }) },
    ...{ policyHash: hexText(receipt.policyHash), unit: receipt.unit, rate, usage },
    prices: { cost: receipt.costPrices, royalty: receipt.royaltyPrices },
    fee: { ...fee, own: ownOf(receipt), amount: amountOf(receipt), earned: receipt.earned },
    ...(receipt.earned > 0 ? { earner: payee(receipt.payerPayee) } : {}),
    hashes: {
      ...{ prompt: hexText(receipt.promptHash), answer: hexText(receipt.answerHash) },
      ...{
        evidence: hexText(receipt.evidenceRoot),
        index: hexText(receipt.indexId),
        methods: hexText(receipt.methodsHash),
      },
    },
    unattributed: receipt.unattributed,
    legs: receipt.legs.map(({ role, payee: number, weight, amount }) => ({
      role,
      ...payee(number),
      number,
      weight,
      amount,
    })),
  };
}

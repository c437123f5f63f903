import { fromHex, toHex } from "../core/bytes.ts";
import type { Entry } from "../core/entry.ts";
import { ownOf } from "../core/receipt.ts";
import { assert, refuse } from "../core/result.ts";
import { type CorrectionView, correctionBody, correctionParam, correctionSchema } from "../protocol/corrections.ts";
import type { Floor } from "./order.ts";
import { jsonOf, plain, type Route, route } from "./routes.ts";

/** Refunds, chargebacks, late meters and disputes: an entry of their own that names the receipt and amends it. */
export function correctionRoutes(floor: Floor): Route[] {
  const { books } = floor.ledger;
  return [
    route({
      ...{ ...plain, method: "POST", access: "admin", tag: "receipts", path: "/api/receipts/{id}/corrections" },
      summary: "Give back all or part of a receipt; contributors' settled money is never taken",
      ...{ params: correctionParam, body: correctionBody, response: correctionSchema },
      handle: async ({ params, body: { reason, refund, note, key } }) => {
        const id = fromHex(params.id);
        const found = await books.receipt(id);
        if (found === undefined) return refuse("not_found", `there is no receipt ${params.id}`);
        const amount = refund ?? ownOf(found.receipt);
        return jsonOf(await books.correct({ receipt: id, reason, refund: amount, note, key }), (entry) =>
          viewOf(floor, entry),
        );
      },
    }),
  ];
}

function viewOf({ ledger, labels }: Floor, entry: Entry): CorrectionView {
  assert(entry.kind === "correction", "a correction is journalled as one");
  const { id, receipt, receiptSeq, reason, refund, earned, legs } = entry.correction;
  return {
    ...{
      seq: entry.seq,
      timeMs: entry.timeMs,
      id: toHex(id),
      receipt: toHex(receipt),
      receiptSeq,
      reason,
      refund,
      earned,
    },
    legs: legs.map(({ role, payee: number, amount }) => {
      const payee = ledger.books.payee(number)?.id ?? new Uint8Array(32);
      const label = labels(payee);
      return { role, payee: toHex(payee), amount, ...(label === undefined ? {} : { label }) };
    }),
  };
}

import { toHex } from "../core/bytes.ts";
import type { GatewayParts } from "../gateway/gateway.ts";
import { StatementDesk } from "../ledger/issued.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { PayoutDesk } from "../ledger/payoutDesk.ts";
import { Webhooks } from "../ledger/webhooks.ts";
import type { OpenPayoutStore } from "../store/payoutStore.ts";
import { WebhookSender } from "../upstream/webhookSender.ts";

export interface BusinessParts {
  readonly ledger: Ledger;
  readonly store: OpenPayoutStore;
  /** Bank payouts are for ledgers without a chain. */
  readonly isCredit: boolean;
  readonly nanoPerUsd: () => number;
  readonly labelOf: (payee: string) => string | undefined;
  readonly nowMs: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  /** A node for one machine's own use may call receivers on it. */
  readonly callsInside: boolean;
  readonly say: (text: string) => void;
}

/** What a business asks of its books: statements, payouts by bank, and to be told of what happens. */
export interface Business {
  readonly gateway: Required<Pick<GatewayParts, "statements" | "webhooks">> & Pick<GatewayParts, "payouts">;
  readonly payouts: PayoutDesk | undefined;
  /** Sends what is due. */
  round(): Promise<void>;
  close(): Promise<void>;
}

export function openBusiness(parts: BusinessParts): Business {
  const { ledger, store, nowMs, randomBytes, say } = parts;
  const sender = new WebhookSender({ allowsInside: parts.callsInside });
  const world = { nowMs, randomBytes, say };
  const webhooks = new Webhooks(ledger, store.webhooks, (message) => sender.send(message), world);
  const payouts = parts.isCredit
    ? new PayoutDesk(ledger, store, nowMs, (payout) =>
        webhooks.keep("claimed", "", {
          ...{ payout: payout.number, currency: payout.currency, reference: payout.reference },
          lines: payout.lines.map(({ payee, nano, net }) => ({ payee, nano: String(nano), net })),
        }),
      )
    : undefined;
  const { nanoPerUsd, labelOf } = parts;
  const statements = new StatementDesk({ ledger, store: store.statements, details: store, nowMs, nanoPerUsd, labelOf });
  const known = new Map(ledger.epochs.list().map(({ record, status }) => [record.epoch, status]));
  return {
    gateway: {
      statements,
      webhooks: { webhooks, check: (url) => sender.check(url) },
      ...(payouts === undefined ? {} : { payouts }),
    },
    payouts,
    async round() {
      for (const { record, status, reference } of ledger.epochs.list()) {
        if (status === known.get(record.epoch)) continue;
        known.set(record.epoch, status);
        if (status !== "final") continue;
        const sums = { credits: String(record.credits), debits: String(record.debits) };
        await webhooks.keep("settled", "", {
          ...{ epoch: record.epoch, ...sums, payoutRoot: toHex(record.payoutRoot), reference },
        });
      }
      await webhooks.round();
    },
    close: () => sender.close(),
  };
}

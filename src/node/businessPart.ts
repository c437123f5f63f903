import type { Rate } from "../core/quote.ts";
import { ok, type Result } from "../core/result.ts";
import type { GatewayParts } from "../gateway/gateway.ts";
import type { Chain } from "../ledger/chain.ts";
import { bankClaims, chainClaims, type PaidClaim } from "../ledger/claimLines.ts";
import { ClaimWatch } from "../ledger/claims.ts";
import { StatementDesk } from "../ledger/issued.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { PayoutDesk } from "../ledger/payoutDesk.ts";
import { RefusalTally } from "../ledger/refusalTally.ts";
import { RelayDesk } from "../ledger/relayDesk.ts";
import { Teller } from "../ledger/teller.ts";
import { Webhooks } from "../ledger/webhooks.ts";
import type { OpenPayoutStore } from "../store/payoutStore.ts";
import { WebhookSender } from "../upstream/webhookSender.ts";
import type { RelayPart } from "./relayPart.ts";

export interface BusinessParts {
  readonly ledger: Ledger;
  readonly store: OpenPayoutStore;
  /** Where claims are made and seen; a ledger without a chain pays by bank. */
  readonly chain: Chain | undefined;
  /** Where the node relays claims. */
  readonly relay?: RelayPart | undefined;
  /** Blocks of it that may still be taken back. */
  readonly lagBlocks?: number;
  /** The rate in force, and the last one that was. */
  readonly rate: () => Rate;
  /** It was on credit, and has moved to a chain: what was paid by bank can still be looked up. */
  readonly wasCredit?: boolean;
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
  readonly gateway: Required<Pick<GatewayParts, "statements" | "webhooks" | "onRefused">> &
    Pick<GatewayParts, "payouts" | "relays">;
  readonly payouts: PayoutDesk | undefined;
  /** Looks for claims that were made on chain, and relays those that are due. */
  watchClaims(): Promise<Result<unknown>>;
  /** Sends what is due. */
  round(): Promise<void>;
  close(): Promise<void>;
}

export function openBusiness(parts: BusinessParts): Business {
  const { ledger, store, nowMs, randomBytes, say } = parts;
  const sender = new WebhookSender({ allowsInside: parts.callsInside });
  const world = { nowMs, randomBytes, say };
  const webhooks = new Webhooks(ledger, store.webhooks, (message) => sender.send(message), world);
  const { chain, lagBlocks = 0, rate, wasCredit = false } = parts;
  const relayDesk = chain && relayDeskOf(parts, chain);
  const desk = new PayoutDesk({ ledger, store, nowMs, rate, isOver: chain !== undefined });
  const payouts = chain === undefined ? desk : undefined;
  const watch = chain && new ClaimWatch({ ledger, chain, store: store.claims, lagBlocks, rate, nowMs });
  const tally = new RefusalTally();
  const teller = new Teller({ ledger, webhooks, store: store.webhooks, payouts, tally });
  const { nanoPerUsd, labelOf } = parts;
  const claimsUntil = async (untilMs: number): Promise<readonly PaidClaim[]> => {
    const banked = bankClaims(await store.payouts()).filter(({ timeMs }) => timeMs < untilMs);
    return [...banked, ...chainClaims(await store.claims.claims({ untilMs }))];
  };
  const dated = { nowMs, nanoPerUsd, labelOf, claimsUntil };
  const statements = new StatementDesk({ ledger, store: store.statements, details: store, ...dated });
  return {
    gateway: {
      statements,
      webhooks: { webhooks, check: (url) => sender.check(url) },
      ...(chain === undefined || wasCredit ? { payouts: desk } : {}),
      ...(chain === undefined ? {} : { relays: { claims: store.claims, desk: relayDesk } }),
      onRefused: (account, { code, message }) => tally.add(account, code, message, nowMs()),
    },
    payouts,
    async watchClaims() {
      const relayed = (await relayDesk?.round()) ?? ok(undefined);
      const sent = relayed.ok ? (relayed.value?.transactions ?? []) : [];
      for (const transaction of sent) say(`claims are relayed in transaction ${transaction}`);
      const watched = (await watch?.round()) ?? ok(undefined);
      return watched.ok ? relayed : watched;
    },
    async round() {
      await teller.round();
      await webhooks.round();
    },
    async close() {
      await teller.round();
      await sender.close();
    },
  };
}

function relayDeskOf({ ledger, store, relay, nowMs }: BusinessParts, chain: Chain): RelayDesk | undefined {
  if (relay === undefined) return undefined;
  const stores = { store: store.relays, claims: store.claims };
  return new RelayDesk({ ledger, chain, ...relay, ...stores, nowMs });
}

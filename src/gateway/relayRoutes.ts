import { fromHex, toHex } from "../core/bytes.ts";
import { type Result, refuse } from "../core/result.ts";
import type { ClaimStore, KnownClaim } from "../ledger/claims.ts";
import { amountWorth, type PlannedMember } from "../ledger/relay.ts";
import { RELAY_BPS_MAX, RELAY_BPS_USUAL, type RelayDesk, type RelayOutlook } from "../ledger/relayDesk.ts";
import type { RelayConsent, RelayTerms } from "../ledger/relayPorts.ts";
import {
  paidClaimsSchema,
  type RelayOutlookView,
  relayConsentBody,
  relayConsentSchema,
  relayOutlookSchema,
  relayPayeeParam,
  relayQuoteQuery,
  relayQuoteSchema,
  relaySentSchema,
  relayWithdrawalBody,
} from "../protocol/relays.ts";
import { empty } from "../protocol/scalars.ts";
import type { Floor } from "./order.ts";
import { json, jsonOf, plain, type Reply, type Route, route } from "./routes.ts";

/** Claims on chain: those that were made, and those that the node relays for payees who agreed to it. */
export interface RelayParts {
  readonly claims: Pick<ClaimStore, "claims">;
  /** Absent where the node relays nothing. */
  readonly desk: RelayDesk | undefined;
}

const DAY_S = 86_400;

/** A payee proves itself by its signature, and so needs no key. */
export function relayRoutes({ world }: Floor, { claims, desk }: RelayParts): Route[] {
  const shared = { ...plain, access: "open", tag: "claims" } as const;
  const here = (work: (desk: RelayDesk) => Promise<Result<Reply>>): Promise<Result<Reply>> =>
    desk === undefined ? Promise.resolve(notHere) : work(desk);
  const ofPayee = { ...shared, path: "/api/claims/{payee}/relay", params: relayPayeeParam } as const;
  return [
    route({
      ...{ ...shared, method: "GET", path: "/api/claims/{payee}/paid", params: relayPayeeParam },
      ...{ summary: "What a payee has claimed on chain, with the fees that relays took", response: paidClaimsSchema },
      handle: async ({ params }) => json({ data: (await claims.claims({ payee: hexOf(params.payee) })).map(paidView) }),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/relay", response: relayOutlookSchema },
      summary: "Whose claims would be relayed now, at what cost, and who waits for what",
      handle: () => here(async (at) => jsonOf(await at.recentOutlook(), (outlook) => outlookView(at, outlook))),
    }),
    route({
      ...{ ...shared, method: "POST", access: "admin", path: "/api/relay", response: relaySentSchema },
      summary: "Relay the claims that are due, in as few transactions as it takes",
      handle: () =>
        here(async (at) =>
          jsonOf(await at.send(), (sent) => ({ ...outlookView(at, sent), transactions: [...sent.transactions] })),
        ),
    }),
    route({
      ...{ ...ofPayee, method: "GET", query: relayQuoteQuery, response: relayQuoteSchema },
      summary: "What relaying a payee's claim costs now, and what it signs to agree",
      handle: ({ params, query }) =>
        here((at) => {
          const until = query.until ?? Math.floor(world.nowMs() / 1_000) + query.days * DAY_S;
          return quote(at, hexOf(params.payee), query.feeBpsMax ?? RELAY_BPS_USUAL, until);
        }),
    }),
    route({
      ...{ ...ofPayee, method: "POST", body: relayConsentBody, response: relayConsentSchema },
      summary: "A payee agrees, by its signatures, that its claims are relayed within its terms",
      handle: ({ params, body }) => here(async (at) => jsonOf(await at.agree(hexOf(params.payee), body), consentView)),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/claims/{payee}/relay/onchain", params: relayPayeeParam },
      ...{ summary: "The same for an account that is a contract, and has agreed there itself" },
      response: relayConsentSchema,
      handle: ({ params }) => here(async (at) => jsonOf(await at.agreedOnChain(hexOf(params.payee)), consentView)),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/claims/{payee}/relay/withdrawal", params: relayPayeeParam },
      ...{ summary: "A payee takes that back, by its signature", body: relayWithdrawalBody, response: empty },
      handle: ({ params, body }) =>
        here(async (at) => jsonOf(await at.withdraw(hexOf(params.payee), body.signature), () => ({}))),
    }),
  ];
}

const notHere = refuse("not_found", "this node relays no claims", {
  hint: "a node on a chain of its own does; on another one: openledger up --relay-rate OPEN_FOR_ONE_ETH",
});

async function quote(at: RelayDesk, payee: string, feeBpsMax: number, until: number): Promise<Result<Reply>> {
  const account = await at.account(payee);
  if (!account.ok) return account;
  const quoted = await at.quote(payee);
  if (!quoted.ok) return quoted;
  const prices = await at.relay.prices();
  if (!prices.ok) return prices;
  const { relayer } = at.relay;
  // Twice the rate of today: rates move, and the fee is bounded by its share anyway.
  const terms: RelayTerms = { relayer, feeBpsMax, rateMax: 2 * prices.value.microOpenPerEth, until };
  const toSign = await at.relay.toSign(account.value, terms);
  if (!toSign.ok) return toSign;
  const nothing = await at.relay.toSign(account.value, { relayer, feeBpsMax: 0, rateMax: 0, until: 0 });
  if (!nothing.ok) return nothing;
  const agreed = (await at.consent(payee))?.terms ?? null;
  const goesAt = String(amountWorth(quoted.value.cost, agreed?.feeBpsMax ?? feeBpsMax));
  return json({
    ...{ payee, account: account.value, batch: quoted.value.batch, ...plannedView(quoted.value), goesAt },
    ...{ agreed, terms },
    toSign: { ...toSign.value, withdrawal: nothing.value.consent },
  });
}

function outlookView(at: RelayDesk, outlook: RelayOutlook): RelayOutlookView {
  const { prices, members, waiting, budget, epoch } = outlook;
  const { contract, relayer } = at.relay;
  return {
    ...{ contract: hexOf(contract), relayer: hexOf(relayer), epoch, budget: String(budget), ...at.policy },
    ...{ gasPriceWei: String(prices.gasPriceWei), microOpenPerEth: prices.microOpenPerEth },
    ...{ feeBpsUsual: RELAY_BPS_USUAL, feeBpsMax: RELAY_BPS_MAX },
    members: members.map((member) => ({ payee: member.candidate.payee, ...plannedView(member) })),
    waiting: waiting.map(({ payee, due, goesAt, goesFromMs }) => ({
      ...{ payee, due: String(due), goesAt: String(goesAt), goesFromMs },
    })),
  };
}

function plannedView({ candidate, gas, cost, fee, isFree }: PlannedMember) {
  return { due: String(candidate.due), gas, cost: String(cost), fee: String(fee), isFree };
}

function consentView({ payee, account, agreedMs, terms }: RelayConsent) {
  return { payee, account, agreedMs, terms };
}

function paidView({ fee, rate, nano, ...claim }: KnownClaim) {
  const { reference, transaction, timeMs, epoch, account } = claim;
  const taken = fee?.nano ?? 0n;
  return {
    ...{ reference, transaction, timeMs, epoch, account, nano: String(nano), fee: String(taken) },
    ...{ paid: String(nano - taken), nanoPerUsd: rate.nanoPerUsd, rateSource: rate.source },
    relay: fee === undefined ? null : relayView(fee),
  };
}

function relayView({ relayer, gasUsed, gasPriceWei, microOpenPerEth }: NonNullable<KnownClaim["fee"]>) {
  return { relayer, gasUsed, gasPriceWei: String(gasPriceWei), microOpenPerEth };
}

function hexOf(text: string): string {
  return toHex(fromHex(text));
}

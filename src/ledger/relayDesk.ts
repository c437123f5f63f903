import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Chain } from "./chain.ts";
import type { ClaimStore, KnownClaim } from "./claims.ts";
import type { Ledger } from "./ledger.ts";
import {
  type GasPrices,
  memberOf,
  nanoOf,
  type PlannedMember,
  planRelay,
  type RelayCandidate,
  type RelayPlan,
  type WaitingPayee,
} from "./relay.ts";
import type { RelayChain, RelayConsent, RelayMember, RelayStore, RelayTerms, SignedRelayTerms } from "./relayPorts.ts";
import { TreasuryIncome } from "./treasuryIncome.ts";

export interface RelayPolicy {
  /** How long a payee that is too small is kept waiting. */
  readonly patienceMs: number;
  /** Of the treasury's income, in hundredths of a percent, for the gas of those that waited so long. */
  readonly subsidyBps: number;
  /** How often batches go by themselves; 0 for never. */
  readonly everyMs: number;
}

export interface RelayDeskParts {
  readonly ledger: Pick<Ledger, "id" | "books" | "epochs">;
  readonly chain: Pick<Chain, "claimed" | "entitledTo">;
  readonly relay: RelayChain;
  readonly store: RelayStore;
  readonly claims: Pick<ClaimStore, "claims">;
  readonly policy: RelayPolicy;
  readonly nowMs: () => number;
}

export interface RelayOutlook {
  readonly epoch: number;
  readonly prices: GasPrices;
  readonly members: readonly PlannedMember[];
  readonly waiting: readonly WaitingPayee[];
  /** Nano that the node may still spend on those that waited long. */
  readonly budget: bigint;
}

interface Standing extends Pick<RelayOutlook, "epoch" | "prices" | "budget"> {
  readonly candidates: readonly RelayCandidate[];
}

interface SentBatch {
  readonly transaction: string;
  readonly members: readonly PlannedMember[];
  /** What the node bears of it. */
  readonly spent: bigint;
}

/** What was sent, over all its batches. */
export interface RelaySent extends RelayOutlook {
  readonly transactions: readonly string[];
}

/** Payees in a batch: some 5 million gas, and a limit of 21 million, which fits a block. */
export const RELAY_MEMBERS_MAX = 60;
/** What a payee is asked to let the fee be, in hundredths of a percent. The contract lets nobody be asked for more than 200. */
export const RELAY_BPS_USUAL = 100;
export const RELAY_BPS_MAX = 200;
const RECENT_MS = 30_000;
/** In one turn; whoever is left goes in the next one. */
const BATCHES_MAX = 50;

/**
 * Relays the claims of those who have agreed to it. Money is safe whatever happens here: the contract pays what is due, once, to whom it is due. So a batch that was sent twice, or that the
 * process did not survive, costs the node gas and nobody else anything.
 */
export class RelayDesk {
  readonly #parts: RelayDeskParts;
  #income: TreasuryIncome | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** What batches were reckoned to cost the node, by transaction, until their claims are seen on chain. */
  readonly #unseen = new Map<string, bigint>();
  #recent: { readonly atMs: number; readonly outlook: Promise<Result<RelayOutlook>> } | undefined;

  constructor(parts: RelayDeskParts) {
    this.#parts = parts;
  }

  get relay(): RelayChain {
    return this.#parts.relay;
  }

  get policy(): RelayPolicy {
    return this.#parts.policy;
  }

  async consent(payee: string): Promise<RelayConsent | undefined> {
    return (await this.#parts.store.consents()).find((one) => one.payee === payee);
  }

  /** Refuses `forbidden` where nobody is entitled yet, or the signatures are not of whoever is. The same again changes nothing. */
  async agree(payee: string, signed: SignedRelayTerms): Promise<Result<RelayConsent>> {
    const { relay, store, nowMs } = this.#parts;
    const known = await this.consent(payee);
    if (known !== undefined && known.signature === signed.signature) return ok(known);
    const account = await this.account(payee);
    if (!account.ok) return account;
    const { terms } = signed;
    if (terms.relayer.toLowerCase() !== relay.relayer.toLowerCase())
      return refuse("invalid_request", `this node relays as ${relay.relayer}`, { field: "terms.relayer" });
    if (terms.until * 1_000 <= nowMs()) return refuse("invalid_request", "that is over", { field: "terms.until" });
    const checked = await relay.check(account.value, signed);
    if (!checked.ok) return checked;
    const consent = { ...signed, payee, account: account.value, agreedMs: nowMs() };
    await store.putConsent(consent);
    this.#recent = undefined;
    return ok(consent);
  }

  /** For an account that cannot sign, a contract: what it has told ClaimRelay itself is its word. Refuses `forbidden` where it has told it nothing. */
  async agreedOnChain(payee: string): Promise<Result<RelayConsent>> {
    const { relay, store, nowMs } = this.#parts;
    const account = await this.account(payee);
    if (!account.ok) return account;
    const terms = await relay.terms(account.value);
    if (!terms.ok) return terms;
    if (terms.value?.relayer.toLowerCase() !== relay.relayer.toLowerCase())
      return refuse("forbidden", `${account.value} has not agreed to this relayer at ${relay.contract}`, {
        hint: "the account calls consent there, and approve at OPEN",
      });
    const known = await this.consent(payee);
    if (known !== undefined && sameTerms(known.terms, terms.value)) return ok(known);
    const unsigned = { signature: "0x", permitDeadline: 0, permit: "0x" };
    const consent = { terms: terms.value, ...unsigned, payee, account: account.value, agreedMs: nowMs() };
    await store.putConsent(consent);
    this.#recent = undefined;
    return ok(consent);
  }

  /** By the account's own signature; the contract is told by the account, if it likes, and by nobody else. */
  async withdraw(payee: string, signature: string): Promise<Result<void>> {
    const { relay, store } = this.#parts;
    const consent = await this.consent(payee);
    if (consent === undefined) return refuse("not_found", `${payee} has not agreed to be relayed`);
    const isOwn = await relay.isWithdrawal(consent.account, signature);
    if (!isOwn.ok) return isOwn;
    if (!isOwn.value) return refuse("forbidden", `the signature is not of ${consent.account}`, { field: "signature" });
    await store.removeConsent(payee);
    this.#recent = undefined;
    return ok(undefined);
  }

  /** The address that a payee's claims go to. */
  async account(payee: string): Promise<Result<string>> {
    const { ledger, chain } = this.#parts;
    if (ledger.books.payeeNumber(fromHex(payee)) === undefined)
      return refuse("not_found", `the journal knows no payee ${payee}`);
    const entitled = await chain.entitledTo(ledger.id, fromHex(payee));
    if (!entitled.ok) return entitled;
    if (entitled.value === undefined)
      return refuse("forbidden", "nobody is entitled to this payee's money yet", {
        hint: "an external identity is bound to an address first: openledger binding notice",
      });
    return ok(toHex(entitled.value));
  }

  /** What relaying a payee's claim would cost now, in a batch with those that go. */
  async quote(payee: string): Promise<Result<PlannedMember & { readonly batch: number }>> {
    const outlook = await this.recentOutlook();
    if (!outlook.ok) return outlook;
    const { members, prices, epoch } = outlook.value;
    const planned = members.find(({ candidate }) => candidate.payee === payee);
    if (planned !== undefined) return ok({ ...planned, batch: members.length });
    const candidate = await this.#candidate(epoch, await this.consent(payee), payee);
    if (!candidate.ok) return candidate;
    const batch = members.length + 1;
    return ok({ ...memberOf(candidate.value, batch, prices), batch });
  }

  /** {@link outlook} as it was at most half a minute ago, since anybody may ask for it and it asks the chain a lot. */
  recentOutlook(): Promise<Result<RelayOutlook>> {
    const { nowMs } = this.#parts;
    if (this.#recent === undefined || nowMs() - this.#recent.atMs > RECENT_MS)
      this.#recent = { atMs: nowMs(), outlook: this.outlook() };
    return this.#recent.outlook;
  }

  /** Who would go now, and who waits for what; sends nothing. */
  async outlook(): Promise<Result<RelayOutlook>> {
    const standing = await this.#standing();
    if (!standing.ok) return standing;
    const { candidates, ...rest } = standing.value;
    return ok({ ...rest, ...this.#plan(candidates, rest) });
  }

  /** Sends batches until nobody is left who would go. */
  send(): Promise<Result<RelaySent>> {
    return this.#inTurn(() => this.#send());
  }

  /** Sends a batch where the last one is old enough. */
  async round(): Promise<Result<RelaySent | undefined>> {
    const { store, policy, nowMs } = this.#parts;
    if (policy.everyMs === 0 || nowMs() - ((await store.lastBatchMs()) ?? 0) < policy.everyMs) return ok(undefined);
    if ((await store.consents()).length === 0) return ok(undefined);
    return this.send();
  }

  async #send(): Promise<Result<RelaySent>> {
    const { store, nowMs } = this.#parts;
    await store.noteBatch(nowMs());
    const standing = await this.#standing();
    if (!standing.ok) return standing;
    let { candidates, budget } = standing.value;
    const { epoch, prices } = standing.value;
    const [transactions, members]: [string[], PlannedMember[]] = [[], []];
    for (;;) {
      const plan = this.#plan(candidates, { prices, budget });
      const outlook = { epoch, prices, budget, waiting: plan.waiting };
      if (plan.members.length === 0 || transactions.length === BATCHES_MAX)
        return ok({ ...outlook, members, transactions });
      const batch = await this.#sendBatch(epoch, plan.members);
      if (!batch.ok) return batch;
      // Whoever was in a batch has had its turn, also where the contract left it out.
      const had = new Set(plan.members.map(({ candidate }) => candidate));
      candidates = candidates.filter((candidate) => !had.has(candidate));
      if (batch.value === undefined) continue;
      transactions.push(batch.value.transaction);
      members.push(...batch.value.members);
      budget -= batch.value.spent;
    }
  }

  /** Undefined where nobody goes. */
  async #sendBatch(epoch: number, members: readonly PlannedMember[]): Promise<Result<SentBatch | undefined>> {
    const { ledger, relay, store } = this.#parts;
    const consents = new Map((await store.consents()).map((consent) => [consent.payee, consent]));
    const going: { readonly planned: PlannedMember; readonly member: RelayMember }[] = [];
    for (const planned of members) {
      const { candidate, isFree } = planned;
      const proof = await ledger.epochs.payout(epoch, fromHex(candidate.payee));
      if (!proof.ok) return proof;
      const consent = candidate.registers && !isFree ? consents.get(candidate.payee) : undefined;
      const member = { proof: proof.value, isFree, ...(consent === undefined ? {} : { consent }) };
      const would = await relay.wouldClaim(ledger.id, epoch, member);
      if (!would.ok) return would;
      if (would.value) going.push({ planned, member });
      // The account has withdrawn at the contract, and so has voided what it signed for us.
      else if (consent !== undefined && !(await relay.check(consent.account, consent)).ok)
        await store.removeConsent(candidate.payee);
    }
    if (going.length === 0) return ok(undefined);
    const sent = await relay.send(
      ledger.id,
      epoch,
      going.map(({ member }) => member),
    );
    if (!sent.ok) return sent;
    const { transaction } = sent.value;
    const spent = going.reduce((sum, { planned: { cost, fee } }) => sum + cost - fee, 0n);
    this.#unseen.set(transaction, spent);
    this.#recent = undefined;
    return ok({ transaction, spent, members: going.map(({ planned }) => planned) });
  }

  #plan(candidates: readonly RelayCandidate[], { prices, budget }: Pick<RelayOutlook, "prices" | "budget">): RelayPlan {
    const { policy, nowMs } = this.#parts;
    const rules = { nowMs: nowMs(), patienceMs: policy.patienceMs, budget, membersMax: RELAY_MEMBERS_MAX };
    return planRelay(candidates, prices, rules);
  }

  /** Everybody whose consent is in force, with what is due, as the chain has it now. */
  async #standing(): Promise<Result<Standing>> {
    const { ledger, relay, store } = this.#parts;
    const prices = await relay.prices();
    if (!prices.ok) return prices;
    const budget = await this.#budget();
    const epoch = ledger.epochs.list().findLast(({ status }) => status === "final")?.record.epoch ?? 0;
    const candidates: RelayCandidate[] = [];
    for (const consent of epoch === 0 ? [] : await store.consents()) {
      if (!this.#isInForce(consent, prices.value)) continue;
      const candidate = await this.#candidate(epoch, consent, consent.payee);
      if (!candidate.ok && candidate.error.code === "chain_unavailable") return candidate;
      if (candidate.ok) candidates.push(candidate.value);
    }
    return ok({ epoch, prices: prices.value, budget, candidates });
  }

  #isInForce({ terms }: RelayConsent, { microOpenPerEth }: GasPrices): boolean {
    return terms.until * 1_000 > this.#parts.nowMs() && microOpenPerEth <= terms.rateMax;
  }

  async #candidate(epoch: number, consent: RelayConsent | undefined, payee: string): Promise<Result<RelayCandidate>> {
    const { ledger, chain, relay, claims } = this.#parts;
    const proof = await ledger.epochs.payout(epoch, fromHex(payee));
    if (!proof.ok) return proof;
    const claimed = await chain.claimed(ledger.id, fromHex(payee));
    if (!claimed.ok) return claimed;
    const onChain = consent === undefined ? ok(undefined) : await relay.terms(consent.account);
    if (!onChain.ok) return onChain;
    const [last] = (await claims.claims({ payee })).slice(-1);
    const terms = consent?.terms;
    const due = proof.value.cumulative - claimed.value;
    return ok({
      ...{ payee, due: due > 0n ? due : 0n, isFirst: claimed.value === 0n },
      registers: onChain.value === undefined || !sameTerms(onChain.value, terms),
      feeBpsMax: terms?.feeBpsMax ?? RELAY_BPS_USUAL,
      waitingSinceMs: Math.max(consent?.agreedMs ?? this.#parts.nowMs(), last?.timeMs ?? 0),
    });
  }

  /** A part of what the treasury has earned, less what relays have cost beyond their fees. */
  async #budget(): Promise<bigint> {
    const { ledger, store, claims, policy, relay } = this.#parts;
    this.#income ??= new TreasuryIncome(ledger.books, store);
    const income = await this.#income.total();
    const relayed = await claims.claims({ relayer: relay.relayer });
    for (const { transaction } of relayed) this.#unseen.delete(transaction);
    const underWay = [...this.#unseen.values()].reduce((sum, nano) => sum + nano, 0n);
    const spent = relayed.reduce((sum, claim) => sum + borne(claim), underWay);
    const budget = (income * BigInt(policy.subsidyBps)) / 10_000n - spent;
    return budget > 0n ? budget : 0n;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

/** What a relayed claim cost the relayer beyond its fee. */
function borne({ fee }: KnownClaim): bigint {
  return fee === undefined ? 0n : nanoOf(fee.gasUsed, fee) - fee.nano;
}

function sameTerms(a: RelayTerms, b: RelayTerms | undefined): boolean {
  return (
    b !== undefined &&
    a.relayer.toLowerCase() === b.relayer.toLowerCase() &&
    a.feeBpsMax === b.feeBpsMax &&
    a.rateMax === b.rateMax &&
    a.until === b.until
  );
}

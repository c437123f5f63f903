import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Chain } from "./chain.ts";
import type { ClaimStore, KnownClaim } from "./claims.ts";
import type { Ledger, PayoutProof } from "./ledger.ts";
import {
  type GasPrices,
  memberOf,
  nanoOf,
  type PlannedMember,
  planRelay,
  type RelayCandidate,
  type WaitingPayee,
} from "./relay.ts";

/** What an account lets its relayer do: ClaimRelay's `RelayTerms`. */
export interface RelayTerms {
  /** Hex address. */
  readonly relayer: string;
  readonly feeBpsMax: number;
  /** Micro OPEN for one ETH at most. */
  readonly rateMax: number;
  /** Seconds since 1970. */
  readonly until: number;
}

/** Terms as an account signed them, with its permit; both signatures are 65 bytes of hex. */
export interface SignedRelayTerms {
  readonly terms: RelayTerms;
  readonly signature: string;
  readonly permitDeadline: number;
  readonly permit: string;
}

/** A payee's standing word that its claims may be relayed. */
export interface RelayConsent extends SignedRelayTerms {
  readonly payee: string;
  readonly account: string;
  readonly agreedMs: number;
}

/** Where consents are kept, and when batches were sent. What fails throws a `RefusalError`. */
export interface RelayStore {
  consents(): Promise<readonly RelayConsent[]>;
  putConsent(consent: RelayConsent): Promise<void>;
  removeConsent(payee: string): Promise<boolean>;
  /** When a batch was last begun; noted before it is sent, so that one that the process did not survive is not repeated at once. */
  lastBatchMs(): Promise<number | undefined>;
  noteBatch(atMs: number): Promise<void>;
}

export interface RelayMember {
  readonly proof: PayoutProof;
  /** With the account whose it is, where the contract has not seen it yet. */
  readonly consent?: RelayConsent;
}

/** The ClaimRelay on its chain, as the node's own account uses it. */
export interface RelayChain {
  readonly contract: string;
  readonly relayer: string;
  /** What gas costs now, at the rate that the node's owner states. */
  prices(): Promise<Result<GasPrices>>;
  /** The terms that the contract has of an account now; undefined for none. */
  terms(account: string): Promise<Result<RelayTerms | undefined>>;
  /** What an account has to sign, as EIP-712 typed data in JSON: the consent and the permit. */
  toSign(account: string, terms: RelayTerms): Promise<Result<{ readonly consent: unknown; readonly permit: unknown }>>;
  /** Tries a consent against the contract, and changes nothing. */
  check(account: string, signed: SignedRelayTerms): Promise<Result<void>>;
  /** Whether an account signed that it is not to be relayed any more: the terms with 0 for how long. */
  isWithdrawal(account: string, signature: string): Promise<Result<boolean>>;
  /** Tries one member, and changes nothing: whether it would be claimed for. */
  wouldClaim(ledger: Uint8Array, epoch: number, member: RelayMember): Promise<Result<boolean>>;
  /** Refuses `conflict` while a transaction of the relayer is still under way. */
  send(ledger: Uint8Array, epoch: number, members: readonly RelayMember[]): Promise<Result<{ transaction: string }>>;
}

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
  /** 32 bytes. */
  readonly treasury: Uint8Array;
  readonly nowMs: () => number;
  /** The chain's state outlives a crash of it from here on. */
  readonly snapshot: () => Promise<void>;
}

export interface RelayOutlook {
  readonly epoch: number;
  readonly prices: GasPrices;
  readonly members: readonly PlannedMember[];
  readonly waiting: readonly WaitingPayee[];
  /** Nano that the node may still spend on those that waited long. */
  readonly budget: bigint;
}

export interface RelaySent extends RelayOutlook {
  readonly transaction: string | undefined;
}

/** Payees in a batch: some 5 million gas, and a limit of 21 million, which fits a block. */
export const RELAY_MEMBERS_MAX = 60;
/** What a payee is asked to let the fee be, in hundredths of a percent. The contract lets nobody be asked for more than 200. */
export const RELAY_BPS_USUAL = 50;
export const RELAY_BPS_MAX = 200;
const RECENT_MS = 30_000;

/**
 * Relays the claims of those who have agreed to it. Money is safe whatever happens here: the contract pays what is due, once, to whom it is due. So a batch that was sent twice, or that the
 * process did not survive, costs the node gas and nobody else anything.
 */
export class RelayDesk {
  readonly #parts: RelayDeskParts;
  #turn: Promise<unknown> = Promise.resolve();
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
    const { ledger, relay, store, policy, nowMs } = this.#parts;
    const prices = await relay.prices();
    if (!prices.ok) return prices;
    const budget = await this.#budget();
    const epoch = ledger.epochs.list().findLast(({ status }) => status === "final")?.record.epoch;
    if (epoch === undefined) return ok({ epoch: 0, prices: prices.value, members: [], waiting: [], budget });
    const candidates: RelayCandidate[] = [];
    for (const consent of await store.consents()) {
      if (!this.#isInForce(consent, prices.value)) continue;
      const candidate = await this.#candidate(epoch, consent, consent.payee);
      if (!candidate.ok && candidate.error.code === "chain_unavailable") return candidate;
      if (candidate.ok) candidates.push(candidate.value);
    }
    const rules = { nowMs: nowMs(), patienceMs: policy.patienceMs, budget, membersMax: RELAY_MEMBERS_MAX };
    return ok({ epoch, prices: prices.value, budget, ...planRelay(candidates, prices.value, rules) });
  }

  /** Sends the batch that is due, if there is one. */
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
    const { ledger, relay, store, nowMs, snapshot } = this.#parts;
    const outlook = await this.outlook();
    if (!outlook.ok) return outlook;
    const { epoch } = outlook.value;
    const consents = new Map((await store.consents()).map((consent) => [consent.payee, consent]));
    const going: RelayMember[] = [];
    for (const { candidate } of outlook.value.members) {
      const proof = await ledger.epochs.payout(epoch, fromHex(candidate.payee));
      if (!proof.ok) return proof;
      const consent = candidate.registers ? consents.get(candidate.payee) : undefined;
      const member = { proof: proof.value, ...(consent === undefined ? {} : { consent }) };
      const would = await relay.wouldClaim(ledger.id, epoch, member);
      if (!would.ok) return would;
      if (would.value) going.push(member);
      // The account has withdrawn at the contract, and so has voided what it signed for us.
      else if (consent !== undefined && !(await relay.check(consent.account, consent)).ok)
        await store.removeConsent(candidate.payee);
    }
    await store.noteBatch(nowMs());
    this.#recent = undefined;
    if (going.length === 0) return ok({ ...outlook.value, transaction: undefined });
    const sent = await relay.send(ledger.id, epoch, going);
    if (!sent.ok) return sent;
    await snapshot();
    return ok({ ...outlook.value, transaction: sent.value.transaction });
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
    const { ledger, claims, policy, treasury, relay } = this.#parts;
    const income = ledger.books.accrued(treasury).lifetime;
    const spent = (await claims.claims({ relayer: relay.relayer })).reduce((sum, claim) => sum + borne(claim), 0n);
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

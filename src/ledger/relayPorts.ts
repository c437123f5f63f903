import type { Result } from "../core/result.ts";
import type { PayoutProof } from "./ledger.ts";
import type { GasPrices } from "./relay.ts";
import type { IncomeStore } from "./treasuryIncome.ts";

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
export interface RelayStore extends IncomeStore {
  consents(): Promise<readonly RelayConsent[]>;
  putConsent(consent: RelayConsent): Promise<void>;
  removeConsent(payee: string): Promise<boolean>;
  /** When a batch was last begun; noted before it is sent, so that one that the process did not survive is not repeated at once. */
  lastBatchMs(): Promise<number | undefined>;
  noteBatch(atMs: number): Promise<void>;
}

export interface RelayMember {
  readonly proof: PayoutProof;
  /** The node pays its gas. */
  readonly isFree: boolean;
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

import type { Result } from "../core/result.ts";

/** An address says by its signature which account may spend and see what it earns: the EIP-712 statement `Earnings`. */
export interface EarningsProof {
  /** 20 bytes: who signed. */
  readonly payee: Uint8Array;
  /** Milliseconds since 1970: later than that of the proof before, and at most a day ahead. */
  readonly deadlineMs: number;
  /** 65 bytes. */
  readonly signature: Uint8Array;
}

/** Somebody whose earnings an account may spend. */
export interface Earner {
  /** 32 bytes. */
  readonly payee: Uint8Array;
  readonly lifetime: bigint;
  /** Of the open epoch, and not set aside: what one receipt can be paid from. */
  readonly available: bigint;
}

/** An account of a payee's own, and the secret that was made for its one key: ids of both. */
export interface OwnAccount {
  readonly account: string;
  readonly key: string;
  readonly secret: string;
}

/** Which accounts, by id, stand for which payees. Refuses `proof_invalid` what the address did not sign, `conflict` what was shown before. */
export interface Earnings {
  /** From now on the account may spend and see what the payee earns, and the identities bound to it, instead of whom it stood for. The same again changes nothing. */
  link(account: string, proof: EarningsProof): Promise<Result<void>>;
  /** The account stands for nobody. What holds count on stays set aside, and the receipts they become are paid from it. */
  unlink(account: string): Promise<Result<void>>;
  /**
   * An account of the payee's own, with one key. Where it is there already the key gets another secret, and the old one opens nothing more.
   * Refuses `not_found` for an address that nothing was ever credited to, and to which no identity is bound.
   */
  openOwn(proof: EarningsProof): Promise<Result<OwnAccount>>;
  /** Whether it is the own account of the payee that the other one is linked to: then it may end that. */
  isOwner(account: string, of: string): boolean;
  /** The payee that an account is linked to, as far as the books know it, and after it the identities that are bound to that. */
  of(account: string): readonly Earner[];
}

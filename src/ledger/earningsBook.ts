import { equalBytes, padAddress, toHex } from "../core/bytes.ts";
import { earningsDigest, recoverSigner } from "../core/eip712.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { AccountBook } from "./accountBook.ts";
import type { Batch } from "./batch.ts";
import type { Earner, Earnings, EarningsProof, OwnAccount } from "./earnings.ts";
import type { KeyBook } from "./keyBook.ts";
import type { Account } from "./ledger.ts";
import { payeeAccountName } from "./names.ts";
import type { LedgerWorld } from "./ports.ts";
import type { Purses } from "./purses.ts";
import type { Writer } from "./writer.ts";

export interface EarningsParts {
  readonly ledger: Uint8Array;
  readonly writer: Writer;
  readonly purses: Purses;
  readonly accounts: AccountBook;
  readonly keys: KeyBook;
  readonly world: LedgerWorld;
}

/** How far ahead a proof's deadline may lie: so long it has to be kept from others. */
export const PROOF_MS_MAX = 86_400_000;

/** Links accounts to payees. Each proof counts once: an account remembers the deadline of its last one, also when it is linked no more. */
export class EarningsBook implements Earnings {
  readonly #parts: EarningsParts;

  constructor(parts: EarningsParts) {
    this.#parts = parts;
  }

  async link(id: string, proof: EarningsProof): Promise<Result<void>> {
    const { writer, purses } = this.#parts;
    if (purses.account(id) === undefined) return unknown(id);
    const proven = this.#check(id, proof);
    if (!proven.ok) return proven;
    const payee = padAddress(proof.payee);
    return writer.run((batch) => {
      const account = purses.account(id)!;
      const isSame = account.payee !== undefined && equalBytes(account.payee, payee);
      if (isSame && account.proofDeadlineMs === proof.deadlineMs) return ok(nothing);
      const fresh = isFresh(account, proof);
      if (!fresh.ok) return fresh;
      this.#keep(batch, { ...account, payee, proofDeadlineMs: proof.deadlineMs });
      return ok(nothing);
    });
  }

  unlink(id: string): Promise<Result<void>> {
    const { writer, purses } = this.#parts;
    return writer.run((batch) => {
      const account = purses.account(id);
      if (account === undefined) return unknown(id);
      const { payee, ...rest } = account;
      if (payee !== undefined) this.#keep(batch, rest);
      return ok(nothing);
    });
  }

  async openOwn(proof: EarningsProof): Promise<Result<OwnAccount>> {
    const { writer, purses, accounts, keys } = this.#parts;
    const payee = padAddress(proof.payee);
    if (!this.#isPaid(payee))
      return refuse("not_found", `nobody was ever paid at ${toHex(proof.payee)} here`, {
        hint: "an identity is bound to an address first: openledger binding notice",
        field: "payee",
      });
    const proven = this.#check("", proof);
    if (!proven.ok) return proven;
    return writer.run((batch) => {
      const external = payeeAccountName(proof.payee);
      const known = purses.external(external);
      const fresh = known === undefined ? ok(undefined) : isFresh(known, proof);
      if (!fresh.ok) return fresh;
      const account = known ?? accounts.openIn(batch, { name: `own account of ${toHex(proof.payee)}`, external });
      const { walletKey } = account;
      const { key, secret } =
        walletKey === undefined
          ? keys.create(batch, { account: account.id, name: "wallet", limits: {}, admin: false })
          : keys.renew(batch, walletKey);
      this.#keep(batch, { ...account, payee, proofDeadlineMs: proof.deadlineMs, walletKey: key.id });
      return ok(() => ({ account: account.id, key: key.id, secret }));
    });
  }

  isOwner(account: string, of: string): boolean {
    const { purses } = this.#parts;
    const [own, payee] = [purses.account(account), purses.account(of)?.payee];
    if (own?.payee === undefined || payee === undefined) return false;
    return equalBytes(own.payee, payee) && own.external === payeeAccountName(payee.subarray(12));
  }

  of(id: string): readonly Earner[] {
    const { writer, purses } = this.#parts;
    const account = purses.account(id);
    return (account === undefined ? [] : purses.earners(account)).map((number) => ({
      payee: writer.state.payee(number)!.id,
      lifetime: writer.state.accruals.lifetime(number),
      available: BigInt(Math.max(0, purses.freeEarnings(number))),
    }));
  }

  #isPaid(payee: Uint8Array): boolean {
    const { state } = this.#parts.writer;
    const number = state.number(payee);
    if (number === undefined) return false;
    return state.accruals.lifetime(number) > 0n || state.identitiesOf(number).length > 0;
  }

  #keep(batch: Batch, account: Account): void {
    batch.accounts.push(account);
    this.#parts.purses.add(account);
  }

  #check(account: string, { payee, deadlineMs, signature }: EarningsProof): Result<void> {
    const { ledger, writer, world } = this.#parts;
    const nowMs = world.nowMs();
    if (deadlineMs <= nowMs) return refuse("proof_invalid", "the proof's deadline is over", { field: "deadlineMs" });
    if (deadlineMs > nowMs + PROOF_MS_MAX)
      return refuse("proof_invalid", "the proof's deadline is more than a day ahead", { field: "deadlineMs" });
    const { domain } = writer;
    const signer = recoverSigner(earningsDigest(domain, { ledger, payee, account, deadlineMs }), signature);
    if (signer !== undefined && equalBytes(signer, payee)) return ok(undefined);
    const said = `Earnings { ledger ${toHex(ledger)}, payee ${toHex(payee)}, account "${account}", deadline ${deadlineMs} }`;
    const place = `chain ${domain.chainId}, contract ${toHex(domain.verifyingContract)}`;
    return refuse("proof_invalid", `the signature is not of ${toHex(payee)}`, {
      hint: `its key signs, as EIP-712 typed data of OpenLedger, version 1, ${place}: ${said}`,
      field: "signature",
    });
  }
}

const nothing = () => undefined;

function isFresh({ proofDeadlineMs = 0 }: Account, { deadlineMs }: EarningsProof): Result<void> {
  if (deadlineMs > proofDeadlineMs) return ok(undefined);
  return refuse("conflict", "this proof, or a later one, has been used for the account", {
    hint: "sign another one, with a later deadline",
    field: "deadlineMs",
  });
}

function unknown(id: string): Result<never> {
  return refuse("not_found", `there is no account ${id}`, { field: "id" });
}

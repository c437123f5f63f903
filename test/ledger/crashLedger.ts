import { randomBytes } from "node:crypto";
import { padAddress, u64, utf8 } from "../../src/core/bytes.ts";
import { addressOf, signDigest } from "../../src/core/eip712.ts";
import { keccak256, sha256 } from "../../src/core/hash.ts";
import { defaultPolicyBps } from "../../src/core/policy.ts";
import { noPrices } from "../../src/core/quote.ts";
import { type Result, unwrap } from "../../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../../src/core/route.ts";
import type { Account, Posted } from "../../src/ledger/ledger.ts";
import { type OpenLedger, openLedger } from "../../src/ledger/openLedger.ts";
import type { LedgerStore } from "../../src/ledger/ports.ts";

/** The ledger that crash tests write: everything about it follows from its name, so that each process that opens it is the same node. */
export function crashTrust(name: string) {
  const domain = { chainId: 31_337, verifyingContract: named(name, "contract").slice(12) };
  const [ledger, signer] = [named(name, "ledger"), addressOf(named(name, "signer"))];
  return { ledger, signer, domain, ed25519: new Uint8Array(32) };
}

export async function openCrashLedger(
  name: string,
  store: LedgerStore,
  warn: (message: string) => void = () => undefined,
): Promise<Result<OpenLedger>> {
  const { ledger, domain } = crashTrust(name);
  const secret = named(name, "signer");
  const purses = {
    treasuryPayee: named(name, "treasury"),
    reservePayee: named(name, "reserve"),
    datanetReservePayee: named(name, "datanet reserve"),
  };
  return openLedger({
    ...{ id: ledger, store, domain, secret: named(name, "secret"), requireDeposit: false },
    world: { nowMs: () => Date.now(), randomBytes: (size) => new Uint8Array(randomBytes(size)), warn },
    signer: { sign: (digest) => signDigest(secret, digest) },
    ...{ node: padAddress(addressOf(secret)), policy: { ...defaultPolicyBps, ...purses } },
  });
}

/** The one account that pays and the model that it asks, made if this is the first process. */
export async function prepare(name: string, ledger: OpenLedger): Promise<Account> {
  const account = ledger.accounts.list()[0] ?? unwrap(await ledger.accounts.open({ name: "payer" }));
  unwrap(await ledger.accounts.credit({ account: account.id, amount: GRANT, key: "all", note: "" }));
  const owner = named(name, "owner");
  const terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "MIT" } as const;
  const asset = { kind: "model", owner, contentRoot: owner, terms, parents: [] } as const;
  unwrap(await ledger.assets.register({ ...asset, id: named(name, "model") }));
  return account;
}

/** Places a hold and posts it: seven contributors, of whom one is new now and then. The idempotency key is `key`, the opening names it. */
export function postOne(name: string, ledger: OpenLedger, account: string, key: string): Promise<Result<Posted>> {
  const hold = unwrap(ledger.holds.place({ account, amount: 3_000 }));
  const nth = keccak256(utf8(key));
  const weight = 100_000;
  const shares = Array.from({ length: 7 }, (_, i) => {
    const payee = keccak256(u64(i === 0 ? nth[0]! * 4 : i));
    return { payee, type: "identity", weight } as const;
  });
  const quote = {
    unit: "nano",
    cost: { ...noPrices, perCall: 40 + nth[1]! },
    royalty: { ...noPrices, perCall: 1_001 + nth[2]! },
  } as const;
  const hashes = { promptHash: nth, answerHash: nth, evidenceRoot: nth, indexId: nth, methodsHash: nth };
  return ledger.books.post({
    ...{ hold: hold.id, operator: named(name, "operator"), model: named(name, "model"), quote, ...hashes },
    ...{ rate: { nanoPerUsd: 0, source: "none" }, usage: { tokensIn: 9, tokensOut: 20, calls: 1 } },
    flags: { reported: false, unaudited: false, partial: false, undeclared: false },
    contributors: { shares, unattributed: EVIDENCE_TOTAL - weight * shares.length },
    opening: JSON.stringify({ key }),
    idempotency: { key, bodyHash: sha256(utf8(key)), response: key },
  });
}

export const GRANT = 9e15;

function named(name: string, what: string): Uint8Array {
  return keccak256(utf8(`crash test ${name}: ${what}`));
}

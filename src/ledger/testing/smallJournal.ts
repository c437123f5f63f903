import { ed25519 } from "@noble/curves/ed25519.js";
import { freeTerms, VECTOR_TOTAL, vectorRoot } from "../../core/asset.ts";
import { padAddress, toHex, utf8 } from "../../core/bytes.ts";
import { type CheckpointTrust, signCheckpoint } from "../../core/checkpoint.ts";
import { closeEpoch, noTotals } from "../../core/closing.ts";
import { addressOf, batchDigest, signDigest } from "../../core/eip712.ts";
import { type EntryBody, encodeEntry, type PayeeType } from "../../core/entry.ts";
import { keccak256, sha256 } from "../../core/hash.ts";
import { hashReader, leafHash, rootOf } from "../../core/merkle.ts";
import { creditDomain, creditLedgerId, type Move, moveAmount } from "../../core/move.ts";
import { defaultPolicyBps, policyHash } from "../../core/policy.ts";
import { Postings } from "../../core/postings.ts";
import { noPrices } from "../../core/quote.ts";
import { ownOf, type Receipt, rootNesting } from "../../core/receipt.ts";
import { EVIDENCE_TOTAL, routeFee } from "../../core/route.ts";
import { encodeBundle, tileBytes, tilePath, tilesBetween } from "../../core/tile.ts";

/** A whole journal of a few entries, made through core alone: payees, a policy, a model, one receipt, its batch, an epoch, its batch, tiles and checkpoint. */
export interface SmallJournal {
  readonly trust: CheckpointTrust;
  readonly size: number;
  /** Entries by seq. */
  readonly entries: readonly Uint8Array[];
  readonly receipt: { readonly seq: number; readonly receipt: Receipt };
  /** The published files by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface SmallJournalChanges {
  /** What the receipt shall say instead of the truth; it is signed as it is then. */
  readonly receipt?: (receipt: Receipt) => Receipt;
  /** Combinations of methods that are published before the receipt. */
  readonly methods?: readonly Uint8Array[];
  /** It began on credit and went on upon a chain: with what was owed then, by what this makes of it. */
  readonly moved?: (move: Move) => Move;
}

const secret = (name: string) => keccak256(utf8(`openledger small journal: ${name}`));
const payees: readonly (readonly [name: string, type: PayeeType])[] = [
  ["treasury", "party"],
  ["reserve", "purse"],
  ["datanet reserve", "purse"],
  ["operator", "party"],
  ["model", "party"],
  ["ann", "identity"],
];

/** See {@link SmallJournal}. */
export function smallJournal(changes: SmallJournalChanges = {}): SmallJournal {
  const [log, signer] = [secret("log"), secret("signer")];
  const isMoved = changes.moved !== undefined;
  const ledger = isMoved ? creditLedgerId(addressOf(signer)) : keccak256(utf8("openledger small journal"));
  const domain = { chainId: 31_337, verifyingContract: secret("contract").slice(12) };
  let signedFor = isMoved ? creditDomain : domain;
  const trust = { ledger, domain, ed25519: ed25519.getPublicKey(log), signer: addressOf(signer) };
  const entries: Uint8Array[] = [];
  const add = (body: EntryBody): number => {
    const seq = entries.length;
    entries.push(encodeEntry({ ledger, seq, timeMs: 1_700_000_000_000 + seq, ...body }));
    return seq;
  };
  let signed = 0;
  const sign = (): void => {
    const own = entries.slice(signed);
    const batch = { first: signed, count: own.length, root: rootOf(own.map(leafHash)), deadlineMs: 1_700_000_060_000 };
    const signature = signDigest(signer, batchDigest(signedFor, { ledger, ...batch }));
    signed = add({ kind: "batch", batch: { ...batch, signature } }) + 1;
  };

  for (const [i, [name, type]] of payees.entries())
    add({ kind: "payee", payee: { number: i + 1, type, id: idOf(name) } });
  const policy = {
    ...defaultPolicyBps,
    ...{ treasuryPayee: idOf("treasury"), reservePayee: idOf("reserve"), datanetReservePayee: idOf("datanet reserve") },
  };
  add({ kind: "policy", policy });
  const model = secret("model asset");
  const vector = [{ id: model, weight: VECTOR_TOTAL }];
  const asset = { ...{ id: model, owner: 5, contentRoot: secret("content"), terms: freeTerms }, parents: [] };
  add({ kind: "asset", asset: { ...asset, assetKind: "model", vectorRoot: vectorRoot(vector) } });
  for (const text of changes.methods ?? []) add({ kind: "methods", text });
  const honest = receiptOf(ledger, entries.length, policyHash(policy));
  const receipt = changes.receipt?.(honest) ?? honest;
  const receiptSeq = add({ kind: "receipt", receipt });
  sign();
  const postings = new Postings();
  for (const [leg, { payee, amount }] of receipt.legs.entries()) postings.add(payee, receiptSeq, leg, amount);
  const charges = new Map([[toHex(receipt.payer), BigInt(receipt.legs.reduce((sum, { amount }) => sum + amount, 0))]]);
  const range = { epoch: 1, first: 0, end: entries.length };
  const closing = closeEpoch({
    ...{ ...range, postings, charges, before: noTotals, idOf: (number) => idOf(payees[number - 1]![0]) },
    ...{ registryBlock: 7, policyHash: policyHash(policy) },
  });
  add({ kind: "epoch", epoch: closing.record });
  sign();
  if (changes.moved !== undefined) {
    const place = {
      chainId: domain.chainId,
      settlement: domain.verifyingContract,
      registry: secret("registry").slice(12),
    };
    const lines = [...closing.after.payees]
      .sort(([a], [b]) => a - b)
      .map(([payee, credited], i) => ({ payee, credited, owed: i === 0 ? 0 : Number(credited) }));
    const payer = padAddress(addressOf(signer));
    const whole = { place, payer, index: 0, count: 1, lines: lines.filter(({ credited }) => credited > 0n) };
    const move = changes.moved(whole);
    const seq = add({ kind: "move", move });
    signedFor = domain;
    const opened = new Postings();
    for (const [leg, { payee, owed }] of move.lines.entries()) if (owed > 0) opened.add(payee, seq, leg, owed);
    const opening = closeEpoch({
      ...{ epoch: 2, first: range.end, end: seq + 1, postings: opened, before: noTotals },
      ...{
        charges: new Map([[toHex(move.payer), BigInt(moveAmount(move))]]),
        idOf: (number) => idOf(payees[number - 1]![0]),
      },
      ...{ registryBlock: 9, policyHash: policyHash(policy) },
    });
    add({ kind: "epoch", epoch: opening.record });
    sign();
  }
  return {
    trust,
    size: entries.length,
    entries,
    receipt: { seq: receiptSeq, receipt },
    files: publish(entries, trust, log, signer),
  };
}

function publish(
  entries: readonly Uint8Array[],
  { ledger, domain }: CheckpointTrust,
  log: Uint8Array,
  signer: Uint8Array,
) {
  const files = new Map<string, Uint8Array>();
  const hashes = entries.map(leafHash);
  for (const tile of tilesBetween(0, entries.length)) {
    const bytes = tile.level === "entries" ? encodeBundle(entries) : tileBytes(tile, hashReader(hashes));
    files.set(tilePath(tile), bytes);
  }
  const keys = { domain, ed25519: log, secp256k1: signer };
  files.set("checkpoint", signCheckpoint({ ledger, size: entries.length, root: rootOf(hashes) }, keys));
  return files;
}

function receiptOf(ledger: Uint8Array, seq: number, hash: Uint8Array): Receipt {
  const fee = { cost: 40, royalty: 1_001 };
  const contributors = { shares: [{ payee: 6, weight: 600_000 }], unattributed: EVIDENCE_TOTAL - 600_000, priors: [] };
  const policy = { ...defaultPolicyBps, treasury: 1, reserve: 2, datanetReserve: 3 };
  const model = [{ payee: 5, weight: 1 }];
  const id = secret("receipt").slice(0, 16);
  return {
    ...{ id, nesting: rootNesting(id, ownOf({ fee })), payer: padAddress(secret("payer").slice(12)) },
    ...{ account: secret("account").slice(0, 16), payerPayee: 0, earned: 0, operator: 4, model: secret("model asset") },
    flags: { reported: false, unaudited: false, partial: false, undeclared: false },
    ...{ policyHash: hash, unit: "nano", rate: { nanoPerUsd: 1_000_000_000, source: "play" } },
    ...{ costPrices: { ...noPrices, perCall: 40 }, royaltyPrices: { ...noPrices, perCall: 1_001 } },
    ...{
      usage: { tokensIn: 3, tokensOut: 4, calls: 1 },
      fee,
      promptHash: sha256(utf8("?")),
      answerHash: sha256(utf8("!")),
    },
    ...{ evidenceRoot: secret("evidence"), indexId: secret("index"), methodsHash: secret("methods") },
    unattributed: contributors.unattributed,
    legs: routeFee({ ledger, seq, ...fee, policy, operator: 4, model, context: [], contributors, stakers: 0 }),
  };
}

function idOf(name: string): Uint8Array {
  return secret(`payee ${name}`);
}

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { concat, padAddress, toHex, u64, utf8 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { assert } from "./result.ts";

/**
 * What a node, a payer and a payee sign: EIP-712 typed data under secp256k1. Every struct of ours is flat, so its hash is keccak256 over words of
 * 32 bytes; a text's word is its own keccak256.
 */
export interface Domain {
  readonly chainId: number;
  /** 20 bytes: the EpochSettlement contract. */
  readonly verifyingContract: Uint8Array;
}

/** The journal's first `size` entries have this RFC 6962 root. */
export interface CheckpointStatement {
  /** 32 bytes. */
  readonly ledger: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Entries [first, first + count) have this RFC 6962 root and are published by the deadline. */
export interface BatchStatement {
  readonly ledger: Uint8Array;
  readonly first: number;
  readonly count: number;
  readonly root: Uint8Array;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
}

/** A payer allows a ledger to debit it up to this lifetime total. */
export interface VoucherStatement {
  readonly ledger: Uint8Array;
  /** 20 bytes. */
  readonly payer: Uint8Array;
  /** Lifetime nano. */
  readonly cumulative: bigint;
}

/** An account may from now on spend and see what a payee earns, and the identities bound to it. */
export interface EarningsStatement {
  readonly ledger: Uint8Array;
  /** 20 bytes: who signs. */
  readonly payee: Uint8Array;
  /** The account's id; empty for an account of the payee's own. */
  readonly account: string;
  /** Milliseconds since 1970 until which it can be shown. */
  readonly deadlineMs: number;
}

const DOMAIN_TYPE = typeHash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const CHECKPOINT_TYPE = typeHash("Checkpoint(bytes32 ledger,uint64 size,bytes32 root)");
const BATCH_TYPE = typeHash("Batch(bytes32 ledger,uint64 first,uint32 count,bytes32 root,uint64 deadline)");
const VOUCHER_TYPE = typeHash("Voucher(bytes32 ledger,address payer,uint128 cumulative)");
const EARNINGS_TYPE = typeHash("Earnings(bytes32 ledger,address payee,string account,uint64 deadline)");
const NAME = keccak256(utf8("OpenLedger"));
const VERSION = keccak256(utf8("1"));

const SIGNATURE_BYTES = 65;

export function domainSeparator({ chainId, verifyingContract }: Domain): Uint8Array {
  return keccak256(DOMAIN_TYPE, NAME, VERSION, word(chainId), padAddress(verifyingContract));
}

export function checkpointDigest(domain: Domain, { ledger, size, root }: CheckpointStatement): Uint8Array {
  return digest(domain, [CHECKPOINT_TYPE, ledger, word(size), root]);
}

export function batchDigest(domain: Domain, { ledger, first, count, root, deadlineMs }: BatchStatement): Uint8Array {
  return digest(domain, [BATCH_TYPE, ledger, word(first), word(count), root, word(deadlineMs)]);
}

export function voucherDigest(domain: Domain, { ledger, payer, cumulative }: VoucherStatement): Uint8Array {
  assert(cumulative >= 0n && cumulative < 1n << 128n, "a voucher's total is a u128");
  return digest(domain, [VOUCHER_TYPE, ledger, padAddress(payer), word(cumulative)]);
}

export function earningsDigest(domain: Domain, { ledger, payee, account, deadlineMs }: EarningsStatement): Uint8Array {
  return digest(domain, [EARNINGS_TYPE, ledger, padAddress(payee), keccak256(utf8(account)), word(deadlineMs)]);
}

/** The same as wallets take it: `eth_signTypedData_v4`, `cast wallet sign --data`. */
export function earningsTypedData(domain: Domain, { ledger, payee, account, deadlineMs }: EarningsStatement) {
  return {
    domain: {
      ...{ name: "OpenLedger", version: "1", chainId: domain.chainId },
      verifyingContract: toHex(domain.verifyingContract),
    },
    types: {
      EIP712Domain: [
        { name: "name", type: "string" },
        { name: "version", type: "string" },
        { name: "chainId", type: "uint256" },
        { name: "verifyingContract", type: "address" },
      ],
      Earnings: [
        { name: "ledger", type: "bytes32" },
        { name: "payee", type: "address" },
        { name: "account", type: "string" },
        { name: "deadline", type: "uint64" },
      ],
    },
    primaryType: "Earnings",
    message: { ledger: toHex(ledger), payee: toHex(payee), account, deadline: String(deadlineMs) },
  } as const;
}

/** 65 bytes, r ‖ s ‖ v with v 27 or 28 and s in the lower half (EIP-2), as OpenZeppelin's ECDSA takes them. RFC 6979: the same for the same input. */
export function signDigest(privateKey: Uint8Array, digest: Uint8Array): Uint8Array {
  assert(digest.length === 32, "a digest has 32 bytes");
  const recovered = secp256k1.sign(digest, privateKey, { prehash: false, lowS: true, format: "recovered" });
  return concat(recovered.subarray(1), Uint8Array.of(27 + recovered[0]!));
}

/** The 20-byte address that signed; undefined for what `ecrecover` and EIP-2 would not accept. */
export function recoverSigner(digest: Uint8Array, signature: Uint8Array): Uint8Array | undefined {
  assert(digest.length === 32, "a digest has 32 bytes");
  const v = signature[SIGNATURE_BYTES - 1];
  if (signature.length !== SIGNATURE_BYTES || (v !== 27 && v !== 28)) return undefined;
  const recovered = concat(Uint8Array.of(v - 27), signature.subarray(0, 64));
  try {
    if (secp256k1.Signature.fromBytes(recovered, "recovered").hasHighS()) return undefined;
    return addressOfPoint(secp256k1.recoverPublicKey(recovered, digest, { prehash: false }));
  } catch {
    // r or s is 0 or not below the curve's order, or r is no point's coordinate.
    return undefined;
  }
}

/** The 20-byte address of a 32-byte private key. */
export function addressOf(privateKey: Uint8Array): Uint8Array {
  return addressOfPoint(secp256k1.getPublicKey(privateKey));
}

/** EIP-712: keccak256(0x1901 ‖ domain separator ‖ struct hash). */
function digest(domain: Domain, words: readonly Uint8Array[]): Uint8Array {
  for (const each of words) assert(each.length === 32, "a struct's fields are words of 32 bytes");
  return keccak256(Uint8Array.of(0x19, 0x01), domainSeparator(domain), keccak256(...words));
}

function addressOfPoint(publicKey: Uint8Array): Uint8Array {
  const uncompressed = secp256k1.Point.fromBytes(publicKey).toBytes(false);
  return keccak256(uncompressed.subarray(1)).slice(12);
}

function typeHash(type: string): Uint8Array {
  return keccak256(utf8(type));
}

/** A whole number as a word of 32 bytes. */
function word(value: number | bigint): Uint8Array {
  const whole = BigInt(value);
  assert(whole >= 0n, "a number to sign is not negative");
  return concat(new Uint8Array(16), u64(whole >> 64n), u64(BigInt.asUintN(64, whole)));
}

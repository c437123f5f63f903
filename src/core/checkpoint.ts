import { equalBytes, parseBase64, parseHex, toBase64, toHex } from "./bytes.ts";
import {
  addressOf,
  type CheckpointStatement,
  checkpointDigest,
  type Domain,
  recoverSigner,
  signDigest,
} from "./eip712.ts";
import {
  EIP712_ALGORITHM,
  ed25519Verifier,
  encodeNote,
  type NoteVerifier,
  noteKeyId,
  parseNote,
  signEd25519,
  verifyNote,
} from "./note.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * The journal's signed tree head: a C2SP checkpoint (https://c2sp.org/tlog-checkpoint) of three lines (origin, size, root),
 * signed twice. Witnesses understand the Ed25519 line, contracts the secp256k1 one, whose EIP-712 digest is over the same three facts.
 */
export interface CheckpointKeys {
  readonly domain: Domain;
  /** 32-byte Ed25519 seed. */
  readonly ed25519: Uint8Array;
  /** 32-byte secp256k1 private key. */
  readonly secp256k1: Uint8Array;
}

/** Whom a reader believes: the keys that a ledger has published, never keys found beside the checkpoint. */
export interface CheckpointTrust {
  readonly ledger: Uint8Array;
  readonly domain: Domain;
  /** 32-byte Ed25519 public key. */
  readonly ed25519: Uint8Array;
  /** 20-byte address of the ledger's proposer. */
  readonly signer: Uint8Array;
  /** Of a ledger that moved to a chain: the entry with which it did. Batches that end before it are signed for no chain. */
  readonly movedAt?: number;
}

/** The first line, and the name of both keys. */
export function checkpointOrigin(ledger: Uint8Array): string {
  assert(ledger.length === 32, "a ledger's id has 32 bytes");
  return `openledger/${toHex(ledger)}`;
}

export function checkpointText({ ledger, size, root }: CheckpointStatement): string {
  assert(Number.isSafeInteger(size) && size >= 0 && root.length === 32, "a tree has a size and a 32-byte root");
  return `${checkpointOrigin(ledger)}\n${size}\n${toBase64(root)}\n`;
}

/** Refuses text that {@link checkpointText} would not write; we sign no extension lines, since no monitor can check them. */
export function parseCheckpointText(text: string): Result<CheckpointStatement> {
  const match = /^openledger\/(0x[0-9a-f]{64})\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(text);
  const ledger = parseHex(match?.[1] ?? "");
  const size = Number(match?.[2]);
  const root = parseBase64(match?.[3] ?? "");
  if (match === null || ledger === undefined || root?.length !== 32 || !Number.isSafeInteger(size)) {
    return refuse("verification_failed", "the checkpoint is not an origin, a size and a root on three lines");
  }
  return ok({ ledger, size, root });
}

/** The bytes of the journal's `checkpoint` file. */
export function signCheckpoint(statement: CheckpointStatement, keys: CheckpointKeys): Uint8Array {
  const name = checkpointOrigin(statement.ledger);
  const text = checkpointText(statement);
  const keyId = noteKeyId(name, EIP712_ALGORITHM, addressOf(keys.secp256k1));
  const signature = signDigest(keys.secp256k1, checkpointDigest(keys.domain, statement));
  return encodeNote({ text, signatures: [signEd25519(name, keys.ed25519, text), { name, keyId, signature }] });
}

/** Refuses a checkpoint that is malformed, of another ledger, or not signed by both of its keys. */
export function openCheckpoint(bytes: Uint8Array, trust: CheckpointTrust): Result<CheckpointStatement> {
  const note = parseNote(bytes);
  if (!note.ok) return note;
  const statement = parseCheckpointText(note.value.text);
  if (!statement.ok) return statement;
  const name = checkpointOrigin(trust.ledger);
  if (!equalBytes(statement.value.ledger, trust.ledger)) {
    return refuse("verification_failed", `the checkpoint is of ledger ${toHex(statement.value.ledger)}, not ${name}`);
  }
  const verified = verifyNote(note.value, [
    ed25519Verifier(name, trust.ed25519),
    eip712Verifier(name, trust.domain, trust.signer),
  ]);
  return verified.ok ? statement : verified;
}

/** The secp256k1 line: it signs what the text says, as EIP-712. Its public key is the signer's 20-byte address. */
export function eip712Verifier(name: string, domain: Domain, signer: Uint8Array): NoteVerifier {
  return {
    name,
    keyId: noteKeyId(name, EIP712_ALGORITHM, signer),
    verify: (text, signature) => {
      const statement = parseCheckpointText(text);
      if (!statement.ok) return false;
      const recovered = recoverSigner(checkpointDigest(domain, statement.value), signature);
      return recovered !== undefined && equalBytes(recovered, signer);
    },
  };
}

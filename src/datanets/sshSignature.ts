import { createHash, createPublicKey, verify } from "node:crypto";
import { concat, fromUtf8, parseBase64, utf8 } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/**
 * SSH signatures (OpenSSH PROTOCOL.sshsig, version 1) with Ed25519 keys, as git writes them into a commit. Read and checked here, without ssh-keygen:
 * no program, no configuration and no agent of this machine has a say in whether a signature is good.
 */
export interface SshSignature {
  /** 32-byte Ed25519 public key. */
  readonly publicKey: Uint8Array;
  readonly namespace: string;
  readonly hashAlgorithm: "sha256" | "sha512";
  readonly reserved: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

const MAGIC = utf8("SSHSIG");
const KEY_TYPE = "ssh-ed25519";
const BLOB_BYTES_MAX = 4_096;

/** From `-----BEGIN SSH SIGNATURE-----` text. Any other kind of key or signature is refused. */
export function parseSshSignature(armoured: string): Result<SshSignature> {
  const match = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\s*$/.exec(
    armoured.replace(/\r\n/g, "\n"),
  );
  const blob = match === null ? undefined : parseBase64(match[1]!.replaceAll("\n", ""));
  if (blob === undefined || blob.length > BLOB_BYTES_MAX) return invalid("it is not an armoured SSH signature");
  if (!startsWith(blob, MAGIC)) return invalid("its preamble is not SSHSIG");
  const outer = new SshReader(blob.subarray(MAGIC.length));
  const version = outer.u32();
  const [key, namespace, reserved, hash, signed] = [
    outer.field(),
    outer.field(),
    outer.field(),
    outer.field(),
    outer.field(),
  ];
  if (version !== 1 || signed === undefined || !outer.isDone)
    return invalid("it is not a whole signature of version 1");
  const [keyType, publicKey] = pair(key);
  const [signatureType, signature] = pair(signed);
  if (keyType !== KEY_TYPE || signatureType !== KEY_TYPE) return invalid("only ssh-ed25519 keys are taken");
  if (publicKey?.length !== 32 || signature?.length !== 64)
    return invalid("its key or its signature has the wrong length");
  const hashAlgorithm = text(hash);
  if (hashAlgorithm !== "sha256" && hashAlgorithm !== "sha512") return invalid("its hash is neither sha256 nor sha512");
  return ok({
    publicKey,
    namespace: text(namespace),
    hashAlgorithm,
    reserved: reserved ?? new Uint8Array(),
    signature,
  });
}

/** True when `signature` is by its own key, in `namespace`, over exactly these bytes. Whose key it is, is for the caller to know. */
export function verifySshSignature(signature: SshSignature, namespace: string, message: Uint8Array): boolean {
  if (signature.namespace !== namespace) return false;
  const digest = createHash(signature.hashAlgorithm).update(message).digest();
  const signedData = concat(
    MAGIC,
    field(utf8(namespace)),
    field(signature.reserved),
    field(utf8(signature.hashAlgorithm)),
    field(digest),
  );
  const der = concat(ed25519Spki, signature.publicKey);
  try {
    const key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
    return verify(null, signedData, key, signature.signature);
  } catch {
    return false;
  }
}

/** A length-prefixed string of the SSH wire format (RFC 4251 §5). */
export function field(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}

/** SubjectPublicKeyInfo of an Ed25519 key without the key itself (RFC 8410 §4). */
const ed25519Spki = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);

class SshReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isDone(): boolean {
    return this.#at === this.#bytes.length;
  }

  u32(): number | undefined {
    if (this.#at + 4 > this.#bytes.length) return undefined;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, 4);
    this.#at += 4;
    return view.getUint32(0);
  }

  field(): Uint8Array | undefined {
    const length = this.u32();
    if (length === undefined || this.#at + length > this.#bytes.length) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** A type and one value, and nothing after them. */
function pair(bytes: Uint8Array | undefined): [string, Uint8Array | undefined] {
  const reader = new SshReader(bytes ?? new Uint8Array());
  const [type, value] = [text(reader.field()), reader.field()];
  return reader.isDone ? [type, value] : ["", undefined];
}

function text(bytes: Uint8Array | undefined): string {
  try {
    return fromUtf8(bytes ?? new Uint8Array());
  } catch {
    return "";
  }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.every((byte, i) => bytes[i] === byte);
}

function invalid(why: string): Result<never> {
  return refuse("proof_invalid", `this signature cannot be used: ${why}`);
}

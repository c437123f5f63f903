import { ed25519 } from "@noble/curves/ed25519.js";
import { concat, equalBytes, fromUtf8, parseBase64, parseHex, toBase64, toHex, utf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * C2SP signed notes (https://c2sp.org/signed-note): a text, a blank line, and lines of signatures over the text.
 * Parsing is strict: a note has one encoding, so a changed byte is refused or lands in the text, in a name or in a signature.
 */
export interface Note {
  /** Ends with a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** 4 bytes: with the name it says which key signed, and how. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** Someone whose line a reader knows how to check. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: Uint8Array;
  verify(text: string, signature: Uint8Array): boolean;
}

const ED25519_ALGORITHM = Uint8Array.of(1);
/** 0xff is for algorithms that the specification does not number; the name after it keeps them apart. */
export const EIP712_ALGORITHM: Uint8Array = concat(Uint8Array.of(0xff), utf8("openledger-eip712-checkpoint-v1"));

/** A note is read whole before any of it is trusted, so its size has a bound. */
export const NOTE_BYTES_MAX = 65_536;
const SIGNATURES_MAX = 64;
const KEY_ID_BYTES = 4;

export function encodeNote(note: Note): Uint8Array {
  assert(isText(note.text), "a note's text ends with a newline and has no other control characters");
  assert(note.signatures.length > 0, "a note is signed");
  return utf8(`${note.text}\n${note.signatures.map(signatureLine).join("")}`);
}

/** Refuses bytes that are not the one encoding of a note. Checks no signature: see {@link verifyNote}. */
export function parseNote(bytes: Uint8Array): Result<Note> {
  if (bytes.length > NOTE_BYTES_MAX) return malformed(`it is larger than ${NOTE_BYTES_MAX} bytes`);
  const whole = decodeText(bytes);
  if (whole === undefined) return malformed("it is not UTF-8");
  const split = whole.lastIndexOf("\n\n");
  const text = whole.slice(0, split + 1);
  if (split < 0 || !isText(text)) return malformed("it has no text, followed by a blank line");
  const lines = whole.slice(split + 2).split("\n");
  if (lines.pop() !== "" || lines.length === 0) return malformed("it does not end with a line of signature");
  if (lines.length > SIGNATURES_MAX) return malformed(`it has more than ${SIGNATURES_MAX} signatures`);
  const signatures = lines.map(parseSignatureLine);
  const wrongLine = signatures.indexOf(undefined);
  if (wrongLine >= 0) return malformed(`signature line ${wrongLine + 1} is malformed`);
  return ok({ text, signatures: signatures.filter((signature) => signature !== undefined) });
}

/**
 * Refuses a note unless each of `required` has signed it, once and correctly. Lines of keys not named here are ignored, as the
 * specification demands: that is how witnesses add theirs.
 */
export function verifyNote(note: Note, required: readonly NoteVerifier[]): Result<Note> {
  assert(required.length > 0, "a note is checked against at least one key");
  for (const key of required) {
    const lines = note.signatures.filter((line) => line.name === key.name && equalBytes(line.keyId, key.keyId));
    if (lines.length !== 1) {
      return refuse("verification_failed", `the note has ${lines.length} signatures of ${verifierName(key)}, not one`);
    }
    if (!key.verify(note.text, lines[0]!.signature)) {
      return refuse("verification_failed", `the note's signature of ${verifierName(key)} does not fit its text`);
    }
  }
  return ok(note);
}

/** The first 4 bytes of SHA-256(name ‖ newline ‖ algorithm ‖ public key). */
export function noteKeyId(name: string, algorithm: Uint8Array, publicKey: Uint8Array): Uint8Array {
  assert(isName(name), `a key's name is not empty and has no space or plus: ${name}`);
  return sha256(utf8(`${name}\n`), algorithm, publicKey).slice(0, KEY_ID_BYTES);
}

/** Signs with a 32-byte Ed25519 seed (RFC 8032). */
export function signEd25519(name: string, privateKey: Uint8Array, text: string): NoteSignature {
  const keyId = noteKeyId(name, ED25519_ALGORITHM, ed25519.getPublicKey(privateKey));
  return { name, keyId, signature: ed25519.sign(utf8(text), privateKey) };
}

/** The 32-byte public key of an Ed25519 seed. */
export function ed25519PublicKey(privateKey: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(privateKey);
}

/** Verifies as RFC 8032 does, without the leniency of ZIP 215: one signature, one encoding. */
export function ed25519Verifier(name: string, publicKey: Uint8Array): NoteVerifier {
  return {
    name,
    keyId: noteKeyId(name, ED25519_ALGORITHM, publicKey),
    verify: (text, signature) =>
      signature.length === 64 && ed25519.verify(signature, utf8(text), publicKey, { zip215: false }),
  };
}

/** The key as witnesses are given it: `name+keyid+base64(0x01 ‖ public key)`. */
export function formatVerifierKey(name: string, publicKey: Uint8Array): string {
  const keyId = toHex(noteKeyId(name, ED25519_ALGORITHM, publicKey)).slice(2);
  return `${name}+${keyId}+${toBase64(concat(ED25519_ALGORITHM, publicKey))}`;
}

/** Reads {@link formatVerifierKey}'s text; only Ed25519 keys have one. */
export function parseVerifierKey(text: string): Result<NoteVerifier> {
  const [name = "", keyIdHex = "", keyBase64 = "", ...rest] = text.split("+");
  // The key's own base64 may hold a plus.
  const key = parseBase64([keyBase64, ...rest].join("+"));
  const keyId = keyIdHex.startsWith("0x") ? undefined : parseHex(keyIdHex);
  const publicKey = key?.slice(1);
  const isKey = isName(name) && key?.length === 33 && key[0] === ED25519_ALGORITHM[0] && publicKey !== undefined;
  if (isKey && keyId !== undefined && formatVerifierKey(name, publicKey) === text) {
    return ok(ed25519Verifier(name, publicKey));
  }
  return refuse("invalid_request", `"${text.slice(0, 120)}" is not an Ed25519 verifier key`, {
    hint: "it is written name+keyid+key, as c2sp.org/signed-note says",
  });
}

function signatureLine({ name, keyId, signature }: NoteSignature): string {
  assert(isName(name) && keyId.length === KEY_ID_BYTES, "a signature has a name and a 4-byte key id");
  return `— ${name} ${toBase64(concat(keyId, signature))}\n`;
}

function parseSignatureLine(line: string): NoteSignature | undefined {
  const match = /^— (\S+) (\S+)$/u.exec(line);
  if (match === null || !isName(match[1]!)) return undefined;
  const bytes = parseBase64(match[2]!);
  if (bytes === undefined || bytes.length <= KEY_ID_BYTES) return undefined;
  return { name: match[1]!, keyId: bytes.slice(0, KEY_ID_BYTES), signature: bytes.slice(KEY_ID_BYTES) };
}

function isName(name: string): boolean {
  return /^[^\s+\p{Cc}\p{Cs}]+$/u.test(name);
}

function isText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what is refused
  return text.endsWith("\n") && !/[\x00-\x09\x0b-\x1f\p{Cs}]/u.test(text);
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes);
  } catch {
    return undefined;
  }
}

function verifierName(key: NoteVerifier): string {
  return `${key.name}+${toHex(key.keyId).slice(2)}`;
}

function malformed(why: string): Result<never> {
  return refuse("verification_failed", `not a signed note: ${why}`);
}

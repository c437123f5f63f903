import { ed25519 } from "@noble/curves/ed25519.js";
import { concat, fromHex, parseBase64, toBase64, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/** What a ledger owed a datanet's people when the datanet left: signed by the ledger, paid for by whoever takes it over. */
export interface Departure {
  readonly format: "openledger-departure-1";
  readonly ledger: string;
  readonly logKey: string;
  readonly datanet: { readonly name: string; readonly id: string };
  readonly to: string;
  readonly payout: number;
  readonly epoch: number;
  readonly timeMs: number;
  readonly lines: readonly DepartureLine[];
}

export interface DepartureLine {
  readonly identity: string;
  /** 32 bytes of hex: who it was in the ledger that owed it. */
  readonly payee: string;
  /** Whole nano, in decimal. */
  readonly nano: string;
}

export interface SignedDepartureText {
  readonly statement: Departure;
  /** Base64 of 64 bytes. */
  readonly signature: string;
}

const DOMAIN = utf8("openledger departure\n");

/** 32 bytes: what a transfer names as its source. */
export function departureHash(departure: Departure): Uint8Array {
  return sha256(textOf(departure));
}

export function signDeparture(departure: Departure, secret: Uint8Array): SignedDepartureText {
  const signature = ed25519.sign(concat(DOMAIN, textOf(departure)), secret);
  return { statement: departure, signature: toBase64(signature) };
}

/** Refuses `verification_failed` where the statement is not what its ledger's key has signed. */
export function checkDeparture({ statement, signature }: SignedDepartureText): Result<Departure> {
  const bytes = parseBase64(signature);
  const isSigned =
    bytes?.length === 64 && ed25519.verify(bytes, concat(DOMAIN, textOf(statement)), fromHex(statement.logKey));
  return isSigned ? ok(statement) : refuse("verification_failed", "the statement is not what its ledger has signed");
}

/** The one text of a statement: fields in this order, lines by identity, no white space. */
function textOf({ format, ledger, logKey, datanet, to, payout, epoch, timeMs, lines }: Departure): Uint8Array {
  const { name, id } = datanet;
  const sorted = lines
    .map(({ identity, payee, nano }) => ({ identity, payee: payee.toLowerCase(), nano }))
    .sort((a, b) => (a.identity < b.identity ? -1 : 1));
  const [of, key] = [ledger.toLowerCase(), logKey.toLowerCase()];
  const whole = { format, ledger: of, logKey: key, datanet: { name, id: id.toLowerCase() } };
  return utf8(JSON.stringify({ ...whole, to, payout, epoch, timeMs, lines: sorted }));
}

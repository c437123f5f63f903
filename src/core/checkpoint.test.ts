import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromUtf8, toHex, utf8 } from "./bytes.ts";
import { checkpointOrigin, checkpointText, openCheckpoint, parseCheckpointText, signCheckpoint } from "./checkpoint.ts";
import { addressOf } from "./eip712.ts";
import { ed25519PublicKey, encodeNote, parseNote } from "./note.ts";
import { unwrap } from "./result.ts";

const ledger = new Uint8Array(32).fill(0xab);
const keys = {
  domain: { chainId: 31337, verifyingContract: new Uint8Array(20).fill(0x11) },
  ed25519: new Uint8Array(32).fill(1),
  secp256k1: new Uint8Array(32).fill(2),
};
const trust = {
  ledger,
  domain: keys.domain,
  ed25519: ed25519PublicKey(keys.ed25519),
  signer: addressOf(keys.secp256k1),
};
const statement = { ledger, size: 70_000, root: new Uint8Array(32).map((_, i) => i) };
const signed = signCheckpoint(statement, keys);

describe("text", () => {
  const root = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  const origin = `openledger/${toHex(ledger)}`;

  test("is three lines", () => {
    expect(checkpointText(statement)).toBe(`${origin}\n70000\n${root}\n`);
  });

  test("is read back", () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const statements = fc.record({ ledger: bytes, size: fc.oneof(fc.nat(3), fc.maxSafeNat()), root: bytes });
    fc.assert(
      fc.property(statements, (some) => {
        expect(unwrap(parseCheckpointText(checkpointText(some)))).toEqual(some);
      }),
    );
  });

  test.each([
    ["an extension line", `${origin}\n1\n${root}\nmore\n`],
    ["a missing newline", `${origin}\n1\n${root}`],
    ["a leading zero", `${origin}\n01\n${root}\n`],
    ["a sign", `${origin}\n-1\n${root}\n`],
    ["an exponent", `${origin}\n1e3\n${root}\n`],
    ["a size of 2^53", `${origin}\n9007199254740992\n${root}\n`],
    ["no size", `${origin}\n\n${root}\n`],
    ["upper-case hex", `${origin.toUpperCase().replace("OPENLEDGER/0X", "openledger/0x")}\n1\n${root}\n`],
    ["a short ledger id", `${origin.slice(0, -2)}\n1\n${root}\n`],
    ["another origin", `example.com/log\n1\n${root}\n`],
    ["a root of 31 bytes", `${origin}\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n`],
    ["a root with bits left over", `${origin}\n1\n${root.replace("8=", "9=")}\n`],
  ])("refuses %s", (_, text) => {
    expect(parseCheckpointText(text)).toMatchObject({ ok: false, error: { code: "verification_failed" } });
  });
});

describe("signed", () => {
  test("is pinned, since the encoding is for ever", () => {
    expect(fromUtf8(signed)).toMatchInlineSnapshot(`
      "openledger/0xabababababababababababababababababababababababababababababababab
      70000
      AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

      — openledger/0xabababababababababababababababababababababababababababababababab ENPrY94MFbccC3ZAxPn+3jl6fabaa5dTgYYdv5ucTnN2YV5lyJNjIV8yZ4+xH2zgbZXimVCD+uASBQDmuxbgObq9QQI=
      — openledger/0xabababababababababababababababababababababababababababababababab frokT9iUacQfShY8wycVAEhTHZb4mKt8Y9S4zoGImFeB3beKd4E1DqffhPBONAsn6Zqt5RABxTUuOsXyuDFOVhPUjKsc
      "
    `);
    expect(unwrap(openCheckpoint(signed, trust))).toEqual(statement);
  });

  test("no single byte of it can change", () => {
    for (let at = 0; at < signed.length; at++) {
      const changed = signed.slice();
      changed[at]! ^= 1 << (at % 8);
      expect(openCheckpoint(changed, trust).ok, `byte ${at}`).toBe(false);
    }
  });

  test.each([
    ["ledger", { ...trust, ledger: new Uint8Array(32) }],
    ["chain", { ...trust, domain: { ...trust.domain, chainId: 1 } }],
    ["contract", { ...trust, domain: { ...trust.domain, verifyingContract: new Uint8Array(20) } }],
    ["Ed25519 key", { ...trust, ed25519: ed25519PublicKey(new Uint8Array(32).fill(9)) }],
    ["signer", { ...trust, signer: new Uint8Array(20) }],
  ])("is refused for another %s", (_, other) => {
    expect(openCheckpoint(signed, other)).toMatchObject({ ok: false, error: { code: "verification_failed" } });
  });

  test("needs both lines, in any order, and bears a witness's", () => {
    const { text, signatures } = unwrap(parseNote(signed));
    const witness = { name: "witness", keyId: new Uint8Array(4), signature: new Uint8Array(72) };
    const open = (...lines: typeof signatures) => openCheckpoint(encodeNote({ text, signatures: lines }), trust).ok;
    expect(open(signatures[1]!, witness, signatures[0]!)).toBe(true);
    expect(open(signatures[0]!, witness)).toBe(false);
    expect(open(signatures[1]!, witness)).toBe(false);
  });

  test("what the same keys signed for another ledger is refused, under either name", () => {
    const other = new Uint8Array(32).fill(0xcd);
    const foreign = signCheckpoint({ ...statement, ledger: other }, keys);
    expect(openCheckpoint(foreign, trust).ok).toBe(false);
    // Both lines are true signatures over the other ledger's text, and bear this ledger's name.
    const { text, signatures } = unwrap(parseNote(foreign));
    const name = checkpointOrigin(ledger);
    const keyIds = unwrap(parseNote(signed)).signatures.map(({ keyId }) => keyId);
    const renamed = signatures.map(({ signature }, i) => ({ name, keyId: keyIds[i]!, signature }));
    expect(openCheckpoint(encodeNote({ text, signatures: renamed }), trust).ok).toBe(false);
  });

  test("a signature does not carry over to another size", () => {
    const { signatures } = unwrap(parseNote(signed));
    const later = encodeNote({ text: checkpointText({ ...statement, size: 70_001 }), signatures });
    expect(openCheckpoint(later, trust).ok).toBe(false);
    expect(openCheckpoint(utf8(""), trust).ok).toBe(false);
  });
});

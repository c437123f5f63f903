import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { equalBytes, fromUtf8, toHex, utf8 } from "./bytes.ts";
import {
  EIP712_ALGORITHM,
  ed25519PublicKey,
  ed25519Verifier,
  encodeNote,
  formatVerifierKey,
  NOTE_BYTES_MAX,
  noteKeyId,
  parseNote,
  parseVerifierKey,
  signEd25519,
  verifyNote,
} from "./note.ts";
import { unwrap } from "./result.ts";

const seed = new Uint8Array(32).fill(7);
const publicKey = ed25519PublicKey(seed);
const name = "openledger/test";
const key = ed25519Verifier(name, publicKey);
const signed = (text: string) => encodeNote({ text, signatures: [signEd25519(name, seed, text)] });
const opened = (bytes: Uint8Array, verifiers = [key]) => {
  const note = parseNote(bytes);
  return note.ok ? verifyNote(note.value, verifiers) : note;
};

describe("published vectors", () => {
  const spec = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
  const go = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  const sumdb = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

  test.each([
    [
      "the example of c2sp.org/signed-note",
      spec,
      "This is an example message.\n\n" +
        "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
    ],
    [
      "the example of golang.org/x/mod/sumdb/note",
      go,
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    ],
  ])("%s verifies, and with another text does not", (_, vkey, note) => {
    const verifier = unwrap(parseVerifierKey(vkey));
    expect(opened(utf8(note), [verifier]).ok).toBe(true);
    expect(fromUtf8(encodeNote(unwrap(parseNote(utf8(note)))))).toBe(note);
    expect(opened(utf8(note.replace("you", "we").replace("This", "That")), [verifier])).toMatchObject({ ok: false });
  });

  test("the key of sum.golang.org, whose base64 has plus signs", () => {
    expect(toHex(unwrap(parseVerifierKey(sumdb)).keyId)).toBe("0x033de0ae");
  });
});

describe("parsing", () => {
  const base64 = "AAAAAAE=";
  test.each([
    ["nothing", ""],
    ["no blank line", `text\n— a ${base64}\n`],
    ["no signature", "text\n\n"],
    ["no text", `\n— a ${base64}\n`],
    ["no last newline", `text\n\n— a ${base64}`],
    ["a carriage return", `text\r\n\n— a ${base64}\n`],
    ["a tab in the text", `te\txt\n\n— a ${base64}\n`],
    ["a hyphen for the dash", `text\n\n- a ${base64}\n`],
    ["two spaces", `text\n\n— a  ${base64}\n`],
    ["a plus in the name", `text\n\n— a+b ${base64}\n`],
    ["a no-break space in the name", `text\n\n— a\u00a0b ${base64}\n`],
    ["a next-line character in the name", `text\n\n— a\u0085b ${base64}\n`],
    ["unpadded base64", "text\n\n— a AAAAAAE\n"],
    ["base64 with bits left over", "text\n\n— a AAAAAAF=\n"],
    ["a key id alone", "text\n\n— a AAAAAA==\n"],
    ["something behind the signature", `text\n\n— a ${base64} \n`],
    ["65 signatures", `text\n\n${`— a ${base64}\n`.repeat(65)}`],
    ["too many bytes", `${"x".repeat(NOTE_BYTES_MAX)}\n\n— a ${base64}\n`],
  ])("refuses %s", (_, text) => {
    expect(parseNote(utf8(text))).toMatchObject({ ok: false, error: { code: "verification_failed" } });
  });

  test("refuses bytes that are not UTF-8", () => {
    expect(parseNote(Uint8Array.of(...utf8("text"), 0xff, ...utf8(`\n\n— a ${base64}\n`))).ok).toBe(false);
  });

  test("encoding and parsing are inverse to each other, blank lines in the text included", () => {
    const line = fc.constantFrom("", "a", "é una riga", "— a AAAAAAE=", "+");
    const text = fc.array(line, { minLength: 1, maxLength: 5 }).map((lines) => `${lines.join("\n")}\n`);
    const signature = fc.record({
      name: fc.constantFrom("a", "b/c", "è"),
      keyId: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      signature: fc.uint8Array({ minLength: 1, maxLength: 70 }),
    });
    fc.assert(
      fc.property(text, fc.array(signature, { minLength: 1, maxLength: 4 }), (some, signatures) => {
        const note = { text: some, signatures };
        expect(unwrap(parseNote(encodeNote(note)))).toEqual(note);
      }),
    );
  });
});

describe("verifying", () => {
  const text = "some text\nof two lines\n";

  test("no single bit of a signed note can change", () => {
    const note = signed(text);
    for (let at = 0; at < note.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = note.slice();
        changed[at]! ^= 1 << bit;
        expect(opened(changed).ok, `byte ${at}, bit ${bit}`).toBe(false);
      }
    }
    expect(opened(note).ok).toBe(true);
  });

  test("lines of unknown keys are ignored; a missing, doubled or foreign one is not enough", () => {
    const mine = signEd25519(name, seed, text);
    const other = signEd25519("witness", new Uint8Array(32).fill(8), text);
    const sameName = signEd25519(name, new Uint8Array(32).fill(8), text);
    const check = (...signatures: (typeof mine)[]) => opened(encodeNote({ text, signatures })).ok;
    expect(check(mine)).toBe(true);
    expect(check(other, mine, sameName)).toBe(true);
    expect(check(other)).toBe(false);
    expect(check(sameName)).toBe(false);
    expect(check(mine, mine)).toBe(false);
    expect(check({ ...mine, name: "witness" })).toBe(false);
    expect(check({ ...sameName, keyId: mine.keyId })).toBe(false);
    expect(check({ ...mine, signature: mine.signature.slice(0, 63) })).toBe(false);
  });
});

describe("keys", () => {
  test("the key id depends on name, algorithm and key", () => {
    const ids = [
      noteKeyId("a", Uint8Array.of(1), publicKey),
      noteKeyId("b", Uint8Array.of(1), publicKey),
      noteKeyId("a", EIP712_ALGORITHM, publicKey),
      noteKeyId("a", Uint8Array.of(1), publicKey.slice(1)),
    ];
    for (const [i, id] of ids.entries())
      for (const later of ids.slice(i + 1)) expect(equalBytes(id, later)).toBe(false);
  });

  test("a verifier key is read back, and refused when a character of it changes", () => {
    const text = formatVerifierKey(name, publicKey);
    expect(unwrap(parseVerifierKey(text)).keyId).toEqual(key.keyId);
    for (let at = 0; at < text.length; at++) {
      const changed = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
      expect(parseVerifierKey(changed).ok, changed).toBe(false);
    }
    for (const bad of ["", "a", "a+b", "a+00000000+", `${text}+`, text.replace("+", "+0x")]) {
      expect(parseVerifierKey(bad).ok, bad).toBe(false);
    }
  });
});

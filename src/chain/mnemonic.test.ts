import { expect, test } from "vitest";
import { fromHex } from "../core/bytes.ts";
import { mnemonicOf } from "./mnemonic.ts";

// The reference vectors of BIP-39 (trezor/python-mnemonic, vectors.json).
test.each([
  [
    "00000000000000000000000000000000",
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
  ],
  ["7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f", "legal winner thank year wave sausage worth useful legal winner thank yellow"],
  ["ffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"],
  ["9e885d952ad362caeb4efe34a8e91bd2", "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic"],
  [
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length",
  ],
])("%s", (entropy, words) => {
  expect(mnemonicOf(fromHex(`0x${entropy}`))).toBe(words);
});

test("entropy of another length is a bug", () => {
  expect(() => mnemonicOf(new Uint8Array(15))).toThrow("16 to 32 bytes");
});

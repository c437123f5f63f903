import fc from "fast-check";
import {
  encodeAbiParameters,
  type Hex,
  hashTypedData,
  parseAbiParameters,
  recoverAddress,
  stringToHex,
  keccak256 as viemKeccak,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, test } from "vitest";
import { concat, equalBytes, fromHex, toHex } from "./bytes.ts";
import {
  addressOf,
  batchDigest,
  checkpointDigest,
  domainSeparator,
  earningsDigest,
  earningsTypedData,
  recoverSigner,
  signDigest,
  voucherDigest,
} from "./eip712.ts";

const types = {
  Checkpoint: [
    { name: "ledger", type: "bytes32" },
    { name: "size", type: "uint64" },
    { name: "root", type: "bytes32" },
  ],
  Batch: [
    { name: "ledger", type: "bytes32" },
    { name: "first", type: "uint64" },
    { name: "count", type: "uint32" },
    { name: "root", type: "bytes32" },
    { name: "deadline", type: "uint64" },
  ],
  Voucher: [
    { name: "ledger", type: "bytes32" },
    { name: "payer", type: "address" },
    { name: "cumulative", type: "uint128" },
  ],
  Earnings: [
    { name: "ledger", type: "bytes32" },
    { name: "payee", type: "address" },
    { name: "account", type: "string" },
    { name: "deadline", type: "uint64" },
  ],
} as const;

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const domains = fc.record({ chainId: fc.integer({ min: 1, max: 2 ** 40 }), verifyingContract: bytes(20) });
const viemDomain = (domain: { chainId: number; verifyingContract: Uint8Array }) =>
  ({
    name: "OpenLedger",
    version: "1",
    chainId: domain.chainId,
    verifyingContract: toHex(domain.verifyingContract),
  }) as const;

describe("digests are those of viem's hashTypedData", () => {
  test("Checkpoint", () => {
    const statement = fc.record({ ledger: bytes(32), size: fc.maxSafeNat(), root: bytes(32) });
    fc.assert(
      fc.property(domains, statement, (domain, { ledger, size, root }) => {
        const message = { ledger: toHex(ledger), size: BigInt(size), root: toHex(root) };
        expect(toHex(checkpointDigest(domain, { ledger, size, root }))).toBe(
          hashTypedData({ domain: viemDomain(domain), types, primaryType: "Checkpoint", message }),
        );
      }),
    );
  });

  test("Batch", () => {
    const statement = fc.record({
      ledger: bytes(32),
      first: fc.maxSafeNat(),
      count: fc.nat(2 ** 32 - 1),
      root: bytes(32),
      deadlineMs: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(domains, statement, (domain, batch) => {
        const message = {
          ledger: toHex(batch.ledger),
          first: BigInt(batch.first),
          count: batch.count,
          root: toHex(batch.root),
          deadline: BigInt(batch.deadlineMs),
        };
        expect(toHex(batchDigest(domain, batch))).toBe(
          hashTypedData({ domain: viemDomain(domain), types, primaryType: "Batch", message }),
        );
      }),
    );
  });

  test("Voucher", () => {
    const statement = fc.record({ ledger: bytes(32), payer: bytes(20), cumulative: fc.bigInt(0n, 2n ** 128n - 1n) });
    fc.assert(
      fc.property(domains, statement, (domain, { ledger, payer, cumulative }) => {
        const message = { ledger: toHex(ledger), payer: toHex(payer), cumulative };
        expect(toHex(voucherDigest(domain, { ledger, payer, cumulative }))).toBe(
          hashTypedData({ domain: viemDomain(domain), types, primaryType: "Voucher", message }),
        );
      }),
    );
  });

  test("Earnings, whatever the account is called", () => {
    const statement = fc.record({
      ...{ ledger: bytes(32), payee: bytes(20), deadlineMs: fc.maxSafeNat() },
      account: fc.oneof(fc.constant(""), fc.string({ unit: "grapheme", maxLength: 40 })),
    });
    fc.assert(
      fc.property(domains, statement, (domain, { ledger, payee, account, deadlineMs }) => {
        const message = { ledger: toHex(ledger), payee: toHex(payee), account, deadline: BigInt(deadlineMs) };
        expect(toHex(earningsDigest(domain, { ledger, payee, account, deadlineMs }))).toBe(
          hashTypedData({ domain: viemDomain(domain), types, primaryType: "Earnings", message }),
        );
        const shown: unknown = JSON.parse(
          JSON.stringify(earningsTypedData(domain, { ledger, payee, account, deadlineMs })),
        );
        const { deadline, ...rest } = message;
        const inWords = { ...rest, deadline: String(deadline) };
        expect(shown).toMatchObject({
          domain: viemDomain(domain),
          message: inWords,
          types: { Earnings: types.Earnings },
        });
      }),
    );
  });

  test("the domain separator is pinned", () => {
    const domain = { chainId: 31337, verifyingContract: new Uint8Array(20).fill(0x11) };
    const encoded = encodeAbiParameters(parseAbiParameters("bytes32, bytes32, bytes32, uint256, address"), [
      viemKeccak(stringToHex("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
      viemKeccak(stringToHex("OpenLedger")),
      viemKeccak(stringToHex("1")),
      31337n,
      toHex(domain.verifyingContract),
    ]);
    expect(toHex(domainSeparator(domain))).toBe(viemKeccak(encoded));
    expect(toHex(domainSeparator(domain))).toMatchInlineSnapshot(
      `"0x279dbb1771dadd38603e3b13b7ec198abf0a1d366a1e1dcdcf88c7a099533ffc"`,
    );
  });
});

describe("signatures", () => {
  /** The first account of anvil's and hardhat's well-known mnemonic. */
  const privateKey = fromHex("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
  const digest = new Uint8Array(32).map((_, i) => i);
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const signature = signDigest(privateKey, digest);
  const r = signature.slice(0, 32);
  const s = signature.slice(32, 64);
  const v = signature[64]!;
  const scalar = (value: bigint) => fromHex(value.toString(16).padStart(64, "0"));

  test("the address is the one that anvil prints", () => {
    expect(toHex(addressOf(privateKey))).toBe("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
  });

  test("are those of viem, and recover to the same signer there and here", async () => {
    const keys = bytes(32).filter((key) => key.some((byte) => byte > 0) && key[0]! < 0xff);
    await fc.assert(
      fc.asyncProperty(keys, bytes(32), async (key, hash) => {
        const mine = signDigest(key, hash);
        expect(toHex(mine)).toBe(await privateKeyToAccount(toHex(key)).sign({ hash: toHex(hash) }));
        const signer = await recoverAddress({ hash: toHex(hash), signature: toHex(mine) });
        expect(toHex(addressOf(key))).toBe(signer.toLowerCase() as Hex);
        expect(recoverSigner(hash, mine)).toEqual(addressOf(key));
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    [
      "the mirrored signature with s in the upper half (EIP-2)",
      () => concat(r, scalar(order - BigInt(toHex(s))), Uint8Array.of(55 - v)),
    ],
    ["v as 0 or 1", () => concat(r, s, Uint8Array.of(v - 27))],
    ["v of 29", () => concat(r, s, Uint8Array.of(29))],
    ["r of 0", () => concat(scalar(0n), s, Uint8Array.of(v))],
    ["s of 0", () => concat(r, scalar(0n), Uint8Array.of(v))],
    ["r of the order", () => concat(scalar(order), s, Uint8Array.of(v))],
    ["s of the order", () => concat(r, scalar(order), Uint8Array.of(v))],
    ["an r that is on no point", () => concat(scalar(5n), s, Uint8Array.of(v))],
    ["64 bytes", () => signature.slice(0, 64)],
    ["66 bytes", () => concat(signature, Uint8Array.of(0))],
    ["nothing", () => new Uint8Array(0)],
  ])("recover nobody from %s", (_, make) => {
    expect(recoverSigner(digest, make())).toBeUndefined();
  });

  test("no single bit of signature or digest can change", () => {
    const address = addressOf(privateKey);
    const all = concat(signature, digest);
    for (let bit = 0; bit < all.length * 8; bit += 3) {
      const changed = all.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const signer = recoverSigner(changed.slice(65), changed.slice(0, 65));
      expect(signer !== undefined && equalBytes(signer, address), `bit ${bit}`).toBe(false);
    }
    expect(recoverSigner(digest, signature)).toEqual(address);
  });
});

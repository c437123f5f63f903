import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assetKinds } from "./asset.ts";
import { toHex } from "./bytes.ts";
import { correctionReasons } from "./correction.ts";
import {
  bindingStates,
  decodeEntry,
  ENTRY_BYTES_MAX,
  type Entry,
  type EntryBody,
  encodeEntry,
  payeeTypes,
} from "./entry.ts";
import { makePool, POOL_CHUNK_MEMBERS_MAX, poolChunks } from "./pool.ts";
import { ReceiptView } from "./receiptView.ts";
import { LEGS_MAX, type Leg, legRoles } from "./route.ts";

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const nano = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const total = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
const ascii = (size: number) =>
  fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: size });
const prices = fc.record({ inPerMillion: nano, outPerMillion: nano, perCall: nano });
const unit = fc.constantFrom("nano" as const, "microUsd" as const);
const legs = fc.array(
  fc.record({
    role: fc.constantFrom(...legRoles),
    payee: u32,
    weight: fc.integer({ min: 1, max: 2 ** 32 }),
    amount: fc.maxSafeInteger(),
  }),
  { maxLength: LEGS_MAX },
);

const receipt = fc.record({
  id: bytes(16),
  flags: fc.record({
    reported: fc.boolean(),
    unaudited: fc.boolean(),
    partial: fc.boolean(),
    undeclared: fc.boolean(),
  }),
  nesting: fc.record({
    depth: fc.integer({ min: 0, max: 255 }),
    ...{ parent: bytes(16), root: bytes(16), sibling: bytes(16), runningTotal: nano, childrenTotal: nano },
  }),
  ...{ payer: bytes(32), account: bytes(16), payerPayee: u32, earned: nano, operator: u32, model: bytes(32) },
  ...{ policyHash: bytes(32), unit, rate: fc.record({ nanoPerUsd: nano, source: ascii(16) }) },
  ...{ costPrices: prices, royaltyPrices: prices },
  usage: fc.record({ tokensIn: u32, tokensOut: u32, calls: u32 }),
  fee: fc.record({ cost: nano, royalty: nano }),
  ...{
    promptHash: bytes(32),
    answerHash: bytes(32),
    evidenceRoot: bytes(32),
    indexId: bytes(32),
    methodsHash: bytes(32),
  },
  ...{ unattributed: u32, legs },
});

const bodies: Record<EntryBody["kind"], fc.Arbitrary<EntryBody>> = {
  policy: fc.record({
    kind: fc.constant("policy" as const),
    policy: fc.record({
      ...{ modelBps: fc.nat(65_535), contextBps: fc.nat(65_535), contributorsBps: fc.nat(65_535) },
      ...{ stakersBps: fc.nat(65_535), treasuryBps: fc.nat(65_535), priorCapBps: fc.nat(65_535) },
      ...{ treasuryPayee: bytes(32), reservePayee: bytes(32), datanetReservePayee: bytes(32) },
    }),
  }),
  asset: fc.record({
    kind: fc.constant("asset" as const),
    asset: fc.record({
      ...{ id: bytes(32), assetKind: fc.constantFrom(...assetKinds), owner: u32, contentRoot: bytes(32) },
      terms: fc.record({ unit, royalty: prices, parentsBps: fc.nat(10_000), licence: ascii(32) }),
      vectorRoot: bytes(32),
      parents: fc.array(fc.record({ id: bytes(32), weight: u32 }), { maxLength: 16 }),
    }),
  }),
  payee: fc.record({
    kind: fc.constant("payee" as const),
    payee: fc.record({ number: u32, type: fc.constantFrom(...payeeTypes), id: bytes(32) }),
  }),
  poolChunk: fc.record({
    kind: fc.constant("poolChunk" as const),
    chunk: fc.record({
      ...{
        pool: u32,
        subject: bytes(32),
        since: nano,
        total: nano,
        memberCount: u32,
        firstMember: u32,
        prefixBefore: nano,
      },
      members: fc.array(fc.record({ payee: u32, prefix: nano }), { maxLength: 20 }),
    }),
  }),
  binding: fc.record({
    kind: fc.constant("binding" as const),
    binding: fc.record({
      identity: u32,
      to: u32,
      state: fc.constantFrom(...bindingStates),
      epoch: nano,
      proofHash: bytes(32),
    }),
  }),
  receipt: receipt.map((value) => ({ kind: "receipt" as const, receipt: value })),
  batch: fc.record({
    kind: fc.constant("batch" as const),
    batch: fc.record({ first: nano, count: u32, root: bytes(32), deadlineMs: nano, signature: bytes(65) }),
  }),
  poolSplit: fc.record({
    kind: fc.constant("poolSplit" as const),
    split: fc.record({ pool: u32, epoch: nano, amount: fc.maxSafeInteger() }),
  }),
  correction: fc.record({
    kind: fc.constant("correction" as const),
    correction: fc.record({
      ...{
        id: bytes(16),
        receipt: bytes(16),
        receiptSeq: nano,
        payer: bytes(32),
        account: bytes(16),
        reason: fc.constantFrom(...correctionReasons),
      },
      ...{ refund: fc.maxSafeInteger(), payerPayee: u32, earned: nano, noteHash: bytes(32), legs },
    }),
  }),
  transfer: fc.record({
    kind: fc.constant("transfer" as const),
    transfer: fc.record({
      ...{ source: bytes(32), index: u32, payer: bytes(32), account: bytes(16) },
      lines: fc.array(fc.record({ payee: u32, amount: nano }), { maxLength: 20 }),
    }),
  }),
  move: fc.record({
    kind: fc.constant("move" as const),
    move: fc.record({
      place: fc.record({ chainId: nano, settlement: bytes(20), registry: bytes(20) }),
      ...{ payer: bytes(32), index: u32, count: u32 },
      lines: fc.array(fc.record({ payee: u32, credited: total, owed: nano }), { maxLength: 20 }),
    }),
  }),
  methods: fc.record({ kind: fc.constant("methods" as const), text: fc.uint8Array({ maxLength: 200 }) }),
  reversal: fc.record({
    kind: fc.constant("reversal" as const),
    reversal: fc.record({ firstVoidEpoch: nano, lastVoidEpoch: nano, faultySeq: nano, lastFinalPayoutRoot: bytes(32) }),
  }),
  epoch: fc.record({
    kind: fc.constant("epoch" as const),
    epoch: fc.record({
      ...{ epoch: nano, first: nano, end: nano, postingsRoot: bytes(32), postingsCount: nano, payoutRoot: bytes(32) },
      ...{ payoutCount: nano, debitRoot: bytes(32), debitCount: nano, credits: total, debits: total },
      ...{ registryBlock: nano, policyHash: bytes(32) },
    }),
  }),
};

const entryArbitrary: fc.Arbitrary<Entry> = fc
  .tuple(fc.record({ ledger: bytes(32), seq: nano, timeMs: nano }), fc.oneof(...Object.values(bodies)))
  .map(([head, body]) => ({ ...head, ...body }));

describe("an entry", () => {
  test("decodes to what was encoded, whatever its kind", () => {
    fc.assert(
      fc.property(entryArbitrary, (entry) => {
        expect(decodeEntry(encodeEntry(entry))).toEqual({ ok: true, value: entry });
      }),
      { numRuns: 500 },
    );
  });

  test("has one encoding: a changed byte is refused, or it is another entry with exactly those bytes", () => {
    fc.assert(
      fc.property(entryArbitrary, fc.nat(), fc.integer({ min: 1, max: 255 }), (entry, at, flip) => {
        const changed = encodeEntry(entry);
        changed[at % changed.length]! ^= flip;
        const decoded = decodeEntry(changed);
        if (decoded.ok) expect(toHex(encodeEntry(decoded.value))).toBe(toHex(changed));
        else expect(decoded.error.code).toBe("verification_failed");
      }),
      { numRuns: 1_000 },
    );
  });

  test("is refused when cut short or followed by anything", () => {
    fc.assert(
      fc.property(entryArbitrary, fc.nat(), (entry, cut) => {
        const whole = encodeEntry(entry);
        expect(decodeEntry(whole.slice(0, cut % whole.length)).ok).toBe(false);
        expect(decodeEntry(new Uint8Array([...whole, 0])).ok).toBe(false);
      }),
    );
  });

  test("random bytes are refused without a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (noise) => {
        const decoded = decodeEntry(noise);
        if (decoded.ok) expect(encodeEntry(decoded.value)).toEqual(noise);
      }),
    );
  });

  test("the largest entries fit the 16-bit lengths of a tile", () => {
    const shares = Array.from({ length: POOL_CHUNK_MEMBERS_MAX }, (_, i) => ({ payee: i + 2, weight: 1 }));
    const [chunk] = poolChunks(makePool(1, shares), new Uint8Array(32), 0);
    const head = { ledger: new Uint8Array(32), seq: 0, timeMs: 0 };
    expect(encodeEntry({ ...head, kind: "poolChunk", chunk: chunk! }).length).toBeLessThanOrEqual(ENTRY_BYTES_MAX);
  });
});

test("the bytes of a small entry are pinned: the encoding is for ever", () => {
  const entry: Entry = {
    ...{ ledger: new Uint8Array(32).fill(0xaa), seq: 258, timeMs: 1_700_000_000_000 },
    ...{ kind: "payee", payee: { number: 7, type: "identity", id: new Uint8Array(32).fill(0xbb) } },
  };
  const ledger = "aa".repeat(32);
  expect(toHex(encodeEntry(entry))).toBe(`0x0103${ledger}00000000000001020000018bcfe568000000000701${"bb".repeat(32)}`);
});

test("what a receipt says about money is read where it stands as it is decoded", () => {
  fc.assert(
    fc.property(receipt, (each) => {
      const entry = encodeEntry({ ledger: new Uint8Array(32), seq: 1, timeMs: 2, kind: "receipt", receipt: each });
      const view = new ReceiptView(entry);
      const found: Omit<Leg, "weight">[] = [];
      view.eachLeg((payee, amount, index, role) => {
        expect(index).toBe(found.length);
        found.push({ payee, amount, role: legRoles[role]! });
      });
      expect(found).toEqual(each.legs.map(({ role, payee, amount }) => ({ payee, amount, role })));
      const { payer, account, model, payerPayee, earned } = each;
      expect([view.payer, view.account, view.model, view.payerPayee, view.earned]).toEqual([
        ...[payer, account, model, payerPayee, earned],
      ]);
      expect([view.nanoPerUsd, view.own, view.legCount]).toEqual([
        ...[each.rate.nanoPerUsd, each.fee.cost + each.fee.royalty, each.legs.length],
      ]);
    }),
  );
  expect(() => new ReceiptView(new Uint8Array(600))).toThrow("a receipt's legs");
});

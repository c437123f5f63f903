import { expect, onTestFinished, test } from "vitest";
import { testDatabase } from "../../test/support/testDatabase.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import type { PaidClaim } from "../ledger/claimLines.ts";
import { StatementDesk, statementText } from "../ledger/issued.ts";
import { microUsdOf } from "../ledger/microUsd.ts";
import { statementPdf } from "../ledger/statementPdf.ts";
import { account, draft, parties, type SmallLedger, smallLedger } from "../ledger/testing/smallLedger.ts";
import { openPayoutStore } from "./payoutStore.ts";

/** The small ledger's clock begins on 2023-11-14. */
const DAY_MS = 86_400_000;

async function desk(claims: readonly PaidClaim[] = []): Promise<{
  small: SmallLedger;
  desk: StatementDesk;
  spend: (fee: number) => Promise<Uint8Array>;
}> {
  const database = await testDatabase();
  const store = unwrap(await openPayoutStore(database));
  onTestFinished(async () => {
    await store.close();
    await database.drop();
  });
  const small = await smallLedger();
  const payer = await account(small, 1_000_000);
  await store.putDetails({
    ...{ payee: toHex(parties.ann), legalName: "Ann Ärmel 𝕏", country: "DE", iban: "DE89370400440532013000" },
    ...{ withholdingBps: 0, taxId: "12 345" },
  });
  const spend = async (fee: number): Promise<Uint8Array> => {
    const hold = unwrap(small.ledger.holds.place({ account: payer.id, amount: fee }));
    const shares = [{ payee: parties.ann, type: "party" as const, weight: 1_000_000 }];
    const contributors = { shares, unattributed: 0 };
    return unwrap(await small.ledger.books.post(draft(hold.id, 0, fee, { contributors }))).receipt.id;
  };
  const made = new StatementDesk({
    ...{ ledger: small.ledger, store: store.statements, details: store, labelOf: () => undefined },
    claimsUntil: async (untilMs) => claims.filter(({ timeMs }) => timeMs < untilMs),
    ...{ nanoPerUsd: () => 1_000, nowMs: () => small.world.timeMs },
  });
  return { small, desk: made, spend };
}

test("a month is issued once: the same again issues nothing, what is corrected later is a credit note of its own month", async () => {
  const { small, desk: made, spend } = await desk();
  const receipt = await spend(1_000);
  expect(await made.issue("2023-11")).toMatchObject({ ok: false, error: { code: "conflict" } });
  small.world.timeMs += 30 * DAY_MS;
  const { issued } = unwrap(await made.issue("2023-11"));
  expect(issued).toBeGreaterThan(2);
  expect(unwrap(await made.issue("2023-11"))).toEqual({ issued: 0, known: issued });
  const before = await made.store.list({ limit: 100 });
  expect(before.map(({ number }) => number)).toEqual(before.map((_one, i) => i + 1));
  unwrap(await small.ledger.books.correct({ receipt, reason: "refund", refund: 400, note: "", key: "k" }));
  small.world.timeMs += 31 * DAY_MS;
  unwrap(await made.issue("2023-12"));
  const notes = await made.store.list({ period: "2023-12", limit: 100 });
  expect(new Set(notes.map(({ kind }) => kind))).toEqual(new Set(["credit_note"]));
  expect(await made.store.list({ period: "2023-11", limit: 100 })).toEqual(before);
  // Credits and charges of everybody sum to nothing, before and after.
  for (const all of [before, notes]) expect(all.reduce((sum, { nano }) => sum + nano, 0n)).toBe(0n);
});

test("a statement names the payee as known, its hash is over all of it, and its PDF is the same file every time", async () => {
  const { small, desk: made, spend } = await desk();
  for (let i = 0; i < 3; i++) await spend(1_000);
  small.world.timeMs += 30 * DAY_MS;
  unwrap(await made.issue("2023-11"));
  const [ann] = await made.store.list({ party: toHex(parties.ann), limit: 9 });
  expect(ann?.party).toEqual({ type: "payee", id: toHex(parties.ann), name: "Ann Ärmel 𝕏", taxId: "12 345" });
  expect(ann?.lines[0]).toMatchObject({ kind: "earned", count: 3 });
  const { hash, ...rest } = ann!;
  expect(toHex(sha256(utf8(statementText(rest))))).toBe(hash);
  expect(toHex(sha256(utf8(statementText({ ...rest, nano: rest.nano + 1n }))))).not.toBe(hash);
  const pdf = await statementPdf(ann!);
  expect(Buffer.from(pdf.slice(0, 5)).toString()).toBe("%PDF-");
  expect(await statementPdf(ann!)).toEqual(pdf);
});

test("who issues stands on what is issued from then on, with a day on which charges are due; what was issued keeps its text", async () => {
  const { small, desk: made, spend } = await desk();
  await spend(1_000);
  small.world.timeMs += 30 * DAY_MS;
  unwrap(await made.issue("2023-11"));
  const before = await made.store.list({ limit: 100 });
  const issuer = { name: "Node Ltd", address: "1 Mill Lane, Leeds", taxId: "GB 1" };
  await made.store.setIssuer({ ...issuer, dueDays: 30 });
  await made.store.setIssuer({ ...issuer, dueDays: 14 });
  expect(await made.store.issuer()).toEqual({ ...issuer, dueDays: 14 });
  await spend(1_000);
  small.world.timeMs += 31 * DAY_MS;
  unwrap(await made.issue("2023-12"));
  expect(await made.store.list({ period: "2023-11", limit: 100 })).toEqual(before);
  const after = await made.store.list({ period: "2023-12", limit: 100 });
  expect(after.map(({ number }) => number)).toEqual(after.map((_one, i) => before.length + i + 1));
  for (const one of after) {
    const { hash, ...rest } = one;
    expect(one.issuer).toEqual(issuer);
    expect(one.due).toBe(one.party.type === "account" ? "2024-01-28" : undefined);
    expect(toHex(sha256(utf8(statementText(rest))))).toBe(hash);
    const { issuer: _issuer, due, ...bare } = rest;
    const terms = `issuer "Node Ltd" "1 Mill Lane, Leeds" "GB 1"\n${due === undefined ? "" : `due ${due}\n`}`;
    expect(statementText(rest)).toBe(`${statementText(bare)}${terms}`);
    expect(await statementPdf(one)).not.toEqual(await statementPdf({ ...bare, hash }));
  }
});

const BEGIN_MS = Date.UTC(2023, 10, 14, 22, 13, 20);
const claim = (day: number, nano: bigint, more: Partial<PaidClaim> = {}): PaidClaim => ({
  ...{ payee: toHex(parties.ann), reference: `payout ${day}`, way: "bank", timeMs: BEGIN_MS + day * DAY_MS, nano },
  ...{ feeNano: 0n, nanoPerUsd: 2_000, source: "test", ...more },
});

test("a claim stands once on the statement of its month, worth at the claim beside its worth at accrual", async () => {
  const claims = [claim(1, 300n), claim(35, 200n, { way: "chain", reference: "1:0xabc:4", feeNano: 2n })];
  const { small, desk: made, spend } = await desk(claims);
  await spend(1_000);
  small.world.timeMs += 30 * DAY_MS;
  unwrap(await made.issue("2023-11"));
  // Known too late for its own month's statement.
  claims.push(claim(2, 50n, { nanoPerUsd: 0 }));
  small.world.timeMs += 31 * DAY_MS;
  unwrap(await made.issue("2023-12"));
  expect(unwrap(await made.issue("2023-12")).issued).toBe(0);
  const [first, second] = await made.store.list({ party: toHex(parties.ann), limit: 9 });
  expect(first?.claims).toEqual([
    {
      ...{ reference: "payout 1", way: "bank", timeMs: claims[0]!.timeMs, nano: 300n, feeNano: 0n, nanoPerUsd: 2_000 },
      // The receipt's own rate is one nano for a dollar.
      ...{ source: "test", microUsd: 150_000n, accrualMicroUsd: 300_000_000n },
    },
  ]);
  expect(second).toMatchObject({ lines: [], nano: 0n, kind: "statement", period: "2023-12" });
  expect(second?.claims.map(({ nano, microUsd, accrualMicroUsd }) => [nano, microUsd, accrualMicroUsd])).toEqual([
    [50n, 0n, 50_000_000n],
    [200n, 100_000n, 200_000_000n],
  ]);
  const { hash, ...rest } = second!;
  expect(toHex(sha256(utf8(statementText(rest))))).toBe(hash);
  const changed = { ...rest, claims: rest.claims.map((one) => ({ ...one, microUsd: one.microUsd + 1n })) };
  expect(toHex(sha256(utf8(statementText(changed))))).not.toBe(hash);
  expect((await statementPdf(second!)).length).toBeGreaterThan((await statementPdf({ ...second!, claims: [] })).length);
});

test.each([
  [1n, 1_000, 1_000n],
  [1n, 3_000_000, 0n],
  [3n, 2_000_000, 2n],
  [-3n, 2_000_000, -2n],
  [5n, 0, 0n],
])("%s nano at %s nano a dollar are %s millionths", (nano, rate, micro) => expect(microUsdOf(nano, rate)).toBe(micro));

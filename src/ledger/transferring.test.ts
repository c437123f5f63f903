import { expect, test } from "vitest";
import { decodeEntry, encodeEntry } from "../core/entry.ts";
import { Replay } from "../core/replay.ts";
import { unwrap } from "../core/result.ts";
import { account, id32, smallLedger, verified } from "./testing/smallLedger.ts";
import type { TransferDraft } from "./transferDraft.ts";

const lines = (count: number, amount = 1) =>
  Array.from({ length: count }, (_, i) => ({ payee: id32(10_000 + i), type: "identity" as const, amount }));

test("a long statement is a row of entries, adds up, verifies, and is booked once in whatever order it comes", async () => {
  const small = await smallLedger();
  const { ledger } = small;
  const { id } = await account(small, 5_000);
  const draft: TransferDraft = { account: id, source: id32(1), lines: lines(2_500, 2) };
  expect(unwrap(await ledger.books.transfer(draft))).toEqual({ entries: 3, nano: 5_000n, known: 0 });
  const size = ledger.books.size();
  const again = { ...draft, lines: draft.lines.toReversed() };
  expect(unwrap(await ledger.books.transfer(again))).toEqual({ entries: 3, nano: 5_000n, known: 3 });
  expect(ledger.books.size()).toBe(size);
  expect(ledger.books.accrued(id32(10_007))).toEqual({ lifetime: 2n, open: 2n });
  expect(ledger.accounts.balance(id)).toMatchObject({ available: 0n, spent: 5_000n });
  const statement = await ledger.accounts.statement({ payee: id32(10_007) });
  expect(statement.lines).toMatchObject([{ kind: "transfer", role: "balance", amount: 2 }]);
  expect((await ledger.accounts.statement({ account: id })).total).toBe(-5_000n);
  const period = await ledger.accounts.period(0, Number.MAX_SAFE_INTEGER);
  expect(period.parties.reduce((sum, { nano }) => sum + nano, 0n)).toBe(0n);
  unwrap(await ledger.epochs.closeEpoch({ registryBlock: 0 }));
  expect(await verified(small)).toMatchObject({ credits: 5_000n, debits: 5_000n, kinds: { transfer: 3 } });
  expect(unwrap(await ledger.epochs.payout(1, id32(10_007))).cumulative).toBe(2n);
});

test("what an interrupted transfer has left out is booked by the next one", async () => {
  const small = await smallLedger();
  const { ledger } = small;
  const { id } = await account(small, 1_100);
  const draft = { account: id, source: id32(2), lines: lines(1_100) };
  // The lines of its first entry alone are that entry, by the same source.
  const first = { ...draft, lines: draft.lines.slice(0, 1_024) };
  expect(unwrap(await ledger.books.transfer(first))).toEqual({ entries: 1, nano: 1_024n, known: 0 });
  expect(unwrap(await ledger.books.transfer(draft))).toEqual({ entries: 2, nano: 1_100n, known: 1 });
  expect(ledger.books.totals()).toMatchObject({ credited: 1_100n, debited: 1_100n });
});

test.each([
  ["an account that is not there", { account: "acct_none" }, "not_found"],
  ["more than the account has", { lines: lines(11) }, "insufficient_funds"],
  ["nothing", { lines: [] }, "invalid_request"],
  ["a payee twice", { lines: [...lines(1), ...lines(1)] }, "invalid_request"],
  ["a balance of nothing", { lines: lines(1, 0) }, "invalid_request"],
  ["a part of a nano", { lines: lines(1, 0.5) }, "invalid_request"],
  ["2^53 nano", { lines: lines(2, 2 ** 52) }, "invalid_request"],
] as const)("%s is refused and journals nothing", async (_name, changes, code) => {
  const small = await smallLedger();
  const { id } = await account(small, 10);
  const size = small.ledger.books.size();
  const draft = { account: id, source: id32(3), lines: lines(3), ...changes };
  expect(await small.ledger.books.transfer(draft)).toMatchObject({ ok: false, error: { code } });
  expect(small.ledger.books.size()).toBe(size);
});

test("the verifier refuses a transfer that is there twice, moves nothing, or goes to a pool", async () => {
  const small = await smallLedger();
  const { id } = await account(small, 10);
  unwrap(await small.ledger.books.transfer({ account: id, source: id32(4), lines: lines(2) }));
  const entries: Uint8Array[] = [];
  for await (const bytes of small.ledger.books.entries(0, small.ledger.books.size())) entries.push(bytes);
  const at = entries.findIndex((bytes) => unwrap(decodeEntry(bytes)).kind === "transfer");
  const entry = unwrap(decodeEntry(entries[at]!));
  if (entry.kind !== "transfer") throw new Error("the entry is a transfer");
  const pool = [...small.ledger.books.payees()].find(({ type }) => type === "pool")!.number;
  const { transfer } = entry;
  const first = transfer.lines[0]!;
  const cases = [
    ["transferred twice", [transfer, transfer]],
    ["moves nothing", [{ ...transfer, lines: [] }]],
    ["moves nothing", [{ ...transfer, lines: [{ ...first, amount: 0 }] }]],
    ["do not ascend", [{ ...transfer, lines: [first, first] }]],
    ["was not introduced", [{ ...transfer, lines: [{ ...first, payee: 4_000_000 }] }]],
    ["to pool", [{ ...transfer, lines: [{ ...first, payee: pool }] }]],
  ] as const;
  for (const [words, transfers] of cases) {
    const replay = new Replay({ ledger: small.ledger.id, batch: (batch) => ({ ok: true, value: batch }) });
    for (const bytes of entries.slice(0, at)) unwrap(replay.take(bytes));
    const taken = transfers.map((one, i) => replay.take(encodeEntry({ ...entry, seq: entry.seq + i, transfer: one })));
    const last = taken.at(-1)!;
    expect(last.ok ? "" : last.error.message).toContain(words);
  }
});

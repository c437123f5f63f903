import { describe, expect, it } from "vitest";
import { u64 } from "../../core/bytes.ts";
import { encodeEntry } from "../../core/entry.ts";
import { sha256 } from "../../core/hash.ts";
import { unwrap } from "../../core/result.ts";
import type { AuditRow } from "../audit.ts";
import type { Account } from "../ledger.ts";
import type { Organisation } from "../organisations.ts";
import type {
  AppendBatch,
  EntryRow,
  IdempotencyRow,
  LedgerStore,
  MovementRow,
  StoredEntry,
  StoredKey,
  Takeover,
} from "../ports.ts";

/** What every {@link LedgerStore} does. An adapter's test calls this with a way to get an empty store; `close` ends it. */
export function describeLedgerStore(
  name: string,
  open: () => Promise<{ store: LedgerStore; close: () => Promise<void> }>,
): void {
  const withStore: WithStore = async (run) => {
    const { store, close } = await open();
    try {
      await run(store);
    } finally {
      await close();
    }
  };
  describe(`${name}: terms`, () => termTests(withStore));
  describe(`${name}: settling an append in doubt`, () => settleTests(withStore));
  describe(`${name}: the journal`, () => journalTests(withStore));
  describe(`${name}: receipts`, () => receiptTests(withStore));
  describe(`${name}: everything beside the journal`, () => besideTests(withStore));
}

/** A batch of term 1 with nothing in it but what is given. */
export function batchOf(rows: Partial<AppendBatch>): AppendBatch {
  return {
    ...{ ledger: testLedger, term: 1, entries: [], openings: [], idempotency: [], accounts: [], keys: [] },
    ...{ organisations: [], audits: [], spending: [] },
    ...{ movements: [], epochMarks: [], epochLeaves: [], checkpoint: undefined, ...rows },
  };
}

/** An entry whose bytes follow from seq and kind: receipts and corrections name `receipt`. */
export function entryRow(seq: number, kind = 3, receipt?: Uint8Array, size = 220): EntryRow {
  const bytes = new Uint8Array(size).map((_, at) => (seq * 31 + kind * 7 + at) % 256);
  return { seq, kind, receipt, bytes };
}

/** 16 bytes that follow from the number. */
export function receiptId(number: number): Uint8Array {
  return sha256(u64(number)).slice(0, 16);
}

export async function entriesOf(
  store: LedgerStore,
  from: number,
  until: number,
  ledger = testLedger,
): Promise<StoredEntry[]> {
  const found: StoredEntry[] = [];
  for await (const { seq, bytes } of store.entries(ledger, from, until)) found.push({ seq, bytes });
  return found;
}

export const testLedger = new Uint8Array(32).fill(0xa1);

type WithStore = (run: (store: LedgerStore) => Promise<void>) => Promise<void>;

const fenced = { ok: false, error: { code: "writer_fenced" } };

function termTests(withStore: WithStore): void {
  it("a new ledger is empty, and each takeover is the next term", () =>
    withStore(async (store) => {
      const nothing = { lastSeq: -1, accounts: [], keys: [], movements: [], epochMarks: [], epochEnds: [] };
      const none = { ...nothing, organisations: [], auditHeads: [] };
      expect(await takeover(store)).toEqual({ ...none, term: 1, checkpoint: undefined });
      expect((await takeover(store)).term).toBe(2);
    }));

  it("a stale writer can append nothing, whatever its batch holds", () =>
    withStore(async (store) => {
      await takeover(store);
      unwrap(await store.append(batchOf({ entries: [entryRow(0)] })));
      const before = await takeover(store);
      const batches = [
        batchOf({ entries: [entryRow(1)] }),
        batchOf({ accounts: [account("late")] }),
        batchOf({ movements: [movement("late", 1)] }),
        batchOf({ checkpoint: { seq: 1, state: new Uint8Array([1]) } }),
        batchOf({ epochMarks: [{ epoch: 1, status: "closed", reference: "" }] }),
      ];
      for (const batch of batches) {
        expect(await store.append(batch)).toMatchObject(fenced);
        expect(await store.settle(batch)).toMatchObject(fenced);
      }
      expect(await takeover(store)).toEqual({ ...before, term: 3 });
    }));

  it("a term that was never given out appends nothing", () =>
    withStore(async (store) => {
      expect(await store.append(batchOf({ entries: [entryRow(0)] }))).toMatchObject(fenced);
      await takeover(store);
      expect(await store.append(batchOf({ term: 2, entries: [entryRow(0)] }))).toMatchObject(fenced);
      expect((await takeover(store)).lastSeq).toBe(-1);
    }));
}

function settleTests(withStore: WithStore): void {
  it("tells what was written from what was not", () =>
    withStore(async (store) => {
      await takeover(store);
      const written = batchOf({ entries: [entryRow(0), entryRow(1)] });
      const booked = batchOf({ movements: [movement("one", 5)] });
      const noted = batchOf({ organisations: [organisation("a")], audits: [audit("a", 1)] });
      for (const batch of [written, booked, noted]) {
        expect(await store.settle(batch)).toEqual({ ok: true, value: "absent" });
        unwrap(await store.append(batch));
        expect(await store.settle(batch)).toEqual({ ok: true, value: "written" });
      }
      expect(await store.settle(batchOf({ entries: [entryRow(2)] }))).toEqual({ ok: true, value: "absent" });
    }));

  it("other bytes at the same seq are not the batch", () =>
    withStore(async (store) => {
      await takeover(store);
      unwrap(await store.append(batchOf({ entries: [entryRow(0)] })));
      expect(await store.settle(batchOf({ entries: [entryRow(0, 4)] }))).toEqual({ ok: true, value: "absent" });
    }));

  it("a batch that does not follow what is there says that the store was set back", () =>
    withStore(async (store) => {
      await takeover(store);
      unwrap(await store.append(batchOf({ entries: [entryRow(0)] })));
      const settled = await store.settle(batchOf({ entries: [entryRow(2)] }));
      expect(settled).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
    }));

  it("settling changes nothing", () =>
    withStore(async (store) => {
      await takeover(store);
      await store.settle(batchOf({ entries: [entryRow(0)] }));
      expect(await entriesOf(store, 0, 10)).toEqual([]);
      unwrap(await store.append(batchOf({ entries: [entryRow(0)] })));
    }));
}

function journalTests(withStore: WithStore): void {
  it("gives entries back in order, byte for byte, and any range of them", () =>
    withStore(async (store) => {
      await takeover(store);
      const rows = Array.from({ length: 40 }, (_, seq) => entryRow(seq, 1 + (seq % 5), undefined, seq * 9));
      unwrap(await store.append(batchOf({ entries: rows.slice(0, 1) })));
      unwrap(await store.append(batchOf({ entries: rows.slice(1, 33) })));
      unwrap(await store.append(batchOf({ entries: rows.slice(33) })));
      const stored = rows.map(({ seq, bytes }) => ({ seq, bytes }));
      expect(await entriesOf(store, 0, 40)).toEqual(stored);
      for (const [from, until] of [
        [0, 0],
        [0, 1],
        [32, 34],
        [39, 40],
        [39, 1_000],
        [40, 50],
        [7, 3],
      ] as const)
        expect(await entriesOf(store, from, until)).toEqual(stored.slice(from, Math.max(from, until)));
      expect((await takeover(store)).lastSeq).toBe(39);
    }));

  it("a journal of many chunks and an entry of a megabyte", () =>
    withStore(async (store) => {
      await takeover(store);
      const rows = Array.from({ length: 4_500 }, (_, seq) => entryRow(seq, 3, undefined, 60));
      const large = entryRow(4_500, 4, undefined, 1_000_000);
      unwrap(await store.append(batchOf({ entries: rows })));
      unwrap(await store.append(batchOf({ entries: [large] })));
      const stored = await entriesOf(store, 0, 5_000);
      expect(stored.map(({ seq }) => seq)).toEqual(Array.from({ length: 4_501 }, (_, seq) => seq));
      expect(stored[4_499]!.bytes).toEqual(rows[4_499]!.bytes);
      expect(sha256(stored[4_500]!.bytes)).toEqual(sha256(large.bytes));
    }));

  it("epochs' ends are read off their entries", () =>
    withStore(async (store) => {
      await takeover(store);
      const entries = [entryRow(0), epochRow(1, 1, 1), entryRow(2), epochRow(3, 2, 3)];
      unwrap(await store.append(batchOf({ entries })));
      expect((await takeover(store)).epochEnds).toEqual([1, 3]);
    }));

  it("a takeover reads the last checkpoint", () =>
    withStore(async (store) => {
      let { term } = await takeover(store);
      for (const seq of [1, 2, 3]) {
        const checkpoint = { seq, state: new Uint8Array(4 - seq).fill(seq) };
        unwrap(await store.append(batchOf({ term, entries: [entryRow(seq - 1)], checkpoint })));
        const taken = await takeover(store);
        expect(taken.checkpoint).toEqual(checkpoint);
        term = taken.term;
      }
    }));
}

function receiptTests(withStore: WithStore): void {
  it("finds a receipt by its id, with its opening, and never a correction of it", () =>
    withStore(async (store) => {
      await takeover(store);
      const [opened, closed] = [receiptId(1), receiptId(2)];
      const entries = [entryRow(0, 6, opened), entryRow(1, 9, opened), entryRow(2, 6, closed), entryRow(3, 9, opened)];
      const opening = '{"salt":"\\"", "text":"tab\t\u{1d54c}"}';
      unwrap(await store.append(batchOf({ entries, openings: [{ receipt: opened, opening }] })));
      expect(await store.receipt(testLedger, opened)).toEqual({ seq: 0, bytes: entries[0]!.bytes, opening });
      expect(await store.receipt(testLedger, closed)).toMatchObject({ seq: 2, opening: undefined });
      expect(await store.receipt(testLedger, receiptId(3))).toBeUndefined();
      expect((await store.corrections(testLedger, opened)).map(({ seq }) => seq)).toEqual([1, 3]);
      expect(await store.corrections(testLedger, closed)).toEqual([]);
    }));

  it("lists receipts newest first, before a seq, of one account or all", () =>
    withStore(async (store) => {
      await takeover(store);
      const rows = Array.from({ length: 12 }, (_, seq) => entryRow(seq, seq % 3 === 0 ? 3 : 6, receiptId(seq)));
      const pseudonym = new Uint8Array(16).fill(5);
      for (const seq of [1, 4, 8]) rows[seq]!.bytes.set(pseudonym, PSEUDONYM_AT);
      unwrap(await store.append(batchOf({ entries: rows })));
      const seqs = async (query: Parameters<LedgerStore["receipts"]>[1]) =>
        (await store.receipts(testLedger, query)).map(({ seq }) => seq);
      expect(await seqs({ beforeSeq: 12, limit: 3 })).toEqual([11, 10, 8]);
      expect(await seqs({ beforeSeq: 8, limit: 100 })).toEqual([7, 5, 4, 2, 1]);
      expect(await seqs({ beforeSeq: 12, limit: 2, pseudonym })).toEqual([8, 4]);
      expect(await seqs({ beforeSeq: 4, limit: 2, pseudonym })).toEqual([1]);
      expect(await seqs({ beforeSeq: 12, limit: 2, pseudonym: new Uint8Array(16).fill(6) })).toEqual([]);
    }));
}

function besideTests(withStore: WithStore): void {
  it("an account and a key are as they were written last", () =>
    withStore(async (store) => {
      await takeover(store);
      const [plain, linked] = [
        account("a"),
        { ...account("b"), payee: new Uint8Array(32).fill(3), proofDeadlineMs: 7, walletKey: "k2" },
      ];
      const [live, revoked] = [key("k1"), { ...key("k2"), revokedMs: 9 }];
      unwrap(await store.append(batchOf({ accounts: [plain, account("b")], keys: [live, key("k2")] })));
      unwrap(await store.append(batchOf({ accounts: [linked], keys: [revoked] })));
      const { accounts, keys } = await takeover(store);
      expect(lastById(accounts)).toEqual([plain, linked]);
      expect(lastById(keys)).toEqual([live, revoked]);
    }));

  it("movements are found by reference, and add up by kind and party beyond 2^53", () =>
    withStore(async (store) => {
      await takeover(store);
      const amount = 2 ** 53 - 1;
      const rows = [movement("one", amount), movement("two", amount), { ...movement("three", 7), party: "acct_c" }];
      unwrap(await store.append(batchOf({ movements: rows })));
      unwrap(await store.append(batchOf({ movements: [{ ...movement("four", 1), kind: "deposit" as const }] })));
      expect(await store.movement(testLedger, "two")).toEqual(rows[1]);
      expect(await store.movement(testLedger, "five")).toBeUndefined();
      const sums = new Map<string, bigint>();
      for (const { kind, party, amount } of (await takeover(store)).movements)
        sums.set(`${kind} ${party}`, (sums.get(`${kind} ${party}`) ?? 0n) + amount);
      expect([...sums].sort()).toEqual([
        ["deposit acct_a", 1n],
        ["grant acct_a", BigInt(amount) * 2n],
        ["grant acct_c", 7n],
      ]);
    }));

  it("an organisation is as it was written last, and each audit log goes on from its last row", () =>
    withStore(async (store) => {
      await takeover(store);
      const [first, second] = [organisation("a"), { ...organisation("b"), limits: { nanoPerDay: 5 } }];
      unwrap(await store.append(batchOf({ organisations: [first, organisation("b")], audits: [audit("a", 1)] })));
      const rows = [audit("a", 2), audit("node", 1), audit("a", 3)];
      unwrap(await store.append(batchOf({ organisations: [second], audits: rows })));
      const { organisations, auditHeads } = await takeover(store);
      expect(organisations).toEqual([first, second]);
      expect([...auditHeads].sort((a, b) => (a.log < b.log ? -1 : 1))).toEqual([
        { log: "a", number: 3, hash: "0xa3" },
        { log: "node", number: 1, hash: "0xnode1" },
      ]);
      expect(await store.audits(testLedger, "a", { after: 1, limit: 1 })).toEqual([audit("a", 2)]);
      expect(await store.audits(testLedger, "a", { after: 0, limit: 9 })).toHaveLength(3);
      expect(await store.audits(testLedger, "b", { after: 0, limit: 9 })).toEqual([]);
    }));

  it("spending of a key and day adds up, of any range of days", () =>
    withStore(async (store) => {
      await takeover(store);
      const row = { day: 20_000, key: "k1", nano: 7, receipts: 1, tokens: 10 };
      const other = { ...row, key: "k2" };
      unwrap(await store.append(batchOf({ entries: [entryRow(0)], spending: [other, row] })));
      unwrap(await store.append(batchOf({ entries: [entryRow(1)], spending: [row, { ...row, day: 20_001 }] })));
      const sum = { ...row, nano: 14, receipts: 2, tokens: 20 };
      expect(await store.spending(testLedger, 20_000, 20_001)).toEqual([sum, other]);
      expect(await store.spending(testLedger, 20_000, 20_002)).toEqual([sum, other, { ...row, day: 20_001 }]);
      expect(await store.spending(testLedger, 20_002, 30_000)).toEqual([]);
    }));

  it("rows of reported executions are found by their receipt and by what caused them", () =>
    withStore(async (store) => {
      await takeover(store);
      const bodyHash = new Uint8Array(16).fill(1);
      const row = (key: string, receipt: number, response?: string, account = "reported") => ({
        ...{ account, key, bodyHash, receipt: receiptId(receipt), response },
      });
      const idempotency = [row("a", 1), row("b", 1, "cause"), row("c", 2, "cause"), row("a", 1, "cause", "acct_a")];
      unwrap(await store.append(batchOf({ entries: [entryRow(0)], idempotency })));
      const byKey = (rows: readonly IdempotencyRow[]) => rows.toSorted((one, two) => (one.key < two.key ? -1 : 1));
      expect(byKey(await store.reported(testLedger, receiptId(1)))).toEqual(idempotency.slice(0, 2));
      expect(await store.reported(testLedger, receiptId(3))).toEqual([]);
      expect(await store.caused(testLedger, ["cause", "none"])).toEqual(idempotency.slice(1, 3));
      expect(await store.caused(testLedger, [])).toEqual([]);
    }));

  it("an idempotency key is of one account, with and without a response", () =>
    withStore(async (store) => {
      await takeover(store);
      const row = { account: "acct_a", key: "k", bodyHash: new Uint8Array(32).fill(1), receipt: receiptId(1) };
      const idempotency = [
        { ...row, response: '{"ok":"\\u0000"}' },
        { ...row, account: "acct_b", response: undefined },
      ];
      unwrap(await store.append(batchOf({ entries: [entryRow(0, 6, receiptId(1))], idempotency })));
      expect(await store.idempotency(testLedger, "acct_a", "k")).toEqual(idempotency[0]);
      expect(await store.idempotency(testLedger, "acct_b", "k")).toEqual(idempotency[1]);
      expect(await store.idempotency(testLedger, "acct_c", "k")).toBeUndefined();
      expect(await store.idempotencies(testLedger, "acct_a", ["k", "none", "k"])).toEqual([idempotency[0]]);
      expect(await store.idempotencies(testLedger, "acct_a", [])).toEqual([]);
    }));

  it("an epoch has its leaves and its latest mark", () =>
    withStore(async (store) => {
      await takeover(store);
      const leaves = { payouts: new Uint8Array(56).fill(1), debits: new Uint8Array() };
      const mark = { epoch: 1, reference: "" };
      unwrap(
        await store.append(
          batchOf({ epochMarks: [{ ...mark, status: "closed" }], epochLeaves: [{ epoch: 1, ...leaves }] }),
        ),
      );
      unwrap(await store.append(batchOf({ epochMarks: [{ epoch: 1, reference: "0xab", status: "proposed" }] })));
      expect(await store.epochLeaves(testLedger, 1)).toEqual({ epoch: 1, ...leaves });
      expect(await store.epochLeaves(testLedger, 2)).toBeUndefined();
      expect((await takeover(store)).epochMarks.at(-1)).toEqual({ epoch: 1, reference: "0xab", status: "proposed" });
    }));
}

/** Where a receipt's entry holds the pseudonym of its account. */
const PSEUDONYM_AT = 164;

async function takeover(store: LedgerStore): Promise<Takeover> {
  return unwrap(await store.takeOver(testLedger));
}

function lastById<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}

function organisation(name: string): Organisation {
  const member = { id: "mem_1", name: "Ann", role: "owner", limits: {}, state: "active", createdMs: 1 } as const;
  return { id: `org_${name}`, name, account: "acct_a", limits: {}, members: [member], projects: [], createdMs: 1 };
}

function audit(log: string, number: number): AuditRow {
  const act = { action: "member.invite", target: "mem_1", before: "", after: '{"name":"\\u0000 ü"}' };
  const by = { request: "req_1", key: "key_1", member: "" };
  return { log, number, timeMs: 5, ...by, ...act, previous: `0x${number - 1}`, hash: `0x${log}${number}` };
}

function account(name: string): Account {
  const pseudonym = sha256(u64(name.length)).slice(0, 16);
  return { id: `acct_${name}`, name, payer: new Uint8Array(32).fill(1), pseudonym, createdMs: 1_700_000_000_000 };
}

function key(id: string): StoredKey {
  const facts = { limits: { nanoPerDay: 5, inFlight: 2 }, admin: false, createdMs: 1_700_000_000_000 };
  return {
    id,
    account: "acct_a",
    name: `key ${id}`,
    hint: "ol_abcd…",
    ...facts,
    hash: sha256(new TextEncoder().encode(id)),
  };
}

function movement(reference: string, amount: number): MovementRow {
  return { kind: "grant", reference, party: "acct_a", amount, block: 12, note: "a note", timeMs: 1_700_000_000_000 };
}

function epochRow(seq: number, epoch: number, end: number): EntryRow {
  const root = new Uint8Array(32);
  const counts = { postingsCount: 0, payoutCount: 0, debitCount: 0, credits: 0n, debits: 0n, registryBlock: 0 };
  const roots = { postingsRoot: root, payoutRoot: root, debitRoot: root, policyHash: root };
  const record = { epoch, first: 0, end, ...counts, ...roots };
  const bytes = encodeEntry({ kind: "epoch", epoch: record, ledger: testLedger, seq, timeMs: 1 });
  return { seq, kind: 11, receipt: undefined, bytes };
}

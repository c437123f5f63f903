import fc from "fast-check";
import { expect, test } from "vitest";
import { padAddress, toHex } from "../core/bytes.ts";
import { addressOf, type Domain, signDigest } from "../core/eip712.ts";
import { keccak256 } from "../core/hash.ts";
import { creditDomain, creditLedgerId, MOVE_LINES_MAX, moveParts } from "../core/move.ts";
import { unwrap } from "../core/result.ts";
import { verifyProof } from "../core/settlementTree.ts";
import type { Account } from "./ledger.ts";
import type { LedgerOptions, OpenLedger } from "./openLedger.ts";
import type { LedgerStore } from "./ports.ts";
import { Publisher } from "./publish.ts";
import {
  assets,
  draft,
  id32,
  MemorySink,
  open,
  parties,
  type SmallWorld,
  smallLedger,
  smallTrust,
} from "./testing/smallLedger.ts";
import { type Verdict, verifyJournal } from "./verify.ts";

/**
 * Random lives of a ledger on credit, then its move: whatever was executed, corrected, brought from elsewhere, closed and paid by bank before, the chain begins with what is
 * owed to each and with nothing else; a stranger verifies the whole; and a ledger that was restarted anywhere has the same books.
 */
const [log, signer] = [id32(1), id32(2)];
const node = addressOf(signer);
const place = { chainId: 31_337, settlement: id32(41).slice(12), registry: id32(42).slice(12) };
const onChain = { chainId: place.chainId, verifyingContract: place.settlement };

const options: Partial<LedgerOptions> = {
  ...{ id: creditLedgerId(node), domain: creditDomain, node: padAddress(node) },
  signer: { sign: (digest) => signDigest(signer, digest) },
};

const steps = ["post", "post", "post", "post", "correct", "bring", "epoch", "epoch", "pay", "restart"] as const;
type Step = readonly [step: (typeof steps)[number], a: number, b: number];
const history = fc.array(fc.tuple(fc.constantFrom(...steps), fc.nat(7), fc.nat(12)), { minLength: 5, maxLength: 40 });

/** On the chain: late corrections of what was executed on credit among them. */
const after = fc.array(
  fc.tuple(fc.constantFrom("post", "correct", "correct", "bring", "epoch", "restart"), fc.nat(7), fc.nat(12)),
  { maxLength: 8 },
) satisfies fc.Arbitrary<Step[]>;

class Life {
  store!: LedgerStore;
  world!: SmallWorld;
  ledger!: OpenLedger;
  account!: Account;
  readonly receipts: Uint8Array[] = [];
  /** What was paid by bank, by payee. */
  readonly paid = new Map<string, bigint>();
  #keys = 0;

  async start(): Promise<void> {
    Object.assign(this, await smallLedger(options));
    this.account = unwrap(await this.ledger.accounts.open({ name: "x" }));
    unwrap(await this.ledger.accounts.credit({ account: this.account.id, amount: 10_000, key: "k", note: "" }));
  }

  async restart(): Promise<void> {
    await this.ledger.close();
    this.ledger = await open(this.store, this.world, options);
  }

  async run([step, a, b]: Step): Promise<void> {
    switch (step) {
      case "post":
        return this.post(a, b);
      case "correct":
        return this.#correct(a, b);
      case "bring":
        return this.#bring(a, b);
      case "epoch":
        unwrap(await this.ledger.epochs.closeEpoch({ registryBlock: 0 }));
        return;
      case "pay":
        return this.#pay(a, b);
      case "restart":
        return this.restart();
    }
  }

  async post(a: number, b: number): Promise<void> {
    const hold = unwrap(this.ledger.holds.place({ account: this.account.id, amount: a + b }));
    const shares = [{ payee: parties.ann, type: "identity" as const, weight: 250_000 }];
    const pooled = { model: assets.model, contributors: { shares, unattributed: 750_000 } };
    const posted = unwrap(await this.ledger.books.post(draft(hold.id, a, b, a % 2 === 0 ? pooled : {})));
    this.receipts.push(posted.receipt.id);
  }

  async #correct(a: number, b: number): Promise<void> {
    const receipt = this.receipts[a % Math.max(1, this.receipts.length)];
    this.#keys += 1;
    if (receipt === undefined || b === 0) return;
    const order = { receipt, refund: b, note: "", key: String(this.#keys) };
    await this.ledger.books.correct({ ...order, reason: "refund" });
  }

  async #bring(a: number, b: number): Promise<void> {
    const lines = [{ payee: id32(800 + (a % 3)), type: "identity" as const, amount: b + 1 }];
    this.#keys += 1;
    unwrap(await this.ledger.books.transfer({ account: this.account.id, source: id32(9_000 + this.#keys), lines }));
  }

  /** Pays a part of what a payee has settled. */
  async #pay(a: number, b: number): Promise<void> {
    const known = [...this.ledger.books.payees()].filter(({ type }) => type !== "pool");
    const { id, lifetime, open } = known[a % known.length]!;
    const before = this.paid.get(toHex(id)) ?? 0n;
    const due = lifetime - open - before;
    if (due > 0n) this.paid.set(toHex(id), before + (b % 3 === 0 ? due : (due * BigInt(b)) / 13n));
  }

  move(): ReturnType<OpenLedger["move"]> {
    const paid = (id: Uint8Array) => this.paid.get(toHex(id)) ?? 0n;
    return this.ledger.move({ place, payer: padAddress(node), paid, registryBlock: 7 });
  }

  owed(): Map<string, bigint> {
    const owed = new Map<string, bigint>();
    for (const { id, type, lifetime } of this.ledger.books.payees())
      if (type !== "pool") owed.set(toHex(id), lifetime - (this.paid.get(toHex(id)) ?? 0n));
    return owed;
  }

  async verdict(domain: Domain = onChain): Promise<Verdict> {
    const sink = new MemorySink();
    const { ledger } = this;
    const keys = { domain, ed25519: log, secp256k1: signer };
    const entries = (from: number, until: number) => ledger.books.entries(from, until);
    await new Publisher({ ledger: ledger.id, sink, keys, entries }).publish(ledger.books.size());
    const trust = { ...smallTrust, ledger: ledger.id, domain, signer: node };
    return unwrap(await verifyJournal({ trust, read: (path) => sink.read(path) }));
  }
}

test("a chain begins with what is owed to each and with nothing else, whatever the life on credit was", async () => {
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(history, after, async (life, later) => {
      const one = new Life();
      await one.start();
      for (const step of life) await one.run(step);
      unwrap(await one.ledger.epochs.closeEpoch({ registryBlock: 0 }));
      const owed = one.owed();
      const spent = one.ledger.accounts.balance(one.account.id);
      const before = one.ledger.books.size();
      const done = await one.move();
      const isOverpaid = [...owed.values()].some((nano) => nano < 0n);
      expect(done.ok).toBe(!isOverpaid);
      if (!done.ok) return expect(one.ledger.books.size()).toBe(before);
      moved += 1;
      const total = [...owed.values()].reduce((sum, nano) => sum + nano, 0n);
      const { record } = done.value;
      expect([record.credits, record.debits, record.end - record.first > 0]).toEqual([total, total, true]);
      for (const [payee, nano] of owed) {
        const proof = await one.ledger.epochs.payout(record.epoch, Buffer.from(payee.slice(2), "hex"));
        expect(proof.ok ? proof.value.cumulative : 0n).toBe(nano);
      }
      const debit = await one.ledger.epochs.debit(record.epoch, padAddress(node));
      expect(debit.ok ? debit.value.cumulative : 0n).toBe(total);
      expect(one.ledger.accounts.balance(one.account.id)).toEqual(spent);
      expect((await one.move()).ok).toBe(false);

      const bought = one.ledger.books.totals().debited;
      for (const step of later) await one.run(step);
      await one.restart();
      unwrap(await one.ledger.epochs.closeEpoch({ registryBlock: 8 }));
      const verdict = await one.verdict();
      expect(bought).toBe(total);
      const paid = [...one.paid.values()].reduce((sum, nano) => sum + nano, 0n);
      expect(verdict.moved).toMatchObject({ owed: total, credited: total + paid, epoch: record.epoch });
      for (const { record: settled } of one.ledger.epochs.list().slice(-2)) {
        const { epoch, postingsCount, postingsRoot } = settled;
        for (const index of postingsCount === 0 ? [] : [0, postingsCount - 1]) {
          const { leaf, proof } = unwrap(await one.ledger.epochs.posting(epoch, index));
          expect(verifyProof(postingsRoot, index, keccak256(leaf), proof, postingsCount)).toBe(true);
        }
      }
      const totals = one.ledger.books.totals();
      expect([totals.credited, totals.debited]).toEqual([verdict.credits, verdict.debits]);
    }),
    { numRuns: 40 },
  );
  expect(moved).toBeGreaterThan(20);
});

test("what no epoch has closed is not moved, and nothing is written", async () => {
  const one = new Life();
  await one.start();
  await one.post(3, 4);
  const size = one.ledger.books.size();
  expect(await one.move()).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(one.ledger.books.size()).toBe(size);
  expect((await one.verdict(creditDomain)).moved).toBeUndefined();
});

test("what was paid outside stands in a payee's statement, which comes to what the chain owes", async () => {
  const one = new Life();
  await one.start();
  await one.post(100, 0);
  unwrap(await one.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  one.paid.set(toHex(parties.operator), 60n);
  unwrap(await one.move());
  const { lines, total } = await one.ledger.accounts.statement({ payee: parties.operator });
  expect(lines.map(({ kind, role, amount }) => [kind, role, amount])).toEqual([
    ["paid", "outside", -60],
    ["earned", "operator", 100],
  ]);
  expect(total).toBe(40n);
  const period = await one.ledger.accounts.period(0, one.world.timeMs + 1);
  const own = period.parties.find(({ id }) => id === toHex(parties.operator));
  expect(own?.nano).toBe(40n);
});

test("a long move is a row of entries, each of fewer than 2^53 nano", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const line = (payee: number, owed: number) => ({ payee, credited: BigInt(owed), owed });
  const of = { place, payer: padAddress(node) };
  expect(moveParts(of, []).map(({ lines, count }) => [lines.length, count])).toEqual([[0, 1]]);
  const large = moveParts(of, [line(1, most), line(2, 1), line(3, most - 1), line(4, 1)]);
  expect(large.map(({ lines }) => lines.length)).toEqual([1, 2, 1]);
  const many = Array.from({ length: MOVE_LINES_MAX + 1 }, (_, i) => line(i + 1, 1));
  expect(moveParts(of, many).map(({ lines }) => lines.length)).toEqual([MOVE_LINES_MAX, 1]);
});

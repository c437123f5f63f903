import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { padAddress, toHex } from "../core/bytes.ts";
import { addressOf, earningsDigest, signDigest } from "../core/eip712.ts";
import { decodeEntry } from "../core/entry.ts";
import { ownOf } from "../core/receipt.ts";
import { type Result, unwrap } from "../core/result.ts";
import { BookState } from "./bookState.ts";
import type { EarningsProof } from "./earnings.ts";
import type { Hold } from "./ledger.ts";
import type { LedgerStore } from "./ports.ts";
import {
  assets,
  draft,
  id32,
  open,
  parties,
  type SmallLedger,
  smallLedger,
  smallTrust,
  verified,
} from "./testing/smallLedger.ts";

/**
 * Random histories against a plain model of who has what. Amounts are tiny, so that zeros, ties, refusals and exhausted accounts are common.
 * After every step the money adds up; at the end a stranger verifies the journal, and two rebuilds agree with the ledger that never stopped.
 */
const steps = [
  ...["open", "credit", "deposit", "withdraw", "hold", "hold", "hold", "carve", "carve", "release"],
  ...["post", "post", "post", "post", "post", "post", "carve", "carve", "hold", "credit", "hold", "spend", "spend"],
  ...["correct", "correct", "transfer", "bring", "bind", "link", "link", "unlink", "epoch", "crowd", "restart", "wait"],
] as const;
type Step = readonly [step: (typeof steps)[number], a: number, b: number, c: number];

const history: fc.Arbitrary<Step[]> = fc.array(fc.tuple(fc.constantFrom(...steps), fc.nat(7), fc.nat(12), fc.nat(5)), {
  minLength: 60,
  maxLength: 110,
});

/** A payer of the node's, one of its own, and the operator, who has nothing yet. */
const opening: readonly Step[] = [
  ...([
    ["open", 0, 0, 0],
    ["credit", 0, 12, 0],
    ["open", 5, 0, 0],
    ["deposit", 0, 9, 0],
    ["open", 1, 0, 0],
  ] as const),
];

interface KnownAccount {
  readonly id: string;
  /** Whose earnings it may spend, by hex id. */
  payee: string | undefined;
  /** The last proof that linked it. */
  proof?: EarningsProof;
  /** Its own payer, where it does not spend the node's deposit. */
  readonly payer: Uint8Array | undefined;
  credited: bigint;
  spent: bigint;
}

interface KnownHold {
  readonly hold: Hold;
  readonly account: KnownAccount;
  readonly parent: KnownHold | undefined;
  /** Placed while its account could spend earnings: it may count on some. */
  readonly mayEarn: boolean;
  left: number;
}

interface KnownReceipt {
  readonly id: Uint8Array;
  readonly account: KnownAccount;
  readonly deposit: number;
  readonly earned: number;
  refunded: number;
}

const payees = [undefined, parties.operator, parties.owner, parties.ben, parties.treasury] as const;
/** Payees who can sign, and whom identities are bound to. */
const wallets = [id32(61), id32(62)] as const;
const addresses = wallets.map(addressOf);
/** How often what was met, over all histories: a step that never succeeds tests nothing. */
const met = new Map<string, number>();

class Model {
  small: SmallLedger;
  readonly accounts: KnownAccount[] = [];
  holds: KnownHold[] = [];
  readonly receipts: KnownReceipt[] = [];
  /** Whom each identity is bound or redirected to, hex ids both. */
  readonly bound = new Map<string, string>();
  #keys = 0;

  constructor(small: SmallLedger) {
    this.small = small;
  }

  get ledger() {
    return this.small.ledger;
  }

  async run([step, a, b, c]: Step): Promise<void> {
    switch (step) {
      case "open":
        return this.#open(a);
      case "credit":
        return this.#credit(a, b);
      case "deposit":
      case "withdraw":
        return this.#move(step, a, b);
      case "hold":
        return this.#hold(a, b);
      case "carve":
        return this.#carve(a, b);
      case "post":
        return this.#post(a, b, c);
      case "spend":
        return this.#spend(a, b, c);
      case "release":
        return this.#release(a);
      case "correct":
        return this.#correct(a, 1 + (b % 6), c);
      case "transfer":
        return this.#transfer(a, b);
      case "bring":
        return this.#bring(a, b, c);
      case "bind":
        return this.#bind(a, b);
      case "link":
        return this.#link(a, b, c);
      case "unlink":
        return this.#unlink(a);
      case "epoch":
        return this.#epoch();
      case "crowd":
        return this.#crowd(a, b, c);
      case "restart":
        return this.#restart();
      case "wait":
        return this.#wait(a);
    }
  }

  async #open(a: number): Promise<void> {
    const payee = payees[a % payees.length];
    const payer = a === 5 ? id32(700 + this.accounts.length) : undefined;
    const input = { name: "x", ...(payee === undefined ? {} : { payee }), ...(payer === undefined ? {} : { payer }) };
    const { id } = unwrap(await this.ledger.accounts.open(input));
    this.accounts.push({ id, payer, payee: payee && toHex(payee), credited: 0n, spent: 0n });
  }

  async #credit(a: number, b: number): Promise<void> {
    const account = pick(this.accounts, a);
    if (account === undefined || account.payer !== undefined) return;
    const done = await this.ledger.accounts.credit({ account: account.id, amount: b, key: this.#key(), note: "" });
    seen("credit", done);
    if (done.ok) account.credited += BigInt(b);
  }

  async #move(step: "deposit" | "withdraw", a: number, b: number): Promise<void> {
    const account = pick(
      this.accounts.filter(({ payer }) => payer !== undefined),
      a,
    );
    if (account?.payer === undefined) return;
    const { available } = this.ledger.accounts.balance(account.id)!;
    if (step === "withdraw" && available < BigInt(b)) return;
    const input = { payer: account.payer, amount: b, reference: this.#key(), block: 1 };
    const done = await this.ledger.accounts[step](input);
    seen(step, done);
    if (!done.ok) return;
    expect(await this.ledger.accounts[step](input)).toEqual({ ok: true, value: "known" });
    account.credited += BigInt(step === "deposit" ? b : -b);
  }

  #hold(a: number, b: number): void {
    const account = pick(this.accounts, a);
    if (account === undefined) return;
    const { available, earnedAvailable } = this.ledger.accounts.balance(account.id)!;
    const placed = this.ledger.holds.place({ account: account.id, amount: b });
    seen("hold", placed);
    // A hold never exceeds what there is: the deposit, and what one payee of the account's has earned.
    expect(placed.ok).toBe(BigInt(b) <= available + earnedAvailable);
    const mayEarn = account.payee !== undefined;
    if (placed.ok) this.holds.push({ hold: placed.value, account, parent: undefined, mayEarn, left: b });
  }

  #carve(a: number, b: number): void {
    const parent = pick(this.holds, a);
    if (parent === undefined) return;
    const { account } = parent;
    const placed = this.ledger.holds.place({ account: account.id, amount: b, parent: parent.hold.id });
    seen("carve", placed);
    expect(placed.ok).toBe(b <= parent.left);
    if (!placed.ok) return;
    parent.left -= b;
    this.holds.push({ hold: placed.value, account, parent, mayEarn: parent.mayEarn, left: b });
  }

  async #post(a: number, b: number, c: number): Promise<void> {
    const known = pick(this.holds, a);
    if (known !== undefined) await this.#postHold(known, a, b, c);
  }

  async #postHold(known: KnownHold, a: number, b: number, c: number): Promise<void> {
    const cost = Math.min(b, known.left);
    const royalty = Math.min(c, known.left - cost);
    const shares = [
      { payee: parties.ann, type: "identity" as const, weight: 250_000 * (c % 4) },
      { payee: id32(800 + (b % 3)), type: "identity" as const, weight: 100_000 },
    ];
    const contributors = { shares, unattributed: 900_000 - 250_000 * (c % 4) };
    const more = a % 3 === 0 ? {} : { model: assets.model, contributors };
    const posted = await this.ledger.books.post(draft(known.hold.id, cost, royalty, more));
    seen("post", posted);
    expect(posted.ok || posted.error.code).toBe(this.holds.some(({ parent }) => parent === known) ? "conflict" : true);
    if (!posted.ok) return;
    const { receipt } = posted.value;
    const deposit = ownOf(receipt) - receipt.earned;
    if (receipt.earned > 0) seen("spend earnings", posted);
    if (receipt.nesting.childrenTotal > 0) seen("post a parent", posted);
    known.account.spent += BigInt(deposit);
    this.receipts.push({ id: receipt.id, account: known.account, deposit, earned: receipt.earned, refunded: 0 });
    this.#end(known, ownOf(receipt));
  }

  /** An account that earns spends all that it was given and a part of what it earned, and may get it all back. */
  async #spend(a: number, b: number, c: number): Promise<void> {
    const account = pick(
      this.accounts.filter(({ id }) => (this.ledger.accounts.balance(id)?.earnedAvailable ?? 0n) > 0n),
      a,
    );
    if (account === undefined) return;
    const { available, earnedAvailable } = this.ledger.accounts.balance(account.id)!;
    const amount = Number(available) + Math.min(b, Number(earnedAvailable));
    const hold = unwrap(this.ledger.holds.place({ account: account.id, amount }));
    const known = { hold, account, parent: undefined, mayEarn: true, left: amount };
    this.holds.push(known);
    await this.#postHold(known, a, amount, 0);
    if (c % 2 === 0) await this.#refund(this.receipts.at(-1)!, amount);
  }

  #release(a: number): void {
    const known = pick(this.holds, a);
    if (known === undefined) return;
    this.ledger.holds.release(known.hold.id);
    this.#end(known, 0);
  }

  #end(known: KnownHold, spent: number): void {
    this.holds = this.holds.filter((other) => other !== known);
    if (known.parent !== undefined && this.holds.includes(known.parent)) known.parent.left += known.left - spent;
  }

  async #correct(a: number, refund: number, c: number): Promise<void> {
    const known = pick(this.receipts, a + 8 * c);
    if (known !== undefined) await this.#refund(known, refund);
  }

  async #refund(known: KnownReceipt, refund: number): Promise<void> {
    const input = { receipt: known.id, reason: "refund", refund, note: "", key: this.#key() } as const;
    const [done, again] = await Promise.all([this.ledger.books.correct(input), this.ledger.books.correct(input)]);
    seen("correct", done);
    expect(again).toEqual(done);
    if (refund > known.deposit + known.earned - known.refunded) expect(done.ok).toBe(false);
    if (!done.ok) return;
    const left = Math.max(0, known.deposit - known.refunded);
    known.account.spent -= BigInt(Math.min(refund, left));
    if (refund > left) seen("give earnings back", done);
    known.refunded += refund;
  }

  async #transfer(a: number, b: number): Promise<void> {
    const asset = pick([assets.plain, assets.model, assets.datanet, assets.context], a)!;
    const owner = pick([parties.owner, parties.buyer, parties.ben], b)!;
    seen("transfer", await this.ledger.assets.transfer(asset, owner));
  }

  /** Balances from elsewhere, sent twice: they are booked once. */
  async #bring(a: number, b: number, c: number): Promise<void> {
    const account = pick(this.accounts, a);
    if (account === undefined) return;
    const lines = [parties.ben, parties.operator, id32(900 + c)].slice(0, 1 + (b % 3)).map((payee, i) => ({
      ...{ payee, type: "party" as const, amount: 1 + ((b + i) % 4) },
    }));
    const input = { account: account.id, source: id32(5_000 + a + 8 * b + 128 * c), lines };
    const [done, again] = [await this.ledger.books.transfer(input), await this.ledger.books.transfer(input)];
    seen("bring", done);
    if (!done.ok) return expect(again).toEqual(done);
    expect(again).toEqual({ ok: true, value: { ...done.value, known: 1 } });
    const more = { ...input, lines: [...lines, { payee: id32(999), type: "party" as const, amount: 1 }] };
    expect(await this.ledger.books.transfer(more)).toMatchObject({ error: { code: "idempotency_mismatch" } });
    if (done.value.known === 0) account.spent += done.value.nano;
  }

  async #bind(a: number, b: number): Promise<void> {
    const identity = pick([parties.ann, id32(800), id32(801)], a)!;
    const to = pick([parties.ben, ...addresses.map(padAddress), parties.operator], b)!;
    const state = pick(["noticed", "bound", "refused", "redirected"] as const, a + b)!;
    const before = this.ledger.books.payeeNumber(identity);
    if (before === undefined) return;
    const done = await this.ledger.books.bind({ identity, to, state, proofHash: id32(1) });
    seen("bind", done);
    if (!done.ok) return;
    if (state === "bound" || state === "redirected") this.bound.set(toHex(identity), toHex(to));
    else this.bound.delete(toHex(identity));
  }

  /** By a fresh proof, or by one that was used before: that counts only while nothing has come after it. */
  async #link(a: number, b: number, c: number): Promise<void> {
    const account = pick(this.accounts, a);
    if (account === undefined) return;
    if (account.proof !== undefined && c < 2) {
      const { proof } = account;
      const again = await this.ledger.earnings.link(account.id, proof);
      seen("link again", again);
      expect(again.ok).toBe(account.payee === toHex(padAddress(proof.payee)) && this.#isLive(proof));
      return;
    }
    const payee = pick(addresses, b)!;
    const deadlineMs = this.small.world.timeMs + 300_000 + this.#number();
    const statement = { ledger: smallTrust.ledger, payee, account: account.id, deadlineMs };
    const signature = signDigest(pick(wallets, b)!, earningsDigest(smallTrust.domain, statement));
    const proof = { payee, deadlineMs, signature };
    seen("link", await this.ledger.earnings.link(account.id, proof));
    Object.assign(account, { proof, payee: toHex(padAddress(payee)) });
  }

  #isLive({ deadlineMs }: EarningsProof): boolean {
    return deadlineMs > this.small.world.timeMs;
  }

  async #unlink(a: number): Promise<void> {
    const account = pick(this.accounts, a);
    if (account === undefined) return;
    seen(account.payee === undefined ? "unlink nobody" : "unlink", await this.ledger.earnings.unlink(account.id));
    account.payee = undefined;
  }

  /** The cut waits for holds that count on earnings, so they are released first; others live through it. */
  async #epoch(): Promise<void> {
    this.#releaseEarners();
    seen("epoch", await this.ledger.epochs.closeEpoch({ registryBlock: 7 }));
  }

  /** Much at once: what is posted while the epoch is closed is in it or in the next, and never in neither. */
  async #crowd(a: number, b: number, c: number): Promise<void> {
    for (let i = 0; i < 3; i++) this.#hold(a + i, b);
    this.#releaseEarners();
    const childless = this.holds.filter((hold) => !this.holds.some(({ parent }) => parent === hold));
    const posts = childless.map((known, i) => this.#postHold(known, a + i, 1 + i, c));
    const epoch = this.ledger.epochs.closeEpoch({ registryBlock: 8 });
    await Promise.all([...posts, this.#credit(a, b), this.#transfer(b, c), this.#correct(c, 1, a)]);
    seen("epoch in a crowd", await epoch);
  }

  #releaseEarners(): void {
    for (const known of this.holds.filter(({ mayEarn }) => mayEarn)) {
      this.ledger.holds.release(known.hold.id);
      this.holds = this.holds.filter((other) => other !== known);
    }
  }

  /** As after kill -9: another term, from what is stored. */
  async #restart(): Promise<void> {
    this.small = { ...this.small, ledger: await open(this.small.store, this.small.world) };
    this.holds = [];
  }

  /** Holds whose holders renew them live on; the rest are reaped when the next one is placed. */
  #wait(a: number): void {
    this.small.world.timeMs += 40_000;
    const kept = this.holds.filter((_, i) => (a >> (i % 3)) % 2 === 0);
    for (const { hold } of kept) this.ledger.holds.renew(hold.id);
    this.small.world.timeMs += 30_000;
    for (const known of this.holds.toReversed()) if (!kept.includes(known)) this.#end(known, 0);
    this.ledger.holds.place({ account: "nobody", amount: 0 });
  }

  #key(): string {
    return `key ${this.#number()}`;
  }

  #number(): number {
    this.#keys += 1;
    return this.#keys;
  }

  /** The most that one of those whom an account stands for has earned in the open epoch. */
  #earnedBy({ payee }: KnownAccount): bigint {
    const isOwn = (id: string) => payee !== undefined && (id === payee || this.bound.get(id) === payee);
    let most = 0n;
    for (const { id, open: nano } of this.ledger.books.payees()) if (isOwn(toHex(id)) && nano > most) most = nano;
    return most;
  }

  check(): void {
    const { accounts, books, holds } = this.ledger;
    let spent = 0n;
    for (const account of this.accounts) {
      const balance = accounts.balance(account.id)!;
      expect(balance).toMatchObject({ credited: account.credited, spent: account.spent });
      expect(balance.credited).toBe(balance.spent + balance.held + balance.available);
      expect(balance.available >= 0n && balance.held >= 0n && balance.earnedAvailable >= 0n).toBe(true);
      const earned = this.#earnedBy(account);
      expect(balance.earnedAvailable <= earned).toBe(true);
      if (this.holds.length === 0) expect(balance.earnedAvailable).toBe(earned);
      spent += balance.spent;
    }
    const totals = books.totals();
    const held = this.holds.reduce((sum, { left }) => sum + left, 0);
    expect(totals.held).toBe(BigInt(held));
    expect(holds.count()).toBe(this.holds.length);
    // What was charged is what was credited, to the last nano: earnings that were spent are in neither.
    expect(totals).toMatchObject({ debited: spent, credited: spent, receipts: this.receipts.length });
    let [lifetime, deposits] = [0n, 0n];
    for (const payee of books.payees()) {
      expect(payee.lifetime >= 0n).toBe(true);
      lifetime += payee.lifetime;
    }
    expect(lifetime).toBe(spent);
    for (const account of this.accounts) deposits += account.credited;
    expect(totals.deposited + totals.granted).toBe(deposits);
  }
}

function pick<T>(list: readonly T[], at: number): T | undefined {
  return list[at % Math.max(1, list.length)];
}

function seen(what: string, done: Result<unknown>): void {
  const key = `${what}: ${done.ok ? "ok" : done.error.code}`;
  met.set(key, (met.get(key) ?? 0) + 1);
}

/** All that a ledger shows of itself. */
function shown({ accounts, books, epochs, assets: owned }: SmallLedger["ledger"]) {
  return {
    balances: accounts.list().map(({ id }) => ({ id, ...accounts.balance(id) })),
    payees: [...books.payees()].map(({ id, ...rest }) => ({ id: toHex(id), ...rest })),
    ...{ totals: books.totals(), size: books.size(), epochs: epochs.list(), open: epochs.open(), assets: owned.list() },
    policy: books.policy(),
  };
}

function withoutCheckpoint(store: LedgerStore): LedgerStore {
  return {
    ...store,
    takeOver: async (id) => {
      const taken = await store.takeOver(id);
      return taken.ok ? { ok: true, value: { ...taken.value, checkpoint: undefined } } : taken;
    },
  };
}

/** The state after all entries, read from the start. */
async function replayed({ ledger }: SmallLedger): Promise<BookState> {
  const state = new BookState(ledger.id);
  state.expectCuts(ledger.epochs.list().map(({ record }) => record.end));
  for await (const bytes of ledger.books.entries(0, ledger.books.size())) state.apply(unwrap(decodeEntry(bytes)));
  return state;
}

test("no nano is lost or invented, in any history", async () => {
  await fc.assert(
    fc.asyncProperty(history, async (list) => {
      const model = new Model(await smallLedger());
      for (const step of [...opening, ...list] as const) {
        await model.run(step);
        model.check();
      }
      for (const known of model.holds) model.ledger.holds.release(known.hold.id);
      const live = shown(model.ledger);
      const { store, world } = model.small;
      expect(shown(await open(store, world))).toEqual(live);
      expect(shown(await open(withoutCheckpoint(store), world))).toEqual(live);
      const last = { ...model.small, ledger: await open(store, world) };
      unwrap(await last.ledger.epochs.closeEpoch({ registryBlock: 9 }));
      const { checkpoint } = unwrap(await store.takeOver(last.ledger.id));
      expect(known(BookState.restore(last.ledger.id, checkpoint!.state)!)).toEqual(known(await replayed(last)));
      const verdict = await verified(last);
      expect(verdict).toMatchObject({ credits: last.ledger.books.totals().credited, size: last.ledger.books.size() });
      expect(verdict.credits).toBe(verdict.debits);
    }),
    { numRuns: 40 },
  );
}, 120_000);

/** What a rebuilt ledger goes on from. */
function known(state: BookState) {
  return {
    ...{
      size: state.size,
      timeMs: state.timeMs,
      open: state.openEpoch(),
      receipts: state.receiptCount,
      columns: state.accruals.columns(),
    },
    ...{ assets: state.assets(), epochs: state.epochs, bindings: state.bindings(), open: state.openEpoch() },
    pools: Array.from({ length: state.payeeCount }, (_, i) => state.pool(i + 1)),
    identities: Array.from({ length: state.payeeCount }, (_, i) => state.identitiesOf(i + 1).sort()),
    policy: state.policy,
  };
}

afterAll(() => {
  const often = (what: string) => met.get(`${what}: ok`) ?? 0;
  const expected = [
    ...[
      "credit",
      "deposit",
      "withdraw",
      "hold",
      "carve",
      "post",
      "post a parent",
      "correct",
      "transfer",
      "bring",
      "bind",
      "link",
      "link again",
      "unlink",
    ],
    ...["epoch", "epoch in a crowd", "spend earnings", "give earnings back"],
  ];
  expect(expected.filter((what) => often(what) === 0)).toEqual([]);
});

import { beforeEach, describe, expect, test } from "vitest";
import { freeTerms } from "../core/asset.ts";
import { toHex } from "../core/bytes.ts";
import { ok, type Result, refuse, unwrap } from "../core/result.ts";
import type { Account } from "./ledger.ts";
import type { LedgerStore } from "./ports.ts";
import {
  account,
  assets,
  draft,
  id32,
  open,
  parties,
  type SmallLedger,
  smallLedger,
  verified,
} from "./testing/smallLedger.ts";

let small: SmallLedger;
let someone: Account;

beforeEach(async () => {
  small = await smallLedger();
  someone = await account(small, 10_000);
});

function codeOf(result: Result<unknown>): string {
  return result.ok ? "ok" : result.error.code;
}

function place(amount: number, parent?: Uint8Array) {
  return small.ledger.holds.place({ account: someone.id, amount, ...(parent === undefined ? {} : { parent }) });
}

async function paid(cost: number, royalty: number, more: Parameters<typeof draft>[3] = {}) {
  const hold = unwrap(place(cost + royalty));
  return unwrap(await small.ledger.books.post(draft(hold.id, cost, royalty, more)));
}

function refund(receipt: Uint8Array, amount: number, key: string) {
  return small.ledger.books.correct({ receipt, reason: "refund", refund: amount, note: "", key });
}

describe("a hold", () => {
  test("sets money aside, and what a receipt does not spend is free again", async () => {
    const hold = unwrap(place(1_000));
    expect(small.ledger.accounts.balance(someone.id)).toMatchObject({ held: 1_000n, available: 9_000n });
    unwrap(await small.ledger.books.post(draft(hold.id, 60, 40)));
    expect(small.ledger.accounts.balance(someone.id)).toMatchObject({ held: 0n, spent: 100n, available: 9_900n });
  });

  test.each([
    ["more than there is", 10_001, "insufficient_funds"],
    ["all that there is", 10_000, "ok"],
    ["nothing", 0, "ok"],
    ["a part of a nano", 0.5, "amount_out_of_range"],
    ["less than nothing", -1, "amount_out_of_range"],
  ])("of %s", (_, amount, code) => {
    expect(codeOf(place(amount))).toBe(code);
  });

  test("that its holder stopped renewing is reaped; one that is renewed is not", () => {
    const [left, kept] = [unwrap(place(100)), unwrap(place(200))];
    small.world.timeMs += 59_000;
    expect(small.ledger.holds.renew(kept.id)).toBe(true);
    small.world.timeMs += 2_000;
    unwrap(place(1));
    expect(small.ledger.holds.renew(left.id)).toBe(false);
    expect(small.ledger.holds.totalHeld()).toBe(201n);
  });

  test("dies with its writer's term", async () => {
    unwrap(place(5_000));
    const again = await open(small.store, small.world);
    expect(again.accounts.balance(someone.id)).toMatchObject({ held: 0n, available: 10_000n });
  });
});

describe("a child's hold", () => {
  test("is carved from its parent's, which waits for it", async () => {
    const parent = unwrap(place(500));
    const child = unwrap(place(200, parent.id));
    expect(small.ledger.holds.totalHeld()).toBe(500n);
    expect(codeOf(await small.ledger.books.post(draft(parent.id, 60, 40)))).toBe("conflict");
    const inner = unwrap(await small.ledger.books.post(draft(child.id, 30, 20)));
    const outer = unwrap(await small.ledger.books.post(draft(parent.id, 60, 40)));
    expect(inner.receipt.nesting).toMatchObject({ depth: 1, runningTotal: 50 });
    expect(outer.receipt.nesting).toMatchObject({ depth: 0, childrenTotal: 50, runningTotal: 150 });
    expect(small.ledger.accounts.balance(someone.id)).toMatchObject({ held: 0n, spent: 150n });
    await verified(small);
  });

  test("does not outgrow its parent's", () => {
    const parent = unwrap(place(500));
    unwrap(place(300, parent.id));
    expect(codeOf(place(201, parent.id))).toBe("insufficient_funds");
    expect(codeOf(place(200, parent.id))).toBe("ok");
    expect(codeOf(place(1, id32(99).slice(16)))).toBe("not_found");
  });

  test("whose holder is gone does not keep its parent from being posted", async () => {
    const parent = unwrap(place(500));
    unwrap(place(200, parent.id));
    small.world.timeMs += 50_000;
    small.ledger.holds.renew(parent.id);
    small.world.timeMs += 11_000;
    expect(codeOf(await small.ledger.books.post(draft(parent.id, 300, 200)))).toBe("ok");
    expect(small.ledger.holds.totalHeld()).toBe(0n);
  });

  test("outlives a parent that is released, and gives its own back", () => {
    const parent = unwrap(place(500));
    const child = unwrap(place(200, parent.id));
    small.ledger.holds.release(parent.id);
    expect(small.ledger.accounts.balance(someone.id)!.held).toBe(200n);
    small.ledger.holds.release(child.id);
    expect(small.ledger.accounts.balance(someone.id)!.held).toBe(0n);
  });
});

describe("a receipt is refused and changes nothing", () => {
  const shares = (weight: number) => [{ payee: parties.ann, type: "identity" as const, weight }];
  test.each([
    ["that costs more than its hold", {}, 501, "insufficient_funds"],
    ["of an unknown model", { model: id32(99) }, 1, "model_not_found"],
    ["of a datanet, which does not execute", { model: assets.datanet }, 1, "invalid_request"],
    ["of no hold", { hold: id32(99).slice(16) }, 1, "not_found"],
    ["whose evidence does not add up", { contributors: { shares: shares(1), unattributed: 1 } }, 1, "invalid_request"],
    ["with a negative weight", { contributors: { shares: shares(-1), unattributed: 1_000_001 } }, 1, "invalid_request"],
  ])("%s", async (_, more, cost, code) => {
    const hold = unwrap(place(500));
    const size = small.ledger.books.size();
    expect(codeOf(await small.ledger.books.post(draft(hold.id, cost, 0, more)))).toBe(code);
    expect(small.ledger.books.size()).toBe(size);
    expect(small.ledger.holds.totalHeld()).toBe(500n);
    expect(codeOf(await small.ledger.books.post(draft(hold.id, 500, 0)))).toBe("ok");
  });

  test("that would need more legs than a receipt has", async () => {
    const register = async (
      id: Uint8Array,
      kind: "context" | "datanet" | "model",
      own: number,
      parents: Uint8Array[],
    ) =>
      unwrap(
        await small.ledger.assets.register({
          ...{ id, kind, owner: id32(own), contentRoot: id, terms: freeTerms },
          parents: parents.map((parent) => ({ id: parent, weight: 1 })),
        }),
      );
    const datanets: Uint8Array[] = [];
    for (let i = 0; i < 16; i++) {
      const contexts = [0, 1, 2, 3].map((j) => id32(1_000 + 4 * i + j));
      for (const [j, context] of contexts.entries()) await register(context, "context", 2_000 + 4 * i + j, []);
      datanets.push(id32(3_000 + i));
      await register(id32(3_000 + i), "datanet", 4_000, contexts);
    }
    await register(id32(5_000), "model", 4_000, datanets);
    const hold = unwrap(place(100));
    const model = { model: id32(5_000) };
    expect(codeOf(await small.ledger.books.post(draft(hold.id, 60, 40, model)))).toBe("rule_violated");
    expect(codeOf(await small.ledger.books.post(draft(hold.id, 60, 40)))).toBe("ok");
  });
});

describe("credit and deposits", () => {
  test("the same key books once; another amount under it is refused", async () => {
    const credit = (amount: number, key: string) =>
      small.ledger.accounts.credit({ account: someone.id, amount, key, note: "" });
    const results = await Promise.all([credit(5, "k"), credit(5, "k"), credit(6, "k")]);
    expect(results.map(codeOf)).toEqual(["ok", "ok", "idempotency_mismatch"]);
    expect(codeOf(await credit(7, "k"))).toBe("idempotency_mismatch");
    expect(small.ledger.accounts.balance(someone.id)!.credited).toBe(10_005n);
    expect(small.ledger.books.totals().granted).toBe(10_005n);
  });

  test("a deposit that is seen twice at once is known only once it is durable", async () => {
    const order: string[] = [];
    const input = { payer: id32(70), amount: 9, reference: "1:0xab:0", block: 3 };
    const append = small.store.append;
    small.store.append = async (batch) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (batch.movements.length > 0) order.push("durable");
      return append(batch);
    };
    const see = async () => order.push(unwrap(await small.ledger.accounts.deposit(input)));
    await Promise.all([see(), see()]);
    expect(order).toEqual(["durable", "booked", "known"]);
    expect(small.ledger.books.totals().deposited).toBe(9n);
  });
});

describe("a refund", () => {
  test("gives back no more than the receipt took, however many corrections it is in", async () => {
    const { receipt } = await paid(60, 40);
    await paid(600, 400);
    expect(codeOf(await refund(receipt.id, 101, "a"))).toBe("invalid_request");
    expect(codeOf(await refund(receipt.id, 70, "b"))).toBe("ok");
    expect(codeOf(await refund(receipt.id, 31, "c"))).toBe("invalid_request");
    const both = await Promise.all([refund(receipt.id, 30, "d"), refund(receipt.id, 30, "e")]);
    expect(both.map(codeOf)).toEqual(["ok", "invalid_request"]);
    expect(small.ledger.accounts.balance(someone.id)!.spent).toBe(1_000n);
    await verified(small);
  });

  test("with the same key is the same correction, with another amount is refused", async () => {
    const { receipt } = await paid(60, 40);
    const both = await Promise.all([refund(receipt.id, 30, "k"), refund(receipt.id, 30, "k")]);
    const [first, second] = both.map(unwrap);
    expect(second).toEqual(first);
    expect(await refund(receipt.id, 30, "k")).toEqual(ok(first));
    expect(codeOf(await refund(receipt.id, 31, "k"))).toBe("idempotency_mismatch");
    expect(small.ledger.accounts.balance(someone.id)!.spent).toBe(70n);
    expect(await small.store.corrections(small.ledger.id, receipt.id)).toHaveLength(1);
  });

  test.each([0, -1, 0.5, Number.NaN])("of %s nano is refused", async (amount) => {
    const { receipt } = await paid(60, 40);
    expect(codeOf(await refund(receipt.id, amount, "k"))).toBe("invalid_request");
  });

  test("of what is settled is taken from the operator, never from a contributor", async () => {
    const contributors = {
      shares: [{ payee: parties.ann, type: "identity" as const, weight: 1_000_000 }],
      unattributed: 0,
    };
    const { receipt } = await paid(60, 40, { model: assets.model, contributors });
    const settled = small.ledger.books.accrued(parties.ann).lifetime;
    unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 1 }));
    expect(codeOf(await refund(receipt.id, 100, "early"))).toBe("insufficient_funds");
    await paid(200, 0);
    expect(codeOf(await refund(receipt.id, 100, "late"))).toBe("ok");
    expect(small.ledger.books.accrued(parties.ann).lifetime).toBe(settled);
    expect(small.ledger.books.accrued(parties.operator)).toEqual({ lifetime: 160n, open: 100n });
    unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 2 }));
    await verified(small);
  });
});

describe("earnings", () => {
  test("can be spent at once, and a refund returns them to where they came from", async () => {
    await paid(300, 0);
    const operator = await account(small, 50, parties.operator);
    expect(small.ledger.accounts.balance(operator.id)).toMatchObject({ available: 50n, earnedAvailable: 300n });
    const hold = unwrap(small.ledger.holds.place({ account: operator.id, amount: 200 }));
    expect(small.ledger.accounts.balance(operator.id)).toMatchObject({ available: 0n, earnedAvailable: 150n });
    const { receipt } = unwrap(await small.ledger.books.post(draft(hold.id, 0, 200)));
    expect(receipt.earned).toBe(150);
    const totals = small.ledger.books.totals();
    expect(totals.debited).toBe(350n);
    unwrap(await refund(receipt.id, 120, "k"));
    expect(small.ledger.accounts.balance(operator.id)).toMatchObject({
      spent: 0n,
      available: 50n,
      earnedAvailable: 220n,
    });
    unwrap(await refund(receipt.id, 80, "l"));
    expect(small.ledger.accounts.balance(operator.id)!.earnedAvailable).toBe(300n);
    expect(small.ledger.books.totals().debited).toBe(300n);
    unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 1 }));
    await verified(small);
  });

  test("that a hold counts on are not taken back by a refund", async () => {
    const { receipt } = await paid(300, 0);
    const operator = await account(small, 0, parties.operator);
    const hold = unwrap(small.ledger.holds.place({ account: operator.id, amount: 250 }));
    expect(codeOf(await refund(receipt.id, 100, "k"))).toBe("insufficient_funds");
    expect(codeOf(await refund(receipt.id, 50, "l"))).toBe("ok");
    expect(codeOf(await small.ledger.books.post(draft(hold.id, 250, 0)))).toBe("ok");
    await verified(small);
  });

  test("of an identity are those of whom it is bound to, and of nobody before", async () => {
    const contributors = {
      shares: [{ payee: parties.ann, type: "identity" as const, weight: 1_000_000 }],
      unattributed: 0,
    };
    await paid(0, 1_000, { model: assets.model, contributors });
    const ben = await account(small, 0, parties.ben);
    expect(small.ledger.accounts.balance(ben.id)!.earnedAvailable).toBe(0n);
    const bind = (state: "noticed" | "bound") =>
      small.ledger.books.bind({ identity: parties.ann, to: parties.ben, state, proofHash: id32(1) });
    unwrap(await bind("noticed"));
    expect(small.ledger.accounts.balance(ben.id)!.earnedAvailable).toBe(0n);
    unwrap(await bind("bound"));
    expect(codeOf(await bind("bound"))).toBe("binding_refused");
    const { earnedAvailable } = small.ledger.accounts.balance(ben.id)!;
    expect(earnedAvailable).toBe(small.ledger.books.accrued(parties.ann).lifetime);
    expect(earnedAvailable).toBeGreaterThan(0n);
    const again = await open(small.store, small.world);
    expect(again.accounts.balance(ben.id)!.earnedAvailable).toBe(earnedAvailable);
  });

  test("of an identity that is redirected go to the new party alone", async () => {
    const shares = [{ payee: parties.ann, type: "identity" as const, weight: 1_000_000 }];
    await paid(0, 1_000, { model: assets.model, contributors: { shares, unattributed: 0 } });
    const [ben, buyer] = [await account(small, 0, parties.ben), await account(small, 0, parties.buyer)];
    const earned = () => [ben, buyer].map(({ id }) => small.ledger.accounts.balance(id)!.earnedAvailable);
    const due = small.ledger.books.accrued(parties.ann).lifetime;
    const redirect = (to: Uint8Array) =>
      small.ledger.books.bind({ identity: parties.ann, to, state: "redirected", proofHash: id32(1) });
    unwrap(await redirect(parties.ben));
    expect(earned()).toEqual([due, 0n]);
    unwrap(await redirect(parties.buyer));
    expect(earned()).toEqual([0n, due]);
    unwrap(await redirect(parties.ben));
    expect(earned()).toEqual([due, 0n]);
  });

  test("wait while their epoch is cut", async () => {
    await paid(300, 0);
    const operator = await account(small, 0, parties.operator);
    const spend = () => small.ledger.holds.place({ account: operator.id, amount: 100 });
    const hold = unwrap(spend());
    const closing = small.ledger.epochs.closeEpoch({ registryBlock: 1 });
    expect(codeOf(spend())).toBe("conflict");
    expect(codeOf(place(100))).toBe("ok");
    small.ledger.holds.release(hold.id);
    expect(codeOf(await closing)).toBe("ok");
    expect(codeOf(spend())).toBe("insufficient_funds");
  });
});

describe("a transfer", () => {
  const move = (owner: Uint8Array) => small.ledger.assets.transfer(assets.plain, owner);
  const close = async () => unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 1 }));
  const earned = () => [parties.owner, parties.buyer].map((owner) => small.ledger.books.accrued(owner).lifetime);

  test("counts from the next epoch: earlier income stays the seller's", async () => {
    await paid(0, 100);
    expect(unwrap(await move(parties.buyer)).nextOwner).toEqual(parties.buyer);
    await paid(0, 100);
    const seller = earned();
    expect(seller[1]).toBe(0n);
    await close();
    expect(small.ledger.assets.get(assets.plain)!.owner).toEqual(parties.buyer);
    await paid(0, 100);
    const [left, right] = earned();
    expect(left).toBe(seller[0]);
    expect(right).toBeGreaterThan(20n);
    await verified(small);
  });

  test("there and back, epoch by epoch, pays whoever owned it then; a restart changes nothing", async () => {
    for (const owner of [parties.buyer, parties.owner, parties.buyer, parties.owner, parties.buyer]) {
      unwrap(await move(owner));
      const restarted = await open(small.store, small.world);
      expect(restarted.assets.get(assets.plain)!.nextOwner).toEqual(owner);
      small = { ...small, ledger: restarted };
      await close();
      small = { ...small, ledger: await open(small.store, small.world) };
      const before = earned();
      await paid(0, 100);
      const at = owner === parties.owner ? 0 : 1;
      expect(earned()[at]! - before[at]!).toBeGreaterThan(20n);
      expect(earned()[1 - at]).toBe(before[1 - at]);
    }
    await verified(small);
  });

  test("there and back within an epoch is none", async () => {
    unwrap(await move(parties.buyer));
    unwrap(await move(parties.owner));
    const size = small.ledger.books.size();
    unwrap(await move(parties.owner));
    expect(small.ledger.books.size()).toBe(size);
    await close();
    expect(small.ledger.assets.get(assets.plain)!.owner).toEqual(parties.owner);
    await verified(small);
  });

  test("of a parent pays through its children's pools, and each publication is another pool", async () => {
    const pools = new Set<string>();
    for (const owner of [parties.buyer, parties.owner, parties.buyer, parties.owner]) {
      unwrap(await small.ledger.assets.transfer(assets.datanet, owner));
      await close();
      pools.add(toHex(small.ledger.assets.get(assets.model)!.royaltyPayee));
      const before = earned();
      await paid(0, 10_00, { model: assets.model, contributors: { shares: [], unattributed: 1_000_000 } });
      await close();
      expect(earned()[owner === parties.buyer ? 1 : 0]! - before[owner === parties.buyer ? 1 : 0]!).toBeGreaterThan(
        50n,
      );
    }
    expect(pools.size).toBe(4);
    await verified(small);
  });
});

describe("a writer", () => {
  /** A store whose next append meets this fate. */
  const failing = (
    store: LedgerStore,
    fate: (
      append: LedgerStore["append"],
      ...rest: Parameters<LedgerStore["append"]>
    ) => ReturnType<LedgerStore["append"]>,
  ) => {
    const append = store.append;
    store.append = (batch) => {
      store.append = append;
      return fate(append, batch);
    };
  };
  const lost = refuse("store_unavailable", "connection lost");
  const post = async () => {
    const hold = unwrap(place(100));
    return { hold, posted: await small.ledger.books.post(draft(hold.id, 60, 40)) };
  };

  test.each([
    [
      "after the commit",
      async (append: LedgerStore["append"], batch: Parameters<LedgerStore["append"]>[0]) => {
        unwrap(await append(batch));
        return lost;
      },
    ],
    ["before the commit", async () => lost],
  ])("whose connection is lost %s journals exactly once", async (_, fate) => {
    failing(small.store, fate);
    const { posted } = await post();
    expect(codeOf(posted)).toBe("ok");
    expect((await verified(small)).kinds.receipt).toBe(1);
    const size = small.ledger.books.size();
    expect(unwrap(await small.store.takeOver(small.ledger.id)).lastSeq).toBe(size - 1);
  });

  test("that another has taken over from acknowledges nothing, though as many entries were written", async () => {
    failing(small.store, async (append, batch) => {
      const { term } = unwrap(await small.store.takeOver(small.ledger.id));
      unwrap(await append({ ...batch, term, entries: batch.entries.map((row) => ({ ...row, receipt: undefined })) }));
      return lost;
    });
    const { hold, posted } = await post();
    expect(codeOf(posted)).toBe("writer_fenced");
    expect(await small.store.receipt(small.ledger.id, hold.id)).toBeUndefined();
    expect(codeOf(await small.ledger.accounts.open({ name: "x" }))).toBe("writer_fenced");
  });

  test("stops for everyone who waits when its store throws", async () => {
    failing(small.store, async () => {
      throw new Error("no such thing");
    });
    const waiting = [0, 1, 2].map(() => small.ledger.accounts.open({ name: "x" }));
    expect((await Promise.all(waiting)).map(codeOf)).toEqual(Array(3).fill("store_unavailable"));
    expect(codeOf(await small.ledger.accounts.open({ name: "x" }))).toBe("store_unavailable");
    expect(small.world.warnings).toHaveLength(1);
    expect(small.ledger.books.stopped()?.hint).toContain("restart the node");
  });

  test("outlives a disk that is full for a moment", async () => {
    failing(small.store, async () => ({ ok: false, error: { code: "disk_full", message: "no space", mayPass: true } }));
    expect(codeOf(await small.ledger.accounts.open({ name: "x" }))).toBe("ok");
    expect(small.world.warnings).toEqual([]);
  });

  test("answers all that is queued when it closes, then refuses", async () => {
    const queued = [0, 1, 2].map(() => small.ledger.accounts.open({ name: "x" }));
    await small.ledger.close();
    expect((await Promise.all(queued)).map(codeOf)).toEqual(["ok", "ok", "ok"]);
    expect(codeOf(await small.ledger.accounts.open({ name: "x" }))).toBe("shutting_down");
  });

  test("takes jobs that its answers cause, one after the other", async () => {
    for (let i = 0; i < 50; i++) expect(codeOf(await small.ledger.accounts.open({ name: `${i}` }))).toBe("ok");
    expect(small.ledger.accounts.list()).toHaveLength(51);
  });
});

test("a statement of a time says what happened then, and no more", async () => {
  const start = small.world.timeMs;
  for (let day = 1; day <= 20; day++) {
    small.world.timeMs = start + day * 1_000;
    await paid(day, 0);
  }
  const of = (fromMs?: number, untilMs?: number) =>
    small.ledger.accounts.statement({
      payee: parties.operator,
      ...(fromMs === undefined ? {} : { fromMs }),
      ...(untilMs === undefined ? {} : { untilMs }),
    });
  expect((await of()).total).toBe(210n);
  for (const [from, until] of [
    [1, 21],
    [5, 6],
    [5, 5],
    [7, 12],
    [0, 3],
    [21, 30],
  ] as const) {
    let due = 0n;
    for (let day = Math.max(1, from); day < Math.min(21, until); day++) due += BigInt(day);
    expect((await of(start + from * 1_000, start + until * 1_000)).total).toBe(due);
  }
  const short = await small.ledger.accounts.statement({ payee: parties.operator, limit: 3 });
  expect(short).toMatchObject({ total: 210n, truncated: true });
  expect(short.lines.map(({ amount }) => amount)).toEqual([20, 19, 18]);
});

test("a period says of everybody what their statements say, and all of it together is nothing", async () => {
  const start = small.world.timeMs;
  const receipts: Uint8Array[] = [];
  for (let day = 1; day <= 12; day++) {
    small.world.timeMs = start + day * 1_000;
    const shares = [parties.ann, parties.ben].map((payee) => ({ payee, type: "party" as const, weight: 250_000 }));
    const posted = await paid(day, 10 * day, { contributors: { shares, unattributed: 500_000 } });
    receipts.push(posted.receipt.id);
    if (day === 6) await small.ledger.epochs.closeEpoch({ registryBlock: 0 });
    if (day === 9) unwrap(await refund(receipts[7]!, 40, "wrong"));
  }
  for (const [fromMs, untilMs] of [
    [0, start + 60_000],
    [start + 3_000, start + 10_000],
    [start + 3_000, start + 3_000],
  ] as const) {
    const { parties: found } = await small.ledger.accounts.period(fromMs, untilMs);
    expect(found.reduce((sum, { nano }) => sum + nano, 0n)).toBe(0n);
    for (const payee of [parties.ann, parties.ben, parties.operator, parties.owner, parties.treasury]) {
      const { total } = await small.ledger.accounts.statement({ payee, fromMs, untilMs });
      expect(found.find(({ id }) => id === toHex(payee))?.nano ?? 0n).toBe(total);
    }
    const { total: spent } = await small.ledger.accounts.statement({ account: someone.id, fromMs, untilMs });
    expect(found.find(({ type }) => type === "account")?.nano ?? 0n).toBe(spent);
  }
});

import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import type { EventType, KeptEvent } from "./events.ts";
import type { Payout } from "./payouts.ts";
import { RefusalTally } from "./refusalTally.ts";
import { Teller } from "./teller.ts";
import { account, draft, type SmallLedger, smallLedger } from "./testing/smallLedger.ts";

let small: SmallLedger;
let kept: Omit<KeptEvent, "number">[];
let fails: boolean;
let payouts: Payout[];
let tally: RefusalTally;

beforeEach(async () => {
  small = await smallLedger();
  [kept, fails, payouts, tally] = [[], false, [], new RefusalTally()];
});

/** As of a process that has just begun. */
function teller(): Teller {
  return new Teller({
    ...{ ledger: small.ledger, tally, payouts: { list: async () => payouts } },
    store: {
      keptOf: async (type) => kept.filter((one) => one.type === type).map((one, i) => ({ ...one, number: i + 1 })),
    },
    webhooks: {
      keep: async (type, subject, data) => {
        if (fails) throw new Error("the store is away");
        kept.push({ type, subject, data, timeMs: 0 });
      },
    },
  });
}

async function closeEpoch(): Promise<number> {
  const payer = await account(small, 1_000);
  const hold = unwrap(small.ledger.holds.place({ account: payer.id, amount: 100 }));
  unwrap(await small.ledger.books.post(draft(hold.id, 50, 50)));
  return unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 })).record.epoch;
}

function payout(number: number, more: Partial<Payout> = {}): Payout {
  const line = { payee: `0x${"1".repeat(64)}`, nano: 70n, gross: 5, withheld: 0, net: 5 };
  const base = { number, createdMs: 0, currency: "USD", nanoPerUnit: 14, epoch: 1, reference: "bank 1" };
  return { ...base, status: "paid", lines: [line], ...more };
}

const of = (type: EventType) => kept.filter((one) => one.type === type).map(({ data }) => data);

test("epochs and payouts are told of once, in whatever order they become final, over restarts and a store that fails", async () => {
  const first = teller();
  const [one, two] = [await closeEpoch(), await closeEpoch()];
  await first.round();
  expect(kept).toEqual([]);
  await small.ledger.epochs.mark(one, "final", "transfer 1");
  fails = true;
  await expect(first.round()).rejects.toThrow("away");
  fails = false;
  await first.round();
  payouts = [payout(1, { status: "open" }), payout(2)];
  await teller().round();
  await small.ledger.epochs.mark(two, "final", "transfer 2");
  payouts = [
    payout(1),
    payout(2),
    payout(3, { movedTo: { datanet: "d", to: "0x" } }),
    payout(4, { status: "cancelled" }),
  ];
  for (let i = 0; i < 3; i++) await teller().round();
  expect(of("settled").map(({ epoch, reference }) => [epoch, reference])).toEqual([
    [one, "transfer 1"],
    [two, "transfer 2"],
  ]);
  expect(of("claimed").map(({ payout: number }) => number)).toEqual([2, 1]);
  expect(of("claimed")[0]).toMatchObject({ currency: "USD", lines: [{ nano: "70", net: 5 }] });
});

test("refusals of an account are counted by reason, told to its own subject, and not lost where the store is away", async () => {
  const [ann, ben] = [await account(small, 0), await account(small, 0)];
  const here = teller();
  tally.add(ann.id, "insufficient_funds", "5 nano are needed", 10);
  tally.add(ben.id, "rate_limited", "too fast", 20);
  fails = true;
  await expect(here.round()).rejects.toThrow("away");
  fails = false;
  tally.add(ann.id, "insufficient_funds", "7 nano are needed", 30);
  await here.round();
  await here.round();
  expect(kept.map(({ subject, data }) => [subject, data]).sort()).toEqual(
    [
      [
        toHex(ann.pseudonym),
        { code: "insufficient_funds", count: 2, message: "5 nano are needed", fromMs: 10, untilMs: 30 },
      ],
      [toHex(ben.pseudonym), { code: "rate_limited", count: 1, message: "too fast", fromMs: 20, untilMs: 20 }],
    ].sort(),
  );
});

test("every refusal is counted once, whenever it is looked at and whatever is put back", () => {
  const step = fc.record({
    account: fc.constantFrom("a", "b"),
    code: fc.constantFrom("rate_limited" as const, "queue_full" as const),
    looks: fc.constantFrom("no", "takes", "fails"),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const counting = new RefusalTally();
      let told = 0;
      for (const { account: by, code, looks } of steps) {
        counting.add(by, code, "", 0);
        if (looks === "no") continue;
        const rows = counting.take();
        if (looks === "fails") counting.putBack(rows);
        else told += rows.reduce((sum, { count }) => sum + count, 0);
      }
      const rest = counting.take().reduce((sum, { count }) => sum + count, 0);
      expect(told + rest).toBe(steps.length);
    }),
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { encodeEntry } from "../core/entry.ts";
import { noPrices } from "../core/quote.ts";
import { rootNesting } from "../core/receipt.ts";
import { legRoles } from "../core/route.ts";
import { PeriodFold } from "./period.ts";
import { id32 } from "./testing/smallLedger.ts";

test("sums are those of the entries, line by line, also beyond 2^53", () => {
  const huge = Number.MAX_SAFE_INTEGER;
  const amount = fc.oneof(fc.nat(5), fc.constantFrom(huge, huge - 1));
  const leg = fc.record({ payee: fc.integer({ min: 1, max: 4 }), role: fc.constantFrom(...legRoles), amount });
  const receipt = fc.record({
    model: fc.nat(1),
    rate: fc.nat(1),
    account: fc.nat(1),
    legs: fc.array(leg, { maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(receipt, { maxLength: 12 }), (receipts) => {
      const fold = new PeriodFold({ ledger: id32(1), payeeId: (number) => id32(100 + number), pool: () => undefined });
      const due = new Map<string, { nano: bigint; count: number }>();
      for (const [i, { model, rate, account, legs }] of receipts.entries()) {
        fold.add(encoded(i, model, rate, account, legs));
        for (const { payee, role, amount: nano } of legs) {
          if (nano === 0) continue;
          const key = `${toHex(id32(100 + payee))} ${role} ${toHex(id32(model))} ${rate}`;
          const before = due.get(key) ?? { nano: 0n, count: 0 };
          due.set(key, { nano: before.nano + BigInt(nano), count: before.count + 1 });
        }
      }
      const parties = fold.parties();
      const found = parties
        .filter(({ type }) => type === "payee")
        .flatMap(({ id, lines }) =>
          lines.map(
            ({ role, of, nanoPerUsd, nano, count }) => [`${id} ${role} ${of} ${nanoPerUsd}`, { nano, count }] as const,
          ),
        );
      expect(new Map(found)).toEqual(due);
      expect(found.length).toBe(due.size);
      for (const { lines, nano } of parties) expect(lines.reduce((sum, line) => sum + line.nano, 0n)).toBe(nano);
    }),
  );
});

function encoded(
  seq: number,
  model: number,
  rate: number,
  account: number,
  legs: readonly { payee: number; role: (typeof legRoles)[number]; amount: number }[],
) {
  const id = id32(seq).slice(16);
  const none = new Uint8Array(32);
  return encodeEntry({
    ...{ ledger: id32(1), seq, timeMs: 1, kind: "receipt" },
    receipt: {
      ...{ id, nesting: rootNesting(id, 3), payer: none, account: id32(account).slice(16), payerPayee: 0, earned: 0 },
      flags: { reported: true, unaudited: false, partial: false, undeclared: false },
      ...{ operator: 1, model: id32(model), policyHash: none, unit: "nano", rate: { nanoPerUsd: rate, source: "x" } },
      ...{ costPrices: noPrices, royaltyPrices: noPrices, usage: { tokensIn: 0, tokensOut: 0, calls: 1 } },
      ...{ fee: { cost: 3, royalty: 0 }, promptHash: none, answerHash: none, evidenceRoot: none, indexId: none },
      ...{ methodsHash: none, unattributed: 0, legs: legs.map((leg) => ({ ...leg, weight: 1 })) },
    },
  });
}

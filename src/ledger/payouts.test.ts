import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pain001, payoutCsv } from "./bankFile.ts";
import { checkDetails, type PayeeDetails, type Payout, paidOut, planPayout } from "./payouts.ts";

const details = (payee: string, more: Partial<PayeeDetails> = {}): PayeeDetails => ({
  ...{ payee, legalName: "Ann Ames", country: "DE", iban: "DE89370400440532013000", withholdingBps: 0 },
  ...more,
});
const payout = (more: Partial<Payout>): Payout => ({
  ...{ number: 1, createdMs: 0, currency: "EUR", nanoPerUnit: 1_000_000_000, epoch: 1, status: "open", reference: "" },
  ...{ lines: [], ...more },
});

describe("planning", () => {
  test("over any number of payouts nothing is lost, and nobody is paid more than was due", () => {
    const amounts = fc.array(fc.bigInt({ min: 0n, max: 60_000_000_000n }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        amounts,
        fc.integer({ min: 1, max: 3_000_000_000 }),
        fc.integer({ min: 0, max: 5_000 }),
        (credits, rate, bps) => {
          let settled = 0n;
          let cents = 0n;
          for (const credit of credits) {
            settled += credit;
            const { lines, waiting } = planPayout(
              [{ payee: "a", nano: settled }],
              (payee) => details(payee, { withholdingBps: bps }),
              { nanoPerUnit: rate, minimum: 50 },
            );
            expect(lines.length + waiting.length).toBe(1);
            for (const { nano, gross, withheld, net } of lines) {
              expect(gross).toBe(withheld + net);
              expect(withheld * 10_000).toBeLessThanOrEqual(gross * bps);
              settled -= nano;
              cents += BigInt(gross);
            }
            expect(settled).toBeGreaterThanOrEqual(0n);
          }
          const due = credits.reduce((sum, credit) => sum + credit, 0n);
          // What is left over is less than a cent, or waits for the minimum.
          expect((due - settled) * 100n - cents * BigInt(rate)).toBeLessThan(100n * BigInt(credits.length));
          expect(settled * 100n < 50n * BigInt(rate) + 100n * BigInt(rate)).toBe(true);
        },
      ),
    );
  });

  test.each([
    // nano due, details → line or why it waits
    { nano: 10_000_000n, known: true, gets: 1 },
    { nano: 9_999_999n, known: true, gets: "minimum" },
    { nano: 10_000_000n, known: false, gets: "details" },
    { nano: 0n, known: true, gets: "minimum" },
  ])("$nano nano, details $known: $gets", ({ nano, known, gets }) => {
    const plan = planPayout([{ payee: "a", nano }], (payee) => (known ? details(payee) : undefined), {
      ...{ nanoPerUnit: 1_000_000_000, minimum: 0 },
    });
    expect(plan.lines[0]?.gross ?? plan.waiting[0]?.why).toBe(gets);
  });

  test("a cancelled payout gives back what it took", () => {
    const { lines } = planPayout([{ payee: "a", nano: 55n }], details, { nanoPerUnit: 100, minimum: 0 });
    const taken = (status: Payout["status"]) => paidOut([payout({ lines, status })], "a");
    expect([taken("open"), taken("paid"), taken("cancelled")]).toEqual([
      { paid: 0n, open: 55n },
      { paid: 55n, open: 0n },
      { paid: 0n, open: 0n },
    ]);
  });
});

test.each([
  [{ iban: "DE89 3704 0044 0532 0130 00" }, undefined],
  [{ iban: "GB82WEST12345698765432" }, undefined],
  [{ iban: "DE89370400440532013001" }, "iban"],
  [{ iban: "1234" }, "iban"],
  [{ bic: "COBADEFFXXX" }, undefined],
  [{ bic: "COBA" }, "bic"],
  [{ country: "Germany" }, "country"],
  [{ legalName: " " }, "legalName"],
  [{ withholdingBps: 5_001 }, "withholdingBps"],
  [{ withholdingBps: 0.5 }, "withholdingBps"],
])("details %j: %s", (more, field) => {
  const checked = checkDetails(details("a", more));
  expect(checked.ok ? undefined : checked.error.field).toBe(field);
});

describe("bank files", () => {
  const { lines } = planPayout(
    [
      { payee: "0xaa", nano: 1_234_567_890n },
      { payee: "0xbb", nano: 5_000_000_000n },
    ],
    (payee) =>
      details(payee, payee === "0xbb" ? { legalName: '=HYPERLINK("x"), Bén & Söhne', withholdingBps: 1_500 } : {}),
    { nanoPerUnit: 1_000_000_000, minimum: 0 },
  );
  const made = payout({ number: 7, lines });

  test("pain.001 has every transfer, its control sum, and only characters that banks take", () => {
    const xml = pain001(made, { name: "Node & Co", iban: "DE89370400440532013000" }, 86_400_000);
    expect(xml.match(/<CtrlSum>5.48<\/CtrlSum>/g)).toHaveLength(2);
    expect(xml).toContain('<InstdAmt Ccy="EUR">1.23</InstdAmt>');
    expect(xml).toContain('<InstdAmt Ccy="EUR">4.25</InstdAmt>');
    expect(xml).toContain("<ReqdExctnDt><Dt>1970-01-02</Dt></ReqdExctnDt>");
    expect(xml).toContain("<Nm>.HYPERLINK(.x.), Ben . Sohne</Nm>");
    expect(xml.replaceAll(/<[^>]*>|[\n ]/g, "")).not.toMatch(/[<>&]/);
  });

  test("CSV names all of it and runs nothing in a spreadsheet", () => {
    const [, first, second] = payoutCsv(made).split("\r\n");
    expect(first).toBe("0xaa,Ann Ames,DE,,DE89370400440532013000,,1.23,0.00,1.23,EUR,1230000000");
    expect(second).toContain(`"'=HYPERLINK(""x""), Bén & Söhne"`);
    expect(second).toContain(",5.00,0.75,4.25,EUR,5000000000");
  });
});

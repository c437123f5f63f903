import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { checkDeparture, type Departure, departureHash, signDeparture } from "./departure.ts";
import { id32 } from "./testing/smallLedger.ts";

const secret = id32(1);
const line = fc.record({
  identity: fc.string({ minLength: 3, maxLength: 20 }),
  payee: fc.integer({ min: 0, max: 99 }).map((n) => toHex(id32(n))),
  nano: fc.bigInt({ min: 1n, max: 10n ** 18n }).map(String),
});
const departures = fc.uniqueArray(line, { minLength: 1, maxLength: 8, selector: ({ identity }) => identity }).map(
  (lines): Departure => ({
    ...{ format: "openledger-departure-1", ledger: toHex(id32(2)), logKey: toHex(ed25519.getPublicKey(secret)) },
    ...{ datanet: { name: "d", id: toHex(id32(3)) }, to: "them", payout: 1, epoch: 2, timeMs: 3, lines },
  }),
);

test("what a ledger has signed is taken, in whatever order its lines and letters come; nothing else is", () => {
  fc.assert(
    fc.property(departures, fc.nat(), (departure, seed) => {
      const signed = signDeparture(departure, secret);
      const shuffled = { ...departure, lines: departure.lines.toReversed(), ledger: departure.ledger.toUpperCase() };
      const same = { ...signed, statement: { ...shuffled, ledger: `0x${shuffled.ledger.slice(2)}` } };
      expect(unwrap(checkDeparture(same))).toEqual(same.statement);
      expect(departureHash(same.statement)).toEqual(departureHash(departure));
      const at = seed % departure.lines.length;
      const more = departure.lines.map((one, i) => (i === at ? { ...one, nano: String(BigInt(one.nano) + 1n) } : one));
      const others: readonly Partial<Departure>[] = [
        ...[{ lines: more }, { lines: departure.lines.slice(1) }, { to: "us" }, { payout: 2 }, { epoch: 3 }],
        ...[{ logKey: toHex(ed25519.getPublicKey(id32(9))) }, { datanet: { name: "e", id: departure.datanet.id } }],
      ];
      for (const change of others) {
        const changed = { ...signed, statement: { ...departure, ...change } };
        expect(checkDeparture(changed)).toMatchObject({ ok: false, error: { code: "verification_failed" } });
        expect(departureHash(changed.statement)).not.toEqual(departureHash(departure));
      }
    }),
    { numRuns: 40 },
  );
});

test("a signature that is no signature is refused, and throws nothing", () => {
  const [departure] = fc.sample(departures, 1);
  for (const signature of ["", "AAAA", "%%%", "A".repeat(88)])
    expect(checkDeparture({ statement: departure!, signature }).ok).toBe(false);
});

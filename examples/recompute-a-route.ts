/**
 * Splits one fee into its route, computes it again from its weights alone, and shows that a part smaller than a nano is paid in full over time.
 * Needs nothing but src/core: no node, no network, no disk.
 */
import { utf8 } from "../src/core/bytes.ts";
import { keccak256 } from "../src/core/hash.ts";
import { formatOpen } from "../src/core/money.ts";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { assert } from "../src/core/result.ts";
import { EVIDENCE_TOTAL, fillAmounts, type RouteInput, routeFee } from "../src/core/route.ts";

const [TREASURY, RESERVE, DATANET_RESERVE, OPERATOR, MODEL, ANN, BEN] = [1, 2, 3, 4, 5, 6, 7];
const names = ["–", "treasury", "reserve", "datanet reserve", "operator", "model's owner", "Ann", "Ben"];
const policy = { ...defaultPolicyBps, treasury: TREASURY, reserve: RESERVE, datanetReserve: DATANET_RESERVE };
const ledger = keccak256(utf8("an example's ledger"));

console.log("One fee. The operator keeps the cost; the royalty is divided over roles, then over each role's payees:\n");
const contributors = {
  shares: [
    { payee: ANN, weight: 600_000 },
    { payee: BEN, weight: 250_000 },
  ],
  unattributed: 150_000,
  priors: [],
};
const input: RouteInput = {
  ...{ ledger, seq: 4_711, cost: 96_000, royalty: 1_234_567, policy, operator: OPERATOR, contributors },
  ...{ model: [{ payee: MODEL, weight: 1 }], context: [], stakers: 0 },
};
const legs = routeFee(input);
for (const { role, payee, weight, amount } of legs)
  console.log(
    `  ${role.padEnd(12)} ${names[payee]!.padEnd(15)} weight ${String(weight).padStart(7)}  ${formatOpen(amount)} OPEN`,
  );
const total = legs.reduce((sum, leg) => sum + leg.amount, 0);
assert(total === input.cost + input.royalty, "the legs sum to the fee");
console.log(`\n  the legs sum to ${total} nano, the fee is ${input.cost + input.royalty} nano`);

// A verifier has the journal's entry: ledger, seq, the two lines of the fee, roles, payees and weights. That decides every amount.
const weights = legs.map(({ role, payee, weight }) => ({ role, payee, weight }));
const again = fillAmounts(ledger, input.seq, input.cost, input.royalty, policy, weights);
assert(JSON.stringify(again) === JSON.stringify(legs), "the same amounts come out again");
console.log("  computed again from the weights alone: the same amounts\n");

const RECEIPTS = 100_000;
const crowd = Array.from({ length: 20 }, (_, i) => ({ payee: 10 + i, weight: EVIDENCE_TOTAL / 20 }));
const earned = new Map<number, number>(crowd.map(({ payee }) => [payee, 0]));
for (let seq = 0; seq < RECEIPTS; seq++) {
  const route = routeFee({
    ...{ ...input, seq, cost: 0, royalty: 1 },
    contributors: { shares: crowd, unattributed: 0, priors: [] },
  });
  for (const { role, payee, amount } of route)
    if (role === "contributor") earned.set(payee, earned.get(payee)! + amount);
}
// Nobody made the context and nobody has staked, so those parts are the contributors' too.
const contributorsBps = policy.contributorsBps + policy.contextBps + policy.stakersBps;
const due = (RECEIPTS * contributorsBps) / 10_000 / crowd.length;
const [least, most] = [Math.min(...earned.values()), Math.max(...earned.values())];
const percent = (amount: number): string => `${((100 * amount) / due).toFixed(1)} %`;
console.log(`${RECEIPTS} receipts of 1 nano each, 20 equal contributors, each due ${due} nano:`);
console.log(`  the least was paid ${least} nano (${percent(least)}), the most ${most} nano (${percent(most)})`);
console.log(`  rounding each receipt down would have paid all of them 0`);
assert(least > due * 0.9 && most < due * 1.1, "nobody is favoured and nobody is starved");

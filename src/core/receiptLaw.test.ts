import fc from "fast-check";
import { expect, test } from "vitest";
import { defaultPolicyBps } from "./policy.ts";
import { noPrices } from "./quote.ts";
import { amountOf, type Receipt, rootNesting } from "./receipt.ts";
import { checkChildren, checkReceipt } from "./receiptLaw.ts";
import { EVIDENCE_TOTAL, routeFee } from "./route.ts";

const ledger = new Uint8Array(32).fill(9);
const policy = { ...defaultPolicyBps, treasury: 1, reserve: 2, datanetReserve: 3 };
const zero = new Uint8Array(32);
const id = (n: number) => new Uint8Array(16).fill(n);

function receiptAt(seq: number, change: Partial<Receipt> = {}): Receipt {
  const fee = { cost: 40, royalty: 1_001 };
  const contributors = {
    shares: [
      { payee: 7, weight: 400_000 },
      { payee: 9, weight: 100_000 },
    ],
    unattributed: EVIDENCE_TOTAL - 500_000,
    priors: [{ payee: 11, weight: 3 }],
  };
  const model = [{ payee: 5, weight: 1 }];
  const legs = routeFee({ ledger, seq, ...fee, policy, operator: 4, model, context: [], contributors, stakers: 0 });
  return {
    ...{
      id: id(1),
      nesting: rootNesting(id(1), 1_041),
      payer: zero,
      account: id(2),
      payerPayee: 0,
      earned: 0,
      operator: 4,
    },
    flags: { reported: false, unaudited: false, partial: false, undeclared: false },
    ...{ model: zero, policyHash: zero, unit: "nano", rate: { nanoPerUsd: 0, source: "none" } },
    ...{ costPrices: { ...noPrices, perCall: 40 }, royaltyPrices: { ...noPrices, perCall: 1_001 } },
    ...{ usage: { tokensIn: 3, tokensOut: 4, calls: 1 }, fee, promptHash: zero, answerHash: zero, evidenceRoot: zero },
    ...{ indexId: zero, methodsHash: zero, unattributed: contributors.unattributed, legs },
    ...change,
  };
}

const check = (receipt: Receipt) => checkReceipt({ ledger, seq: 5, timeMs: 0 }, receipt, policy);

test("an honest receipt holds at its own seq", () => {
  expect(check(receiptAt(5)).ok).toBe(true);
});

const honest = receiptAt(5);
const legsWith = (at: number, change: object) => honest.legs.map((leg, i) => (i === at ? { ...leg, ...change } : leg));

test.each<[string, Partial<Receipt>, string]>([
  ["a fee above its prices", { fee: { cost: 41, royalty: 1_001 } }, "its fee is"],
  ["earnings without a payee", { earned: 3 }, "earnings"],
  ["more earnings than its fee", { earned: 2_000, payerPayee: 8 }, "earnings"],
  [
    "one nano moved between legs",
    { legs: honest.legs.map((leg, i) => ({ ...leg, amount: leg.amount + (i === 2 ? 1 : i === 3 ? -1 : 0) })) },
    "the split makes it",
  ],
  ["legs out of order", { legs: honest.legs.toReversed() }, "ascending"],
  ["a payee named twice", { legs: legsWith(3, { payee: 7 }) }, "ascending"],
  ["another operator", { operator: 6 }, "operator"],
  ["another treasury", { legs: legsWith(honest.legs.length - 1, { payee: 99 }) }, "treasury"],
  ["a missing treasury", { legs: honest.legs.slice(0, -1) }, "stage 7"],
  ["weights that do not sum", { legs: legsWith(2, { weight: 399_999 }) }, "sum to"],
  ["more unattributed than it says", { unattributed: 499_999 }, "unattributed"],
  ["the reserve paid elsewhere", { legs: legsWith(5, { payee: 98 }) }, "reserve"],
  [
    "a prior above its cap",
    {
      legs: honest.legs.map((leg) =>
        leg.role === "prior"
          ? { ...leg, weight: leg.weight + 1 }
          : leg.role === "reserve"
            ? { ...leg, weight: leg.weight - 1 }
            : leg,
      ),
    },
    "the cap makes it",
  ],
])("%s is named", (_name, change, says) => {
  const checked = check({ ...honest, ...change });
  expect(checked.ok ? "held" : checked.error.message).toContain(says);
});

test("the same receipt at another seq does not hold: offsets belong to their place", () => {
  const places = Array.from({ length: 40 }, (_, seq) => checkReceipt({ ledger, seq, timeMs: 0 }, honest, policy).ok);
  expect(places.filter((held) => held).length).toBeLessThan(40);
});

test("amount = own + Σ children at every node of a random tree", () => {
  interface Tree {
    readonly children: readonly Tree[];
  }
  const level = (below: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> =>
    fc.record({ children: fc.array(below, { maxLength: 3 }) });
  const tree = level(level(level(fc.constant({ children: [] }))));
  let next = 1;
  const build = (node: Tree, at: { parent: Uint8Array; root?: Uint8Array; depth: number }): Receipt[] => {
    const own = id(0).map((_, i) => (i < 8 ? next >> 8 : next & 255));
    next += 1;
    const root = at.root ?? own;
    const below: Receipt[] = [];
    const children: Receipt[] = [];
    let running = 0;
    for (const child of node.children) {
      const family = build(child, { parent: own, root, depth: at.depth + 1 });
      const first = family[0]!;
      running += amountOf(first);
      const placed = {
        ...first,
        nesting: { ...first.nesting, sibling: children.at(-1)?.id ?? id(0), runningTotal: running },
      };
      children.push(placed);
      below.push(placed, ...family.slice(1));
    }
    const nesting = {
      depth: at.depth,
      parent: at.parent,
      root,
      sibling: id(0),
      runningTotal: 1_041 + running,
      childrenTotal: running,
    };
    const receipt = { ...honest, id: own, nesting };
    expect(checkChildren(receipt, children).ok).toBe(true);
    expect(amountOf(receipt)).toBe(1_041 * (1 + below.length));
    for (const bent of [children.slice(1), children.toReversed(), [...children, ...children]]) {
      if (bent.length !== children.length || bent[0] !== children[0])
        expect(checkChildren(receipt, bent).ok).toBe(false);
    }
    return [receipt, ...below];
  };
  fc.assert(
    fc.property(tree, (node) => void build(node, { parent: id(0), depth: 0 })),
    { numRuns: 50 },
  );
});

import { expect, test } from "vitest";
import { ok } from "../core/result.ts";
import type { ChainEpoch } from "./chain.ts";
import { type SmallJournal, smallJournal } from "./testing/smallJournal.ts";
import { type VerifyInput, verifyJournal } from "./verify.ts";

const journal = smallJournal();

function verify(
  { trust, files }: Pick<SmallJournal, "trust" | "files">,
  changes: Partial<VerifyInput> = {},
): ReturnType<typeof verifyJournal> {
  return verifyJournal({ trust, read: async (path) => files.get(path), ...changes });
}

test("an honest journal verifies, and says what was checked", async () => {
  const verdict = await verify(journal);
  expect(verdict).toMatchObject({
    ok: true,
    value: {
      ...{ size: 12, payees: 6, credits: 1_041n, debits: 1_041n, epochs: [{ chain: "not asked" }] },
      kinds: { payee: 6, policy: 1, asset: 1, receipt: 1, batch: 2, epoch: 1 },
    },
  });
});

test.each([...journal.files.keys()])("every byte of %s counts", async (path) => {
  const bytes = journal.files.get(path)!;
  expect((await verify(journal)).ok).toBe(true);
  const accepted: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    // Another bit at each place, so that all eight are tried.
    changed[at]! ^= 1 << (at % 8);
    const files = new Map(journal.files).set(path, changed);
    if ((await verify({ ...journal, files })).ok) accepted.push(at);
  }
  expect(accepted).toEqual([]);
  expect(bytes.length).toBeGreaterThan(60);
});

test.each([...journal.files.keys()])(
  "without the last byte of %s, with one more, and without all of it",
  async (path) => {
    const bytes = journal.files.get(path)!;
    for (const changed of [bytes.slice(0, -1), new Uint8Array([...bytes, 0]), new Uint8Array()])
      expect((await verify({ ...journal, files: new Map(journal.files).set(path, changed) })).ok).toBe(false);
    const files = new Map(journal.files);
    files.delete(path);
    expect((await verify({ ...journal, files })).ok).toBe(false);
  },
);

test("a receipt that the ledger signed and that does not add up is named", async () => {
  const skim = smallJournal({
    receipt: (receipt) => {
      const [first, second, ...rest] = receipt.legs;
      const legs = [{ ...first!, amount: first!.amount + 1 }, { ...second!, amount: second!.amount - 1 }, ...rest];
      return { ...receipt, legs };
    },
  });
  const verdict = await verify(skim);
  expect(verdict).toMatchObject({ ok: false, error: { code: "verification_failed", seq: skim.receipt.seq } });
  expect(!verdict.ok && verdict.error.message).toContain(`entry ${skim.receipt.seq}: leg 0 pays payee 4 41 nano`);
});

test.each([
  ["another log key", { ed25519: new Uint8Array(32).fill(3) }],
  ["another signer", { signer: new Uint8Array(20).fill(3) }],
  ["another ledger", { ledger: new Uint8Array(32).fill(3) }],
  ["another chain", { domain: { ...journal.trust.domain, chainId: 1 } }],
  ["another contract", { domain: { ...journal.trust.domain, verifyingContract: new Uint8Array(20) } }],
])("%s is not believed", async (_what, change) => {
  expect(await verify({ ...journal, trust: { ...journal.trust, ...change } })).toMatchObject({ ok: false });
});

const onChain = async (): Promise<ChainEpoch> => {
  const verdict = await verify(journal);
  if (!verdict.ok) throw new Error(verdict.error.message);
  const { epoch, first, end, ...record } = verdict.value.epochs[0]!.record;
  expect([epoch, first, end]).toEqual([1, 0, 10]);
  return { ...record, status: "final", journalSize: 12, journalRoot: verdict.value.root, finalFrom: 0 };
};

test("the chain's commitments are compared, each of them", async () => {
  const said = await onChain();
  expect(await verify(journal, { chainEpoch: async () => ok(said) })).toMatchObject({
    ok: true,
    value: { epochs: [{ chain: "final" }] },
  });
  expect(await verify(journal, { chainEpoch: async () => ok(undefined) })).toMatchObject({
    ok: true,
    value: { epochs: [{ chain: "absent" }] },
  });
  const other = new Uint8Array(32).fill(1);
  const lies: Partial<ChainEpoch>[] = [
    ...[{ journalRoot: other }, { postingsRoot: other }, { payoutRoot: other }, { debitRoot: other }],
    ...[{ policyHash: other }, { journalSize: 13 }, { journalSize: 9 }, { postingsCount: 0 }, { payoutCount: 0 }],
    ...[{ debitCount: 2 }, { credits: 1n }, { debits: 1n }, { registryBlock: 8 }],
  ];
  for (const lie of lies) {
    const verdict = await verify(journal, { chainEpoch: async () => ok({ ...said, ...lie }) });
    expect(verdict.ok ? lie : verdict.error.message).toContain("epoch 1 on chain");
  }
});

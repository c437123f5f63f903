import { expect, test } from "vitest";
import { keccak256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { decodePosting } from "../core/settlement.ts";
import { verifyProof } from "../core/settlementTree.ts";
import { account, draft, open, smallLedger } from "./testing/smallLedger.ts";

test("every posting of every closed epoch is proved from the journal, also after a restart, and running totals go on over epochs", async () => {
  const small = await smallLedger();
  const { store, world } = small;
  const { id } = await account(small, 1_000_000);
  for (let epoch = 1; epoch <= 3; epoch++) {
    // The second epoch is one in which nothing happened.
    for (let i = 0; i < (epoch === 2 ? 0 : 4); i++) {
      const hold = unwrap(small.ledger.holds.place({ account: id, amount: 500 }));
      unwrap(await small.ledger.books.post(draft(hold.id, 7 + i, 90 + epoch)));
    }
    unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  }
  await small.ledger.close();
  const { epochs } = await open(store, world);
  let grandTotal = 0n;
  for (const { record } of epochs.list()) {
    const asked = Array.from({ length: record.postingsCount }, (_, index) => index);
    const proofs = await Promise.all(asked.map((index) => epochs.posting(record.epoch, index)));
    for (const [index, found] of proofs.entries()) {
      const { leaf, proof } = unwrap(found);
      const posting = unwrap(decodePosting(leaf));
      grandTotal += BigInt(posting.amount);
      expect([posting.index, posting.grandTotal]).toEqual([index, grandTotal]);
      expect(verifyProof(record.postingsRoot, index, keccak256(leaf), proof, record.postingsCount)).toBe(true);
    }
    expect(grandTotal).toBe(record.credits);
    for (const index of [-1, 0.5, record.postingsCount])
      expect(await epochs.posting(record.epoch, index)).toMatchObject({ error: { code: "not_found" } });
  }
  expect(epochs.list().map(({ record }) => record.postingsCount > 0)).toEqual([true, false, true]);
  expect(await epochs.posting(4, 0)).toMatchObject({ error: { code: "not_found" } });
});

import { expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { METHODS_BYTES_MAX, PublishedMethods } from "../core/methods.ts";
import { unwrap } from "../core/result.ts";
import { EVIDENCE_TOTAL } from "../core/route.ts";
import { smallJournal } from "./testing/smallJournal.ts";
import { account, draft, open, parties, type SmallLedger, smallLedger, verified } from "./testing/smallLedger.ts";
import { verifyJournal } from "./verify.ts";

const [one, other] = [utf8("one way to attribute\n"), utf8("another way\n")];
const none = new Uint8Array(32);

test.each([
  //  published       the receipt names      verifies, or why not
  [[], keccak256(other), undefined], // before the first text nothing is asked
  [[one], keccak256(one), undefined],
  [[one, other], keccak256(other), undefined],
  [[one], none, undefined], // it names none
  [[one], keccak256(other), "were not published before"],
  [[one, one], keccak256(one), "published twice"],
  [[new Uint8Array()], none, "has 1 to 4096 bytes"],
  [[new Uint8Array(METHODS_BYTES_MAX + 1)], none, "has 1 to 4096 bytes"],
] as const)("row %#", async (methods, methodsHash, fault) => {
  const { files, trust } = smallJournal({ methods, receipt: (receipt) => ({ ...receipt, methodsHash }) });
  const verdict = await verifyJournal({ trust, read: async (path) => files.get(path) });
  expect(verdict.ok ? undefined : verdict.error.message).toEqual(
    fault === undefined ? undefined : expect.stringContaining(fault),
  );
  if (verdict.ok) expect(verdict.value.methods.map(({ text }) => text)).toEqual(methods);
});

test("what is reported of elsewhere names what it likes", () => {
  const receipt = { ...smallJournal().receipt.receipt, methodsHash: keccak256(other) };
  const methods = new PublishedMethods();
  expect(methods.add(one)).toBeUndefined();
  expect(methods.fault(receipt)).toContain("were not published before");
  expect(methods.fault({ ...receipt, flags: { ...receipt.flags, reported: true } })).toBeUndefined();
});

test("a ledger publishes a text once, also after it was opened again, and books nothing by another", async () => {
  const small = await smallLedger();
  unwrap(await execute(small, keccak256(other)));
  await Promise.all([small.ledger, small.ledger].map(async (ledger) => unwrap(await ledger.methods.publish(one))));
  unwrap(await small.ledger.methods.publish(one));
  expect(await execute(small, keccak256(other))).toMatchObject({ ok: false, error: { code: "conflict" } });
  unwrap(await execute(small, keccak256(one)));
  unwrap(await execute(small, none));
  expect(await small.ledger.methods.publish(new Uint8Array(METHODS_BYTES_MAX + 1))).toMatchObject({ ok: false });
  unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  await small.ledger.close();
  const again = { ...small, ledger: await open(small.store, small.world, {}) };
  unwrap(await again.ledger.methods.publish(one));
  expect(await execute(again, keccak256(other))).toMatchObject({ ok: false });
  unwrap(await again.ledger.methods.publish(other));
  unwrap(await execute(again, keccak256(other)));
  expect((await verified(again)).kinds.methods).toBe(2);
});

async function execute(small: SmallLedger, methodsHash: Uint8Array) {
  const hold = unwrap(small.ledger.holds.place({ account: (await account(small, 1_000)).id, amount: 1_000 }));
  const share = { payee: parties.ben, type: "party" as const, weight: EVIDENCE_TOTAL };
  const contributors = { shares: [share], unattributed: 0 };
  return small.ledger.books.post(draft(hold.id, 0, 1_000, { contributors, methodsHash }));
}

import { expect, test } from "vitest";
import { decodeEntry } from "../core/entry.ts";
import type { Move, MoveLine } from "../core/move.ts";
import { ok, unwrap } from "../core/result.ts";
import { narrowed, parseTilePath } from "../core/tile.ts";
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

/** Tiles of the same journal when it had five entries. */
const narrow = new Map(
  ["tile/entries/000.p/5", "tile/0/000.p/5"].map((path) => {
    const wide = journal.files.get(path.replace(/5$/, "12"))!;
    return [path, narrowed(unwrap(parseTilePath(path)), wide)] as const;
  }),
);

test.each([...narrow.keys()])("every byte of %s counts where it can be seen to lie there", async (path) => {
  const files = new Map([...journal.files, ...narrow]);
  const list = async () => [...files.keys(), "tile/0/000.p/99", "tile/entries/001.p/1", "tile/notes"];
  expect((await verify({ ...journal, files }, { list })).ok).toBe(true);
  const bytes = narrow.get(path)!;
  const accepted: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at]! ^= 1 << (at % 8);
    const read = async (one: string) => (one === path ? changed : files.get(one));
    if ((await verify({ ...journal, files }, { list, read })).ok) accepted.push(at);
  }
  expect(accepted).toEqual([]);
});

test("where a tile's form of this size is gone, the full one has it", async () => {
  const files = new Map(journal.files);
  for (const path of ["tile/entries/000", "tile/0/000"]) {
    const wide = new Uint8Array([...files.get(`${path}.p/12`)!, 0, 1, 7]);
    files.delete(`${path}.p/12`);
    expect((await verify({ ...journal, files })).ok).toBe(false);
    files.set(path, wide);
  }
  expect((await verify({ ...journal, files })).ok).toBe(true);
});

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

const moved = smallJournal({ moved: (move) => move });

test("a ledger that moved to a chain verifies as one history, on credit and after it", async () => {
  const asked: number[] = [];
  const chainEpoch = async (epoch: number) => {
    asked.push(epoch);
    return ok(undefined);
  };
  const verdict = await verify(moved, { chainEpoch });
  expect(verdict).toMatchObject({
    ok: true,
    value: {
      kinds: { move: 1, epoch: 2, batch: 3 },
      epochs: [{ chain: "on credit" }, { chain: "absent", record: { epoch: 2, postingsCount: 4 } }],
      moved: { epoch: 2, credited: 1_041n },
    },
  });
  expect(asked).toEqual([2]);
  if (!verdict.ok) return;
  const { credits, debits, moved: how } = verdict.value;
  expect(how!.owed).toBeLessThan(how!.credited);
  expect([credits, debits]).toEqual([how!.owed, how!.owed]);
});

test("the registry that a move names is the contract's", async () => {
  const asked = (registry: Uint8Array) => verify(moved, { registry: async () => ok(registry) });
  const entry = decodeEntry(moved.entries[12]!);
  if (!entry.ok || entry.value.kind !== "move") throw new Error("entry 12 is the move");
  expect((await asked(entry.value.move.place.registry)).ok).toBe(true);
  expect(await asked(new Uint8Array(20))).toMatchObject({ ok: false, error: { code: "verification_failed" } });
});

test("every byte of a move counts", async () => {
  const path = "tile/entries/000.p/15";
  const bytes = moved.files.get(path)!;
  const begin = moved.entries.slice(0, 12).reduce((sum, entry) => sum + 2 + entry.length, 0);
  for (let at = begin; at < begin + 2 + moved.entries[12]!.length; at++) {
    const changed = bytes.slice();
    changed[at]! ^= 1 << (at % 8);
    const files = new Map(moved.files).set(path, changed);
    expect((await verify({ ...moved, files })).ok ? at : undefined).toBeUndefined();
  }
});

const first = (change: Partial<MoveLine>) => (move: Move) => ({
  ...move,
  lines: move.lines.map((line, i) => (i === 1 ? { ...line, ...change } : line)),
});

test.each<[string, (move: Move) => Move, RegExp]>([
  ["owes more than was credited", first({ owed: 2_000 }), /is owed more than it was credited/],
  ["credits more than the epochs did", first({ credited: 2_000n }), /the epochs say/],
  ["forgets somebody", (move) => ({ ...move, lines: move.lines.slice(1) }), /it says of \d payees/],
  ["names somebody twice", (move) => ({ ...move, lines: [move.lines[0]!, ...move.lines] }), /do not ascend/],
  ["names nobody's chain", (move) => ({ ...move, place: { ...move.place, chainId: 0 } }), /names no chain/],
  ["charges another", (move) => ({ ...move, payer: new Uint8Array(32) }), /charged to somebody other/],
  ["is not whole", (move) => ({ ...move, count: 2 }), /in the middle of a move/],
  ["is not the first part", (move) => ({ ...move, index: 1, count: 2 }), /part 1 of 2, where part 0/],
])("a move that %s is refused, whoever signed it", async (_what, change, message) => {
  const verdict = await verify(smallJournal({ moved: change }));
  expect(verdict.ok ? "verified" : verdict.error.message).toMatch(message);
});

test("a ledger that began on credit is believed for the place that its journal names, and no other", async () => {
  const elsewhere = { ...moved.trust, domain: { ...moved.trust.domain, chainId: 1 } };
  expect((await verify({ ...moved, trust: elsewhere })).ok).toBe(false);
  const registry = (move: Move) => ({ ...move, place: { ...move.place, settlement: new Uint8Array(20).fill(7) } });
  expect((await verify(smallJournal({ moved: registry }))).ok).toBe(false);
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

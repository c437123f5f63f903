import { beforeEach, expect, test } from "vitest";
import { ok, unwrap } from "../core/result.ts";
import type { Chain, ChainEpoch, EpochCommitment } from "../ledger/chain.ts";
import { creditChain } from "../ledger/creditChain.ts";
import {
  account,
  draft,
  id32,
  MemorySink,
  publisherOf,
  type SmallLedger,
  smallLedger,
  smallTrust,
} from "../ledger/testing/smallLedger.ts";
import { Settlement } from "./settlement.ts";

/** One node's data folder and its copy: the same keys and books, and one chain between them. */
let chain: Chain;
let sent: number[];
let [original, copy]: readonly Copy[] = [];

interface Copy extends SmallLedger {
  readonly settlement: Settlement;
  earn(nano: number): Promise<void>;
}

function sharedChain(): Chain {
  const epochs = new Map<number, ChainEpoch>();
  const onChain = ({ record, ...checkpoint }: EpochCommitment): ChainEpoch => ({
    ...record,
    ...checkpoint,
    ...{ status: "proposed", finalFrom: 2 ** 40 },
  });
  return {
    ...creditChain(id32(9).slice(12)),
    epoch: async (_ledger, epoch) => ok(epochs.get(epoch)),
    propose: async (_ledger, commitment) => {
      sent.push(commitment.record.epoch);
      epochs.set(commitment.record.epoch, onChain(commitment));
      return ok("0x");
    },
  };
}

function settlementOf({ ledger }: SmallLedger): Settlement {
  const publisher = publisherOf((from, until) => ledger.books.entries(from, until), new MemorySink());
  const { domain } = smallTrust;
  const now = { nowMs: () => 0, sleep: async () => undefined, say: () => undefined };
  return new Settlement({ ledger, chain, publisher, domain, signer: id32(7), ...now });
}

async function openCopy(): Promise<Copy> {
  const small = await smallLedger();
  const payer = await account(small, 1_000_000);
  const earn = async (nano: number): Promise<void> => {
    const hold = unwrap(small.ledger.holds.place({ account: payer.id, amount: nano }));
    unwrap(await small.ledger.books.post(draft(hold.id, nano, 0)));
  };
  await earn(60);
  return { ...small, settlement: settlementOf(small), earn };
}

beforeEach(async () => {
  sent = [];
  chain = sharedChain();
  [original, copy] = [await openCopy(), await openCopy()];
  unwrap(await original.settlement.close());
  unwrap(await copy.ledger.epochs.closeEpoch({ registryBlock: 0 }));
});

const forked = (epoch: number) => ({
  ok: false,
  error: { code: "conflict", message: `somebody else proposed epoch ${epoch} of this ledger, with this node's keys` },
});

test("the same epoch of the same books is not another's", async () => {
  unwrap(await copy!.settlement.resume());
  unwrap(await original!.settlement.resume());
  expect([copy!.settlement.forked(), sent]).toEqual([undefined, [1]]);
});

test("a copy that runs beside its original closes no epoch that the chain has, and goes no further", async () => {
  await original!.earn(70);
  await copy!.earn(80);
  unwrap(await original!.settlement.close());
  const size = copy!.ledger.books.size();
  expect(await copy!.settlement.close()).toMatchObject(forked(2));
  expect(await copy!.settlement.advance()).toMatchObject(forked(2));
  expect(copy!.settlement.forked()).toMatchObject(forked(2).error);
  expect([copy!.ledger.books.size(), sent]).toEqual([size, [1, 2]]);
});

test("a copy that is started later does not begin", async () => {
  await original!.earn(70);
  unwrap(await original!.settlement.close());
  expect(await settlementOf(copy!).check()).toMatchObject(forked(2));
});

test("a copy that closed its epoch before it saw the other's does not take that for its own", async () => {
  await original!.earn(70);
  await copy!.earn(80);
  unwrap(await copy!.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  unwrap(await original!.settlement.close());
  expect(await copy!.settlement.advance()).toMatchObject(forked(2));
  expect(await settlementOf(copy!).resume()).toMatchObject(forked(2));
  expect(sent).toEqual([1, 2]);
});

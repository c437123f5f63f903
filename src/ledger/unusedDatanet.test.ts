import { expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { EVIDENCE_TOTAL } from "../core/route.ts";
import {
  account,
  assets,
  draft,
  id32,
  parties,
  type SmallLedger,
  smallLedger,
  verified,
} from "./testing/smallLedger.ts";

const ROYALTY = 1_000;
const [theirs, own, both] = [id32(201), id32(202), id32(203)];

test("a datanet that is attached and not used earns nothing, however much a model of its own has measured it", async () => {
  const small = await smallLedger();
  const register = async (id: Uint8Array, kind: "datanet" | "model", parents: readonly Uint8Array[]) =>
    unwrap(
      await small.ledger.assets.register({
        ...{
          id,
          kind,
          owner: parties.owner,
          contentRoot: id,
          parents: parents.map((parent) => ({ id: parent, weight: 1 })),
        },
        terms: small.ledger.assets.get(assets.model)!.terms,
      }),
    );
  await register(theirs, "datanet", []);
  await register(own, "model", [theirs]);
  await register(both, "model", [assets.datanet, theirs]);
  // Ben pays for questions to a model of his own, whose only records are his: his datanet has a prior pool of his now.
  await execute(small, own, [{ payee: parties.ben, type: "party", weight: EVIDENCE_TOTAL }]);
  await close(small);
  const before = lifetime(small);
  await execute(small, own, []);
  await close(small);
  expect(lifetime(small)).toBe(before + 200); // what nothing explains, in the model of his datanet alone: the prior's 20 %
  for (let i = 0; i < 5; i++) await execute(small, both, []);
  await close(small);
  expect(lifetime(small)).toBe(before + 200);
  await verified(small);
});

async function execute(
  small: SmallLedger,
  model: Uint8Array,
  shares: readonly { payee: Uint8Array; type: "party"; weight: number }[],
): Promise<void> {
  const hold = unwrap(small.ledger.holds.place({ account: (await account(small, ROYALTY)).id, amount: ROYALTY }));
  const unattributed = EVIDENCE_TOTAL - shares.reduce((sum, { weight }) => sum + weight, 0);
  const contributors = { shares, unattributed };
  unwrap(await small.ledger.books.post(draft(hold.id, 0, ROYALTY, { model, contributors })));
}

async function close(small: SmallLedger): Promise<void> {
  unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
}

function lifetime(small: SmallLedger): number {
  return Number(small.ledger.books.accrued(parties.ben).lifetime);
}

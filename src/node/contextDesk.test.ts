import { afterAll, beforeAll, expect, test } from "vitest";
import { fromHex, padAddress, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { createDatanet } from "../datanets/datanet.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { publishVersion, submitContribution } from "../datanets/intake.ts";
import { MemoryDatanetStore } from "../datanets/memoryStore.ts";
import { writeOpening } from "../gateway/opening.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { account, draft, parties, type SmallLedger, smallLedger, verified } from "../ledger/testing/smallLedger.ts";
import { AnnotationDesk } from "./annotationDesk.ts";
import { ContextDesk } from "./contextDesk.ts";
import { findVersionIn } from "./declaredVersions.ts";
import { epochControl } from "./epochControl.ts";
import { scopeOf } from "./modelShelf.ts";
import { registerAsset, registerVersion, termsOf } from "./provenance.ts";
import { recordOf } from "./testing/neuralWorld.ts";

const store = new MemoryDatanetStore();
const owner = toHex(parties.owner);
const question = "how do I get rid of limescale";
let small: SmallLedger;
let desk: ContextDesk;
let provenance: { chain: ReturnType<typeof creditChain>; ledger: SmallLedger["ledger"] };
beforeAll(async () => {
  small = await smallLedger();
  provenance = { chain: creditChain(parties.node.slice(12)), ledger: small.ledger };
  const rules = { review: "open" as const };
  const net = createDatanet({ name: "net", summary: "machines", licence: "MIT", rules }, owner, 1);
  unwrap(await store.createDatanet(unwrap(net), new Uint8Array(32).fill(1)));
  const records = [
    recordOf("ann", "Fill the kettle with vinegar and water, wait an hour, and rinse it three times."),
    recordOf("ben", "Grind coarsely, pour, stir after a minute, and push the plunger down slowly."),
  ].map((record) => ({ ...record, licence: "MIT" }));
  unwrap(await submitContribution(store, "net", { by: owner, label: "all", licence: "MIT", records }, 2));
  desk = new ContextDesk({
    ...{ store, provenance, books: small.ledger.books, find: findVersionIn(store, provenance) },
    node: padAddress(provenance.chain.node),
  });
});
afterAll(() => small.ledger.close());

async function publish(): Promise<Uint8Array> {
  const { version } = unwrap(await publishVersion(store, "net", owner, 3));
  return unwrap(await registerVersion(provenance, version, "MIT")).id;
}

/** An answer, grounded in a version, that used its first record. */
async function answer(version: Uint8Array, payer: string): Promise<void> {
  const parents = [{ id: version, weight: 1 }];
  const model = { kind: "model", contentRoot: version, parents, terms: termsOf("MIT", 0), uri: "test" } as const;
  const { id } = unwrap(await registerAsset(provenance, model));
  const [first] = await store.versionRecords("net", 1);
  const prompt = JSON.stringify([{ role: "user", content: question }]);
  const salts = { prompt: new Uint8Array(16), answer: new Uint8Array(16) };
  const evidence = [{ kind: "passage" as const, payee: owner, weight: 10, record: first!.id }];
  const opening = writeOpening(salts, prompt, "vinegar", evidence, {});
  const hold = unwrap(small.ledger.holds.place({ account: payer, amount: 100_000 }));
  const contributors = { shares: [], unattributed: 1_000_000 };
  unwrap(await small.ledger.books.post(draft(hold.id, 10, 50_000, { model: id, opening, contributors })));
}

test("who added the words by which a record was found is paid in the context's role, from the close of the epoch by hand on", async () => {
  const desks = new AnnotationDesk(store, owner, () => 4);
  await publish();
  const [first, second] = await store.versionRecords("net", 1);
  const added = unwrap(
    await desks.annotate("net", {
      ...{ record: first!.id.slice(0, 14), text: "limescale", by: "git:eve@example.org" },
    }),
  );
  expect(added).toMatchObject({ record: first!.id, state: "approved", by: "git:eve@example.org" });
  unwrap(
    await desks.annotate("net", { record: second!.id, from: first!.id, text: "brewing", by: "git:rev@example.org" }),
  );
  expect(await desks.annotate("net", { record: "0x12345678", text: "words" })).toMatchObject({
    error: { code: "not_found" },
  });
  expect(await desks.annotate("net", { record: first!.id, text: "words", by: "nobody at all" })).toMatchObject({
    error: { code: "invalid_request", field: "by" },
  });
  const version = await publish();
  const payer = (await account(small, 1_000_000)).id;
  await answer(version, payer);
  const view = unwrap(await desk.weigh("net", false)).versions.at(-1)!;
  expect(view.parties.map(({ by }) => by)).toEqual(["git:eve@example.org"]);

  // Nobody's weights are in force yet; the close of an epoch by hand puts them there, as the close by time does.
  const close = async () =>
    ({ ok: true, value: unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 })) }) as const;
  const said: string[] = [];
  const control = epochControl({ close }, desk, (text) => said.push(text));
  unwrap(await control.close());
  expect(said).toEqual([]);
  await answer(version, payer);
  unwrap(await control.close());
  const scope = await scopeOf(store, provenance, "net");
  const eve = identityPayeeId(scope, "git:eve@example.org");
  expect(small.ledger.books.accrued(eve).lifetime).toBe(5_000n);
  expect(small.ledger.books.accrued(identityPayeeId(scope, "git:rev@example.org")).lifetime).toBe(0n);
  expect(toHex(fromHex(view.parties[0]!.payee))).toBe(toHex(eve));
  await verified(small);
});

test("a close by hand stands where contexts cannot be weighed, and says so", async () => {
  const said: string[] = [];
  const close = async () =>
    ({ ok: true, value: unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 })) }) as const;
  const away = async () => ({ ok: false, error: { code: "store_unavailable", message: "away" } }) as const;
  const control = epochControl({ close }, { weighAll: away }, (text) => said.push(text));
  expect(await control.close()).toMatchObject({ ok: true, value: { epoch: 3 } });
  expect(said).toEqual(["contexts are paid as before: away"]);
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { spanMethod } from "../attribution/description.ts";
import { answerNumber } from "../attribution/lineage.ts";
import { combinationOf, defaultPolicy } from "../attribution/policy.ts";
import { equalBytes, fromHex, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { trainingFee } from "../factory/estimate.ts";
import type { Job } from "../factory/job.ts";
import { owedAt, worstOf } from "../factory/payment.ts";
import { pricesOf, usualTariff } from "../factory/tariff.ts";
import { hello, ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { trainingMethod } from "../gateway/trainingMethod.ts";
import type { PayeeShare } from "../ledger/execution.ts";
import { parties, verified } from "../ledger/testing/smallLedger.ts";
import { CombinationShelf } from "./combinationShelf.ts";
import { findVersionIn } from "./declaredVersions.ts";
import { learntRecords, learntShares } from "./learntShares.ts";
import { scopeOf } from "./modelShelf.ts";
import { neuralWorld, recordOf, trainedJob } from "./testing/neuralWorld.ts";
import { TrainingLedger } from "./trainingLedger.ts";
import { loadUpstream, noUpstream } from "./upstream.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-trainings-"));
const texts = [
  recordOf("ann", "Knead the dough for ten minutes, then let it rest under a cloth until it has doubled."),
  recordOf("ben", "Simmer the lentils with bay leaves and a whole onion; salt comes at the end."),
  recordOf("ann", "Rinse rice until the water runs clear. Steam follows boiling, and the lid stays where it is."),
  recordOf("eve", "Pickled cucumbers want dill, garlic, mustard seed and three weeks of patience in the cellar."),
  recordOf("ben", "A cast-iron pan is wiped with oil while warm, never soaked, and dried on the stove."),
];
let world: Awaited<ReturnType<typeof neuralWorld>>;
let node: Awaited<ReturnType<typeof world.start>>;
let books: TrainingLedger;
let combinations: CombinationShelf;
let template: Job;
let account = "";
let made = 0;

beforeAll(async () => {
  world = await neuralWorld(folder, new ScriptedEngine(hello), texts);
  node = await world.start();
  combinations = unwrap(await CombinationShelf.open(folder));
  combinations.publishTo((text) => world.ledger.methods.publish(text));
  // From the first published text on no receipt names methods that were not published.
  await combinations.keep(combinationOf(defaultPolicy, [[spanMethod, "unmeasured"]]));
  books = openBooks();
  template = await trainedJob(world.folders, world.base, [world.datanet]);
  account = unwrap(await world.ledger.accounts.open({ name: "builder" })).id;
  const credit = { account, amount: 10_000_000_000, key: "1", note: "" };
  unwrap(await world.ledger.accounts.credit(credit));
});
afterAll(async () => {
  await node.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** As a node has them after each start. */
function openBooks(): TrainingLedger {
  const { store, provenance, bases, ledger } = world;
  return new TrainingLedger({
    ...{ floor: node.gateway.floor, provenance, bases, find: findVersionIn(store, provenance), keepPpm: 500_000 },
    ...{ operator: parties.operator, combinations },
    cited: async () => undefined,
    upstream: (learnt) =>
      loadUpstream(
        store,
        ledger.books,
        ["recipes"],
        learnt.map(({ record }) => record),
      ),
  });
}

function jobOf(changes: Partial<Job> = {}): Job {
  made += 1;
  const { result: _result, ...job } = template;
  const prices = pricesOf(usualTariff, [world.datanet]);
  const estimate = { ...job.estimate, trainedTokens: 1_000_003, steps: 40 };
  const id = `ftjob-${made.toString(16).padStart(24, "0")}`;
  return { ...job, id, account, status: "running", prices, estimate, ...changes };
}

const balance = () => world.ledger.accounts.balance(account)!;
const receiptOf = async (id: string) =>
  (await world.ledger.books.recent({ limit: 50 })).find(({ receipt }) => toHex(receipt.id) === id)!;

test("whatever is set aside, posted and posted again: charged is what was learnt, once, and nothing stays held", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 4 }), async (lengths) => {
      let job = jobOf();
      const before = balance();
      let [step, fees] = [0, 0n];
      for (const length of lengths) {
        unwrap(await books.hold(job, worstOf(job) ?? { step: 0, tokens: 0 }));
        step += length;
        const owed = owedAt(job, step);
        if (owed === undefined) break;
        expect(balance().held).toBeGreaterThan(0n);
        const [one, two] = await Promise.all([books.post(job, owed), books.post(job, owed)]);
        const again = await openBooks().post(job, owed);
        const payment = unwrap(one!);
        expect([unwrap(two!), unwrap(again)]).toEqual([payment, payment]);
        const { cost, royalty } = unwrap(trainingFee(job.prices, owed.tokens));
        expect(payment).toMatchObject({ cost, dataFee: royalty, tokens: owed.tokens });
        expect(Object.values(payment.credited).reduce((sum, nano) => sum + nano, 0)).toBe(cost + royalty);
        fees += BigInt(cost + royalty);
        job = { ...job, paid: [...job.paid, payment] };
      }
      await books.release(job.id);
      expect(balance().held).toBe(0n);
      expect(before.available - balance().available).toBe(fees);
    }),
    { numRuns: 25 },
  ));

test("cost goes to whoever ran it; base, datanet, context and those whose records were learnt share the data fee, which anybody can recompute", async () => {
  const job = jobOf();
  unwrap(await books.hold(job, worstOf(job)!));
  const payment = unwrap(await books.post(job, worstOf(job)!));
  const { receipt } = await receiptOf(payment.receipt);
  const asset = world.ledger.assets.get(receipt.model)!;
  const parents = asset.parents.map(({ id }) => world.ledger.assets.get(id)!);
  expect([asset.kind, ...parents.map(({ kind }) => kind).sort()]).toEqual(["tool", "datanet", "model"]);
  expect(receipt).toMatchObject({ usage: { tokensIn: 1_000_003, tokensOut: 0, calls: 1 }, unattributed: 0 });
  expect(receipt.methodsHash).toEqual(trainingMethod);
  expect(receipt.flags).toEqual({ reported: false, unaudited: false, partial: false, undeclared: false });
  expect(receipt.legs.map(({ role }) => role)).toEqual(["operator", "model", "context", "contributor", "treasury"]);
  for (const { amount } of receipt.legs) expect(amount).toBeGreaterThan(0);
  const contributor = receipt.legs.find(({ role }) => role === "contributor")!;
  expect(world.ledger.books.payee(contributor.payee)?.type).toBe("pool");
  expect(books.labelOf(world.ledger.books.payee(contributor.payee)!.id)).toMatch(/^[123] whose records were learnt$/);
  expect(node.gateway.catalog.nameOf(receipt.model)).toBe("training of tiny on recipes@1");
  await world.ledger.epochs.closeEpoch({ registryBlock: 0 });
  const scope = await scopeOf(world.store, world.provenance, "recipes");
  const ann = world.ledger.books.accrued(identityPayeeId(scope, "git:ann@example.org"));
  expect(ann.lifetime).toBeGreaterThan(0n);
  expect(await verified(world)).toMatchObject({
    kinds: { receipt: world.ledger.books.totals().receipts },
  });
});

test("a training on a file is one of its base, whose contributors' part is reserved; what ran elsewhere has no cost", async () => {
  const source = { kind: "file", file: "file-1" } as const;
  const job = jobOf({ source, prices: pricesOf(usualTariff, []) });
  const payment = unwrap(await books.post(job, { ...worstOf(job)!, isElsewhere: true }));
  expect(payment).toMatchObject({ cost: 0, dataFee: 50_000_150 + 0 });
  const { receipt } = await receiptOf(payment.receipt);
  expect(equalBytes(world.ledger.assets.get(receipt.model)!.contentRoot, fromHex(world.base.hash))).toBe(true);
  expect(receipt.flags.undeclared).toBe(true);
  expect(payment.credited.reserve).toBeGreaterThan(0);
});

test("without the money, above the key's limit, or with a revoked key nothing is held", async () => {
  const { accounts } = world.ledger;
  const poor = unwrap(await accounts.open({ name: "poor" })).id;
  const job = jobOf({ account: poor });
  expect(await books.hold(job, worstOf(job)!)).toMatchObject({
    error: { code: "insufficient_funds", message: expect.stringContaining("0.55000165 OPEN are missing") },
  });
  const limits = { nanoPerDay: 600_000_000 };
  const { key } = unwrap(await accounts.createKey({ account, name: "limited", limits }));
  const [first, second] = [jobOf({ keyId: key.id }), jobOf({ keyId: key.id })];
  unwrap(await books.hold(first, worstOf(first)!));
  expect(await books.hold(second, worstOf(second)!)).toMatchObject({ error: { code: "rate_limited" } });
  const payment = unwrap(await books.post(first, owedAt(first, 2)!));
  expect(payment.cost + payment.dataFee).toBeLessThan(50_000_000);
  unwrap(await books.hold(second, worstOf(second)!));
  const spent = await world.ledger.books.spending(0, 2 ** 31 - 1);
  expect(spent).toMatchObject([{ key: key.id, nano: payment.cost + payment.dataFee, receipts: 1 }]);
  await books.release(second.id);
  unwrap(await accounts.revokeKey(key.id));
  const revoked = jobOf({ keyId: key.id });
  expect(await books.hold(revoked, worstOf(revoked)!)).toMatchObject({ error: { code: "key_revoked" } });
  expect(balance().held).toBe(0n);
});

test("those who are credited wrote what is learnt, in proportion to its bytes; what is held out and what another datanet has too counts not", async () => {
  const version = unwrap(await findVersionIn(world.store, world.provenance)("recipes", 1));
  const all = learntRecords([version, version], 0);
  expect(all).toHaveLength(texts.length);
  expect(learntRecords([version], 0.5).length).toBeLessThan(texts.length);
  const shares = learntShares(all, noUpstream, 500_000);
  const weightOf = (author: string, of: readonly PayeeShare[]) =>
    of.find(({ payee }) => equalBytes(payee, identityPayeeId(version.scope, `git:${author}@example.org`)))?.weight ?? 0;
  const bytesOf = (author: string) =>
    texts.filter(({ authors }) => authors[0]!.name === author).reduce((sum, { text }) => sum + text.length, 0);
  const ratio = weightOf("ann", shares) / weightOf("ben", shares);
  expect(ratio).toBeCloseTo(bytesOf("ann") / bytesOf("ben"), 1);
  // One record repeats an answer in full, for which somebody else is credited.
  const receipt = new Uint8Array(16).fill(3);
  const origin = { payee: parties.ann, type: "party", weight: 1_000_000 } as const;
  const upstream = {
    derivations: new Map(all.map((_one, i) => [i, [{ receipt, partPpm: 1_000_000, attributedPpm: 1_000_000 }]])),
    answers: new Map([[answerNumber(receipt), { receipt, shares: [origin] }]]),
  };
  const passed = learntShares(all, upstream, 500_000);
  expect(passed.find(({ payee }) => equalBytes(payee, parties.ann))?.weight).toBe(500_000_000);
  expect(weightOf("ann", passed) * 2).toBeGreaterThan(weightOf("ann", shares) - 2);
  // All that Ben wrote builds on what Eve did.
  const eves = all.find(({ record }) => record.authors[0]!.name === "eve")!.record;
  const cited = learntShares(all, noUpstream, 500_000, (record) =>
    record.authors[0]!.name === "ben"
      ? [
          { record, part: 0.5 },
          { record: eves, part: 0.5 },
        ]
      : undefined,
  );
  expect(weightOf("ben", cited)).toBe(Math.floor(weightOf("ben", shares) / 2));
  expect(weightOf("ann", cited)).toBe(weightOf("ann", shares));
});

import { createHmac } from "node:crypto";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { type EventType, eventTypes, type KeptEvent } from "./events.ts";
import type { Account } from "./ledger.ts";
import { RefusalTally } from "./refusalTally.ts";
import { Teller } from "./teller.ts";
import { account, assets, draft, parties, type SmallLedger, smallLedger } from "./testing/smallLedger.ts";
import { type SendEvent, type Webhook, type WebhookStore, Webhooks } from "./webhooks.ts";

function memoryWebhooks(): WebhookStore {
  const hooks = new Map<string, { webhook: Webhook; secret: Uint8Array }>();
  const kept: KeptEvent[] = [];
  return {
    webhooks: () => Promise.resolve([...hooks.values()].map(({ webhook }) => webhook)),
    addWebhook: (webhook, secret) => {
      hooks.set(webhook.id, { webhook, secret });
      return Promise.resolve(ok(undefined));
    },
    saveWebhook: (webhook) => {
      const known = hooks.get(webhook.id);
      if (known !== undefined) hooks.set(webhook.id, { ...known, webhook });
      return Promise.resolve();
    },
    removeWebhook: (id) => Promise.resolve(hooks.delete(id)),
    secret: (id) => Promise.resolve(hooks.get(id)?.secret),
    keep: (event) => {
      kept.push({ ...event, number: kept.length + 1 });
      return Promise.resolve();
    },
    lastKept: () => Promise.resolve(kept.length),
    keptOf: (type) => Promise.resolve(kept.filter((event) => event.type === type)),
    keptFrom: (number, limit) => Promise.resolve(kept.filter((event) => event.number >= number).slice(0, limit)),
  };
}

let small: SmallLedger;
let payers: readonly Account[];
let store: WebhookStore;
/** What the receiver took, in order, and whether it takes the next. */
let taken: { id: string; type: string; subject: string | undefined; signature: string; body: string; at: string }[];
let takes: () => boolean;
let hooks: Webhooks;

beforeEach(async () => {
  small = await smallLedger();
  payers = [await account(small, 10_000), await account(small, 10_000)];
  store = memoryWebhooks();
  taken = [];
  takes = () => true;
  const send: SendEvent = ({ headers, body }) => {
    if (!takes()) return Promise.resolve(refuse("upstream_failed", "the receiver answered 500"));
    const { id, type, subject } = JSON.parse(body);
    const signature = headers["webhook-signature"] ?? "";
    taken.push({ id, type, subject, signature, body, at: headers["webhook-timestamp"] ?? "" });
    return Promise.resolve(ok(undefined));
  };
  const { world } = small;
  hooks = new Webhooks(small.ledger, store, send, {
    ...world,
    nowMs: () => world.timeMs,
    randomBytes: (n) => world.randomBytes(n),
    say: () => undefined,
  });
});

async function spend(payer: Account, fee: number, model = assets.plain): Promise<Uint8Array> {
  const hold = unwrap(small.ledger.holds.place({ account: payer.id, amount: fee }));
  const shares = [{ payee: parties.ann, type: "party" as const, weight: 1_000_000 }];
  const contributors = { shares, unattributed: 0 };
  return unwrap(await small.ledger.books.post(draft(hold.id, 0, fee, { contributors, model }))).receipt.id;
}

const order = (types: readonly EventType[] = [], subject = "") => ({ url: "https://example.org/", types, subject });

test("a receiver that fails at random is told everything, in order, repeated only where it failed", async () => {
  unwrap(await hooks.add(order()));
  const outcomes = fc.sample(fc.boolean(), { numRuns: 400, seed: 7 });
  takes = () => outcomes.pop() ?? true;
  for (let i = 1; i <= 20; i++) {
    const receipt = await spend(payers[i % 2]!, 10 * i);
    if (i % 7 === 0)
      unwrap(await small.ledger.books.correct({ receipt, reason: "refund", refund: 5, note: "", key: `${i}` }));
    if (i % 5 === 0) await hooks.keep("settled", "", { epoch: i });
    await hooks.round();
    small.world.timeMs += 60_000;
  }
  for (let i = 0; i < 400; i++) {
    small.world.timeMs += 3_600_000;
    await hooks.round();
  }
  const journal = taken.filter(({ id }) => !id.startsWith("kept"));
  const seqs = journal.map(({ id }) => Number(id.split("-")[0]));
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  const count = (type: string): number =>
    new Set(taken.filter((one) => one.type === `org.openledger.${type}`).map(({ id }) => id)).size;
  expect([count("executed"), count("compensated"), count("corrected"), count("settled")]).toEqual([20, 20, 2, 4]);
  expect((await hooks.list())[0]).toMatchObject({ failures: 0, state: "active", nextSeq: small.ledger.books.size() });
});

test("it is signed as Standard Webhooks has it", async () => {
  const { secret } = unwrap(await hooks.add(order()));
  await spend(payers[0]!, 10);
  await hooks.round();
  const [first] = taken;
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const mac = createHmac("sha256", key).update(`${first!.id}.${first!.at}.${first!.body}`).digest("base64");
  expect(first!.signature).toBe(`v1,${mac}`);
});

test("types and an account narrow what is told, and what was before is not told unless it is asked for again", async () => {
  await spend(payers[0]!, 10);
  const { webhook } = unwrap(
    await hooks.add(order(["executed"], `0x${Buffer.from(payers[1]!.pseudonym).toString("hex")}`)),
  );
  await spend(payers[0]!, 20);
  await spend(payers[1]!, 30);
  await hooks.round();
  expect(taken.map(({ type }) => type)).toEqual(["org.openledger.executed"]);
  const [{ id } = { id: "" }] = taken;
  unwrap(await hooks.resume(webhook.id, { seq: 0 }));
  await hooks.round();
  expect(taken.map((one) => one.id)).toEqual([id, id]);
  expect((await hooks.resume(webhook.id, { seq: small.ledger.books.size() + 1 })).ok).toBe(false);
  expect((await hooks.resume("whk_none", {})).ok).toBe(false);
});

test("after three days of failures it is paused, and goes on where it stood when it is resumed", async () => {
  const { webhook } = unwrap(await hooks.add(order()));
  await spend(payers[0]!, 10);
  takes = () => false;
  for (let hour = 0; hour < 75; hour++) {
    await hooks.round();
    small.world.timeMs += 3_600_001;
  }
  expect((await hooks.list())[0]).toMatchObject({ state: "paused", lastError: "the receiver answered 500" });
  takes = () => true;
  await hooks.round();
  expect(taken).toEqual([]);
  unwrap(await hooks.resume(webhook.id, {}));
  await hooks.round();
  expect(taken.map(({ type }) => type)).toEqual(["org.openledger.executed", "org.openledger.compensated"]);
});

test("there is an event for everything that happens: each is sent signed, and sent again with the id that it had", async () => {
  const { webhook, secret } = unwrap(await hooks.add(order()));
  const tally = new RefusalTally();
  const payout = {
    number: 1,
    createdMs: 0,
    currency: "USD",
    nanoPerUnit: 1,
    epoch: 1,
    status: "paid",
    reference: "b",
  } as const;
  const payouts = { list: async () => [{ ...payout, lines: [] }] };
  const teller = new Teller({ ledger: small.ledger, webhooks: hooks, store, payouts, tally });
  const receipt = await spend(payers[0]!, 1_000, assets.model);
  unwrap(await small.ledger.books.correct({ receipt, reason: "refund", refund: 100, note: "", key: "k" }));
  tally.add(payers[1]!.id, "insufficient_funds", "no", 5);
  const { record } = unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
  await small.ledger.epochs.mark(record.epoch, "final", "transfer");
  await teller.round();
  await hooks.round();
  expect(new Set(taken.map(({ type }) => type.replace("org.openledger.", "")))).toEqual(new Set(eventTypes));
  const own = (payer: Account) =>
    taken.filter(({ subject }) => subject === toHex(payer.pseudonym)).map(({ type }) => type.split(".")[2]);
  expect(own(payers[0]!)).toEqual(["executed", "compensated", "corrected"]);
  expect(own(payers[1]!)).toEqual(["refused"]);
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  for (const { id, at, body, signature } of taken)
    expect(signature).toBe(`v1,${createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64")}`);
  const told = taken.map(({ id, body }) => [id, body]);
  taken = [];
  unwrap(await hooks.resume(webhook.id, { seq: 0, kept: 1 }));
  await hooks.round();
  expect(taken.map(({ id, body }) => [id, body])).toEqual(told);
  expect((await hooks.resume(webhook.id, { kept: 5 })).ok).toBe(false);
});

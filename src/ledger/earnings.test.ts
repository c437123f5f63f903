import fc from "fast-check";
import { privateKeyToAccount } from "viem/accounts";
import { beforeEach, describe, expect, test } from "vitest";
import { concat, fromHex, padAddress, toHex } from "../core/bytes.ts";
import { addressOf, earningsDigest, signDigest } from "../core/eip712.ts";
import { type Result, refuse, unwrap } from "../core/result.ts";
import type { EarningsProof } from "./earnings.ts";
import { PROOF_MS_MAX } from "./earningsBook.ts";
import { payeeAccountName } from "./names.ts";
import {
  account,
  assets,
  draft,
  id32,
  open,
  parties,
  type SmallLedger,
  smallLedger,
  smallTrust,
} from "./testing/smallLedger.ts";

const [annKey, benKey] = [id32(61), id32(62)];
const [ann, ben] = [addressOf(annKey), addressOf(benKey)];
const earningsTypes = {
  Earnings: [
    { name: "ledger", type: "bytes32" },
    { name: "payee", type: "address" },
    { name: "account", type: "string" },
    { name: "deadline", type: "uint64" },
  ],
} as const;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

let small: SmallLedger;
beforeEach(async () => {
  small = await smallLedger();
});

function codeOf(result: Result<unknown>): string {
  return result.ok ? "ok" : result.error.code;
}

interface Said {
  readonly key?: Uint8Array;
  readonly payee?: Uint8Array;
  readonly account: string;
  readonly inMs?: number;
  readonly ledger?: Uint8Array;
  readonly domain?: typeof smallTrust.domain;
}

/** A proof by Ann's key for her own address, where nothing else is said. */
function proof({ key = annKey, payee = ann, account: id, inMs = 60_000, ...place }: Said): EarningsProof {
  const deadlineMs = small.world.timeMs + inMs;
  const { ledger = smallTrust.ledger, domain = smallTrust.domain } = place;
  return {
    payee,
    deadlineMs,
    signature: signDigest(key, earningsDigest(domain, { ledger, payee, account: id, deadlineMs })),
  };
}

/** An answer of 1,000 nano that credits this payee. */
async function earn(payee: Uint8Array): Promise<void> {
  const buyer = await account(small, 1_000);
  const hold = unwrap(small.ledger.holds.place({ account: buyer.id, amount: 1_000 }));
  const contributors = { shares: [{ payee, type: "party" as const, weight: 1_000_000 }], unattributed: 0 };
  unwrap(await small.ledger.books.post(draft(hold.id, 0, 1_000, { model: assets.model, contributors })));
}

const earned = (id: string) => small.ledger.accounts.balance(id)!.earnedAvailable;

describe("a link", () => {
  test("is what a wallet that others wrote signs", async () => {
    const { id } = await account(small, 0);
    await earn(padAddress(ann));
    const deadlineMs = small.world.timeMs + 60_000;
    const { chainId, verifyingContract } = smallTrust.domain;
    const signature = await privateKeyToAccount(toHex(annKey)).signTypedData({
      domain: { name: "OpenLedger", version: "1", chainId, verifyingContract: toHex(verifyingContract) },
      types: earningsTypes,
      primaryType: "Earnings",
      message: { ledger: toHex(smallTrust.ledger), payee: toHex(ann), account: id, deadline: BigInt(deadlineMs) },
    });
    unwrap(await small.ledger.earnings.link(id, { payee: ann, deadlineMs, signature: fromHex(signature) }));
    expect(small.ledger.accounts.get(id)!.payee).toEqual(padAddress(ann));
    expect(earned(id)).toBe(small.ledger.books.accrued(padAddress(ann)).open);
    expect(earned(id)).toBeGreaterThan(0n);
  });

  test.each<[attack: string, make: (id: string, others: string) => EarningsProof, code: string]>([
    ["to somebody else's address", (id) => proof({ key: benKey, account: id }), "proof_invalid"],
    [
      "with another's proof, under one's own address",
      (id) => ({ ...proof({ account: id }), payee: ben }),
      "proof_invalid",
    ],
    ["with a proof for another account", (_, others) => proof({ account: others }), "proof_invalid"],
    ["with a proof for an own account", () => proof({ account: "" }), "proof_invalid"],
    ["with a proof for another ledger", (id) => proof({ account: id, ledger: id32(99) }), "proof_invalid"],
    [
      "with one for another chain",
      (id) => proof({ account: id, domain: { ...smallTrust.domain, chainId: 1 } }),
      "proof_invalid",
    ],
    [
      "with one for another contract",
      (id) => proof({ account: id, domain: { ...smallTrust.domain, verifyingContract: ben } }),
      "proof_invalid",
    ],
    [
      "with a later deadline than was signed",
      (id) => ({ ...proof({ account: id }), deadlineMs: proof({ account: id }).deadlineMs + 1 }),
      "proof_invalid",
    ],
    ["that is over", (id) => proof({ account: id, inMs: 0 }), "proof_invalid"],
    ["that holds for more than a day", (id) => proof({ account: id, inMs: PROOF_MS_MAX + 1 }), "proof_invalid"],
    ["with the mirrored signature (EIP-2)", (id) => mirrored(proof({ account: id })), "proof_invalid"],
    [
      "with a short signature",
      (id) => ({ ...proof({ account: id }), signature: proof({ account: id }).signature.slice(1) }),
      "proof_invalid",
    ],
    [
      "with a long signature",
      (id) => ({ ...proof({ account: id }), signature: concat(proof({ account: id }).signature, id32(0)) }),
      "proof_invalid",
    ],
    ["with no signature", (id) => ({ ...proof({ account: id }), signature: new Uint8Array(65) }), "proof_invalid"],
    ["that is as long as may be", (id) => proof({ account: id, inMs: PROOF_MS_MAX }), "ok"],
  ])("%s: %s", async (_, make, code) => {
    const [mine, others] = [await account(small, 0), await account(small, 0)];
    await earn(padAddress(ann));
    expect(codeOf(await small.ledger.earnings.link(mine.id, make(mine.id, others.id)))).toBe(code);
    expect([earned(mine.id) > 0n, earned(others.id)]).toEqual([code === "ok", 0n]);
  });

  test("is refused by saying what was to be signed", async () => {
    const { id } = await account(small, 0);
    const { deadlineMs, ...bad } = proof({ key: benKey, account: id });
    const refused = await small.ledger.earnings.link(id, { ...bad, deadlineMs });
    const hint = refused.ok ? "" : refused.error.hint;
    for (const part of [
      "chain 31337",
      toHex(smallTrust.domain.verifyingContract),
      toHex(smallTrust.ledger),
      toHex(ann),
      id,
      String(deadlineMs),
    ])
      expect(hint).toContain(part);
    expect(codeOf(await small.ledger.earnings.link("acct_none", proof({ account: "acct_none" })))).toBe("not_found");
  });

  test("that is sent twice, or again, is one; after an unlinking it counts no more, and a later one does", async () => {
    const { id } = await account(small, 0);
    await earn(padAddress(ann));
    const [first, later] = [proof({ account: id }), proof({ account: id, inMs: 60_001 })];
    const { earnings } = small.ledger;
    const both = await Promise.all([earnings.link(id, first), earnings.link(id, first)]);
    expect(both.map(codeOf)).toEqual(["ok", "ok"]);
    for (let i = 0; i < 2; i++) unwrap(await earnings.unlink(id));
    expect(small.ledger.accounts.get(id)!.payee).toBeUndefined();
    expect(codeOf(await earnings.link(id, first))).toBe("conflict");
    const reopened = await open(small.store, small.world);
    expect(reopened.accounts.get(id)!.payee).toBeUndefined();
    expect(codeOf(await reopened.earnings.link(id, first))).toBe("conflict");
    expect(codeOf(await reopened.earnings.link(id, later))).toBe("ok");
    expect(reopened.accounts.balance(id)!.earnedAvailable).toBeGreaterThan(0n);
  });

  test("is the later of two that come at once, in whichever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.integer({ min: 1, max: 1_000 }), async (isAnnLater, gapMs) => {
        const { id } = await account(small, 0);
        const at = (isLater: boolean) => 60_000 + (isLater ? gapMs : 0);
        const anns = proof({ account: id, inMs: at(isAnnLater) });
        const bens = proof({ key: benKey, payee: ben, account: id, inMs: at(!isAnnLater) });
        await Promise.all([anns, bens].map((one) => small.ledger.earnings.link(id, one)));
        expect(small.ledger.accounts.get(id)!.payee).toEqual(padAddress(isAnnLater ? ann : ben));
      }),
      { numRuns: 20 },
    );
  });

  test("that ends leaves what is held, and lets nothing more be spent", async () => {
    const { id } = await account(small, 0);
    await earn(padAddress(ann));
    unwrap(await small.ledger.earnings.link(id, proof({ account: id })));
    const all = Number(earned(id));
    const hold = unwrap(small.ledger.holds.place({ account: id, amount: all - 10 }));
    unwrap(await small.ledger.earnings.unlink(id));
    expect(codeOf(small.ledger.holds.place({ account: id, amount: 1 }))).toBe("insufficient_funds");
    const { receipt } = unwrap(await small.ledger.books.post(draft(hold.id, 100, 0)));
    expect([receipt.earned, small.ledger.books.payee(receipt.payerPayee)?.id]).toEqual([100, padAddress(ann)]);
    expect(small.ledger.books.accrued(padAddress(ann)).open).toBe(BigInt(all - 100));
  });

  test("shows whose earnings they are, and the account's statement has them all", async () => {
    const { id } = await account(small, 0);
    await earn(parties.ann);
    await earn(padAddress(ann));
    unwrap(await small.ledger.earnings.link(id, proof({ account: id })));
    const bind = (identity: Uint8Array, state: "noticed" | "bound") =>
      small.ledger.books.bind({ identity, to: padAddress(ann), state, proofHash: id32(1) });
    const of = () => small.ledger.earnings.of(id).map(({ payee }) => payee);
    unwrap(await bind(parties.ann, "noticed"));
    expect(of()).toEqual([padAddress(ann)]);
    unwrap(await bind(parties.ann, "bound"));
    expect(of()).toEqual([padAddress(ann), parties.ann]);
    const { lines, total } = await small.ledger.accounts.statement({ account: id });
    expect(lines.map(({ kind }) => kind)).toEqual(["earned", "earned"]);
    const credited = (payee: Uint8Array) => small.ledger.books.accrued(payee).lifetime;
    expect(total).toBe(credited(parties.ann) + credited(padAddress(ann)));
  });
});

describe("an account of a payee's own", () => {
  const own = (inMs = 60_000) => small.ledger.earnings.openOwn(proof({ account: "", inMs }));

  test("is for those who are paid, or to whom somebody is bound", async () => {
    const identity = parties.ann;
    expect(codeOf(await own())).toBe("not_found");
    await earn(identity);
    const bind = (state: "noticed" | "bound") =>
      small.ledger.books.bind({ identity, to: padAddress(ann), state, proofHash: id32(1) });
    unwrap(await bind("noticed"));
    expect(codeOf(await own())).toBe("not_found");
    unwrap(await bind("bound"));
    const before = small.ledger.accounts.list().length;
    expect(codeOf(await small.ledger.earnings.openOwn(proof({ key: benKey, account: "" })))).toBe("proof_invalid");
    expect(codeOf(await small.ledger.earnings.openOwn(proof({ account: payeeAccountName(ann) })))).toBe(
      "proof_invalid",
    );
    expect(small.ledger.accounts.list()).toHaveLength(before);
    const { account: opened, secret } = unwrap(await own());
    expect(small.ledger.accounts.findKey(secret)).toMatchObject({ account: opened, admin: false });
    expect(small.ledger.accounts.balance(opened)).toMatchObject({ credited: 0n, available: 0n });
    expect(earned(opened)).toBe(small.ledger.books.accrued(identity).open);
  });

  test("is found again, by another proof, with another secret and nothing more", async () => {
    await earn(padAddress(ann));
    const first = unwrap(await own());
    const counts = () => [small.ledger.accounts.list().length, small.ledger.accounts.keys().length];
    const before = counts();
    expect(codeOf(await own())).toBe("conflict");
    const { accounts } = small.ledger;
    expect(accounts.findKey(first.secret)?.id).toBe(first.key);
    const second = unwrap(await own(60_001));
    expect([second.account, second.key]).toEqual([first.account, first.key]);
    expect(accounts.findKey(first.secret)).toBeUndefined();
    expect(accounts.findKey(second.secret)?.revokedMs).toBeUndefined();
    unwrap(await accounts.revokeKey(second.key));
    unwrap(await small.ledger.earnings.unlink(second.account));
    const third = unwrap(await own(60_002));
    const again = await open(small.store, small.world);
    const { revokedMs, id } = again.accounts.findKey(third.secret)!;
    expect([id, revokedMs]).toEqual([first.key, undefined]);
    expect(again.accounts.findKey(second.secret)).toBeUndefined();
    expect(again.accounts.get(third.account)!.payee).toEqual(padAddress(ann));
    expect(counts()).toEqual(before);
    expect([again.accounts.list().length, again.accounts.keys().length]).toEqual(before);
  });

  test("that the writer dies over is there whole or not at all", async () => {
    await earn(padAddress(ann));
    const before = small.ledger.accounts.list().length;
    const { append, settle } = small.store;
    const away = async () => refuse("writer_fenced", "away");
    Object.assign(small.store, { append: away, settle: away });
    expect(codeOf(await own())).toBe("writer_fenced");
    Object.assign(small.store, { append, settle });
    const again = await open(small.store, small.world);
    expect([again.accounts.list().length, again.accounts.keys().length]).toEqual([before, 0]);
    const opened = unwrap(await again.earnings.openOwn(proof({ account: "" })));
    expect(again.accounts.findKey(opened.secret)?.account).toBe(opened.account);
  });

  test("is nobody's by name: no other gateway's payer is called so", async () => {
    await earn(padAddress(ann));
    const opened = unwrap(await own());
    const { accounts, earnings } = small.ledger;
    expect(accounts.findExternal(payeeAccountName(ann))).toBeUndefined();
    expect(codeOf(await accounts.open({ name: "x", external: payeeAccountName(ann) }))).toBe("invalid_request");
    const linked = await account(small, 0);
    unwrap(await earnings.link(linked.id, proof({ account: linked.id })));
    expect(earnings.isOwner(opened.account, linked.id)).toBe(true);
    expect(earnings.isOwner(linked.id, opened.account)).toBe(false);
    unwrap(await earnings.link(linked.id, proof({ key: benKey, payee: ben, account: linked.id, inMs: 60_001 })));
    expect(earnings.isOwner(opened.account, linked.id)).toBe(false);
  });
});

/** Whoever has (r, s, v) also has (r, n − s, the other v), which ecrecover takes. */
function mirrored({ signature, ...rest }: EarningsProof): EarningsProof {
  const s = (ORDER - BigInt(toHex(signature.slice(32, 64)))).toString(16).padStart(64, "0");
  return { ...rest, signature: concat(signature.slice(0, 32), fromHex(s), Uint8Array.of(55 - signature[64]!)) };
}

/**
 * Opens a ledger, posts a few receipts, publishes the journal to a folder, and verifies it from the files alone. Then it changes one
 * byte of one file, as somebody might who has the disk but not the keys, and the verifier names the entry.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freeTerms } from "../src/core/asset.ts";
import { utf8 } from "../src/core/bytes.ts";
import { addressOf, signDigest } from "../src/core/eip712.ts";
import { keccak256 } from "../src/core/hash.ts";
import { formatOpen } from "../src/core/money.ts";
import { ed25519PublicKey } from "../src/core/note.ts";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { noPrices } from "../src/core/quote.ts";
import { ownOf } from "../src/core/receipt.ts";
import { assert, unwrap } from "../src/core/result.ts";
import { decodeBundle, encodeBundle, tileAt, tilePath } from "../src/core/tile.ts";
import { openLedger } from "../src/ledger/openLedger.ts";
import { Publisher } from "../src/ledger/publish.ts";
import { memoryStore } from "../src/ledger/testing/memoryStore.ts";
import { verifyJournal } from "../src/ledger/verify.ts";
import { fileSink } from "../src/node/fileSink.ts";

const name = (text: string): Uint8Array => keccak256(utf8(`an example's ${text}`));
const [id, log, signer, node] = [name("ledger"), name("log key"), name("signing key"), name("node")];
const domain = { chainId: 31_337, verifyingContract: name("contract").slice(12) };
const world = { nowMs: Date.now, randomBytes, warn: console.error };
const purses = { treasuryPayee: node, reservePayee: name("reserve"), datanetReservePayee: name("datanet reserve") };
const policy = { ...defaultPolicyBps, ...purses };
const quote = { unit: "nano" as const, cost: { ...noPrices, perCall: 40 }, royalty: { ...noPrices, perCall: 1_001 } };
const flags = { reported: false, unaudited: false, partial: false, undeclared: false };
const shares = [{ payee: name("ann"), type: "identity" as const, weight: 700_000 }];
const contributors = { shares, unattributed: 300_000 };

const folder = await mkdtemp(join(tmpdir(), "openledger-example-"));
try {
  const sign = { sign: (digest: Uint8Array) => signDigest(signer, digest) };
  const parts = { id, store: memoryStore(), world, domain, secret: name("secret"), node, signer: sign, policy };
  const { accounts, assets, holds, books, close } = unwrap(await openLedger({ ...parts, requireDeposit: false }));
  const model = { id: name("model"), kind: "model" as const, owner: name("owner"), contentRoot: name("content") };
  unwrap(await assets.register({ ...model, terms: freeTerms, parents: [] }));
  const account = unwrap(await accounts.open({ name: "reader" }));
  unwrap(await accounts.credit({ account: account.id, amount: 1_000_000, key: "welcome", note: "play money" }));
  for (let call = 1; call <= 3; call++) {
    const hold = unwrap(holds.place({ account: account.id, amount: 10_000 }));
    const posted = await books.post({
      ...{ hold: hold.id, operator: name("operator"), model: model.id, quote, flags },
      ...{ rate: { nanoPerUsd: 1, source: "play" }, usage: { tokensIn: 9, tokensOut: 20, calls: 1 }, contributors },
      ...{ promptHash: name(`prompt ${call}`), answerHash: name(`answer ${call}`), evidenceRoot: name("evidence") },
      ...{ indexId: name("index"), methodsHash: name("methods") },
    });
    const { seq, receipt } = unwrap(posted);
    console.log(`entry ${seq}: a receipt of ${formatOpen(ownOf(receipt))} OPEN`);
  }
  const sink = fileSink(folder);
  const keys = { domain, ed25519: log, secp256k1: signer };
  const publisher = new Publisher({ ledger: id, sink, keys, entries: (from, until) => books.entries(from, until) });
  await publisher.publish(books.size());

  const trust = { ledger: id, domain, signer: addressOf(signer), ed25519: ed25519PublicKey(log) };
  const { size, kinds } = unwrap(await verifyJournal({ read: sink.read, trust }));
  console.log(`verified from its files: ${size} entries, ${kinds.receipt} of them receipts`);

  const path = tilePath(tileAt("entries", 0, size)!);
  const entries = unwrap(decodeBundle((await sink.read(path))!, size));
  entries.at(-2)![entries.at(-2)!.length - 1]! ^= 1; // the last entry is a batch; a receipt ends with its last leg's amount
  await sink.write(path, encodeBundle(entries));
  const fault = await verifyJournal({ read: sink.read, trust });
  assert(
    !fault.ok && fault.error.seq === size - 2,
    "a changed journal does not verify, and the changed entry is named",
  );
  console.log(`one byte of ${path} changed: ${fault.error.message}`);
  await close();
} finally {
  await rm(folder, { recursive: true, force: true });
}

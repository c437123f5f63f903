/**
 * Starts a whole node (PostgreSQL, a development chain, gateway) on a temporary folder, serves a small datanet's model, asks it through the
 * official OpenAI client, and checks by itself what the node promises: the receipt, its place in the signed batch, and whose signature it is.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { equalBytes, fromHex } from "../src/core/bytes.ts";
import { batchDigest, recoverSigner } from "../src/core/eip712.ts";
import { decodeEntry } from "../src/core/entry.ts";
import { leafHash, verifyInclusion } from "../src/core/merkle.ts";
import { formatOpen } from "../src/core/money.ts";
import { amountOf } from "../src/core/receipt.ts";
import { assert, unwrap } from "../src/core/result.ts";
import { Children } from "../src/node/children.ts";
import { startNode } from "../src/node/node.ts";
import { settlementSchema } from "../src/protocol/completions.ts";

const TEXT = `A kettle is descaled with citric acid: dissolve two spoons of it in a litre of cold water, let it stand for an hour \
without heating it, pour it out, and boil clear water once before the next cup.`;

const data = await mkdtemp(join(tmpdir(), "openledger-example-"));
await chmod(data, 0o711); // started by root, PostgreSQL is another user's process, who has to get into the folder
const children = new Children(process, (text) => console.error(text));
try {
  const node = unwrap(await startNode({ data, port: 0, say: (text) => console.error(`  ${text}`) }, children));
  const authors = [{ identity: "git:ann@example.org", name: "Ann" }];
  const record = { title: "Kettle", headingPath: ["Descaling a kettle"], text: TEXT, source: "ann's notebook" };
  const draft = { name: "household", summary: "How to keep things going", licence: "CC-BY-4.0" };
  unwrap(await node.workshop.createDatanet({ ...draft, rules: { review: "open" } }));
  const records = [{ ...record, licence: "CC-BY-4.0", date: null, authors }];
  unwrap(await node.workshop.contribute("household", { label: "Ann's notebook", licence: "CC-BY-4.0", records }));
  unwrap(await node.workshop.publish("household"));
  unwrap(await node.workshop.createModel({ name: "household", datanet: "household" }));

  const account = unwrap(await node.ledger.accounts.open({ name: "reader" }));
  const credit = { account: account.id, amount: 1_000_000_000, key: "welcome", note: "play money" };
  unwrap(await node.ledger.accounts.credit(credit));
  const { secret } = unwrap(await node.ledger.accounts.createKey({ account: account.id, name: "example" }));

  // An answer does not wait long for its receipt; who wants the promise in its last chunk says how long it may take.
  const client = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: secret, defaultHeaders: { prefer: "wait=30" } });
  const stream = await client.chat.completions.create({
    ...{ model: "household", stream: true, stream_options: { include_usage: true } },
    messages: [{ role: "user", content: "How is a kettle descaled?" }],
  });
  let last: object = {};
  for await (const chunk of stream) {
    process.stdout.write(chunk.choices[0]?.delta.content ?? "");
    last = "openledger" in chunk ? chunk : last;
  }
  const { receipt, fee, credited, promise } = settlementSchema.parse(Reflect.get(last, "openledger"));
  console.log(`\n\nreceipt ${receipt}: ${formatOpen(fee.amount)} OPEN`);
  for (const { label, payee, weight } of credited ?? []) console.log(`  ${weight / 10_000} %  ${label ?? payee}`);

  // From here on nothing is asked of the node: the promise stands by itself, under the key that the ledger has published.
  assert(promise !== undefined, "an answer ends with a promise");
  const [entry, root] = [fromHex(promise.entry), fromHex(promise.root)];
  const { first, count, seq, deadlineMs } = promise;
  const decoded = unwrap(decodeEntry(entry));
  assert(decoded.kind === "receipt" && amountOf(decoded.receipt) === fee.amount, "the promised entry is this receipt");
  const path = promise.path.map(fromHex);
  assert(verifyInclusion(root, count, seq - first, leafHash(entry), path), "the entry is in the batch");
  const domain = { chainId: node.trust.chainId, verifyingContract: fromHex(node.trust.settlement) };
  const digest = batchDigest(domain, { ledger: decoded.ledger, first, count, root, deadlineMs });
  const signer = recoverSigner(digest, fromHex(promise.signature));
  assert(signer !== undefined && equalBytes(signer, fromHex(node.trust.signer)), "the ledger signed the batch");
  console.log(`promise: entry ${seq} is in a batch of ${count} that ${node.trust.signer} has signed,`);
  console.log(`         to be published by ${new Date(deadlineMs).toISOString()}`);
} finally {
  await children.stopAll();
  await rm(data, { recursive: true, force: true });
}

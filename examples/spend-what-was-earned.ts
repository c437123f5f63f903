/**
 * From a record to spending what it earned. Starts a whole node on a temporary folder with a datanet by one author, who has a wallet and no key of the node.
 * Somebody asks and pays; the author signs once, gets an account of its own, and asks too, paid from what the record earned.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { fromHex, toHex } from "../src/core/bytes.ts";
import { formatOpen } from "../src/core/money.ts";
import { assert, unwrap } from "../src/core/result.ts";
import { Children } from "../src/node/children.ts";
import { startNode } from "../src/node/node.ts";
import { accountSchema, ownedAccountSchema } from "../src/protocol/accounts.ts";
import { receiptDetailSchema } from "../src/protocol/receipts.ts";

const fields = [
  { name: "ledger", type: "bytes32" },
  { name: "payee", type: "address" },
  { name: "account", type: "string" },
  { name: "deadline", type: "uint64" },
] as const;
const wallet = privateKeyToAccount(generatePrivateKey());
const text =
  "A kettle is descaled with citric acid: dissolve two spoons of it in a litre of cold water, and let it stand for an hour.";

const data = await mkdtemp(join(tmpdir(), "openledger-example-"));
await chmod(data, 0o711); // started by root, PostgreSQL is another user's process, who has to get into the folder
const children = new Children(process, (said) => console.error(said));
try {
  const node = unwrap(await startNode({ data, port: 0, say: (said) => console.error(`  ${said}`) }, children));
  const { url, ledger, trust, workshop } = node;
  const authors = [{ identity: `address:${wallet.address.toLowerCase()}`, name: "Ann" }];
  const record = { title: "Kettle", headingPath: ["Descaling a kettle"], text, source: "ann's notebook", authors };
  const draft = { name: "household", summary: "How to keep things going", licence: "CC-BY-4.0" };
  unwrap(await workshop.createDatanet({ ...draft, rules: { review: "open" } }));
  const records = [{ ...record, licence: "CC-BY-4.0", date: null }];
  unwrap(await workshop.contribute("household", { label: "Ann's notebook", licence: "CC-BY-4.0", records }));
  unwrap(await workshop.publish("household"));
  const royalty = { inPerMillion: 0, outPerMillion: 0, perCall: 10_000_000 };
  unwrap(await workshop.createModel({ name: "household", datanet: "household", royalty }));

  /** Asks as whoever has the key; the receipt, which anybody may read. */
  const ask = async (apiKey: string) => {
    const messages = [{ role: "user" as const, content: "How is a kettle descaled?" }];
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey });
    const { response } = await client.chat.completions.create({ model: "household", messages }).withResponse();
    const id = response.headers.get("openledger-receipt");
    return receiptDetailSchema.parse(await (await fetch(`${url}/api/receipts/${id}`)).json());
  };
  for (let i = 0; i < 4; i++) await ask(await reader());

  const contract = { chainId: trust.chainId, verifyingContract: toHex(fromHex(trust.settlement)) };
  // Everything from here on is what Ann does: she has a wallet, and the node's address.
  const deadlineMs = Date.now() + 3_600_000;
  const signature = await wallet.signTypedData({
    domain: { ...contract, name: "OpenLedger", version: "1" },
    types: { Earnings: fields },
    primaryType: "Earnings",
    message: { ledger: toHex(ledger.id), payee: wallet.address, account: "", deadline: BigInt(deadlineMs) },
  });
  const opened = await fetch(`${url}/api/payees/${wallet.address}/account`, {
    ...{ method: "POST", headers: { "content-type": "application/json" } },
    body: JSON.stringify({ deadlineMs, signature }),
  });
  const { account, secret } = ownedAccountSchema.parse(await opened.json());
  console.log(`${account.name} has no credit and ${formatOpen(BigInt(account.balance.earnedAvailable))} OPEN to spend`);

  const { id, fee, earner } = await ask(secret);
  console.log(
    `receipt ${id}: ${formatOpen(fee.amount)} OPEN, of which ${formatOpen(fee.earned)} from what ${earner?.payee} earned`,
  );
  assert(fee.earned === fee.amount, "all of it was paid from earnings");
  const headers = { authorization: `Bearer ${secret}` };
  const left = accountSchema.parse(await (await fetch(`${url}/api/accounts/me`, { headers })).json());
  // Her own question used her record, so a part of what she paid came back to her.
  console.log(
    `${formatOpen(BigInt(left.balance.earnedAvailable))} OPEN are left, and ${left.balance.spent} nano of credit were spent`,
  );

  async function reader(): Promise<string> {
    const { accounts } = ledger;
    const { id: who } = unwrap(await accounts.open({ name: "reader" }));
    unwrap(await accounts.credit({ account: who, amount: 1_000_000_000, key: "welcome", note: "play money" }));
    return unwrap(await accounts.createKey({ account: who, name: "example" })).secret;
  }
} finally {
  await children.stopAll();
  await rm(data, { recursive: true, force: true });
}

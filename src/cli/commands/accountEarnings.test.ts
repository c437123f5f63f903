import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { fromHex, padAddress, toHex } from "../../core/bytes.ts";
import { addressOf } from "../../core/eip712.ts";
import { unwrap } from "../../core/result.ts";
import { testId } from "../../gateway/testing/node.ts";
import { type MemoryNode, startMemoryNode } from "../../node/testing/memoryNode.ts";
import { ownedAccountSchema } from "../../protocol/accounts.ts";
import { runLine } from "../testing/commandLine.ts";

const privateKey = testId("wallet");
const address = toHex(addressOf(privateKey));
let node: MemoryNode;
let folder: string;
const sent: string[] = [];

/** The memory node's journal is another ledger's; here it says of the ledger that it has. */
const asIs: typeof fetch = async (input, init) => {
  sent.push(`${String(input)} ${JSON.stringify(init ?? {})}`);
  const response = await fetch(input, init);
  if (!String(input).endsWith("/api/ledger")) return response;
  const said: object = Object(await response.json());
  const settlement = toHex(new Uint8Array(20));
  return Response.json({ ...said, ledger: toHex(node.ledger.id), chainId: 31_337, settlement });
};
const cli = (key: string, ...args: string[]) =>
  runLine([...args, "--url", node.url, "--key", key, "--json"], { fetch: asIs });
const json = async (key: string, ...args: string[]): Promise<unknown> => {
  const { code, out } = await cli(key, ...args);
  expect([out, code]).toEqual([out, 0]);
  return JSON.parse(out);
};
const shownSchema = z.object({
  ...{ deadlineMs: z.number(), next: z.string() },
  toSign: z.object({
    domain: z.object({
      ...{ name: z.string(), version: z.string(), chainId: z.number() },
      verifyingContract: z.string().transform((text) => toHex(fromHex(text))),
    }),
    types: z.record(z.string(), z.array(z.object({ name: z.string(), type: z.string() }))),
    primaryType: z.string(),
    message: z.record(z.string(), z.unknown()),
  }),
});

beforeAll(async () => {
  node = await startMemoryNode();
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  await writeFile(join(folder, "wallet.key"), `${toHex(privateKey)}\n`);
  const binding = { identity: testId("author"), to: padAddress(fromHex(address)), proofHash: testId("proof") };
  unwrap(await node.ledger.books.bind({ ...binding, state: "bound" }));
});
afterAll(async () => {
  await node.stop();
  await rm(folder, { recursive: true, force: true });
});

const keyFile = () => join(folder, "wallet.key");

test("with a key file: link, look, unlink; the key is in no request and nothing that is printed", async () => {
  const secret = await node.key({ funds: 0 });
  const linked = await cli(secret, "account", "link", "me", address, "--key-file", keyFile());
  expect(JSON.parse(linked.out)).toMatchObject({ payee: toHex(padAddress(fromHex(address))) });
  const shown = await runLine(["account", "show", "--url", node.url, "--key", secret], { fetch: asIs });
  expect(shown.out).toContain(`linked to ${toHex(padAddress(fromHex(address)))}`);
  expect(shown.out).toContain(toHex(testId("author")));
  await json(secret, "account", "unlink");
  expect(await json(secret, "account", "show")).not.toHaveProperty("payee");
  const all = [...sent, linked.out, linked.err, shown.out].join("\n");
  expect(all).not.toContain(toHex(privateKey).slice(2));
  const other = join(folder, "other.key");
  await writeFile(other, toHex(testId("another wallet")));
  const wrong = await cli(secret, "account", "link", "me", address, "--key-file", other);
  expect([wrong.code, JSON.parse(wrong.out)]).toMatchObject([64, { error: { message: /holds the key of 0x/ } }]);
});

test("without one it prints what any wallet signs, and what to run next", async () => {
  const secret = await node.key({ funds: 0 });
  const { id } = z.object({ id: z.string() }).parse(await json(secret, "account", "show"));
  const { toSign, next, deadlineMs } = shownSchema.parse(await json(secret, "account", "link", "me", address));
  expect(toSign.message).toEqual({
    ledger: toHex(node.ledger.id),
    payee: address,
    account: id,
    deadline: String(deadlineMs),
  });
  const signature = await privateKeyToAccount(toHex(privateKey)).signTypedData(toSign);
  expect(next).toBe(`openledger account link ${id} ${address} --deadline ${deadlineMs} --signature 0x…`);
  const args = next.replace("openledger ", "").replace("0x…", signature).split(" ");
  expect(await json(secret, ...args)).toMatchObject({ id, payee: toHex(padAddress(fromHex(address))) });
  const text = await runLine(["account", "link", "me", address, "--url", node.url, "--key", secret], { fetch: asIs });
  expect(text.out).toContain("eth_signTypedData_v4");
  expect(JSON.parse(text.out.trimEnd().split("\n").at(-1)!)).toMatchObject({ primaryType: "Earnings" });
});

test("somebody who is paid opens an account of its own with no key of the node, and replaces its key", async () => {
  const open = async () => ownedAccountSchema.parse(await json("", "account", "own", address, "--key-file", keyFile()));
  const first = await open();
  expect(await json(first.secret, "account", "show")).toMatchObject({ id: first.account.id });
  const second = await open();
  expect(second.account.id).toBe(first.account.id);
  expect((await cli(first.secret, "account", "show")).code).toBe(77);
  const { toSign, next } = shownSchema.parse(await json("", "account", "own", address));
  expect([toSign.message["account"], next]).toEqual(["", expect.stringContaining(`account own ${address}`)]);
});

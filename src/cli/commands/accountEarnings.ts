import { z } from "zod";
import { fromHex, toHex } from "../../core/bytes.ts";
import {
  addressOf,
  type Domain,
  type EarningsStatement,
  earningsDigest,
  earningsTypedData,
  signDigest,
} from "../../core/eip712.ts";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { accountSchema, ownedAccountSchema } from "../../protocol/accounts.ts";
import { address, empty, signature as signatureHex } from "../../protocol/scalars.ts";
import { ledgerTrustSchema } from "../../protocol/workshop.ts";
import type { Client } from "../client.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { accountId, wholeNumber, wholeText } from "./inputs.ts";
import { readPrivateKey } from "./keyFile.ts";

type Account = z.infer<typeof accountSchema>;

const HOUR_MS = 3_600_000;
const addressArgument = ["<address>", "0x and 40 hex digits: the address that is paid"] as const;
const proofOptions: readonly (readonly [string, string])[] = [
  ["--key-file <path>", "a file with the address's private key in hex: signs here, and sends no key"],
  ["--signature <hex>", "of what this command printed, made by a wallet"],
  ["--deadline <ms>", "milliseconds since 1970, as it stands in what was signed elsewhere"],
];
const proofInput = {
  ...{ keyFile: wholeText.optional(), deadline: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional() },
  signature: signatureHex.optional(),
};
interface ProofInput {
  readonly keyFile?: string | undefined;
  readonly deadline?: number | undefined;
  readonly signature?: string | undefined;
}
/** A signature is of one deadline. */
const isWhole = ({ signature, deadline }: ProofInput) => signature === undefined || deadline !== undefined;
const withDeadline = { message: "goes with --signature", path: ["deadline"] };

const link = command({
  path: "account link",
  summary: "Let an account spend and see what an address earns, by that address's signature",
  arguments: [["<id>", "the account, or me"], addressArgument],
  options: proofOptions,
  examples: ["openledger account link me 0x… --key-file ann.key", "openledger account link acct_… 0x… --json"],
  input: z.object({ id: accountId, address, ...proofInput }).refine(isWhole, withDeadline),
  run: async ({ id, address: payee, ...given }, { client: open, output, world }) => {
    const client = await open();
    if (!client.ok) return client;
    const account = id === "me" ? await client.value.get("/api/accounts/me", accountSchema) : ok({ id });
    if (!account.ok) return account;
    const proof = await prove(client.value, { payee, account: account.value.id, ...given }, world.nowMs());
    if (!proof.ok) return proof;
    if (proof.value.signature === undefined)
      return askToSign(proof.value, `openledger account link ${account.value.id} ${payee}`, output);
    const { deadlineMs, signature } = proof.value;
    const path = `/api/accounts/${account.value.id}/payee`;
    const linked = await client.value.put(path, { payee, deadlineMs, signature }, accountSchema);
    if (linked.ok) showAccount(linked.value, output);
    return linked;
  },
});

const unlink = command({
  path: "account unlink",
  summary: "Let an account spend nobody's earnings any more",
  arguments: [
    ["[id]", "the key's own where it is left out; with the key of the payee's own account, any that is linked to it"],
  ],
  examples: ["openledger account unlink", "openledger account unlink acct_…"],
  input: z.object({ id: accountId.default("me") }),
  run: async ({ id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const done = await client.value.delete(`/api/accounts/${id}/payee`, empty);
    if (done.ok) output.line("the account spends nobody's earnings any more; what is held now stays held");
    return done;
  },
});

const own = command({
  path: "account own",
  summary: "As somebody who is paid: an account of your own with a key, by your address's signature",
  arguments: [addressArgument],
  options: proofOptions,
  examples: ["openledger account own 0x… --key-file ann.key --url https://node.example.org"],
  input: z.object({ address, ...proofInput }).refine(isWhole, withDeadline),
  run: async ({ address: payee, ...given }, { client: open, output, world }) => {
    const client = await open();
    if (!client.ok) return client;
    const proof = await prove(client.value, { payee, account: "", ...given }, world.nowMs());
    if (!proof.ok) return proof;
    if (proof.value.signature === undefined) return askToSign(proof.value, `openledger account own ${payee}`, output);
    const { deadlineMs, signature } = proof.value;
    const path = `/api/payees/${payee}/account`;
    const opened = await client.value.post(path, { deadlineMs, signature }, ownedAccountSchema);
    if (!opened.ok) return opened;
    showAccount(opened.value.account, output);
    output.line(`  its key: ${opened.value.secret}`);
    output.line("  it is shown this once; the same command makes another, and then this one opens nothing more");
    return opened;
  },
});

export const earningsCommands: readonly CliCommand[] = [link, unlink, own];

/** An account, what it has, and whose earnings it may spend. */
export function showAccount({ id, name, payee, earners, balance }: Account, output: Output): void {
  output.line(`${id} (${name})`);
  output.table([amounts(balance)]);
  if (payee === undefined) return;
  output.line(
    `  linked to ${payee}: it spends what this payee earned, and the identities bound to it, until that is settled`,
  );
  output.table(
    (earners ?? []).map(({ payee: who, label, lifetime, available }) => ({
      ...{ payee: label ?? who, "earned OPEN": formatOpen(BigInt(lifetime)) },
      "to spend now OPEN": formatOpen(BigInt(available)),
    })),
  );
}

export function amounts(balance: Account["balance"]): Record<string, string> {
  const rows = Object.entries(balance).map(
    ([what, nano]) => [what === "earnedAvailable" ? "earned" : what, nano] as const,
  );
  return Object.fromEntries(rows.map(([what, nano]) => [`${what} OPEN`, formatOpen(BigInt(nano))]));
}

interface Proof {
  readonly deadlineMs: number;
  readonly toSign: object;
  /** Undefined where nobody has signed yet. */
  readonly signature: string | undefined;
}

/** What is signed is put together here, of what the node says of its ledger: it can be nothing but a statement on earnings. */
async function prove(
  client: Client,
  { payee, account, keyFile, ...given }: ProofInput & { readonly payee: string; readonly account: string },
  nowMs: number,
): Promise<Result<Proof>> {
  const trust = await client.get("/api/ledger", ledgerTrustSchema);
  if (!trust.ok) return trust;
  const { ledger, chainId, settlement } = trust.value;
  const domain = { chainId, verifyingContract: fromHex(settlement) };
  const deadlineMs = given.deadline ?? nowMs + HOUR_MS;
  const statement = { ledger: fromHex(ledger), payee: fromHex(payee), account, deadlineMs };
  const toSign = earningsTypedData(domain, statement);
  if (given.signature !== undefined || keyFile === undefined)
    return ok({ deadlineMs, toSign, signature: given.signature });
  const signature = await signedWith(keyFile, domain, statement);
  return signature.ok ? ok({ deadlineMs, toSign, signature: signature.value }) : signature;
}

async function signedWith(path: string, domain: Domain, statement: EarningsStatement): Promise<Result<string>> {
  const text = await readPrivateKey(path);
  if (!text.ok) return text;
  const key = fromHex(text.value);
  if (toHex(addressOf(key)) === toHex(statement.payee))
    return ok(toHex(signDigest(key, earningsDigest(domain, statement))));
  return refuse("invalid_request", `${path} holds the key of ${toHex(addressOf(key))}`, { field: "keyFile" });
}

function askToSign({ deadlineMs, toSign }: Proof, again: string, output: Output): Result<object> {
  const next = `${again} --deadline ${deadlineMs} --signature 0x…`;
  output.line(`Sign this with the wallet of that address (eth_signTypedData_v4; cast wallet sign --data), then:`);
  output.line(`  ${next}`);
  output.line(JSON.stringify(toSign));
  return ok({ deadlineMs, toSign, next });
}

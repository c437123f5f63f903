import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import {
  paidClaimsSchema,
  type RelayOutlookView,
  relayConsentSchema,
  relayOutlookSchema,
  relayQuoteSchema,
  relaySentSchema,
} from "../../protocol/relays.ts";
import { empty } from "../../protocol/scalars.ts";
import { type Output, payeeText } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, payeeId, wholeNumber, wholeText } from "./inputs.ts";
import { readPrivateKey } from "./keyFile.ts";

type Quote = z.infer<typeof relayQuoteSchema>;
const payee = ["<payee>", "the payee's address, or its id of 64 hex digits"] as const;
const signature = z.string().regex(/^0x[0-9a-fA-F]{130}$/, "must be a signature, 65 bytes of hex with 0x");
const keyFile = [
  "--key-file <path>",
  "a file with the payee's private key in hex: signs here, and sends no key",
] as const;

const show = command({
  path: "relay show",
  summary: "Whose claims would be relayed now, at what cost, and who waits for what",
  examples: ["openledger relay show"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/relay", relayOutlookSchema);
    if (found.ok) showOutlook(found.value, output);
    return found;
  },
});

const send = command({
  path: "relay send",
  summary: "Relay the claims that are due now, in as few transactions as it takes",
  examples: ["openledger relay send"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const sent = await client.value.post("/api/relay", {}, relaySentSchema);
    if (!sent.ok) return sent;
    showOutlook(sent.value, output, true);
    for (const transaction of sent.value.transactions) output.line(`sent in transaction ${transaction}`);
    if (sent.value.transactions.length === 0) output.line("nothing was sent");
    return sent;
  },
});

const quote = command({
  path: "relay quote",
  summary: "What relaying a payee's claim costs now, and what would be taken out of it",
  arguments: [payee],
  examples: ["openledger relay quote 0x…"],
  input: z.object({ payee: payeeId }),
  run: async ({ payee: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/claims/${id}/relay`, relayQuoteSchema);
    if (found.ok) showQuote(found.value, output);
    return found;
  },
});

const agree = command({
  path: "relay agree",
  summary: "As a payee: let the node claim for you, for its gas at cost, within your terms",
  arguments: [payee],
  options: [
    keyFile,
    ["--max-fee <bps>", "most of a payout that the fee may be, in hundredths of a percent (default 100, at most 200)"],
    ["--days <days>", "for how long (default 365)"],
    ["--until <seconds>", "the same as a time, as it stands in what was signed elsewhere"],
    ["--on-chain", "the payee is a contract, and has called consent and approve itself"],
    ["--signature <hex>", "of the consent, made by a wallet"],
    ["--permit <hex>", "of the permit, made by a wallet"],
  ],
  examples: ["openledger relay agree 0x… --key-file ann.key", "openledger relay agree 0x… --json"],
  input: z
    .object({
      ...{ payee: payeeId, keyFile: wholeText.optional(), maxFee: wholeNumber(1, 200).optional() },
      ...{ days: wholeNumber(1, 3_650).optional(), until: wholeNumber(1, 4_294_967_295).optional() },
      ...{ signature: signature.optional(), permit: signature.optional(), onChain: flag },
    })
    .refine((input) => (input.signature === undefined) === (input.permit === undefined), {
      ...{ message: "goes with --signature", path: ["permit"] },
    }),
  run: async ({ payee: id, keyFile: path, maxFee, days, until, onChain, ...given }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    if (onChain) {
      const known = await client.value.post(`/api/claims/${id}/relay/onchain`, {}, relayConsentSchema);
      if (known.ok) output.line(`agreed by ${known.value.account}, at the contract`);
      return known;
    }
    const wanted = { feeBpsMax: maxFee, days, until };
    const found = await client.value.get(`/api/claims/${id}/relay`, relayQuoteSchema, wanted);
    if (!found.ok) return found;
    const { terms, toSign } = found.value;
    showQuote(found.value, output);
    const signed = await signedBoth(path, given, toSign);
    if (!signed.ok) return signed;
    if (signed.value === undefined) {
      output.line("Sign both with your wallet (eth_signTypedData_v4), then send the signatures with the same terms:");
      output.line(
        `  openledger relay agree ${id} --max-fee ${terms.feeBpsMax} --until ${terms.until} --signature 0x… --permit 0x…`,
      );
      for (const data of [toSign.consent, toSign.permit]) output.line(JSON.stringify(data));
      return ok({ terms, toSign });
    }
    const body = { terms, permitDeadline: terms.until, ...signed.value };
    const agreed = await client.value.post(`/api/claims/${id}/relay`, body, relayConsentSchema);
    if (agreed.ok) output.line(`agreed by ${agreed.value.account}; take it back with: openledger relay withdraw ${id}`);
    return agreed;
  },
});

const withdraw = command({
  path: "relay withdraw",
  summary: "As a payee: be relayed no more",
  arguments: [payee],
  options: [keyFile, ["--signature <hex>", "of the withdrawal, made by a wallet"]],
  examples: ["openledger relay withdraw 0x… --key-file ann.key"],
  input: z.object({ payee: payeeId, keyFile: wholeText.optional(), signature: signature.optional() }),
  run: async ({ payee: id, keyFile: path, signature: made }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/claims/${id}/relay`, relayQuoteSchema);
    if (!found.ok) return found;
    const { withdrawal } = found.value.toSign;
    const signed =
      made !== undefined ? ok(made) : path === undefined ? ok(undefined) : await signedWith(path, withdrawal);
    if (!signed.ok) return signed;
    if (signed.value === undefined) {
      output.line(
        "Sign this with your wallet (eth_signTypedData_v4), then: openledger relay withdraw … --signature 0x…",
      );
      output.line(JSON.stringify(withdrawal));
      return ok({ toSign: withdrawal });
    }
    const body = { signature: signed.value };
    const done = await client.value.post(`/api/claims/${id}/relay/withdrawal`, body, empty);
    if (done.ok) output.line("the node relays this payee no more");
    return done;
  },
});

const history = command({
  path: "relay history",
  summary: "What a payee has claimed on chain, and the fees that were taken out of it",
  arguments: [payee],
  examples: ["openledger relay history 0x…"],
  input: z.object({ payee: payeeId }),
  run: async ({ payee: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/claims/${id}/paid`, paidClaimsSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ timeMs, nano, fee, paid, transaction, relay }) => ({
          ...{
            day: new Date(timeMs).toISOString().slice(0, 10),
            OPEN: open9(nano),
            fee: open9(fee),
            paid: open9(paid),
          },
          ...{ gas: relay?.gasUsed ?? "", "OPEN for one ETH": relay === null ? "" : relay.microOpenPerEth / 1e6 },
          transaction: transaction.slice(0, 14),
        })),
        "nothing was claimed on chain yet",
      );
    return found;
  },
});

export const relayCommands: readonly CliCommand[] = [show, quote, agree, withdraw, send, history];

function showOutlook(outlook: RelayOutlookView, output: Output, isSent = false): void {
  const { gasPriceWei, microOpenPerEth, members, waiting, budget, everyMs } = outlook;
  const every = everyMs === 0 ? "by hand" : `every ${everyMs / 3_600_000} h`;
  output.line(
    `gas at ${Number(gasPriceWei) / 1e9} gwei, ${microOpenPerEth / 1e6} OPEN for one ETH; batches go ${every}`,
  );
  output.line(`  ${open9(budget)} OPEN of the treasury are left for the gas of the small that have waited`);
  output.heading(isSent ? `${members.length} went` : `${members.length} would go now`);
  output.table(
    members.map(({ payee: who, due, gas, cost, fee, isFree }) => ({
      ...{ payee: payeeText(who), OPEN: open9(due), gas, cost: open9(cost), fee: open9(fee) },
      "paid by": isFree ? "the treasury" : "itself",
    })),
  );
  output.heading(`${waiting.length} ${waiting.length === 1 ? "waits" : "wait"}`);
  output.table(
    waiting.map(({ payee: who, due, goesAt, goesFromMs }) => ({
      ...{ payee: payeeText(who), OPEN: open9(due), why: "too small for its gas", "goes at": open9(goesAt) },
      "or from": new Date(goesFromMs).toISOString().slice(0, 10),
    })),
  );
}

function showQuote({ account, due, gas, cost, fee, batch, agreed, terms, goesAt }: Quote, output: Output): void {
  output.line(`${open9(due)} OPEN are due, and go to ${account}`);
  output.line(`  relayed now, as one of ${batch}: ${gas} gas, ${open9(cost)} OPEN`);
  output.line(
    BigInt(due) < BigInt(goesAt)
      ? `  that is too much of it, so it waits until ${open9(goesAt)} OPEN are due`
      : `  the fee would be ${open9(fee)} OPEN`,
  );
  const most = (agreed ?? terms).feeBpsMax / 100;
  output.line(
    agreed === null ? `  not agreed yet; asked for: at most ${most} %` : `  agreed: at most ${most} % of a payout`,
  );
}

async function signedBoth(
  path: string | undefined,
  given: { readonly signature?: string | undefined; readonly permit?: string | undefined },
  toSign: Quote["toSign"],
): Promise<Result<{ readonly signature: string; readonly permit: string } | undefined>> {
  if (given.signature !== undefined && given.permit !== undefined)
    return ok({ signature: given.signature, permit: given.permit });
  if (path === undefined) return ok(undefined);
  if (!isForRelay(toSign))
    return refuse("upstream_failed", "the node asks for a permit for another contract than the one that is agreed to");
  const consent = await signedWith(path, toSign.consent);
  if (!consent.ok) return consent;
  const permit = await signedWith(path, toSign.permit);
  return permit.ok ? ok({ signature: consent.value, permit: permit.value }) : permit;
}

const typedDataSchema = z.object({
  domain: z.object({
    ...{ name: z.string(), version: z.string(), chainId: z.number() },
    verifyingContract: z.string().transform((text): Hex => `0x${text.slice(2)}`),
  }),
  types: z.record(z.string(), z.array(z.object({ name: z.string(), type: z.string() }))),
  ...{ primaryType: z.string(), message: z.record(z.string(), z.unknown()) },
});

/** A permit lets its spender take OPEN: it has to be the contract whose terms are signed beside it, on the same chain. */
function isForRelay({ consent, permit }: Quote["toSign"]): boolean {
  const [terms, allowance] = [typedDataSchema.safeParse(consent), typedDataSchema.safeParse(permit)];
  if (!terms.success || !allowance.success) return false;
  const { domain, message } = allowance.data;
  const isSameChain = domain.chainId === terms.data.domain.chainId;
  return isSameChain && message["spender"] === terms.data.domain.verifyingContract;
}

/** Nothing but the signature leaves. What is signed is what the node said, so the purpose of it is checked first. */
async function signedWith(path: string, data: unknown): Promise<Result<string>> {
  const typed = typedDataSchema.safeParse(data);
  if (!typed.success || !["RelayConsent", "Permit"].includes(typed.data.primaryType))
    return refuse("upstream_failed", "the node asks for another signature than a consent's");
  const key = await readPrivateKey(path);
  return key.ok ? ok(await privateKeyToAccount(key.value).signTypedData(typed.data)) : key;
}

function open9(nano: string): string {
  return formatOpen(BigInt(nano));
}

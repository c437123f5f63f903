import { z } from "zod";
import { address, hex, hex32, signature, timeMs, total } from "./scalars.ts";

/** Relayed claims of the own API: what they cost, who goes, who waits, and what payees agree to. */
const seconds = z.number().int().min(0).max(4_294_967_295);

export const relayTermsSchema = z.strictObject({
  relayer: address,
  feeBpsMax: z.number().int().min(1).max(200),
  rateMax: z.number().int().min(1).max(281_474_976_710_655),
  until: seconds,
});
export const relayConsentBody = z.strictObject({
  ...{ terms: relayTermsSchema, signature, permitDeadline: seconds, permit: signature },
});
export const relayConsentSchema = z.object({
  ...{ payee: hex, account: hex, agreedMs: timeMs, terms: relayTermsSchema },
});
export const relayWithdrawalBody = z.strictObject({ signature });

const prices = {
  gasPriceWei: z.string().regex(/^\d+$/),
  microOpenPerEth: z
    .number()
    .int()
    .meta({ description: "millionths of an OPEN for one ETH, as the node's owner says" }),
};
const planned = {
  due: total,
  gas: z.number().int(),
  cost: total.meta({ description: "what the claim's gas is expected to cost, nano OPEN" }),
  fee: total.meta({ description: "what would be taken out of the payout: the cost, within what the payee lets" }),
  isFree: z.boolean().meta({ description: "the node pays: it has waited long enough" }),
};
const waiting = {
  goesAt: total.meta({ description: "the amount at which it would go at these prices" }),
  goesFromMs: timeMs.meta({ description: "or from when on, while the node's budget lasts" }),
};

export const relayOutlookSchema = z.object({
  ...{ contract: hex, relayer: hex, epoch: z.number().int(), ...prices, budget: total },
  ...{ feeBpsUsual: z.number().int(), feeBpsMax: z.number().int() },
  ...{ patienceMs: z.number().int(), everyMs: z.number().int(), subsidyBps: z.number().int() },
  members: z.array(z.object({ payee: hex, ...planned })),
  waiting: z.array(z.object({ payee: hex, due: total, ...waiting })),
});
export type RelayOutlookView = z.infer<typeof relayOutlookSchema>;
export const relaySentSchema = relayOutlookSchema.extend({ transactions: z.array(hex) });

/** What a payee is asked to sign: EIP-712 typed data, for `eth_signTypedData_v4`. */
export const relayQuoteSchema = z.object({
  ...{ payee: hex, account: hex, batch: z.number().int(), ...planned },
  goesAt: waiting.goesAt,
  agreed: relayTermsSchema.nullable(),
  terms: relayTermsSchema,
  toSign: z.object({ consent: z.looseObject({}), permit: z.looseObject({}), withdrawal: z.looseObject({}) }),
});
export const relayQuoteQuery = z.object({
  feeBpsMax: z.coerce.number().int().min(1).max(200).optional(),
  until: z.coerce.number().int().min(1).max(4_294_967_295).optional(),
  days: z.coerce.number().int().min(1).max(3_650).default(365),
});

export const paidClaimsSchema = z.object({
  data: z.array(
    z.object({
      ...{ reference: z.string(), transaction: hex, timeMs, epoch: z.number().int(), account: hex, nano: total },
      ...{ fee: total, paid: total, nanoPerUsd: z.number().int(), rateSource: z.string() },
      relay: z
        .object({ relayer: hex, gasUsed: z.number().int(), ...prices })
        .nullable()
        .meta({ description: "how the fee was reckoned, where a relay took one" }),
    }),
  ),
});
export const relayPayeeParam = z.object({ payee: hex32 });

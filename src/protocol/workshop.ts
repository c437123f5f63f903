import { z } from "zod";
import { accountSchema } from "./accounts.ts";
import { hex, hex16, hex32, name, storable, timeMs, total } from "./scalars.ts";

/** What a node's owner can do over the own API: make datanets and models, take contributions in, carry datanets away and back, bind identities. */
const licence = z.string().min(1).max(200);

export const createDatanetSchema = z.object({
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/, "a datanet name has 1 to 64 of a-z, 0-9 and . _ - inside"),
  summary: z.string().min(1).max(280),
  description: z.string().max(20_000).optional(),
  tags: z.array(z.string().max(32)).max(16).optional(),
  licence,
  rules: z
    .object({
      licences: z.array(licence).min(1).max(100).optional(),
      charactersMin: z.number().int().min(1).optional(),
      charactersMax: z.number().int().min(1).optional(),
      recordsMax: z.number().int().min(1).optional(),
      review: z.enum(["required", "open"]).optional(),
    })
    .optional(),
});
export type CreateDatanet = z.infer<typeof createDatanetSchema>;

export const RECORDS_PER_CONTRIBUTION_MAX = 5_000;
export const recordContentSchema = z.object({
  title: z.string().max(1_000),
  headingPath: z.array(z.string().max(1_000)).max(16),
  text: z.string().min(1).max(200_000),
  source: z.string().min(1).max(2_000),
  licence,
  date: z.string().max(64).nullable(),
  authors: z.array(z.object({ identity: z.string().min(1).max(300), name: z.string().max(300) })).max(1_000),
});
const citedId = z.string().min(1).max(300);
export const contributeSchema = z.object({
  /** A 32-byte party id or an external identity; the node's own party where it is left out. */
  by: z.string().min(1).max(300).optional(),
  label: z.string().min(1).max(300),
  licence,
  /** Receipts of answers of this ledger that the records were made from. */
  derivedFrom: z.array(hex16).max(16).optional(),
  records: z.array(recordContentSchema).min(1).max(RECORDS_PER_CONTRIBUTION_MAX),
  /** The documents that the records are of, by their places in the list, and what these build on: a part of their credit goes there. */
  documents: z
    .array(
      z.strictObject({
        id: citedId,
        records: z.array(z.number().int().min(0).max(RECORDS_PER_CONTRIBUTION_MAX)).min(1).max(10_000),
        cites: z.array(citedId).max(256),
      }),
    )
    .max(RECORDS_PER_CONTRIBUTION_MAX)
    .optional(),
});
export type Contribute = z.infer<typeof contributeSchema>;

export const leftOutSchema = z.object({ what: z.string(), reason: z.string() });
export const contributedSchema = z.object({
  id: hex,
  status: z.enum(["pending", "approved", "rejected"]),
  number: z.number().int(),
  records: z.number().int(),
  leftOut: z.array(leftOutSchema),
});
export type Contributed = z.infer<typeof contributedSchema>;

export const exportFiles = ["metadata.json", "records.jsonl", "contributions.jsonl", "versions.jsonl"] as const;
export type ExportFile = (typeof exportFiles)[number];
export const exportParam = z.object({
  name,
  file: z.enum(exportFiles, { error: `an export has the files ${exportFiles.join(", ")}` }),
});
export const restoreSchema = z.object({
  files: z.object({
    "metadata.json": z.string(),
    "records.jsonl": z.string(),
    "contributions.jsonl": z.string(),
    "versions.jsonl": z.string(),
  }),
});
export type ExportFiles = Readonly<Record<ExportFile, string>>;
export const restoredSchema = z.object({
  name: z.string(),
  records: z.number().int(),
  contributions: z.number().int(),
  versions: z.number().int(),
});
export type Restored = z.infer<typeof restoredSchema>;

const amount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const price = amount.default(0);
/** Nano OPEN. */
export const modelPrices = z.object({ inPerMillion: price, outPerMillion: price, perCall: price });
/** What is not named stays. */
const change = amount.optional();
export const priceChanges = z.object({ inPerMillion: change, outPerMillion: change, perCall: change });
export const createModelSchema = z.object({
  name,
  datanet: name,
  /** The latest where it is left out. */
  version: z.number().int().min(1).optional(),
  royalty: modelPrices.optional(),
  /** What the prices are in; the cost of serving it is quoted in the same. */
  unit: z.enum(["nano", "microUsd"]).optional(),
  parentsBps: z.number().int().min(0).max(10_000).optional(),
});
export type CreateModel = z.infer<typeof createModelSchema>;

export const bindingViewSchema = z.object({
  datanet: z.string(),
  identity: z.string(),
  payee: hex,
  state: z.enum(["noticed", "bound", "refused", "redirected", "left", "expired"]),
  /** 20 bytes; null where nobody stands behind the identity. */
  to: hex.nullable(),
  proofHash: hex,
  noticedMs: timeMs,
  noticeEndsMs: timeMs,
  changedMs: timeMs,
});
export type BindingView = z.infer<typeof bindingViewSchema>;
export const bindingListSchema = z.object({ data: z.array(bindingViewSchema) });

/** Where the node finds the proof. It reads it there itself; what a claimant sends is only ever a signed object. */
export const proofSchema = z.discriminatedUnion("kind", [
  /** `FUNDING.json` on the default branch; `clone` is a folder of the node's machine that holds the node's own clone. */
  z.object({ kind: z.literal("funding_json"), clone: storable.min(1).max(4_096).optional() }),
  /** The raw commit object (`git cat-file commit ID`), base64. */
  z.object({
    kind: z.literal("signed_commit"),
    commit: z.base64().min(1).max(200_000),
    clone: storable.min(1).max(4_096).optional(),
  }),
]);
export type Proof = z.infer<typeof proofSchema>;

const identity = z.string().min(3).max(300);
export const noticeSchema = z.object({
  identity,
  /** Must be what the proof says: 20 bytes of hex. */
  address: z.string().regex(/^0x[0-9a-fA-F]{40}$/, "an address, 0x and 40 hex digits"),
  proof: proofSchema,
});
export type Notice = z.infer<typeof noticeSchema>;
export const refuseBindingSchema = z.object({ identity, proof: proofSchema });
export type RefuseBinding = z.infer<typeof refuseBindingSchema>;

export const paidClaimSchema = z.object({
  payee: hex,
  epoch: z.number().int(),
  /** Nano that this claim paid out. */
  paid: total,
  transaction: z.string(),
});
export type PaidClaim = z.infer<typeof paidClaimSchema>;

/** Whom a verifier of this ledger believes, and where its chain is. Also kept as `ledger.json` in the data folder. */
export const ledgerTrustSchema = z.object({
  ledger: hex32,
  chainId: z.number().int(),
  /** EIP-712 verifying contract: 20 bytes. */
  settlement: z.string().regex(/^0x[0-9a-fA-F]{40}$/, "an address, 0x and 40 hex digits"),
  /** Signs batches and checkpoints: 20 bytes. */
  signer: z.string().regex(/^0x[0-9a-fA-F]{40}$/, "an address, 0x and 40 hex digits"),
  /** Ed25519 public key of the journal: 32 bytes. */
  logKey: hex32,
  /** Absent where the node gives its chain's endpoint to nobody. */
  rpcUrl: z.string().optional(),
  contracts: z.record(z.string(), z.string()).optional(),
  /** Of a ledger that began on credit: the entry with which it moved to the chain. What was signed before names chain 0 and no contract. */
  movedAt: z.number().int().optional(),
});
export type LedgerTrustView = z.infer<typeof ledgerTrustSchema>;

export const accountListSchema = z.object({ data: z.array(accountSchema) });
export type AccountView = z.infer<typeof accountSchema>;

/** Who made a datanet's context, by what it changed in the answers of late. Weights are of one version and have no unit. */
const contextVersionSchema = z.object({
  version: z.number().int(),
  asset: z.string(),
  /** Answers that were read. */
  answers: z.number().int(),
  /** `label` is what the node calls the payee, where it has a name for it. */
  parties: z.array(
    z.object({ by: z.string(), payee: z.string(), label: z.string().optional(), weight: z.number().int() }),
  ),
});
export type ContextVersionView = z.infer<typeof contextVersionSchema>;
export const contextSchema = z.object({ datanet: z.string(), versions: z.array(contextVersionSchema) });
export type ContextView = z.infer<typeof contextSchema>;

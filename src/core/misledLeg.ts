import type { KnownParties } from "./books.ts";
import { equalBytes } from "./bytes.ts";
import { contextSubject, priorSubject } from "./pool.ts";
import type { Receipt } from "./receipt.ts";

/** A role's legs must lead to what the assets say: the model's royalty, its contexts, its datanets' priors. */
export function misledLeg(parties: KnownParties, receipt: Receipt): string | undefined {
  const model = parties.asset(receipt.model);
  if (model === undefined) return "its model is not registered";
  const family = parties.ancestors(receipt.model);
  const contexts = family.filter((asset) => asset.assetKind === "context");
  const datanets = family.filter((asset) => asset.assetKind === "datanet");
  const priors = datanets.map((asset) => priorSubject(asset.id));
  const measured = datanets.map((asset) => contextSubject(asset.id));
  for (const leg of receipt.legs) {
    const subject = parties.poolSubject(leg.payee);
    if (leg.role === "model" && !parties.isRoyaltyPayee(model, leg.payee))
      return `the model's part is paid to payee ${leg.payee}`;
    const isMeasured = subject !== undefined && measured.some((context) => equalBytes(context, subject));
    if (leg.role === "context" && !isMeasured && !contexts.some((asset) => parties.isRoyaltyPayee(asset, leg.payee)))
      return `the context's part is paid to payee ${leg.payee}`;
    const isPrior = subject !== undefined && priors.some((prior) => equalBytes(prior, subject));
    if (leg.role === "prior" && !isPrior) return `a prior's part is paid to payee ${leg.payee}`;
  }
  return undefined;
}

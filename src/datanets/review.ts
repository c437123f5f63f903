import { ok, type Result, refuse } from "../core/result.ts";
import type { Contribution, Decision } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";

/** A contribution, or an annotation. */
type Decidable = Pick<Contribution, "id" | "by" | "status" | "decision">;

/**
 * A decision on a contribution: once, with a reason, by somebody else than who put it in. Only the datanet's owner may decide on what is their own,
 * since a datanet of one has nobody else to ask; the decision names them.
 */
export function decide<T extends Decidable>(datanet: Datanet, contribution: T, decision: Decision): Result<T> {
  const reason = decision.reason.trim();
  if (reason.length < 3 || reason.length > 2_000) {
    return refuse("invalid_request", "a decision gives its reason, in 3 to 2000 characters", { field: "reason" });
  }
  if (decision.by.trim() === "") return refuse("invalid_request", "a decision says who took it", { field: "by" });
  if (contribution.decision !== null) {
    const { by, timeMs } = contribution.decision;
    return refuse(
      "conflict",
      `${contribution.id} was ${contribution.status} by ${by} at ${new Date(timeMs).toISOString()}`,
      {
        hint: "a decision stands; put in a new contribution, or dispute it",
      },
    );
  }
  if (decision.by === contribution.by && decision.by !== datanet.owner) {
    return refuse("forbidden", "nobody decides on their own contribution", {
      hint: "ask another reviewer of this datanet",
    });
  }
  const status = decision.decision === "approve" ? "approved" : "rejected";
  return ok({ ...contribution, status, decision: { ...decision, reason } });
}

import { type Hex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Datanet } from "./datanet.ts";
import type { DraftDocument, LeftOut } from "./importing.ts";
import type { RecordLineage } from "./outputs.ts";
import { packFields } from "./pack.ts";
import { checkRecord, type Finding } from "./quality.ts";
import { cleanContent, type DatanetRecord, type RecordContent, recordId, sealRecord } from "./record.ts";

/** A contribution: records that one party put in, with their licence, and what was decided about them. */
export type ContributionStatus = "pending" | "approved" | "rejected";

export interface Contribution {
  /** SHA-256 over datanet, party, licence and record ids: the same records put in again by the same party are the same contribution. */
  readonly id: Hex;
  /** The datanet's name. */
  readonly datanet: string;
  /** Order of registration within the datanet, from 1: the earlier of two copies stands. */
  readonly number: number;
  /** Who put it in: a 32-byte party id, or an external identity. */
  readonly by: string;
  readonly label: string;
  readonly licence: string;
  readonly records: number;
  readonly status: ContributionStatus;
  readonly decision: Decision | null;
  /** What the automatic checks noted, for the reviewer. */
  readonly notes: readonly Note[];
  /** Which of its records repeat earlier answers; left out where none does, or nobody looked. */
  readonly lineage?: readonly RecordLineage[];
  /** The documents that its records are of and what they build on, where they say so; left out where none does. */
  readonly documents?: readonly CitedDocument[];
  readonly submittedMs: number;
}

/** A document as others cite it. */
export interface CitedDocument {
  /** What it is called in citations, such as `EIP-20`. */
  readonly id: string;
  readonly records: readonly Hex[];
  /** Ids of the documents that it builds on; those that the datanet does not have say nothing. */
  readonly cites: readonly string[];
}

export interface Decision {
  readonly decision: "approve" | "reject";
  readonly reason: string;
  /** A party id, an external identity, or {@link RULES}. */
  readonly by: string;
  readonly timeMs: number;
}

export interface Note extends Pick<Finding, "check" | "reason"> {
  readonly record: Hex;
}

export interface ContributionDraft {
  readonly by: string;
  readonly label: string;
  readonly licence: string;
  readonly records: readonly RecordContent[];
  readonly documents?: readonly DraftDocument[];
}

/** What the store registers; it adds the number. */
export interface PreparedContribution {
  readonly contribution: Omit<Contribution, "number">;
  readonly records: readonly DatanetRecord[];
  /** Records that the rules kept out, with every reason. */
  readonly leftOut: readonly LeftOut[];
}

/** Who decides in a datanet whose review is open. */
export const RULES = "rules";
const NOTES_MAX = 200;

export function contributionId(datanet: Hex, by: string, licence: string, recordIds: readonly Hex[]): Hex {
  return toHex(sha256(packFields(["openledger.contribution.1", datanet, by, licence, ...recordIds])));
}

/**
 * Checks a draft against the datanet's rules. Records that fail are left out with their reasons; a draft of which nothing remains is refused.
 * In a datanet with open review the rest is approved at once.
 */
export function prepareContribution(
  datanet: Datanet,
  draft: ContributionDraft,
  timeMs: number,
): Result<PreparedContribution> {
  const { rules } = datanet;
  if (draft.by.trim() === "" || draft.by.length > 300)
    return refuse("invalid_request", "a contribution says who put it in", { field: "by" });
  if (draft.records.length > rules.recordsMax) {
    return refuse(
      "rule_violated",
      `a contribution here holds at most ${rules.recordsMax} records, got ${draft.records.length}`,
    );
  }
  const [taken, leftOut, notes] = [new Map<Hex, RecordContent>(), [] as LeftOut[], [] as Note[]];
  for (const content of draft.records.map(cleanContent)) {
    const id = recordId(content);
    const findings = checkRecord(content, rules);
    const refused = findings.filter((finding) => finding.severity === "refuse").map((finding) => finding.reason);
    if (taken.has(id)) refused.push("the same record stands in this contribution already");
    if (refused.length > 0) {
      leftOut.push({ what: describe(content), reason: refused.join("; ") });
      continue;
    }
    taken.set(id, content);
    for (const { check, reason } of findings) notes.push({ record: id, check, reason });
  }
  if (taken.size === 0) {
    return refuse("rule_violated", `none of the ${draft.records.length} records keeps the datanet's rules`, {
      hint:
        leftOut[0] === undefined
          ? "a contribution holds at least one record"
          : `${leftOut[0].what}: ${leftOut[0].reason}`,
    });
  }
  const id = contributionId(datanet.id, draft.by, draft.licence, [...taken.keys()]);
  const documents = documentsOf(draft, new Set(taken.keys()));
  const isOpen = rules.review === "open";
  const decision: Decision = { decision: "approve", reason: "it keeps the datanet's rules", by: RULES, timeMs };
  return ok({
    contribution: {
      id,
      datanet: datanet.name,
      by: draft.by,
      label: draft.label.slice(0, 300),
      licence: draft.licence,
      records: taken.size,
      status: isOpen ? "approved" : "pending",
      decision: isOpen ? decision : null,
      notes: notes.slice(0, NOTES_MAX),
      ...(documents.length === 0 ? {} : { documents }),
      submittedMs: timeMs,
    },
    records: [...taken.values()].map((content) => sealRecord(content, id)),
    leftOut,
  });
}

/** Those of which a record was taken. */
function documentsOf({ documents = [], records }: ContributionDraft, taken: ReadonlySet<Hex>): CitedDocument[] {
  const idOf = (at: number): Hex | undefined => {
    const content = records[at];
    return content === undefined ? undefined : recordId(cleanContent(content));
  };
  return documents.flatMap(({ id, records: places, cites }) => {
    const own = [...new Set(places.map(idOf))].filter((record) => record !== undefined && taken.has(record));
    const present = own.filter((record) => record !== undefined);
    return present.length === 0 ? [] : [{ id, records: present, cites: [...new Set(cites)] }];
  });
}

function describe(content: RecordContent): string {
  return `${content.source}${content.headingPath.map((heading) => ` › ${heading}`).join("")}`.slice(0, 300);
}

import type { EvidenceKind, Method } from "./evidence.ts";

/**
 * What kind of fact a method finds. `match`: the same words stand in both; it says nothing about how the answer came about. `use`: the model had it before its
 * eyes and the answer depends on it. `cause`: without it, training would have made another model, by an estimate.
 */
export type Measure = "match" | "use" | "cause";

/** How a method's reliability on a model is known. */
export type Basis = "exact" | "measured" | "assumed";

/** A method as it is told to people and named in a policy. One method a kind speaks for a model. */
export interface MethodDescription extends Method {
  readonly kind: EvidenceKind;
  readonly measures: Measure;
  /** A sentence on what its evidence says, and one on what it does not. */
  readonly says: string;
  readonly doesNotSay: string;
}

export const spanMethod: MethodDescription = {
  ...{ id: "span", version: 1, kind: "span", measures: "match" },
  says: "The answer repeats these words of the record, and they are too long and too rare for chance.",
  doesNotSay:
    "That the model took them from there: where the record was not in its context, it may have them from elsewhere.",
};

export const passageMethod: MethodDescription = {
  ...{ id: "passage", version: 1, kind: "passage", measures: "match" },
  says: "The record was read for this answer, and the answer repeats these words of it.",
  doesNotSay: "What the answer owes to a record that it says in other words.",
};

export const likelihoodMethod: MethodDescription = {
  ...{ id: "likelihood", version: 2, kind: "passage", measures: "use" },
  says: "The record was read for this answer, and with it the model finds the answer so much likelier.",
  doesNotSay: "Whether the record is right, nor what the model would have written without it.",
};

export const influenceMethod: MethodDescription = {
  ...{ id: "influence", version: 4, kind: "influence", measures: "cause" },
  says: "By an estimate, training without the record would have made this answer less likely.",
  doesNotSay: "Which words of the answer it shaped, and nothing for certain: the estimate has a measured error.",
};

export const lineageMethod: MethodDescription = {
  ...{ id: "lineage", version: 1, kind: "lineage", measures: "match" },
  says: "A credited record repeats an earlier answer of this ledger, or was declared to: a part of its credit goes to those whom that answer credits.",
  doesNotSay: "Who is behind answers that were given elsewhere, or whose payer forbade to remember them.",
};

/**
 * 1 knew the B factors alone; 2 paid each record for all that stood out, whatever earlier ones had taught; 3 kept as many input directions for each output direction of a layer. Receipts
 * name them; they can no longer be asked again.
 */
const formerInfluence = [1, 2, 3].map((version): MethodDescription => ({ ...influenceMethod, version }));

/** It always asked 32 sets of more than four records, however long they and the answer are. It can still be asked again. */
const formerLikelihood: MethodDescription = { ...likelihoodMethod, version: 1 };

export const methodDescriptions: readonly MethodDescription[] = [
  ...[spanMethod, passageMethod, likelihoodMethod, influenceMethod, ...formerInfluence, lineageMethod],
  formerLikelihood,
];

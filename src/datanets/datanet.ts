import { type Hex, parseHex, toHex, utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { permissiveLicences } from "./licence.ts";

/** A datanet: a curated, versioned network of contributions in one domain, with the rules that decide what counts. */
export interface Datanet {
  /** 32 bytes: what its versions descend from, and what identities' payee ids are keyed with. See {@link datanetId}. */
  readonly id: Hex;
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** SPDX id under which the whole is offered. */
  readonly licence: string;
  /** 32-byte party id. */
  readonly owner: Hex;
  readonly rules: ContributionRules;
  readonly createdMs: number;
}

export interface ContributionRules {
  /** SPDX ids; a record of any other licence is not taken. */
  readonly licences: readonly string[];
  /** Characters (code points) that a record's text must have, at least and at most. */
  readonly charactersMin: number;
  readonly charactersMax: number;
  /** Records that one contribution may hold. */
  readonly recordsMax: number;
  /** `required`: somebody decides, with a reason. `open`: what passes the automatic checks is approved at once. */
  readonly review: "required" | "open";
}

export interface DatanetDraft {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly licence: string;
  readonly rules?: Partial<ContributionRules>;
}

export const defaultRules: ContributionRules = {
  licences: permissiveLicences,
  charactersMin: 40,
  charactersMax: 20_000,
  recordsMax: 100_000,
  review: "required",
};

const datanetName = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** keccak256("openledger.datanet.1" ‖ bytes32 owner ‖ name): known before the first version is, and the same wherever the datanet goes. */
export function datanetId(owner: Hex, name: string): Hex {
  const ownerBytes = parseHex(owner);
  assert(ownerBytes?.length === 32, "an owner is a 32-byte party id");
  return toHex(keccak256(utf8("openledger.datanet.1"), ownerBytes, utf8(name)));
}

export function createDatanet(draft: DatanetDraft, owner: Hex, timeMs: number): Result<Datanet> {
  const { name, summary, licence } = draft;
  const tags = draft.tags ?? [];
  const rules = { ...defaultRules, ...draft.rules };
  if (!datanetName.test(name)) {
    return wrong("name", `"${name.slice(0, 80)}" is not a datanet name`, "1 to 64 of a-z, 0-9 and . _ - inside");
  }
  if (summary.trim() === "" || summary.length > 280) return wrong("summary", "a summary has 1 to 280 characters");
  if ((draft.description ?? "").length > 20_000)
    return wrong("description", "a description has at most 20000 characters");
  if (tags.length > 16 || !tags.every((tag) => /^[a-z0-9][a-z0-9-]{0,31}$/.test(tag))) {
    return wrong("tags", "at most 16 tags of 1 to 32 a-z, 0-9 and -");
  }
  if (parseHex(owner)?.length !== 32) return wrong("owner", "an owner is a 32-byte party id");
  if (!/^[A-Za-z0-9][A-Za-z0-9.+-]{0,31}$/.test(licence)) {
    return wrong("licence", `${licence.slice(0, 80)} is not one SPDX identifier`, "for example CC-BY-4.0");
  }
  const checked = checkRules(rules);
  if (!checked.ok) return checked;
  const id = datanetId(owner, name);
  const description = draft.description ?? "";
  return ok({ id, name, summary, description, tags, licence, owner, rules, createdMs: timeMs });
}

function checkRules(rules: ContributionRules): Result<ContributionRules> {
  const { charactersMin, charactersMax, recordsMax, licences } = rules;
  if (licences.length === 0) return wrong("rules.licences", "at least one licence must be allowed");
  if (!isCount(charactersMin, 1) || !isCount(charactersMax, charactersMin)) {
    return wrong("rules.charactersMin", "the shortest and longest record are whole numbers, 1 ≤ shortest ≤ longest");
  }
  if (!isCount(recordsMax, 1)) return wrong("rules.recordsMax", "a contribution may hold at least one record");
  if (rules.review !== "required" && rules.review !== "open")
    return wrong("rules.review", "review is required or open");
  return ok(rules);
}

function isCount(value: number, min: number): boolean {
  return Number.isSafeInteger(value) && value >= min;
}

function wrong(field: string, message: string, hint?: string): Result<never> {
  return refuse("invalid_request", message, hint === undefined ? { field } : { field, hint });
}

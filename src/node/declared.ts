import { fromHex, padAddress, toHex } from "../core/bytes.ts";
import type { PayeeType } from "../core/entry.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { contributorsOf } from "../datanets/contributors.ts";
import { type IdentityScope, identityPayeeId, isAddressIdentity, parseIdentity } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { PayeeShare } from "../ledger/execution.ts";
import type { ReportedModelInput } from "../protocol/executions.ts";

/** A datanet's version, as a declaration of what a model was made from needs it. */
export interface DeclaredVersion {
  readonly datanet: string;
  readonly number: number;
  /** 32 bytes: its asset. */
  readonly asset: Uint8Array;
  readonly scope: IdentityScope;
  readonly records: readonly DatanetRecord[];
}

/** Finds a version; the latest where no number is given. */
export type FindVersion = (datanet: string, version: number | undefined) => Promise<Result<DeclaredVersion>>;

export interface Declaration {
  readonly parents: readonly { readonly id: Uint8Array; readonly weight: number }[];
  readonly versions: readonly DeclaredVersion[];
  /** Whole weights that sum to less than 2^32; empty where evidence alone is to find the contributors. */
  readonly shares: readonly PayeeShare[];
  readonly names: ReadonlyMap<string, string>;
  /** The entries, each with the number of the version that was found. */
  readonly entries: readonly Entry[];
}

type Entry = ReportedModelInput["trainedOn"][number];

interface Person {
  readonly payee: Uint8Array;
  readonly type: PayeeType;
  readonly name: string;
  readonly weight: number;
}

/** What all weights of a declaration are brought to, and one more for each of its people. */
const SHARES_TOTAL = 1_000_000_000;

/** Whom a model's owner declares as its contributors, by payee id, and the datanet versions that it was made from. */
export async function resolveDeclaration(entries: readonly Entry[], find: FindVersion): Promise<Result<Declaration>> {
  const versions = new Map<string, { readonly version: DeclaredVersion; weight: number }>();
  const people = new Map<string, { readonly person: Person; weight: number }>();
  const pinned: Entry[] = [];
  const declared = entries.filter(({ by }) => by === "declared");
  const total = declared.reduce((sum, { weight }) => sum + weight, 0);
  for (const entry of entries) {
    const version = entry.datanet === undefined ? undefined : await find(entry.datanet, entry.version);
    if (version?.ok === false) return version;
    pinned.push(version === undefined ? entry : { ...entry, version: version.value.number });
    if (version?.ok) {
      const key = toHex(version.value.asset);
      const known = versions.get(key);
      if (known === undefined) versions.set(key, { version: version.value, weight: entry.weight });
      else known.weight += entry.weight;
    }
    if (entry.by === "measured") continue;
    const found = peopleOf(entry, version?.value);
    if (!found.ok) return found;
    const sum = found.value.reduce((all, { weight }) => all + weight, 0);
    for (const person of found.value) {
      const weight = (SHARES_TOTAL * entry.weight * person.weight) / (total * sum);
      const key = toHex(person.payee);
      const known = people.get(key);
      if (known === undefined) people.set(key, { person, weight });
      else known.weight += weight;
    }
  }
  return ok({
    parents: [...versions.values()].map(({ version, weight }) => ({ id: version.asset, weight })),
    versions: [...versions.values()].map(({ version }) => version),
    shares: [...people.values()].map(({ person: { payee, type }, weight }) => ({
      ...{ payee, type, weight: Math.max(1, Math.floor(weight)) },
    })),
    entries: pinned,
    names: new Map([...people].map(([key, { person }]) => [key, person.name])),
  });
}

/** 32 bytes of an address or a payee id in hex. */
export function partyId(text: string): Uint8Array {
  const bytes = fromHex(text);
  return bytes.length === 20 ? padAddress(bytes) : bytes;
}

function peopleOf(entry: Entry, version: DeclaredVersion | undefined): Result<readonly Person[]> {
  if (entry.contributors !== undefined) return namedPeople(entry.contributors, version);
  if (version === undefined) return refuse("invalid_request", "an entry names neither a datanet nor contributors");
  const wanted = entry.records === undefined ? undefined : new Set(entry.records);
  const records = wanted === undefined ? version.records : version.records.filter(({ id }) => wanted.delete(id));
  if (wanted !== undefined && wanted.size > 0) {
    const [first] = wanted;
    return refuse("not_found", `version ${version.number} of ${version.datanet} has no record ${first}`, {
      hint: wanted.size > 1 ? `${wanted.size} records are not there` : `openledger datanet show ${version.datanet}`,
    });
  }
  const people = contributorsOf(records).filter(({ bytes }) => bytes > 0);
  if (people.length === 0) return refuse("invalid_request", `${version.datanet} has no contributors there`);
  return ok(
    people.map(({ identity, names, bytes }) => ({
      ...{ payee: identityPayeeId(version.scope, identity), type: typeOf(identity), name: names[0] ?? identity },
      weight: bytes,
    })),
  );
}

function namedPeople(
  contributors: NonNullable<Entry["contributors"]>,
  version: DeclaredVersion | undefined,
): Result<readonly Person[]> {
  const people: Person[] = [];
  for (const { identity, payee, weight } of contributors) {
    if ((identity === undefined) === (payee === undefined))
      return refuse("invalid_request", "a contributor is named by its identity or by its payee id, and not by both");
    if (payee !== undefined) {
      people.push({ payee: partyId(payee), type: "party", name: payee, weight });
      continue;
    }
    const parsed = parseIdentity(identity!);
    if (!parsed.ok) return parsed;
    const { text } = parsed.value;
    if (version === undefined && !isAddressIdentity(text))
      return refuse("invalid_request", `${text} is an identity within a datanet, and the entry names none`, {
        hint: "name the datanet, or the payee by its address",
      });
    const id = version === undefined ? partyId(text.slice("address:".length)) : identityPayeeId(version.scope, text);
    people.push({ payee: id, type: typeOf(text), name: text, weight });
  }
  return ok(people);
}

function typeOf(identity: string): PayeeType {
  return isAddressIdentity(identity) ? "party" : "identity";
}

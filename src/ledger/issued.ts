import { fromHex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type CreditedPart, type IssuedClaim, type PaidClaim, valuedClaims } from "./claimLines.ts";
import { dueDay, type Issuer } from "./issuer.ts";
import type { Ledger } from "./ledger.ts";
import { microUsdOf } from "./microUsd.ts";
import type { PayoutStore } from "./payouts.ts";
import type { PeriodLine, PeriodParty } from "./period.ts";

/** A line of an issued statement, with what it was worth. */
export interface IssuedLine extends PeriodLine {
  /** Millionths of a US dollar at `nanoPerUsd`, rounded half up; at the rate of the day of issue where an entry carries none. */
  readonly microUsd: bigint;
}

/**
 * A statement as it was issued: numbered without gaps, never changed. What is corrected later is on a credit note of the month in which it was corrected.
 * Every line is a sum over the receipts of the journal's entries [from, until), which anyone can add up again.
 */
export interface IssuedStatement {
  readonly number: number;
  readonly kind: "statement" | "credit_note";
  /** A month, as `2027-01`, in UTC. */
  readonly period: string;
  readonly issuedMs: number;
  readonly party: {
    readonly type: "payee" | "account";
    readonly id: string;
    /** As known on the day of issue. */
    readonly name: string;
    readonly taxId: string;
  };
  readonly entries: { readonly from: number; readonly until: number };
  readonly nanoPerUsd: number;
  readonly lines: readonly IssuedLine[];
  /** What the party claimed; apart from its lines, since a claim credits and charges nobody. */
  readonly claims: readonly IssuedClaim[];
  /** Sums of the lines. */
  readonly nano: bigint;
  readonly microUsd: bigint;
  /** Who issued it, where the node knew on the day of issue. */
  readonly issuer?: Omit<Issuer, "dueDays">;
  /** When what it charges is to be paid, as `2027-02-14`. */
  readonly due?: string;
  /** sha256 of {@link statementText}, in hex. */
  readonly hash: string;
}

/** Where issued statements are kept, for ever. What fails throws a `RefusalError`. */
export interface StatementStore {
  lastNumber(): Promise<number>;
  /** Those of a period, or of a party, by number. */
  list(query: {
    readonly period?: string;
    readonly party?: string;
    readonly limit: number;
  }): Promise<readonly IssuedStatement[]>;
  get(number: number): Promise<IssuedStatement | undefined>;
  /** All of them or none; refuses `conflict` where a number, or a party's period, is taken. */
  add(statements: readonly IssuedStatement[]): Promise<Result<void>>;
  /** Who issues them from now on; undefined until somebody has said so. */
  issuer(): Promise<Issuer | undefined>;
  setIssuer(issuer: Issuer): Promise<void>;
}

export interface IssueParts {
  readonly ledger: Pick<Ledger, "accounts" | "books">;
  readonly store: StatementStore;
  readonly details: Pick<PayoutStore, "allDetails">;
  /** Everything that was claimed before a time, oldest first. */
  readonly claimsUntil: (untilMs: number) => Promise<readonly PaidClaim[]>;
  readonly labelOf: (payee: string) => string | undefined;
  /** The rate on the day of issue. */
  readonly nanoPerUsd: () => number;
  readonly nowMs: () => number;
}

const ISSUED_AT_ONCE = 1_000;

/** Issues a month's statements for everybody who was credited or charged in it. */
export class StatementDesk {
  readonly #parts: IssueParts;

  constructor(parts: IssueParts) {
    this.#parts = parts;
  }

  get store(): StatementStore {
    return this.#parts.store;
  }

  /** Refuses a month that is not over. Issuing a month again issues only what is missing: nobody gets two, and a number that was given stays. */
  async issue(period: string): Promise<Result<{ readonly issued: number; readonly known: number }>> {
    const { ledger, store, nowMs, claimsUntil } = this.#parts;
    const month = monthOf(period);
    if (month === undefined)
      return refuse("invalid_request", `"${period}" is not a month`, { hint: "write it as 2027-01", field: "period" });
    if (month.untilMs > nowMs())
      return refuse("conflict", `${period} is not over`, { hint: "a statement is issued once, after its month" });
    const { from, until, parties } = await ledger.accounts.period(month.fromMs, month.untilMs);
    const known = new Set<string>();
    for (const one of await store.list({ period, limit: Number.MAX_SAFE_INTEGER }))
      known.add(`${one.kind} ${one.party.type} ${one.party.id}`);
    const names = await this.#names();
    const issuer = await store.issuer();
    const claims = claimsByPayee(await claimsUntil(month.untilMs));
    let number = await store.lastNumber();
    const fresh: IssuedStatement[] = [];
    for (const party of withClaimants(parties, claims).filter(
      ({ type, id }) => type === "account" || !this.#isPool(id),
    )) {
      for (const kind of ["statement", "credit_note"] as const) {
        if (known.has(`${kind} ${party.type} ${party.id}`)) continue;
        const lines = party.lines.filter((line) => (line.kind === "correction") === (kind === "credit_note"));
        const own = kind === "statement" && party.type === "payee" ? (claims.get(party.id) ?? []) : [];
        const claimed = own.length === 0 ? [] : await this.#claimed(party, own, month.fromMs);
        if (lines.length + claimed.length === 0) continue;
        number += 1;
        fresh.push(
          this.#statement({ number, kind, period, entries: { from, until }, party, lines, claimed, names, issuer }),
        );
      }
    }
    for (let at = 0; at < fresh.length; at += ISSUED_AT_ONCE) {
      const added = await store.add(fresh.slice(at, at + ISSUED_AT_ONCE));
      if (!added.ok) return added;
    }
    return ok({ issued: fresh.length, known: known.size });
  }

  async get(number: number): Promise<Result<IssuedStatement>> {
    const found = await this.#parts.store.get(number);
    return found === undefined ? refuse("not_found", `there is no statement ${number}`) : ok(found);
  }

  /** A month's claims, and those of an earlier month that became known after its statement was issued. */
  async #claimed(party: PeriodParty, all: readonly PaidClaim[], fromMs: number): Promise<readonly IssuedClaim[]> {
    const issued = await this.#parts.store.list({ party: party.id, limit: Number.MAX_SAFE_INTEGER });
    const stated = new Set(issued.flatMap(({ claims }) => claims.map(({ reference }) => reference)));
    const periods = new Set(issued.filter(({ kind }) => kind === "statement").map(({ period }) => period));
    const before = all.filter(({ reference }) => stated.has(reference)).reduce((sum, { nano }) => sum + nano, 0n);
    const isOf = ({ timeMs }: PaidClaim) => timeMs >= fromMs || periods.has(new Date(timeMs).toISOString().slice(0, 7));
    const due = all.filter((claim) => !stated.has(claim.reference) && isOf(claim));
    const earlier = issued.toSorted((a, b) => (a.period < b.period ? -1 : 1)).map(({ lines }) => credited(lines));
    return valuedClaims([...earlier, credited(this.#valued(party.lines))], before, due);
  }

  #valued(lines: readonly PeriodLine[]): readonly IssuedLine[] {
    const today = this.#parts.nanoPerUsd();
    return lines.map((line) => ({ ...line, microUsd: microUsdOf(line.nano, line.nanoPerUsd || today) }));
  }

  #isPool(id: string): boolean {
    const { books } = this.#parts.ledger;
    const number = books.payeeNumber(fromHex(id));
    return number !== undefined && books.payee(number)?.type === "pool";
  }

  async #names(): Promise<ReadonlyMap<string, { readonly name: string; readonly taxId: string }>> {
    const { ledger, details } = this.#parts;
    const names = new Map<string, { name: string; taxId: string }>();
    for (const { name, pseudonym } of ledger.accounts.list())
      names.set(`account ${toHex(pseudonym)}`, { name, taxId: "" });
    for (const { payee, legalName, taxId } of await details.allDetails())
      names.set(`payee ${payee}`, { name: legalName, taxId: taxId ?? "" });
    return names;
  }

  #statement(draft: {
    readonly number: number;
    readonly kind: IssuedStatement["kind"];
    readonly period: string;
    readonly entries: IssuedStatement["entries"];
    readonly party: PeriodParty;
    readonly lines: readonly PeriodLine[];
    readonly claimed: readonly IssuedClaim[];
    readonly names: ReadonlyMap<string, { readonly name: string; readonly taxId: string }>;
    readonly issuer: Issuer | undefined;
  }): IssuedStatement {
    const { number, kind, period, entries, names, claimed: claims, issuer } = draft;
    const { type, id } = draft.party;
    const nanoPerUsd = this.#parts.nanoPerUsd();
    const lines = this.#valued(draft.lines);
    const known = names.get(`${type} ${id}`) ?? { name: this.#parts.labelOf(id) ?? "", taxId: "" };
    const issuedMs = this.#parts.nowMs();
    const nano = lines.reduce((sum, line) => sum + line.nano, 0n);
    const isCharge = kind === "statement" && type === "account" && nano < 0n;
    const statement = {
      ...{ number, kind, period, issuedMs, entries, nanoPerUsd, lines, claims, nano },
      party: { type, id, ...known },
      microUsd: lines.reduce((sum, line) => sum + line.microUsd, 0n),
      ...(issuer && { issuer: { name: issuer.name, address: issuer.address, taxId: issuer.taxId } }),
      ...(isCharge && issuer?.dueDays !== undefined && { due: dueDay(issuedMs, issuer.dueDays) }),
    };
    return { ...statement, hash: toHex(sha256(utf8(statementText(statement)))) };
  }
}

/** A statement as one text with its fields in a fixed order: what its hash is over. What it does not have is no line, so that those issued earlier keep their hash. */
export function statementText(statement: Omit<IssuedStatement, "hash">): string {
  const { number, kind, period, issuedMs, party, entries, nanoPerUsd, nano, microUsd, lines, claims } = statement;
  const { issuer, due } = statement;
  const head = [
    number,
    kind,
    period,
    issuedMs,
    party.type,
    party.id,
    JSON.stringify(party.name),
    JSON.stringify(party.taxId),
  ];
  const rows = lines.map((line) =>
    [line.kind, line.role, line.of, line.nanoPerUsd, line.count, line.nano, line.microUsd].join(" "),
  );
  const paid = claims.map((claim) =>
    [
      ...["claimed", claim.way, JSON.stringify(claim.reference), claim.timeMs, claim.nano, claim.feeNano],
      ...[claim.nanoPerUsd, JSON.stringify(claim.source), claim.microUsd, claim.accrualMicroUsd ?? "-"],
    ].join(" "),
  );
  const from = issuer && ["issuer", ...[issuer.name, issuer.address, issuer.taxId].map((text) => JSON.stringify(text))];
  const terms = [...(from === undefined ? [] : [from.join(" ")]), ...(due === undefined ? [] : [`due ${due}`])];
  return [...head, entries.from, entries.until, nanoPerUsd, nano, microUsd, ...rows, ...paid, ...terms]
    .map((part) => `${part}\n`)
    .join("");
}

function claimsByPayee(claims: readonly PaidClaim[]): ReadonlyMap<string, readonly PaidClaim[]> {
  const found = new Map<string, PaidClaim[]>();
  for (const claim of claims.toSorted((a, b) => a.timeMs - b.timeMs)) {
    const own = found.get(claim.payee);
    if (own === undefined) found.set(claim.payee, [claim]);
    else own.push(claim);
  }
  return found;
}

/** Whoever claims in a month gets a statement of it, though nothing was credited. */
function withClaimants(
  parties: readonly PeriodParty[],
  claims: ReadonlyMap<string, readonly PaidClaim[]>,
): readonly PeriodParty[] {
  const there = new Set(parties.filter(({ type }) => type === "payee").map(({ id }) => id));
  const others = [...claims.keys()].filter((id) => !there.has(id)).sort();
  return [...parties, ...others.map((id) => ({ type: "payee" as const, id, lines: [], nano: 0n }))];
}

/** What lines come to, less what was paid out: that is what claims are about. */
function credited(lines: readonly IssuedLine[]): CreditedPart {
  const own = lines.filter(({ kind }) => kind !== "paid");
  return {
    nano: own.reduce((sum, { nano }) => sum + nano, 0n),
    microUsd: own.reduce((sum, { microUsd }) => sum + microUsd, 0n),
  };
}

function monthOf(period: string): { readonly fromMs: number; readonly untilMs: number } | undefined {
  const match = /^(20\d{2})-(0[1-9]|1[0-2])$/.exec(period);
  if (match === null) return undefined;
  const [year, month] = [Number(match[1]), Number(match[2])];
  return { fromMs: Date.UTC(year, month - 1), untilMs: Date.UTC(year, month) };
}

import { z } from "zod";
import { parseHex, toHex } from "../core/bytes.ts";
import type { PayeeType } from "../core/entry.ts";
import { ok, type Result } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import { type ContextUse, contextWeights, creditContext } from "../datanets/contextCredit.ts";
import { type Contribution, RULES } from "../datanets/contribution.ts";
import { type IdentityScope, identityPayeeId, isAddressIdentity, parseIdentity } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import { nextTurn } from "../host/turn.ts";
import type { Books } from "../ledger/ledger.ts";
import { parseJson } from "../protocol/parse.ts";
import { openingSchema } from "../protocol/receipts.ts";
import type { ContextVersionView, ContextView } from "../protocol/workshop.ts";
import { unknown } from "./datanetDesk.ts";
import type { DeclaredVersion, FindVersion } from "./declared.ts";
import type { Provenance } from "./provenance.ts";

/** The newest receipts that are looked at: what a context changed lately is what it is paid by. */
const RECEIPTS_MAX = 1_000;
const PAGE = 100;

export interface ContextDeskParts {
  readonly store: DatanetStore;
  readonly provenance: Provenance;
  readonly books: Pick<Books, "recent" | "receipt">;
  readonly find: FindVersion;
  /** 32-byte party id of the node, whose accounts review for it. */
  readonly node: Uint8Array;
}

/**
 * Who made the context of a datanet's versions, by what it changed in the answers of late. Every number follows from opened receipts, the
 * records and who put them in: {@link ../datanets/contextCredit.ts}.
 */
export class ContextDesk {
  readonly #parts: ContextDeskParts;

  constructor(parts: ContextDeskParts) {
    this.#parts = parts;
  }

  /** Measures; with `publish` the pools that are paid are these from the next receipt on. */
  async weigh(name: string, publish: boolean, read?: AnsweredByVersion): Promise<Result<ContextView>> {
    const { store, provenance, find } = this.#parts;
    if ((await store.datanet(name)) === undefined) return unknown(name);
    const answered = read ?? (await this.#answered());
    const contributions = new Map((await store.contributions(name)).map((one) => [one.id, one]));
    const versions: ContextVersionView[] = [];
    for (const { number } of await store.versions(name)) {
      const version = await find(name, number);
      if (!version.ok) continue;
      const own = answered.get(toHex(version.value.asset)) ?? [];
      const weighed = await this.#weighVersion(version.value, contributions, own);
      const shares = weighed.map(({ payee, type, weight }) => ({ payee, type, weight }));
      const published =
        publish && shares.length > 0
          ? await provenance.ledger.assets.creditContext(version.value.asset, shares)
          : ok(undefined);
      if (!published.ok) return published;
      versions.push({
        ...{ version: number, asset: toHex(version.value.asset), answers: own.length },
        parties: weighed.map(({ by, payee, weight }) => ({ by, payee: toHex(payee), weight })),
      });
    }
    return ok({ datanet: name, versions });
  }

  /** Of every datanet; what cannot be weighed stays as it was. */
  async weighAll(): Promise<Result<void>> {
    const answered = await this.#answered();
    for (const { name } of await this.#parts.store.datanets()) {
      const weighed = await this.weigh(name, true, answered);
      if (!weighed.ok) return weighed;
    }
    return ok(undefined);
  }

  /** Answers of late that may be read again, by the asset of the version that they were grounded in. */
  async #answered(): Promise<AnsweredByVersion> {
    const { books, provenance } = this.#parts;
    const found = new Map<string, Answered[]>();
    let beforeSeq: number | undefined;
    for (let read = 0; read < RECEIPTS_MAX; read += PAGE) {
      const page = await books.recent({ limit: PAGE, ...(beforeSeq === undefined ? {} : { beforeSeq }) });
      for (const { receipt } of page) {
        const opening = openedBy((await books.receipt(receipt.id))?.opening);
        if (opening === undefined || receipt.flags.reported) continue;
        const { royalty } = receipt.fee;
        for (const parent of provenance.ledger.assets.get(receipt.model)?.parents ?? []) {
          const key = toHex(parent.id);
          found.set(key, [...(found.get(key) ?? []), { ...opening, royalty }]);
        }
      }
      beforeSeq = page.at(-1)?.seq;
      if (page.length < PAGE) break;
    }
    return found;
  }

  async #weighVersion(
    { records, scope }: DeclaredVersion,
    contributions: ReadonlyMap<string, Contribution>,
    answered: readonly Answered[],
  ): Promise<WeighedParty[]> {
    if (answered.length === 0) return [];
    const numbers = new Map<string, number>(records.map(({ id }, i) => [id, i]));
    const uses = answered.flatMap(({ question, royalty, evidence }) => {
      const byRecord = new Map<number, number>();
      for (const { record, weight } of evidence) {
        const number = numbers.get(record);
        if (number !== undefined) byRecord.set(number, (byRecord.get(number) ?? 0) + weight);
      }
      const total = [...byRecord.values()].reduce((sum, weight) => sum + weight, 0);
      return [...byRecord].map(([number, weight]) =>
        useOf(records[number]!, number, question, (BigInt(royalty) * BigInt(weight)) / BigInt(total), contributions),
      );
    });
    const weights = contextWeights(creditContext(await Bm25Index.inTurns(records, nextTurn), uses));
    const parties = new Map<string, WeighedParty>();
    for (const { by, weight } of weights) {
      const party = this.#partyOf(by, scope);
      const key = toHex(party.payee);
      const known = parties.get(key);
      parties.set(key, { by: known?.by ?? by, ...party, weight: weight + (known?.weight ?? 0) });
    }
    return [...parties.values()];
  }

  /** A party, an external identity, or else an account of this node, which acts for it. */
  #partyOf(by: string, scope: IdentityScope): { readonly payee: Uint8Array; readonly type: PayeeType } {
    const party = parseHex(by);
    if (party?.length === 32) return { payee: party, type: "party" };
    const identity = parseIdentity(by);
    if (!identity.ok) return { payee: this.#parts.node, type: "party" };
    const { text } = identity.value;
    return { payee: identityPayeeId(scope, text), type: isAddressIdentity(text) ? "party" : "identity" };
  }
}

interface WeighedParty {
  readonly by: string;
  readonly payee: Uint8Array;
  readonly type: PayeeType;
  readonly weight: number;
}

/** By the asset of the version that answers were grounded in. */
type AnsweredByVersion = ReadonlyMap<string, readonly Answered[]>;

interface Answered {
  readonly question: string;
  readonly royalty: number;
  readonly evidence: readonly { readonly record: string; readonly weight: number }[];
}

function openedBy(text: string | undefined): Omit<Answered, "royalty"> | undefined {
  const parsed = text === undefined ? undefined : parseJson(text);
  const opening = parsed?.ok ? openingSchema.safeParse(parsed.value) : undefined;
  if (!opening?.success) return undefined;
  const evidence = opening.data.evidence.flatMap(({ record, weight }) =>
    record !== undefined && Number.isSafeInteger(weight) && weight > 0 ? [{ record, weight }] : [],
  );
  return evidence.length === 0 ? undefined : { question: questionIn(opening.data.prompt), evidence };
}

const messagesSchema = z.array(z.object({ role: z.string(), content: z.string() }));

/** What retrieval was asked: the last user message of a chat, or the bare text of a completion. */
function questionIn(prompt: string): string {
  const parsed = parseJson(prompt);
  const messages = parsed.ok ? messagesSchema.safeParse(parsed.value) : undefined;
  if (!messages?.success) return prompt;
  return (messages.data.findLast(({ role }) => role === "user") ?? messages.data.at(-1))?.content ?? "";
}

function useOf(
  { title, headingPath, text, contributionId, notes = [] }: DatanetRecord,
  record: number,
  question: string,
  weight: bigint,
  contributions: ReadonlyMap<string, Contribution>,
): ContextUse {
  const contribution = contributions.get(contributionId);
  const bare = { title: "", headingPath: [], text };
  const structured = { title, headingPath, text };
  const layers = [
    ...(contribution === undefined ? [] : [{ by: contribution.by, text: structured }]),
    // Each annotation on top of those before it: whoever says again what was said earns nothing.
    ...notes.map(({ by }, i) => ({ by, text: { ...structured, notes: notes.slice(0, i + 1) } })),
  ];
  const reviewer = contribution?.decision?.by;
  const isReviewed = reviewer !== undefined && reviewer !== RULES && reviewer !== contribution?.by;
  return { question, record, weight, bare, layers, ...(isReviewed ? { reviewer } : {}) };
}

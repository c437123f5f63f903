import { toHex, utf8 } from "../core/bytes.ts";
import { decodeEntry, encodeEntry, entryKinds } from "../core/entry.ts";
import { sha256 } from "../core/hash.ts";
import { assert, ok } from "../core/result.ts";
import type { Share } from "../core/route.ts";
import { PeriodFold, type PeriodParty } from "../ledger/period.ts";
import type { AppendBatch, EntryRow, LedgerStore } from "../ledger/ports.ts";
import { SeenRows } from "./seenRows.ts";

const [payeeKind, chunkKind, receiptKind] = (["payee", "poolChunk", "receipt"] as const).map(kindOf);

/**
 * A ledger's store that keeps sums alone: each entry is added up and forgotten, so that a ledger over it can book any number of executions in bounded
 * memory, and prove none. What it was asked to keep is gone with it.
 */
export class ShadowStore implements LedgerStore {
  readonly #ledger: Uint8Array;
  readonly #seen = new SeenRows();
  readonly #fold: PeriodFold;
  /** By number; number 0 is nobody. */
  readonly #payees: { readonly id: Uint8Array; readonly isPool: boolean }[] = [
    { id: new Uint8Array(32), isPool: false },
  ];
  readonly #pools = new Map<number, Share[]>();

  constructor(ledger: Uint8Array) {
    this.#ledger = ledger;
    this.#fold = new PeriodFold({
      ledger,
      payeeId: (number) => this.#payees[number]?.id,
      pool: (number) => this.#pools.get(number),
    });
  }

  takeOver: LedgerStore["takeOver"] = () =>
    Promise.resolve(
      ok({
        ...{ term: 1, lastSeq: -1, accounts: [], keys: [], movements: [], epochMarks: [], epochEnds: [] },
        ...{ organisations: [], auditHeads: [] },
        checkpoint: undefined,
      }),
    );

  append(batch: AppendBatch): ReturnType<LedgerStore["append"]> {
    for (const entry of batch.entries) this.#take(entry);
    for (const { key, bodyHash } of batch.idempotency) this.#seen.add(keyHash(key), bodyHash);
    return Promise.resolve(ok(undefined));
  }

  idempotencies(
    _ledger: Uint8Array,
    account: string,
    keys: readonly string[],
  ): ReturnType<LedgerStore["idempotencies"]> {
    return Promise.resolve(
      keys.flatMap((key) => {
        const bodyHash = this.#seen.get(keyHash(key));
        return bodyHash === undefined
          ? []
          : [{ account, key, bodyHash, receipt: new Uint8Array(16), response: undefined }];
      }),
    );
  }

  /** Divides what the pools were credited, and gives everybody's sums. `open` says how much stands in a payee's account. */
  close(open: (payee: Uint8Array) => bigint): PeriodParty[] {
    for (const [pool] of this.#pools) {
      const amount = Number(open(this.#payees[pool]!.id));
      if (amount === 0) continue;
      const split = { pool, epoch: 1, amount };
      this.#fold.add(encodeEntry({ kind: "poolSplit", ledger: this.#ledger, seq: 0, timeMs: 0, split }));
    }
    const pools = new Set<string>(this.#payees.filter(({ isPool }) => isPool).map(({ id }) => toHex(id)));
    return this.#fold.parties().filter(({ type, id }) => type === "account" || !pools.has(id));
  }

  settle: LedgerStore["settle"] = () => Promise.resolve(ok("written"));
  receipt: LedgerStore["receipt"] = () => Promise.resolve(undefined);
  receipts: LedgerStore["receipts"] = () => Promise.resolve([]);
  idempotency: LedgerStore["idempotency"] = () => Promise.resolve(undefined);
  reported: LedgerStore["reported"] = () => Promise.resolve([]);
  caused: LedgerStore["caused"] = () => Promise.resolve([]);
  movement: LedgerStore["movement"] = () => Promise.resolve(undefined);
  corrections: LedgerStore["corrections"] = () => Promise.resolve([]);
  spending: LedgerStore["spending"] = () => Promise.resolve([]);
  audits: LedgerStore["audits"] = () => Promise.resolve([]);
  epochLeaves: LedgerStore["epochLeaves"] = () => Promise.resolve(undefined);
  async *entries(): AsyncGenerator<never> {}

  #take({ kind, bytes }: EntryRow): void {
    if (kind === receiptKind) {
      this.#fold.add(bytes);
      return;
    }
    if (kind !== payeeKind && kind !== chunkKind) return;
    const decoded = decodeEntry(bytes);
    assert(decoded.ok, "an entry of our own decodes");
    const entry = decoded.value;
    if (entry.kind === "payee") this.#payees.push({ id: entry.payee.id, isPool: entry.payee.type === "pool" });
    else if (entry.kind === "poolChunk") {
      const members = this.#pools.get(entry.chunk.pool) ?? [];
      let before = entry.chunk.prefixBefore;
      for (const { payee, prefix } of entry.chunk.members) {
        members.push({ payee, weight: prefix - before });
        before = prefix;
      }
      this.#pools.set(entry.chunk.pool, members);
    }
  }
}

function kindOf(kind: (typeof entryKinds)[number]): number {
  return entryKinds.indexOf(kind) + 1;
}

function keyHash(key: string): Uint8Array {
  return sha256(utf8(key)).slice(0, 16);
}

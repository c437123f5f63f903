import { createHash } from "node:crypto";
import { concat, equalBytes, padAddress, toHex, utf8 } from "../../core/bytes.ts";
import { encodeEntry } from "../../core/entry.ts";
import { sha256 } from "../../core/hash.ts";
import type { Nano } from "../../core/money.ts";
import { defaultPolicyBps, type FeePolicy, policyHash } from "../../core/policy.ts";
import { feeOf, type Usage } from "../../core/quote.ts";
import { amountOf, ownOf, type Receipt, rootNesting } from "../../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../../core/result.ts";
import { routeFee, type Share } from "../../core/route.ts";
import type {
  Account,
  Accounts,
  ApiKey,
  AssetState,
  Assets,
  Balance,
  Books,
  Epochs,
  Hold,
  Holds,
  IdempotencyState,
  Ledger,
  Posted,
  ReceiptDraft,
  ReceiptPromise,
  Spending,
  Totals,
} from "../../ledger/ledger.ts";

/**
 * A ledger in memory for tests and benchmarks of the gateway: real accounts, keys, holds, routes and balances; entries encoded as in the journal.
 * Not durable, each receipt is a batch of its own, and batch signatures are zero: nobody could hold this node to anything.
 */
export class MemoryLedger implements Ledger {
  readonly id = sha256(utf8("memory ledger"));
  readonly accounts: Accounts;
  readonly holds: Holds;
  readonly books: Books;
  readonly epochs: Epochs = noEpochs;
  readonly assets: Assets = noAssets;
  readonly state = new MemoryState();

  /** `postDelayMs` stands for the time that durability takes; of `receiptsMax` receipts the oldest are forgotten, for long benchmarks. */
  constructor(nowMs: () => number, postDelayMs = 0, receiptsMax = Number.POSITIVE_INFINITY) {
    this.state.receiptsMax = receiptsMax;
    this.accounts = memoryAccounts(this.state, nowMs);
    this.holds = memoryHolds(this.state);
    this.books = memoryBooks(this.state, this.id, nowMs, postDelayMs);
  }

  async close(): Promise<void> {
    this.state.isClosed = true;
  }
}

interface StoredReceipt {
  readonly posted: Posted;
  readonly entry: Uint8Array;
  readonly account: string;
  readonly opening?: string;
}

class MemoryState {
  readonly accounts = new Map<string, Account>();
  readonly credited = new Map<string, bigint>();
  readonly spent = new Map<string, bigint>();
  readonly keys = new Map<string, ApiKey>();
  readonly secrets = new Map<string, string>();
  readonly credits = new Map<string, Nano>();
  readonly holds = new Map<string, Hold>();
  readonly receipts = new Map<string, StoredReceipt>();
  readonly entries: Uint8Array[] = [];
  readonly idempotent = new Map<
    string,
    { readonly bodyHash: Uint8Array; readonly receipt: Uint8Array; readonly response?: string }
  >();
  readonly spending = new Map<string, Spending>();
  readonly running = new Set<string>();
  readonly payees = new Map<string, MemoryPayee>();
  /** By number, less one. */
  readonly payeeList: MemoryPayee[] = [];
  ids = 0;
  receiptsMax = Number.POSITIVE_INFINITY;
  receiptsPosted = 0;
  debited = 0n;
  isClosed = false;
  /** Set by a test: the next post is refused with it. */
  refusePost: ReturnType<typeof refuse> | undefined;

  nextId(prefix: string): string {
    this.ids += 1;
    return `${prefix}_${toHex(sha256(utf8(`${prefix}${this.ids}`))).slice(2, 26)}`;
  }

  held(account: string): bigint {
    let held = 0n;
    for (const hold of this.holds.values()) if (hold.account === account) held += BigInt(hold.amount);
    return held;
  }

  balance(account: string): Balance {
    const [credited, spent, held] = [
      this.credited.get(account) ?? 0n,
      this.spent.get(account) ?? 0n,
      this.held(account),
    ];
    return { credited, spent, held, available: credited - spent - held, earnedAvailable: 0n };
  }

  numberOf(id: Uint8Array): number {
    const key = bytesKey(id);
    let payee = this.payees.get(key);
    if (payee === undefined) {
      payee = { number: this.payees.size + 1, id, lifetime: 0n };
      this.payees.set(key, payee);
      this.payeeList.push(payee);
    }
    return payee.number;
  }
}

interface MemoryPayee {
  readonly number: number;
  readonly id: Uint8Array;
  lifetime: bigint;
}

export const memoryPolicy: FeePolicy = {
  ...defaultPolicyBps,
  treasuryPayee: sha256(utf8("treasury")),
  reservePayee: sha256(utf8("reserve")),
  datanetReservePayee: sha256(utf8("datanet reserve")),
};

const memoryPolicyHash = policyHash(memoryPolicy);

function memoryAccounts(state: MemoryState, nowMs: () => number): Accounts {
  const unknown = (id: string) => refuse("not_found", `no account ${id}`);
  const noChain = async (): Promise<Result<"booked" | "known">> => refuse("chain_unavailable", "no chain in memory");
  return {
    open: async ({ name, payer, payee }) => {
      const id = state.nextId("acct");
      const account: Account = {
        ...{ id, name, payer: payer ?? padAddress(new Uint8Array(20)), pseudonym: sha256(utf8(id)).slice(0, 16) },
        ...(payee === undefined ? {} : { payee }),
        createdMs: nowMs(),
      };
      state.accounts.set(id, account);
      return ok(account);
    },
    get: (id) => state.accounts.get(id),
    findExternal: () => undefined,
    list: () => [...state.accounts.values()],
    balance: (id) => (state.accounts.has(id) ? state.balance(id) : undefined),
    credit: async ({ account, amount, key }) => {
      if (!state.accounts.has(account)) return unknown(account);
      if (!state.credits.has(key)) state.credited.set(account, (state.credited.get(account) ?? 0n) + BigInt(amount));
      state.credits.set(key, amount);
      return ok(state.balance(account));
    },
    deposit: noChain,
    withdraw: noChain,
    createKey: async ({ account, name, limits, admin }) => {
      if (!state.accounts.has(account)) return unknown(account);
      const id = state.nextId("key");
      const secret = `ol_${toHex(sha256(utf8(id))).slice(2)}`;
      const hint = secret.slice(0, 8);
      const key: ApiKey = {
        ...{ id, account, name, hint },
        limits: limits ?? {},
        admin: admin ?? false,
        createdMs: nowMs(),
      };
      state.keys.set(id, key);
      state.secrets.set(digest(secret), id);
      return ok({ key, secret });
    },
    revokeKey: async (id) => {
      const key = state.keys.get(id);
      if (key === undefined) return refuse("not_found", `no key ${id}`);
      const revoked = { ...key, revokedMs: nowMs() };
      state.keys.set(id, revoked);
      return ok(revoked);
    },
    keys: (account) => [...state.keys.values()].filter((key) => account === undefined || key.account === account),
    findKey: (secret) => state.keys.get(state.secrets.get(digest(secret)) ?? ""),
    period: () => Promise.resolve({ from: 0, until: 0, parties: [] }),
    statement: async ({ account, limit = 100 }) => {
      const spent = [...state.receipts.values()].filter((stored) => stored.account === account).reverse();
      const lines = spent.slice(0, limit).map(({ posted }) => ({
        ...{ seq: posted.seq, timeMs: posted.timeMs, kind: "spent" as const, receipt: toHex(posted.receipt.id) },
        ...{ role: "payer", weight: 1, amount: -amountOf(posted.receipt) },
      }));
      const total = spent.reduce((sum, { posted }) => sum - BigInt(amountOf(posted.receipt)), 0n);
      return { lines, total, truncated: spent.length > lines.length };
    },
  };
}

function memoryHolds(state: MemoryState): Holds {
  return {
    place: ({ account, amount }) => {
      if (state.isClosed) return refuse("shutting_down", "the ledger is closed");
      const { available } = state.balance(account);
      if (available < BigInt(amount)) {
        return refuse("insufficient_funds", `${amount} nano are needed, ${available} are available`);
      }
      state.ids += 1;
      const hold = { id: sha256(utf8(`hold${state.ids}`)).slice(0, 16), account, amount };
      state.holds.set(bytesKey(hold.id), hold);
      return ok(hold);
    },
    renew: (id) => state.holds.has(bytesKey(id)),
    release: (id) => {
      state.holds.delete(bytesKey(id));
    },
    count: () => state.holds.size,
    totalHeld: () => [...state.holds.values()].reduce((sum, hold) => sum + BigInt(hold.amount), 0n),
  };
}

function memoryBooks(state: MemoryState, ledger: Uint8Array, nowMs: () => number, postDelayMs: number): Books {
  const find = (id: Uint8Array) => state.receipts.get(bytesKey(id));
  const keyOf = (account: string, key: string) => `${account}\n${key}`;
  const absent = async () => refuse("not_found", "not in the memory ledger");
  return {
    post: async (draft) => {
      if (postDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, postDelayMs));
      if (state.refusePost !== undefined) return state.refusePost;
      return post(state, ledger, draft, nowMs());
    },
    report: absent,
    transfer: absent,
    reportedId: () => new Uint8Array(16),
    correct: absent,
    idempotency: async (account, key, bodyHash): Promise<Result<IdempotencyState>> => {
      const known = state.idempotent.get(keyOf(account, key));
      if (known === undefined) return ok({ state: "new" });
      if (!equalBytes(known.bodyHash, bodyHash))
        return refuse("idempotency_mismatch", "the key was used with another body");
      return ok({
        state: "done",
        receipt: known.receipt,
        ...(known.response === undefined ? {} : { response: known.response }),
      });
    },
    begin: (account, key) => {
      if (state.running.has(keyOf(account, key))) return false;
      state.running.add(keyOf(account, key));
      return true;
    },
    abandon: (account, key) => void state.running.delete(keyOf(account, key)),
    receipt: async (id) => {
      const stored = find(id);
      if (stored === undefined) return undefined;
      const { posted, entry, opening } = stored;
      const { seq, timeMs, receipt } = posted;
      return { seq, timeMs, receipt, entry, ...(opening === undefined ? {} : { opening }) };
    },
    promise: async (id) => find(id)?.posted.promise,
    recent: async ({ limit, beforeSeq = Infinity, account }) =>
      [...state.receipts.values()]
        .filter((stored) => stored.posted.seq < beforeSeq && (account === undefined || stored.account === account))
        .reverse()
        .slice(0, limit)
        .map(({ posted: { seq, timeMs, receipt } }) => ({ seq, timeMs, receipt })),
    spending: async (from, until) => [...state.spending.values()].filter(({ day }) => day >= from && day < until),
    entries: async function* (from, until) {
      yield* state.entries.slice(from, until);
    },
    size: () => state.entries.length,
    payeeNumber: (id) => state.payees.get(bytesKey(id))?.number,
    payee: (number) => {
      const found = state.payeeList[number - 1];
      return found === undefined ? undefined : { id: found.id, type: "party" };
    },
    accrued: (payee) => {
      const lifetime = state.payees.get(bytesKey(payee))?.lifetime ?? 0n;
      return { lifetime, open: lifetime };
    },
    payees: function* () {
      for (const { number, id, lifetime } of state.payees.values())
        yield { number, id, type: "party", lifetime, open: lifetime };
    },
    policy: () => memoryPolicy,
    setPolicy: absent,
    bind: absent,
    totals: () => totals(state),
  };
}

function post(state: MemoryState, ledger: Uint8Array, draft: ReceiptDraft, timeMs: number): Result<Posted> {
  const key = bytesKey(draft.hold);
  const hold = state.holds.get(key);
  if (hold === undefined) return refuse("not_found", `no hold ${toHex(draft.hold)}`);
  const fee = feeOf(draft.quote, draft.rate, draft.usage);
  if (!fee.ok) return fee;
  const own = ownOf({ fee: fee.value });
  if (own > hold.amount)
    return refuse("amount_out_of_range", `a fee of ${own} nano does not fit a hold of ${hold.amount}`);
  const account = state.accounts.get(hold.account);
  assert(account !== undefined, "a hold has an account");
  const seq = state.entries.length;
  const { contributors, quote } = draft;
  const receipt: Receipt = {
    id: hold.id,
    flags: draft.flags,
    nesting: draft.nesting ?? rootNesting(hold.id, own),
    ...{ payer: account.payer, account: account.pseudonym, payerPayee: 0, earned: 0 },
    ...{ operator: state.numberOf(draft.operator), model: draft.model, policyHash: memoryPolicyHash },
    ...{ unit: quote.unit, rate: draft.rate, costPrices: quote.cost, royaltyPrices: quote.royalty },
    ...{ usage: draft.usage, fee: fee.value, promptHash: draft.promptHash, answerHash: draft.answerHash },
    ...{ evidenceRoot: draft.evidenceRoot, indexId: draft.indexId, methodsHash: draft.methodsHash },
    unattributed: contributors?.unattributed ?? 0,
    legs: routeFee({
      ...{ ledger, seq, cost: fee.value.cost, royalty: fee.value.royalty, stakers: 0, context: [] },
      policy: numberedPolicy(state),
      operator: state.numberOf(draft.operator),
      model: [{ payee: state.numberOf(sha256(draft.model)), weight: 1 }],
      contributors: contributors && {
        shares: shares(state, contributors.shares),
        unattributed: contributors.unattributed,
        priors: [],
      },
    }),
  };
  const entry = encodeEntry({ kind: "receipt", ledger, seq, timeMs, receipt });
  state.holds.delete(key);
  state.spent.set(hold.account, (state.spent.get(hold.account) ?? 0n) + BigInt(own));
  state.debited += BigInt(own);
  for (const leg of receipt.legs) state.payeeList[leg.payee - 1]!.lifetime += BigInt(leg.amount);
  if (draft.metered !== undefined) meter(state, draft.metered, own, draft.usage);
  state.entries.push(entry);
  state.receiptsPosted += 1;
  const posted = { seq, timeMs, receipt, promise: promiseOf(receipt, seq, timeMs, entry) };
  if (state.receipts.size >= state.receiptsMax) {
    for (const oldest of state.receipts.keys()) {
      state.receipts.delete(oldest);
      break;
    }
    state.entries[seq - state.receiptsMax] = forgotten;
  }
  const { opening, idempotency } = draft;
  state.receipts.set(key, { posted, entry, account: hold.account, ...(opening === undefined ? {} : { opening }) });
  if (idempotency !== undefined) {
    const { bodyHash, response } = idempotency;
    const kept = { bodyHash, receipt: hold.id, ...(response === undefined ? {} : { response }) };
    state.idempotent.set(`${hold.account}\n${idempotency.key}`, kept);
  }
  return ok(posted);
}

function meter(state: MemoryState, { key, day }: { key: string; day: number }, own: Nano, usage: Usage): void {
  const place = `${day} ${key}`;
  const { nano, receipts, tokens } = state.spending.get(place) ?? { nano: 0, receipts: 0, tokens: 0 };
  const used = tokens + usage.tokensIn + usage.tokensOut;
  state.spending.set(place, { day, key, nano: nano + own, receipts: receipts + 1, tokens: used });
}

const forgotten = new Uint8Array();

function shares(state: MemoryState, of: readonly { readonly payee: Uint8Array; readonly weight: number }[]): Share[] {
  return of.map(({ payee, weight }) => ({ payee: state.numberOf(payee), weight }));
}

function numberedPolicy(state: MemoryState): Parameters<typeof routeFee>[0]["policy"] {
  const { treasuryPayee, reservePayee, datanetReservePayee, ...bps } = memoryPolicy;
  return {
    ...bps,
    treasury: state.numberOf(treasuryPayee),
    reserve: state.numberOf(reservePayee),
    datanetReserve: state.numberOf(datanetReservePayee),
  };
}

function promiseOf(receipt: Receipt, seq: number, timeMs: number, entry: Uint8Array): ReceiptPromise {
  const root = sha256(concat(new Uint8Array(1), entry));
  return {
    ...{ receipt: receipt.id, amount: amountOf(receipt), seq, entry, first: seq, count: 1, root, path: [] },
    ...{ deadlineMs: timeMs + 60_000, signature: new Uint8Array(65) },
  };
}

function totals(state: MemoryState): Totals {
  const sum = (values: Iterable<bigint>) => [...values].reduce((total, value) => total + value, 0n);
  return {
    deposited: 0n,
    granted: sum(state.credited.values()),
    debited: state.debited,
    credited: sum([...state.payees.values()].map((payee) => payee.lifetime)),
    held: [...state.holds.values()].reduce((total, hold) => total + BigInt(hold.amount), 0n),
    receipts: state.receiptsPosted,
  };
}

function digest(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

const absentEpoch = async () => refuse("not_found", "the memory ledger closes no epochs");
const noEpochs: Epochs = {
  closeEpoch: absentEpoch,
  list: () => [],
  mark: async () => {},
  payout: absentEpoch,
  posting: absentEpoch,
  debit: absentEpoch,
  open: () => ({ epoch: 1, first: 0, sinceMs: 0 }),
};

const noAssets: Assets = {
  register: async (input): Promise<Result<AssetState>> => ok({ ...input, seq: 0, royaltyPayee: input.owner }),
  get: () => undefined,
  list: () => [],
  declare: async () => refuse("not_found", "the memory ledger keeps no assets"),
  transfer: async () => refuse("not_found", "the memory ledger keeps no assets"),
};

/** A map key for bytes. */
function bytesKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

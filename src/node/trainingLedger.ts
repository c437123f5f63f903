import { fromHex, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { formatOpen } from "../core/money.ts";
import { feeOf, noPrices, type Quote, type Usage } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { EVIDENCE_TOTAL, type LegRole } from "../core/route.ts";
import type { Job, Owed, Payment } from "../factory/job.ts";
import { guarded } from "../factory/jobBook.ts";
import type { TrainingBooks } from "../factory/payment.ts";
import type { Allowance } from "../gateway/limits.ts";
import type { Floor } from "../gateway/order.ts";
import { trainingMethod, trainingMethodText } from "../gateway/trainingMethod.ts";
import type { ExecutionDraft, PayeeShare } from "../ledger/execution.ts";
import type { AssetState, Hold } from "../ledger/ledger.ts";
import type { citedParts } from "./citedRecords.ts";
import type { CombinationShelf } from "./combinationShelf.ts";
import type { DeclaredVersion } from "./declared.ts";
import { learntRecords, learntShares } from "./learntShares.ts";

import { TrainingAssets, type TrainingAssetsParts } from "./trainingAssets.ts";
import type { Upstream } from "./upstream.ts";

export interface TrainingLedgerParts extends Omit<TrainingAssetsParts, "onNamed"> {
  readonly floor: Pick<Floor, "ledger" | "meters" | "leases" | "rhythm" | "catalog" | "world">;
  /** Which of these records repeat earlier answers. */
  readonly upstream: (learnt: ReturnType<typeof learntRecords>) => Promise<Upstream>;
  /** What of their credit goes to the records that they cite. */
  readonly cited: (learnt: ReturnType<typeof learntRecords>) => ReturnType<typeof citedParts>;
  /** Where it is made public how a training's contributors' part is divided. */
  readonly combinations: Pick<CombinationShelf, "keepText">;
  /** What a contributor keeps of a record that repeats an earlier answer. */
  readonly keepPpm: number;
  /** 32 bytes: who is paid for running trainings. */
  readonly operator: Uint8Array;
}

interface Held {
  readonly hold: Hold;
  readonly allowance: Allowance;
}

/** No key that a caller can send has a space in it. */
const keyOf = (job: Job): string => `training ${job.id} ${job.paid.length}`;
const none = new Uint8Array(32);

/**
 * Trainings in the ledger's books. Base and datanets share the model's part by their vectors, those who made the context have theirs, and those whose
 * records are learnt stand in a pool, by bytes. Whoever operates the node pays as everybody does: it earns the cost, and what the terms ask for is others'.
 */
export class TrainingLedger implements TrainingBooks {
  readonly #parts: TrainingLedgerParts;
  readonly #held = new Map<string, Held>();
  readonly #labels = new Map<string, string>();
  readonly #assets: TrainingAssets;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: TrainingLedgerParts) {
    this.#parts = parts;
    this.#assets = new TrainingAssets({
      ...parts,
      onNamed: (name, { id, royaltyPayee }) => {
        parts.floor.catalog.nameAsset(id, `training of ${name}`);
        this.#labels.set(toHex(royaltyPayee), `who made ${name}`);
      },
    });
  }

  /** Receipts of trainings get back the names that they have for people. */
  restore(jobs: readonly Job[]): void {
    for (const job of jobs) for (const { asset } of job.paid) this.#assets.restore(job, fromHex(asset));
  }

  labelOf(payee: Uint8Array): string | undefined {
    return this.#labels.get(toHex(payee));
  }

  hold(job: Job, worst: Owed): Promise<Result<void>> {
    return this.#inTurn(async () => {
      const asset = await this.#assets.of(job);
      if (!asset.ok) return asset;
      const held = this.#hold(job, worst);
      return held.ok ? ok(undefined) : held;
    });
  }

  release(job: string): Promise<void> {
    return this.#inTurn(async () => this.#letGo(job, 0));
  }

  post(job: Job, owed: Owed): Promise<Result<Payment>> {
    return this.#inTurn(() => guarded(() => this.#post(job, owed)));
  }

  async #post(job: Job, owed: Owed): Promise<Result<Payment>> {
    const { books } = this.#parts.floor.ledger;
    const idempotency = { key: keyOf(job), bodyHash: sha256(utf8(`${job.id} ${owed.step} ${owed.tokens}`)) };
    const known = await books.idempotency(job.account, idempotency.key, idempotency.bodyHash);
    if (!known.ok) return known;
    const asset = await this.#assets.of(job);
    if (!asset.ok) return asset;
    if (known.value.state === "done") {
      this.#letGo(job.id, 0);
      return this.#payment(known.value.receipt, owed);
    }
    const held = this.#hold(job, owed);
    if (!held.ok) return held;
    await this.#parts.combinations.keepText(trainingMethodText);
    const draft = await this.#draft(job, owed, asset.value);
    if (!draft.ok) return draft;
    const { hold, allowance } = held.value;
    const { metered } = allowance;
    const posted = await books.post({
      ...{ ...draft.value, hold: hold.id, idempotency },
      ...(metered === undefined ? {} : { metered }),
    });
    if (!posted.ok) return posted;
    const { fee } = posted.value.receipt;
    this.#letGo(job.id, fee.cost + fee.royalty);
    this.#parts.floor.rhythm.count(posted.value.timeMs, posted.value.promise.entry);
    return this.#payment(hold.id, owed);
  }

  /** What is held already, or a new hold. */
  #hold(job: Job, worst: Owed): Result<Held> {
    const { ledger, leases, world } = this.#parts.floor;
    const known = this.#held.get(job.id);
    if (known !== undefined && ledger.holds.renew(known.hold.id)) return ok(known);
    this.#letGo(job.id, 0);
    const fee = feeOf(quoteOf(job, worst), noRate, usageOf(worst));
    if (!fee.ok) return fee;
    const amount = fee.value.cost + fee.value.royalty;
    const hold = ledger.holds.place({ account: job.account, amount, leaseMs: leases.leaseMs });
    if (!hold.ok) return hold.error.code === "insufficient_funds" ? this.#short(job, amount) : hold;
    const allowance = this.#allowance(job, amount, world.nowMs());
    if (!allowance.ok) {
      ledger.holds.release(hold.value.id);
      return allowance;
    }
    leases.keep(hold.value.id);
    const held = { hold: hold.value, allowance: allowance.value };
    this.#held.set(job.id, held);
    return ok(held);
  }

  /** Within the limits of whoever ordered it. */
  #allowance({ account, keyId }: Job, amount: number, nowMs: number): Result<Allowance> {
    const { ledger, meters } = this.#parts.floor;
    const key = keyId === undefined ? undefined : ledger.accounts.keys(account).find(({ id }) => id === keyId);
    if (key === undefined) return ok({ metered: undefined, answered: () => undefined, settle: () => undefined });
    if (key.revokedMs !== undefined)
      return refuse("key_revoked", `the key ${key.hint}… that ordered the training was revoked`, {
        hint: "resume the job with another key",
      });
    return meters.reserve(key, amount, nowMs);
  }

  #short({ account }: Job, amount: number): Result<never> {
    const { available = 0n, earnedAvailable = 0n } = this.#parts.floor.ledger.accounts.balance(account) ?? {};
    const missing = BigInt(amount) - available - earnedAvailable;
    const most = `the training may cost ${formatOpen(amount)} OPEN`;
    const says = missing > 0n ? `${formatOpen(missing)} OPEN are missing` : "the payer's deposit on chain is less";
    return refuse("insufficient_funds", `${most}, ${says}`, {
      hint: `add credit: openledger account credit ${account} AMOUNT; or learn less: fewer epochs`,
    });
  }

  #letGo(job: string, nano: number): void {
    const held = this.#held.get(job);
    if (held === undefined) return;
    const { ledger, leases } = this.#parts.floor;
    this.#held.delete(job);
    leases.drop(held.hold.id);
    ledger.holds.release(held.hold.id);
    held.allowance.settle({ tokens: 0, nano });
  }

  async #draft(job: Job, owed: Owed, asset: AssetState): Promise<Result<ExecutionDraft>> {
    const { operator, floor } = this.#parts;
    const versions = await this.#assets.versions(job);
    if (!versions.ok) return versions;
    const isDeclared = versions.value.length > 0;
    const shares = isDeclared ? await this.#pool(job, asset, versions.value) : ok([]);
    if (!shares.ok) return shares;
    const unattributed = shares.value.length === 0 ? EVIDENCE_TOTAL : 0;
    const rate = floor.catalog.rateFor("nano");
    if (!rate.ok) return rate;
    return ok({
      flags: {
        ...{ reported: false, unaudited: false },
        partial: job.status === "failed" || job.status === "cancelled",
        undeclared: !isDeclared,
      },
      ...{ operator, model: asset.id, quote: quoteOf(job, owed), rate: rate.value, usage: usageOf(owed) },
      ...{ promptHash: none, answerHash: none, evidenceRoot: none, indexId: none, methodsHash: trainingMethod },
      ...(isDeclared ? { contributors: { shares: shares.value, unattributed } } : {}),
    });
  }

  /** Those whose records are learnt, as one payee. */
  async #pool(
    job: Job,
    asset: AssetState,
    versions: readonly DeclaredVersion[],
  ): Promise<Result<readonly PayeeShare[]>> {
    const learnt = learntRecords(versions, job.heldOutShare);
    const { upstream, cited, keepPpm } = this.#parts;
    const people = learntShares(learnt, await upstream(learnt), keepPpm, await cited(learnt));
    if (people.length === 0) return ok([]);
    const pool = await this.#parts.provenance.ledger.assets.declare(asset.id, people);
    if (!pool.ok) return pool;
    this.#labels.set(toHex(pool.value), `${people.length} whose records were learnt`);
    return ok([{ payee: pool.value, type: "pool", weight: EVIDENCE_TOTAL }]);
  }

  async #payment(receipt: Uint8Array, { step, tokens }: Owed): Promise<Result<Payment>> {
    const found = await this.#parts.floor.ledger.books.receipt(receipt);
    if (found === undefined) return refuse("not_found", `there is no receipt ${toHex(receipt)}`);
    const { fee, legs, model } = found.receipt;
    const credited: Partial<Record<LegRole, number>> = {};
    for (const { role, amount } of legs) credited[role] = (credited[role] ?? 0) + amount;
    return ok({
      ...{ receipt: toHex(receipt), seq: found.seq, timeMs: found.timeMs, asset: toHex(model), step, tokens },
      ...{ cost: fee.cost, dataFee: fee.royalty, credited },
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

function quoteOf({ prices }: Job, { isElsewhere }: Owed): Quote {
  return { unit: "nano", cost: isElsewhere === true ? noPrices : prices.cost, royalty: prices.royalty };
}

function usageOf({ tokens }: Owed): Usage {
  return { tokensIn: tokens, tokensOut: 0, calls: 1 };
}

const noRate = { nanoPerUsd: 0, source: "none" } as const;

import {
  type AssetRecord,
  flowsToOwnerAlone,
  isSameAsset,
  royaltyShares,
  royaltyVector,
  type VectorShare,
  vectorRoot,
} from "./asset.ts";
import { equalBytes, toHex } from "./bytes.ts";
import type { BindingRecord, PayeeRecord } from "./entry.ts";
import { checkPolicy, type FeePolicy, policyHash } from "./policy.ts";
import { joinPoolChunks, type Pool, type PoolChunk, poolId } from "./pool.ts";
import { ok, type Result, refuse } from "./result.ts";
import type { RoutePolicy } from "./route.ts";

/**
 * Who and what a ledger knows, learnt from its journal alone and in its order: payees, policies, assets with their royalty vectors, pools, bindings.
 * Every method takes one record of the journal, checks all that can be checked of it, and refuses what does not hold.
 */
export class KnownParties {
  readonly #ledger: Uint8Array;
  readonly #payees: PayeeRecord[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #policies = new Map<string, RoutePolicy>();
  #currentPolicy: RoutePolicy | undefined;
  readonly #assets = new Map<string, { readonly record: AssetRecord; readonly vector: readonly VectorShare[] }>();
  /** Owners who follow at the close of the open epoch, by asset. */
  readonly #heirs = new Map<string, number>();
  readonly #pools = new Map<number, Pool>();
  /** Royalty pools that were compared with the present owners, by asset. */
  readonly #royaltyPools = new Map<string, number>();
  readonly #subjects = new Map<number, Uint8Array>();
  readonly #openChunks = new Map<number, PoolChunk[]>();
  readonly #bindings = new Map<number, BindingRecord>();

  constructor(ledger: Uint8Array) {
    this.#ledger = ledger;
  }

  payee(number: number): PayeeRecord | undefined {
    return this.#payees[number - 1];
  }

  number(id: Uint8Array): number | undefined {
    return this.#numbers.get(toHex(id));
  }

  /** The policy that was journalled last. */
  get currentPolicy(): RoutePolicy | undefined {
    return this.#currentPolicy;
  }

  policy(hash: Uint8Array): RoutePolicy | undefined {
    return this.#policies.get(toHex(hash));
  }

  asset(id: Uint8Array): AssetRecord | undefined {
    return this.#assets.get(toHex(id))?.record;
  }

  pool(number: number): Pool | undefined {
    return this.#pools.get(number);
  }

  /** What a pool was published for: see {@link PoolChunk}. */
  poolSubject(number: number): Uint8Array | undefined {
    return this.#subjects.get(number);
  }

  /** Everything that an asset was made from, each once. */
  ancestors(id: Uint8Array): readonly AssetRecord[] {
    const found = new Map<string, AssetRecord>();
    const visit = (record: AssetRecord | undefined): void => {
      for (const parent of record?.parents ?? []) {
        const key = toHex(parent.id);
        const known = this.#assets.get(key)?.record;
        if (known === undefined || found.has(key)) continue;
        found.set(key, known);
        visit(known);
      }
    };
    visit(this.asset(id));
    return [...found.values()];
  }

  binding(identity: number): BindingRecord | undefined {
    return this.#bindings.get(identity);
  }

  get payeeCount(): number {
    return this.#payees.length;
  }

  addPayee(payee: PayeeRecord): Result<PayeeRecord> {
    if (payee.number !== this.#payees.length + 1) {
      return wrong(`payee ${payee.number} is introduced where ${this.#payees.length + 1} comes next`);
    }
    const known = this.number(payee.id);
    if (known !== undefined) return wrong(`payee ${payee.number} has the id of payee ${known}`);
    this.#payees.push(payee);
    this.#numbers.set(toHex(payee.id), payee.number);
    return ok(payee);
  }

  addPolicy(policy: FeePolicy): Result<FeePolicy> {
    const checked = checkPolicy(policy);
    if (!checked.ok) return wrong(checked.error.message);
    const treasury = this.number(policy.treasuryPayee);
    const reserve = this.number(policy.reservePayee);
    const datanetReserve = this.number(policy.datanetReservePayee);
    if (treasury === undefined || reserve === undefined || datanetReserve === undefined) {
      return wrong("a policy names a standing payee that was not introduced");
    }
    this.#currentPolicy = { ...policy, treasury, reserve, datanetReserve };
    this.#policies.set(toHex(policyHash(policy)), this.#currentPolicy);
    return ok(policy);
  }

  addAsset(record: AssetRecord): Result<AssetRecord> {
    if (this.#payees[record.owner - 1] === undefined) return wrong(`asset ${toHex(record.id)} has an unknown owner`);
    const known = this.asset(record.id);
    if (known !== undefined) {
      if (!isSameAsset(known, record)) return wrong(`asset ${toHex(record.id)} is registered twice`);
      this.#heirs.set(toHex(record.id), record.owner);
      return ok(record);
    }
    const vector = royaltyVector(record.id, record.terms, record.parents, (id) => this.#assets.get(toHex(id))?.vector);
    if (!vector.ok) return wrong(vector.error.message);
    if (!equalBytes(vectorRoot(vector.value), record.vectorRoot)) {
      return wrong(`the royalty vector of asset ${toHex(record.id)} does not follow from its parents and terms`);
    }
    this.#assets.set(toHex(record.id), { record, vector: vector.value });
    return ok(record);
  }

  /** An epoch was closed: assets that were transferred in it are their new owners' from here on. */
  turnEpoch(): void {
    for (const [key, owner] of this.#heirs) {
      const { record, vector } = this.#assets.get(key)!;
      this.#assets.set(key, { record: { ...record, owner }, vector });
    }
    if (this.#heirs.size > 0) this.#royaltyPools.clear();
    this.#heirs.clear();
  }

  /** Whether a royalty on the asset goes to this payee: its owner, or the pool of the present owners of all that it was made from. */
  isRoyaltyPayee(asset: AssetRecord, payee: number): boolean {
    const key = toHex(asset.id);
    const known = this.#assets.get(key);
    if (known === undefined) return false;
    const { record, vector } = known;
    if (flowsToOwnerAlone(record.id, vector)) return payee === record.owner;
    if (this.#royaltyPools.get(key) === payee) return true;
    const [pool, subject] = [this.#pools.get(payee), this.#subjects.get(payee)];
    if (pool === undefined || subject === undefined || !equalBytes(subject, record.id)) return false;
    const due = royaltyShares(vector, (id) => this.#assets.get(toHex(id))!.record.owner);
    const { members } = pool;
    const isDue =
      members.length === due.length &&
      members.every((member, i) => member.payee === due[i]!.payee && member.weight === due[i]!.weight);
    if (isDue) this.#royaltyPools.set(key, payee);
    return isDue;
  }

  addPoolChunk(chunk: PoolChunk): Result<PoolChunk> {
    const payee = this.payee(chunk.pool);
    if (payee?.type !== "pool") return wrong(`a pool's chunk names payee ${chunk.pool}, which is no pool`);
    if (this.#pools.has(chunk.pool)) return wrong(`pool ${chunk.pool} is published twice`);
    const chunks = [...(this.#openChunks.get(chunk.pool) ?? []), chunk];
    this.#openChunks.set(chunk.pool, chunks);
    if (chunk.firstMember + chunk.members.length < chunk.memberCount) return ok(chunk);
    const pool = joinPoolChunks(chunks);
    if (pool === undefined) return wrong(`the chunks of pool ${chunk.pool} do not follow from each other`);
    if (!equalBytes(poolId(this.#ledger, chunk.subject, chunk.since, pool.members), payee.id)) {
      return wrong(`the members of pool ${chunk.pool} are not those that its id names`);
    }
    const stranger = pool.members.find((member) => this.payee(member.payee) === undefined);
    if (stranger !== undefined) return wrong(`pool ${chunk.pool} has an unknown member, payee ${stranger.payee}`);
    this.#openChunks.delete(chunk.pool);
    this.#pools.set(chunk.pool, pool);
    this.#subjects.set(chunk.pool, chunk.subject);
    return ok(chunk);
  }

  addBinding(binding: BindingRecord): Result<BindingRecord> {
    if (this.payee(binding.identity)?.type !== "identity")
      return wrong(`a binding names payee ${binding.identity}, which is no identity`);
    const needsTarget = binding.state === "bound" || binding.state === "redirected" || binding.state === "noticed";
    if (needsTarget !== (this.payee(binding.to) !== undefined))
      return wrong(`a binding in state ${binding.state} names payee ${binding.to}`);
    const before = this.#bindings.get(binding.identity);
    if (before?.state === "bound" && binding.state === "bound")
      return wrong(`identity ${binding.identity} is bound twice`);
    this.#bindings.set(binding.identity, binding);
    return ok(binding);
  }
}

function wrong(message: string): Result<never> {
  return refuse("verification_failed", message);
}

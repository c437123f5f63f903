import { equalBytes, isAddressId, padAddress } from "../core/bytes.ts";
import { checkpointDigest, type Domain, signDigest } from "../core/eip712.ts";
import type { EpochRecord } from "../core/epoch.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import type { Chain, ChainEpoch, EpochCommitment } from "../ledger/chain.ts";
import type { ClosedEpoch, Ledger } from "../ledger/ledger.ts";
import type { Publisher } from "../ledger/publish.ts";

/** Brings epochs to their end, on a chain or on credit. What fails can be repeated. */
export interface EpochCloser {
  close(): Promise<Result<ClosedEpoch>>;
  /** Waits until an epoch is final; what that takes is the chain's business. */
  finalise(epoch: number): Promise<Result<string>>;
  /** Takes closed epochs as far as they can go now. */
  advance(): Promise<Result<void>>;
  watchDeposits(): Promise<Result<void>>;
  /** Takes up what an earlier run left. */
  resume(): Promise<Result<void>>;
  /** Why this node must not go on: another writes this ledger too, in books of its own. */
  forked(): Refusal | undefined;
}

export interface SettlementParts {
  readonly ledger: Ledger;
  readonly chain: Chain;
  readonly publisher: Publisher;
  readonly domain: Domain;
  /** 32 bytes: signs checkpoints. */
  readonly signer: Uint8Array;
  readonly sleep: (ms: number) => Promise<void>;
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
}

/**
 * Closes epochs and brings them to their end on chain: proposed when closed, final when their window has passed. Every step can be repeated;
 * closing and advancing take turns, so that an epoch is proposed once.
 */
export class Settlement implements EpochCloser {
  readonly #parts: SettlementParts;
  #deposits = -1;
  #turn: Promise<unknown> = Promise.resolve();
  #fork: ReturnType<typeof refuse> | undefined;

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** Closes the open epoch and proposes it. */
  close(): Promise<Result<ClosedEpoch>> {
    return this.#inTurn(() => this.#close());
  }

  forked(): Refusal | undefined {
    return this.#fork?.error;
  }

  async #close(): Promise<Result<ClosedEpoch>> {
    const { ledger, chain } = this.#parts;
    const alone = await this.#checkAlone();
    if (!alone.ok) return alone;
    // A transfer that is journalled before the close counts from the epoch that opens with it.
    const synced = await this.syncOwners();
    if (!synced.ok) return synced;
    const closed = await ledger.epochs.closeEpoch({ registryBlock: await chain.block() });
    if (!closed.ok) return closed;
    const proposed = await this.propose(closed.value);
    return proposed.ok ? closed : proposed;
  }

  /** Owners as the registry has them: a transfer counts from the epoch that opens next, earlier income stays the seller's. */
  async syncOwners(): Promise<Result<void>> {
    const { ledger, chain } = this.#parts;
    for (const asset of ledger.assets.list()) {
      const owner = await chain.ownerOf(asset.id);
      if (!owner.ok) return owner;
      // The node holds it for somebody who has no address: whose it is, the journal says.
      if (!isAddressId(asset.owner) && equalBytes(owner.value, chain.node)) continue;
      const moved = await ledger.assets.transfer(asset.id, padAddress(owner.value));
      if (!moved.ok) return moved;
    }
    return ok(undefined);
  }

  async propose(closed: ClosedEpoch): Promise<Result<string>> {
    const { ledger, chain } = this.#parts;
    const commitment = await this.commitmentOf(closed);
    const proposed = await chain.propose(ledger.id, commitment);
    if (!proposed.ok) return proposed;
    await ledger.epochs.mark(closed.record.epoch, "proposed", proposed.value);
    return proposed;
  }

  /** What goes on chain for an epoch; publishes the journal that it commits to. */
  async commitmentOf(closed: ClosedEpoch): Promise<EpochCommitment> {
    const { ledger, publisher, domain, signer } = this.#parts;
    const { size, root } = await publisher.publish(Math.max(closed.journalSize, publisher.published?.size ?? 0));
    const statement = { ledger: ledger.id, size, root };
    return {
      record: closed.record,
      journalSize: size,
      journalRoot: root,
      checkpointSignature: signDigest(signer, checkpointDigest(domain, statement)),
    };
  }

  /** Waits for the epoch's window and makes it final. */
  async finalise(epoch: number): Promise<Result<string>> {
    const { ledger, chain, sleep, nowMs } = this.#parts;
    const onChain = await chain.epoch(ledger.id, epoch);
    if (!onChain.ok) return onChain;
    const waitMs = (onChain.value?.finalFrom ?? 0) * 1_000 - nowMs();
    if (waitMs > 0) await sleep(waitMs + 1_000);
    const final = await chain.finalise(ledger.id, epoch);
    if (!final.ok) return final;
    await ledger.epochs.mark(epoch, "final", final.value);
    return final;
  }

  /** Takes up what an earlier run left, and learns who owns what. */
  async resume(): Promise<Result<void>> {
    const checked = await this.check();
    if (!checked.ok) return checked;
    const advanced = await this.advance();
    return advanced.ok ? this.syncOwners() : advanced;
  }

  /** What the chain has of this ledger against what the books have; nothing is sent. */
  async check(): Promise<Result<void>> {
    const known = await this.#checkChain();
    return known.ok ? this.#checkAlone() : known;
  }

  /** An epoch that the journal has not closed was proposed by another node with this one's keys: on a copy of its folder, or on the original of a backup. */
  async #checkAlone(): Promise<Result<void>> {
    const { ledger, chain } = this.#parts;
    const { epoch } = ledger.epochs.open();
    const onChain = await chain.epoch(ledger.id, epoch);
    if (!onChain.ok) return onChain;
    return onChain.value === undefined ? ok(undefined) : this.#forkedAt(epoch);
  }

  #forkedAt(epoch: number): Result<never> {
    this.#fork = refuse("conflict", `somebody else proposed epoch ${epoch} of this ledger, with this node's keys`, {
      hint: "another node runs on a copy of this data folder, or this is a restored backup of one that went on: keep the one whose epochs are on the chain, and never start the other",
    });
    return this.#fork;
  }

  /** A chain that does not know what was final there is an older one, or another: what it paid and was paid since is lost there, and is not made up for here. */
  async #checkChain(): Promise<Result<void>> {
    const { ledger, chain } = this.#parts;
    const finals = ledger.epochs.list().filter(({ status, isPast }) => status === "final" && !isPast);
    const newest = Math.max(0, ...finals.map(({ record }) => record.epoch));
    if (newest === 0) return ok(undefined);
    const onChain = await chain.epoch(ledger.id, newest);
    if (!onChain.ok || onChain.value !== undefined) return onChain.ok ? ok(undefined) : onChain;
    return refuse(
      "conflict",
      `epoch ${newest} is final, and chain ${chain.chainId} does not know it: its state is older than the books`,
      {
        hint: "put the chain's newest state back (anvil/ in the data folder, or the right CHAIN_RPC_URL), or restore a backup: openledger restore",
      },
    );
  }

  /** Closed epochs are proposed, proposed ones whose window has passed become final. */
  advance(): Promise<Result<void>> {
    return this.#inTurn(() => this.#advance());
  }

  async #advance(): Promise<Result<void>> {
    const { ledger, chain, nowMs } = this.#parts;
    if (this.#fork !== undefined) return this.#fork;
    for (const { record, seq, status, isPast } of ledger.epochs.list()) {
      if (isPast || status === "final" || status === "voided") continue;
      const onChain = await chain.epoch(ledger.id, record.epoch);
      if (!onChain.ok) return onChain;
      if (onChain.value === undefined) {
        const proposed = await this.propose({ record, seq, journalSize: ledger.books.size() });
        if (!proposed.ok) return proposed;
      } else if (!isOf(onChain.value, record)) {
        return this.#forkedAt(record.epoch);
      } else if (onChain.value.status === "final" || (onChain.value.finalFrom + 1) * 1_000 < nowMs()) {
        const final = await this.finalise(record.epoch);
        if (!final.ok) return final;
      }
    }
    return ok(undefined);
  }

  /** Books deposits and withdrawals that the chain has seen since the last look. */
  async watchDeposits(): Promise<Result<void>> {
    const { ledger, chain } = this.#parts;
    const until = await chain.block();
    if (until <= this.#deposits) return ok(undefined);
    const moved = await chain.movements(ledger.id, this.#deposits + 1, until);
    if (!moved.ok) return moved;
    for (const { kind, payer, amount, reference, block } of moved.value) {
      const input = { payer, amount: Number(amount), reference, block };
      const booked = kind === "deposit" ? await ledger.accounts.deposit(input) : await ledger.accounts.withdraw(input);
      if (!booked.ok) return booked;
    }
    this.#deposits = until;
    return ok(undefined);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

/** Whether what is on chain is what the journal says of the epoch. */
function isOf(onChain: ChainEpoch, record: EpochRecord): boolean {
  const roots = ["postingsRoot", "payoutRoot", "debitRoot"] as const;
  if (!roots.every((root) => equalBytes(onChain[root], record[root]))) return false;
  return onChain.credits === record.credits && onChain.debits === record.debits;
}

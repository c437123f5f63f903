import type { Hex } from "viem";
import type { LocalAccount } from "viem/accounts";
import { assetKinds } from "../core/asset.ts";
import { compareBytes, equalBytes, fromHex, toHex } from "../core/bytes.ts";
import { WEI_PER_NANO } from "../core/money.ts";
import type { FeePolicy } from "../core/policy.ts";
import { policyHash } from "../core/policy.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type {
  AssetRegistration,
  BindingNotice,
  Chain,
  ChainClaim,
  ChainEpoch,
  ContractAddresses,
  EpochCommitment,
  Movement,
} from "../ledger/chain.ts";
import type { PayoutProof } from "../ledger/ledger.ts";
import { escrowAbi, policyAbi, registryAbi, settlementAbi, tokenAbi } from "./abi.ts";
import { readClaims } from "./claimLogs.ts";
import { policyStruct } from "./deploy.ts";
import { readEpoch } from "./epochLog.ts";
import { escrowMovements } from "./escrowMovements.ts";
import type { Sender } from "./sender.ts";

/** How a ledger is opened: its salt (32 bytes), periods in seconds, and the proposer's bond in nano. */
export interface LedgerSetup {
  readonly salt: Uint8Array;
  readonly epochSeconds: number;
  readonly windowSeconds: number;
  readonly thawSeconds: number;
  readonly noticeSeconds: number;
  readonly expirySeconds: number;
  readonly bondNano: bigint;
  /** Signs checkpoints and batches: 20 bytes. */
  readonly signer: Uint8Array;
}

export interface EvmChainOptions {
  readonly sender: Sender;
  readonly chainId: number;
  readonly contracts: ContractAddresses;
  /** Owns the ledger, proposes, attests and pays. */
  readonly account: LocalAccount;
  readonly setup: LedgerSetup;
  /** The ledger that is known to be here already; another is not opened. */
  readonly kept?: Uint8Array;
  /** The ClaimRelay that this node uses, where it uses one. */
  readonly relay?: Uint8Array;
}

/** The contracts of `contracts/src`, on any EVM chain with Cancun opcodes. */
export function openEvmChain(options: EvmChainOptions): Chain {
  return new EvmChain(options);
}

/** See {@link Chain}. */
export class EvmChain implements Chain {
  readonly chainId: number;
  readonly contracts: ContractAddresses;
  readonly settlement: Uint8Array;
  readonly node: Uint8Array;
  readonly identities: Chain["identities"];
  protected readonly sender: Sender;
  protected readonly account: LocalAccount;
  protected readonly setup: LedgerSetup;
  readonly #relay: Uint8Array | undefined;
  readonly #kept: Uint8Array | undefined;

  constructor(options: EvmChainOptions) {
    this.chainId = options.chainId;
    this.contracts = options.contracts;
    this.settlement = options.contracts.settlement;
    this.node = fromHex(options.account.address);
    this.identities = { chainId: options.chainId, registry: options.contracts.registry };
    this.sender = options.sender;
    this.account = options.account;
    this.setup = options.setup;
    this.#relay = options.relay;
    this.#kept = options.kept;
  }

  protected get at(): { readonly address: Hex; readonly abi: typeof settlementAbi } {
    return { address: toHex(this.settlement), abi: settlementAbi };
  }

  async block(): Promise<number> {
    return Number(await this.sender.client.getBlockNumber({ cacheTime: 0 }));
  }

  async openLedger(): Promise<Result<Uint8Array>> {
    const { salt, signer, bondNano, ...periods } = this.setup;
    const args = [this.account.address, toHex(salt)] as const;
    const id = await this.sender.read((client) => client.readContract({ ...this.at, functionName: "ledgerId", args }));
    if (!id.ok) return id;
    if (this.#kept !== undefined && !equalBytes(this.#kept, fromHex(id.value)))
      return refuse("conflict", `the data folder holds ledger ${toHex(this.#kept)}, and this key opens another one`, {
        hint: "start it with the OPENLEDGER_PRIVATE_KEY that it began with, or begin another ledger with --data DIR",
      });
    const open = await this.sender.read((client) =>
      client.readContract({ ...this.at, functionName: "isOpen", args: [id.value] }),
    );
    if (!open.ok || open.value) return open.ok ? ok(fromHex(id.value)) : open;
    const roles = { signer: toHex(signer), proposer: this.account.address, attestor: this.account.address };
    const opened = await this.settle("openLedger", [toHex(salt), roles, periods]);
    return opened.ok ? this.postBond(fromHex(id.value), bondNano) : opened;
  }

  protected async postBond(ledger: Uint8Array, nano: bigint): Promise<Result<Uint8Array>> {
    const bond = nano * WEI_PER_NANO;
    const approved = await this.approve(this.contracts.settlement, bond);
    if (!approved.ok) return approved;
    const posted = await this.settle("postBond", [toHex(ledger), this.account.address, bond]);
    return posted.ok ? ok(ledger) : posted;
  }

  async registerAsset(input: AssetRegistration): Promise<Result<Uint8Array>> {
    const registration = registrationStruct(input);
    const address = toHex(this.contracts.registry);
    const id = await this.sender.read((client) =>
      client.readContract({
        address,
        abi: registryAbi,
        functionName: "assetId",
        args: [registration, this.account.address],
      }),
    );
    if (!id.ok) return id;
    const known = await this.sender.read((client) =>
      client.readContract({ address, abi: registryAbi, functionName: "isRegistered", args: [id.value] }),
    );
    if (!known.ok || known.value) return known.ok ? ok(fromHex(id.value)) : known;
    const call = { to: address, abi: registryAbi, name: "register", args: [registration] };
    const sent = await this.sender.send(this.account, call);
    return sent.ok ? ok(fromHex(id.value)) : sent;
  }

  async ownerOf(asset: Uint8Array): Promise<Result<Uint8Array>> {
    const address = toHex(this.contracts.registry);
    const owner = await this.sender.read((client) =>
      client.readContract({ address, abi: registryAbi, functionName: "ownerOf", args: [BigInt(toHex(asset))] }),
    );
    if (owner.ok) return ok(fromHex(owner.value));
    if (!owner.error.message.includes("ERC721NonexistentToken")) return owner;
    return refuse("conflict", `the chain's registry does not know the asset ${toHex(asset)}: the chain was set back`, {
      hint: "restore the data folder, or the chain, from a backup",
    });
  }

  async publishPolicy(policy: FeePolicy): Promise<Result<Uint8Array>> {
    const address = toHex(this.contracts.policy);
    const current = await this.sender.read((client) =>
      client.readContract({ address, abi: policyAbi, functionName: "current" }),
    );
    if (!current.ok) return current;
    const hash = policyHash(policy);
    if (current.value === toHex(hash)) return ok(hash);
    const call = { to: address, abi: policyAbi, name: "setPolicy", args: [policyStruct(policy)] };
    const sent = await this.sender.send(this.account, call);
    return sent.ok ? ok(hash) : sent;
  }

  async deposit(ledger: Uint8Array, amount: bigint): Promise<Result<string>> {
    const wei = amount * WEI_PER_NANO;
    const approved = await this.approve(this.contracts.escrow, wei);
    if (!approved.ok) return approved;
    const args = [toHex(ledger), this.account.address, wei];
    const sent = await this.sender.send(this.account, {
      ...{ to: toHex(this.contracts.escrow), abi: escrowAbi, name: "deposit", args },
    });
    return sent.ok ? ok(sent.value.transactionHash) : sent;
  }

  /** Reads the escrow's log from its start, since what a withdrawal took back depends on the request before it. */
  async movements(ledger: Uint8Array, from: number, until: number): Promise<Result<readonly Movement[]>> {
    const range = { fromBlock: 0n, toBlock: BigInt(until) };
    const logs = await this.sender.read((client) =>
      client.getLogs({ address: toHex(this.contracts.escrow), ...range }),
    );
    if (!logs.ok) return logs;
    const movements = escrowMovements(this.chainId, toHex(ledger), logs.value);
    return ok(movements.filter((movement) => movement.block >= from));
  }

  async propose(ledger: Uint8Array, commitment: EpochCommitment): Promise<Result<string>> {
    const present = await this.epoch(ledger, commitment.record.epoch);
    if (!present.ok) return present;
    if (present.value !== undefined) return ok("already proposed");
    const args = [commitmentStruct(ledger, commitment), toHex(commitment.checkpointSignature)];
    const sent = await this.settle("propose", args);
    return sent.ok ? ok(sent.value) : sent;
  }

  async finalise(ledger: Uint8Array, epoch: number): Promise<Result<string>> {
    const present = await this.epoch(ledger, epoch);
    if (!present.ok) return present;
    if (present.value === undefined) return refuse("not_found", `epoch ${epoch} was not proposed on chain`);
    if (present.value.status === "final") return ok("already final");
    const sent = await this.settle("finalise", [toHex(ledger), BigInt(epoch)]);
    if (sent.ok) return sent;
    // Anybody may do it, and somebody else has been quicker.
    const after = await this.epoch(ledger, epoch);
    return after.ok && after.value?.status === "final" ? ok("already final") : sent;
  }

  epoch(ledger: Uint8Array, epoch: number): Promise<Result<ChainEpoch | undefined>> {
    return readEpoch(this.sender, this.settlement, { ledger, epoch, windowSeconds: this.setup.windowSeconds });
  }

  claimed(ledger: Uint8Array, payee: Uint8Array): Promise<Result<bigint>> {
    return this.sender.read((client) =>
      client.readContract({ ...this.at, functionName: "claimed", args: [toHex(ledger), toHex(payee)] }),
    );
  }

  claims(ledger: Uint8Array, from: number, until: number): Promise<Result<readonly ChainClaim[]>> {
    const places = { chainId: this.chainId, settlement: this.settlement, relay: this.#relay };
    return readClaims(this.sender, places, { ledger, from, until });
  }

  async claim(
    ledger: Uint8Array,
    epoch: number,
    proof: PayoutProof,
  ): Promise<Result<{ readonly transaction: string; readonly paid: bigint }>> {
    const before = await this.claimed(ledger, proof.payee);
    if (!before.ok) return before;
    const path = proof.proof.map((hash) => toHex(hash));
    const args = [toHex(ledger), BigInt(epoch), BigInt(proof.index), toHex(proof.payee), proof.cumulative, path];
    const sent = await this.settle("claimFor", args);
    return sent.ok ? ok({ transaction: sent.value, paid: proof.cumulative - before.value }) : sent;
  }

  async balance(address: Uint8Array): Promise<Result<bigint>> {
    const args = [toHex(address)] as const;
    const wei = await this.sender.read((client) =>
      client.readContract({ address: toHex(this.contracts.token), abi: tokenAbi, functionName: "balanceOf", args }),
    );
    return wei.ok ? ok(wei.value / WEI_PER_NANO) : wei;
  }

  async noticeBinding(ledger: Uint8Array, notice: BindingNotice): Promise<Result<string>> {
    const preimage = {
      chainId: BigInt(notice.chainId),
      registry: toHex(notice.registry),
      datanet: toHex(notice.datanet),
      tag: toHex(notice.tag),
    };
    return this.settle("noticeBinding", [
      toHex(ledger),
      preimage,
      BOUND,
      toHex(notice.account),
      toHex(notice.proofHash),
    ]);
  }

  finaliseBinding(ledger: Uint8Array, payee: Uint8Array, account: Uint8Array): Promise<Result<string>> {
    return this.settle("finaliseBinding", [toHex(ledger), toHex(payee), BOUND, toHex(account)]);
  }

  async entitledTo(ledger: Uint8Array, payee: Uint8Array): Promise<Result<Uint8Array | undefined>> {
    const args = [toHex(ledger), toHex(payee)] as const;
    const entitled = await this.sender.read((client) =>
      client.readContract({ ...this.at, functionName: "entitledTo", args }),
    );
    if (!entitled.ok) return entitled;
    const address = fromHex(entitled.value);
    return ok(address.every((byte) => byte === 0) ? undefined : address);
  }

  protected async settle(name: string, args: readonly unknown[]): Promise<Result<string>> {
    const call = { to: toHex(this.contracts.settlement), abi: settlementAbi, name, args };
    const sent = await this.sender.send(this.account, call);
    return sent.ok ? ok(sent.value.transactionHash) : sent;
  }

  protected async approve(spender: Uint8Array, wei: bigint): Promise<Result<unknown>> {
    const args = [toHex(spender), wei];
    return this.sender.send(this.account, { to: toHex(this.contracts.token), abi: tokenAbi, name: "approve", args });
  }
}

export const BOUND = 1;

/** The registration as the contract's struct; parents ascend by id, as the contract wants them. */
export function registrationStruct(input: AssetRegistration) {
  const parents = input.parents
    .toSorted((a, b) => compareBytes(a.id, b.id))
    .map((parent) => ({ id: toHex(parent.id), weight: parent.weight }));
  const { unit, royalty, parentsBps, licence } = input.terms;
  return {
    kind: assetKinds.indexOf(input.kind),
    contentRoot: toHex(input.contentRoot),
    parents,
    terms: {
      unit: unit === "nano" ? 0 : 1,
      inPerMillion: BigInt(royalty.inPerMillion),
      outPerMillion: BigInt(royalty.outPerMillion),
      perCall: BigInt(royalty.perCall),
      parentsBps: parents.length === 0 ? 0 : parentsBps,
      licence,
    },
    vectorRoot: toHex(input.vectorRoot ?? new Uint8Array(32)),
    uri: input.uri,
    salt: toHex(input.salt),
  };
}

function commitmentStruct(ledger: Uint8Array, commitment: EpochCommitment) {
  const { record } = commitment;
  return {
    ledger: toHex(ledger),
    epoch: BigInt(record.epoch),
    journalSize: BigInt(commitment.journalSize),
    journalRoot: toHex(commitment.journalRoot),
    postingsRoot: toHex(record.postingsRoot),
    postingsCount: BigInt(record.postingsCount),
    payoutRoot: toHex(record.payoutRoot),
    payoutCount: BigInt(record.payoutCount),
    debitRoot: toHex(record.debitRoot),
    debitCount: BigInt(record.debitCount),
    credits: record.credits,
    debits: record.debits,
    registryBlock: BigInt(record.registryBlock),
    policyHash: toHex(record.policyHash),
  };
}

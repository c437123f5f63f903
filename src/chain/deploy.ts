import { readFileSync } from "node:fs";
import type { Abi, Hex } from "viem";
import type { LocalAccount } from "viem/accounts";
import { fromHex, toHex } from "../core/bytes.ts";
import type { FeePolicy } from "../core/policy.ts";
import { assert, ok, type Result } from "../core/result.ts";
import type { ContractAddresses } from "../ledger/chain.ts";
import { settlementAbi } from "./abi.ts";
import type { Sender } from "./sender.ts";

/** What a deployment asks of every ledger: seconds, and the proposer's bond in nano. */
export interface DeploymentFloors {
  readonly windowSeconds: number;
  readonly noticeSeconds: number;
  readonly expirySeconds: number;
  readonly bondNano: bigint;
}

export interface Artifact {
  readonly abi: Abi;
  readonly bytecode: Hex;
}

/** Deploys token, registry, policy and settlement (which makes its escrow); `from` owns the supply and governs. */
export async function deployContracts(
  sender: Sender,
  from: LocalAccount,
  policy: FeePolicy,
  floors: DeploymentFloors,
): Promise<Result<ContractAddresses>> {
  const token = await deploy(sender, from, "OpenToken", [from.address]);
  if (!token.ok) return token;
  const registry = await deploy(sender, from, "AssetRegistry", []);
  if (!registry.ok) return registry;
  const feePolicy = await deploy(sender, from, "FeePolicy", [from.address, policyStruct(policy)]);
  if (!feePolicy.ok) return feePolicy;
  const required = { ...floors, bond: floors.bondNano * 1_000_000_000n };
  const args = [token.value, registry.value, feePolicy.value, required, from.address];
  const settlement = await deploy(sender, from, "EpochSettlement", args);
  if (!settlement.ok) return settlement;
  const escrow = await sender.read((client) =>
    client.readContract({ address: settlement.value, abi: settlementAbi, functionName: "ESCROW" }),
  );
  if (!escrow.ok) return escrow;
  return ok({
    token: fromHex(token.value),
    registry: fromHex(registry.value),
    policy: fromHex(feePolicy.value),
    escrow: fromHex(escrow.value),
    settlement: fromHex(settlement.value),
  });
}

/** Deploys the ClaimRelay of a settlement; its address, 20 bytes. It has no owner: one serves every ledger and every relayer of its settlement. */
export async function deployRelay(
  sender: Sender,
  from: LocalAccount,
  { settlement, token }: Pick<ContractAddresses, "settlement" | "token">,
): Promise<Result<Uint8Array>> {
  const relay = await deploy(sender, from, "ClaimRelay", [toHex(settlement), toHex(token)]);
  return relay.ok ? ok(fromHex(relay.value)) : relay;
}

/** A contract's interface and bytecode as the build left them beside this file. */
export function readArtifact(name: string): Artifact {
  const artifact: unknown = JSON.parse(readFileSync(new URL(`./artifacts/${name}.json`, import.meta.url), "utf8"));
  assert(isArtifact(artifact), `${name}.json holds an ABI and bytecode`);
  return artifact;
}

/** The policy as the contract's struct. */
export function policyStruct(policy: FeePolicy): Record<string, number | Hex> {
  return {
    modelBps: policy.modelBps,
    contextBps: policy.contextBps,
    contributorsBps: policy.contributorsBps,
    stakersBps: policy.stakersBps,
    treasuryBps: policy.treasuryBps,
    priorCapBps: policy.priorCapBps,
    treasuryPayee: toHex(policy.treasuryPayee),
    reservePayee: toHex(policy.reservePayee),
    datanetReservePayee: toHex(policy.datanetReservePayee),
  };
}

function deploy(sender: Sender, from: LocalAccount, name: string, args: readonly unknown[]): Promise<Result<Hex>> {
  const { abi, bytecode } = readArtifact(name);
  return sender.deploy(from, abi, bytecode, args);
}

function isArtifact(value: unknown): value is Artifact {
  return (
    typeof value === "object" && value !== null && "abi" in value && Array.isArray(value.abi) && "bytecode" in value
  );
}

import { concat } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * The fee policy: how a royalty is divided over roles, in basis points that sum to 10,000, and who the three standing payees are.
 * Its hash is what a receipt names and what `FeePolicy.sol` keeps: keccak256 of the ABI encoding of the fields in this order.
 */
export interface FeePolicy {
  readonly modelBps: number;
  readonly contextBps: number;
  readonly contributorsBps: number;
  readonly stakersBps: number;
  readonly treasuryBps: number;
  /** The largest part of a royalty, in basis points, that unattributed weight may send to the datanets' prior pools. */
  readonly priorCapBps: number;
  /** 32-byte payee ids. */
  readonly treasuryPayee: Uint8Array;
  /** Pays for validation, disputes and refunds. */
  readonly reservePayee: Uint8Array;
  /** The treasury's purse that is reserved for datanets: the contributors' part of a model without one. */
  readonly datanetReservePayee: Uint8Array;
}

export const BPS = 10_000;

export const defaultPolicyBps = {
  modelBps: 2_500,
  contextBps: 1_000,
  contributorsBps: 5_000,
  stakersBps: 1_000,
  treasuryBps: 500,
  priorCapBps: 2_000,
} as const;

/** Hard limits, constants in the contract too: governance moves inside them and can never move them. */
export const policyLimits = {
  modelBps: { least: 0, most: 4_000 },
  contextBps: { least: 0, most: 2_000 },
  contributorsBps: { least: 4_000, most: BPS },
  stakersBps: { least: 0, most: 2_000 },
  treasuryBps: { least: 200, most: 1_000 },
  priorCapBps: { least: 0, most: 2_000 },
} as const;

export function checkPolicy(policy: FeePolicy): Result<FeePolicy> {
  for (const [field, { least, most }] of Object.entries(policyLimits) as [keyof typeof policyLimits, Limits][]) {
    const value = policy[field];
    if (!Number.isInteger(value) || value < least || value > most) {
      return refuse("invalid_request", `${field} must be a whole number from ${least} to ${most}, got ${value}`, {
        field,
      });
    }
  }
  const sum = roleBps(policy).reduce((total, bps) => total + bps, 0);
  if (sum !== BPS) return refuse("invalid_request", `the roles' basis points must sum to ${BPS}, they sum to ${sum}`);
  return ok(policy);
}

/** keccak256(abi.encode(uint16 × 6, bytes32 × 3)). */
export function policyHash(policy: FeePolicy): Uint8Array {
  const numbers = [...roleBps(policy), policy.priorCapBps].map(word);
  return keccak256(concat(...numbers, policy.treasuryPayee, policy.reservePayee, policy.datanetReservePayee));
}

/** Model, context, contributors, stakers, treasury. */
export function roleBps(policy: FeePolicy): readonly [number, number, number, number, number] {
  return [policy.modelBps, policy.contextBps, policy.contributorsBps, policy.stakersBps, policy.treasuryBps];
}

interface Limits {
  readonly least: number;
  readonly most: number;
}

function word(value: number): Uint8Array {
  assert(Number.isInteger(value) && value >= 0 && value < 65_536, "a policy number is a uint16");
  const bytes = new Uint8Array(32);
  bytes[30] = value >> 8;
  bytes[31] = value & 255;
  return bytes;
}

/** A payee that has agreed to be relayed and has something to claim. */
export interface RelayCandidate {
  /** Hex. */
  readonly payee: string;
  /** Nano that a final epoch owes it beyond what it has claimed. */
  readonly due: bigint;
  /** It has never claimed, so the contract begins new places for it. */
  readonly isFirst: boolean;
  /** Its consent goes on chain with this claim. */
  readonly registers: boolean;
  /** Most of the payout that it lets the fee be, in hundredths of a percent; at least 1. */
  readonly feeBpsMax: number;
  /** Since it agreed, or was last paid. */
  readonly waitingSinceMs: number;
}

export interface GasPrices {
  readonly gasPriceWei: bigint;
  /** Millionths of an OPEN for one ETH. */
  readonly microOpenPerEth: number;
}

export interface RelayRules {
  readonly nowMs: number;
  /** After so long a payee that is still too small goes all the same, for nothing: its gas is the node's. */
  readonly patienceMs: number;
  /** Nano that the node may spend on those. */
  readonly budget: bigint;
  readonly membersMax: number;
}

export interface PlannedMember {
  readonly candidate: RelayCandidate;
  readonly gas: number;
  /** What the claim's gas is expected to cost. */
  readonly cost: bigint;
  /** What is taken out of the payout: the cost, or as much of it as the payee lets; nothing where it goes for nothing. */
  readonly fee: bigint;
  readonly isFree: boolean;
}

export interface WaitingPayee {
  readonly payee: string;
  readonly due: bigint;
  /** The amount at which it would go at these prices, in a batch with those that go now. */
  readonly goesAt: bigint;
  /** Or from when on, whatever the amount, as long as the node's budget lasts. */
  readonly goesFromMs: number;
}

export interface RelayPlan {
  readonly members: readonly PlannedMember[];
  readonly waiting: readonly WaitingPayee[];
}

/**
 * Gas of a relayed claim at depth 20, a little more than contracts/snapshots/gas.json measured: what a batch shares, and what a member adds. A test holds it against those figures.
 */
export const relayGas = {
  shared: 50_200,
  consent: 108_800,
  first: 90_900,
  repeated: 56_700,
  /** The same without a fee, which need not be taken. */
  free: { first: 83_700, repeated: 49_600 },
} as const;

/**
 * Who goes in the next batch. A payee goes when the batch's gas costs it no more than it lets, so the more go, the smaller may go: the largest such batch is looked for. Those that have
 * been patient go too, and pay nothing, the smaller amounts first, as far as the node's budget reaches. All others wait, and lose nothing by it.
 */
export function planRelay(candidates: readonly RelayCandidate[], prices: GasPrices, rules: RelayRules): RelayPlan {
  const ordered = candidates.toSorted((a, b) => (a.due === b.due ? compare(a.payee, b.payee) : a.due > b.due ? -1 : 1));
  const paying = largestBatch(ordered, prices, rules.membersMax);
  const chosen = new Set(paying);
  const free = new Set<RelayCandidate>();
  let budget = rules.budget;
  // Whoever is next to nothing would wait for ever, whoever is nearly large enough for a while.
  for (const candidate of ordered.toReversed()) {
    if (chosen.has(candidate) || chosen.size >= rules.membersMax) continue;
    if (candidate.due === 0n || rules.nowMs - candidate.waitingSinceMs < rules.patienceMs) continue;
    // Reckoned as if nobody came after it: then the batch as a whole costs no more than this.
    const { cost } = memberOf(candidate, chosen.size + 1, prices, true);
    if (cost > budget) continue;
    budget -= cost;
    chosen.add(candidate);
    free.add(candidate);
  }
  const members = [...chosen].map((candidate) => memberOf(candidate, chosen.size, prices, free.has(candidate)));
  const waiting = ordered
    .filter((candidate) => candidate.due > 0n && !chosen.has(candidate))
    .map((candidate) => waitingOf(candidate, chosen.size + 1, prices, rules.patienceMs));
  return { members, waiting };
}

/** What relaying costs a candidate in a batch of so many, and what would be taken out of its payout. */
export function memberOf(candidate: RelayCandidate, batch: number, prices: GasPrices, isFree = false): PlannedMember {
  const { shared, consent } = relayGas;
  const { first, repeated } = isFree ? relayGas.free : relayGas;
  const own = (candidate.isFirst ? first : repeated) + (candidate.registers && !isFree ? consent : 0);
  const gas = Math.ceil(shared / batch) + own;
  const cost = nanoOf(gas, prices);
  const most = (candidate.due * BigInt(candidate.feeBpsMax)) / 10_000n;
  return { candidate, gas, cost, isFree, fee: isFree ? 0n : cost < most ? cost : most };
}

/** The smallest payout of which a cost is no more than so many hundredths of a percent. */
export function amountWorth(cost: bigint, feeBpsMax: number): bigint {
  const bps = BigInt(feeBpsMax);
  return (cost * 10_000n + bps - 1n) / bps;
}

/** As the contract reckons: gas × wei × micro OPEN per ETH, rounded down. */
export function nanoOf(gas: number, { gasPriceWei, microOpenPerEth }: GasPrices): bigint {
  return (BigInt(gas) * gasPriceWei * BigInt(microOpenPerEth)) / 10n ** 15n;
}

/** Taking one away makes it dearer for all others, so those for whom it is too dear are taken away until nobody is. */
function largestBatch(
  ordered: readonly RelayCandidate[],
  prices: GasPrices,
  membersMax: number,
): readonly RelayCandidate[] {
  let batch = ordered.slice(0, membersMax);
  for (;;) {
    const kept = batch.filter((candidate) => isWorth(memberOf(candidate, batch.length, prices)));
    if (kept.length === batch.length) return kept;
    batch = kept;
  }
}

function isWorth({ candidate, cost }: PlannedMember): boolean {
  return candidate.due > 0n && cost * 10_000n <= candidate.due * BigInt(candidate.feeBpsMax);
}

function waitingOf(candidate: RelayCandidate, batch: number, prices: GasPrices, patienceMs: number): WaitingPayee {
  const { payee, due, feeBpsMax, waitingSinceMs } = candidate;
  const { cost } = memberOf(candidate, batch, prices);
  return { payee, due, goesAt: amountWorth(cost, feeBpsMax), goesFromMs: waitingSinceMs + patienceMs };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

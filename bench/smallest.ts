import { readFileSync } from "node:fs";
import { z } from "zod";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { splitPool } from "../src/core/pool.ts";
import {
  EVIDENCE_TOTAL,
  LegColumns,
  priorWeightMax,
  type RoutePolicy,
  roleCode,
  routeInto,
} from "../src/core/route.ts";
import { nanoOf } from "../src/ledger/relay.ts";
import { RELAY_BPS_USUAL, RELAY_MEMBERS_MAX } from "../src/ledger/relayDesk.ts";
import { RelayYearRun } from "./support/relayYear.ts";
import { readYearWorld, type YearWorld } from "./support/yearWorld.ts";

const DAYS = 365;
const ANSWERS_A_DAY = 1_000;
const RECORDS_MAX = 4;
const [NODE, RESERVE, DATANET_RESERVE, POOL, FIRST] = [1, 2, 3, 4, 5] as const;
const policy: RoutePolicy = { ...defaultPolicyBps, treasury: NODE, reserve: RESERVE, datanetReserve: DATANET_RESERVE };
const ledger = new Uint8Array(32).fill(7);
/** Nano of royalty that an answer brings: as the demonstration's answers do, and so little that most parts are less than a nano. */
const royalties = { usual: 436_000, tiny: 20 } as const;
/** Claims on chain: gas as `npm run test:contracts` holds it, at a stated price of gas and of OPEN. */
const GAS = { gwei: 0.01, openPerEth: 3_000 } as const;
const prices = { gasPriceWei: BigInt(GAS.gwei * 1e9), microOpenPerEth: GAS.openPerEth * 1e6 };
/** Ways of relaying: the most that a fee may be of a payout, and how much of the treasury's income pays for those that waited a year, in hundredths of a percent. */
const relayings = {
  "relayed, fees up to 2 %, no patience": { feeBpsMax: 200, subsidyBps: 0 },
  "relayed as built, patience at a tenth": { feeBpsMax: RELAY_BPS_USUAL, subsidyBps: 1_000 },
  "relayed as built, patience at three fifths": { feeBpsMax: RELAY_BPS_USUAL, subsidyBps: 6_000 },
} as const;

type Rounding = "systematic" | "largest remainder" | "rounded down";
const roundings: readonly Rounding[] = ["systematic", "largest remainder", "rounded down"];

/**
 * A year of a datanet with real contributors: what the smallest tenth of them is credited of what it is exactly entitled to, by the ledger's own splits, and by the two
 * usual ways of rounding each receipt; then what of it reaches them on chain within the year, gas taken out: each claiming alone, and relayed in batches by the plan that a node makes.
 */
export async function run(): Promise<void> {
  const rows: Record<string, unknown>[] = [];
  const figures: Record<string, number> = {};
  for (const [kind, royalty] of Object.entries(royalties)) {
    const world = readYearWorld(FIRST, 1);
    if (world === undefined) return;
    const size = FIRST + world.contributors;
    const runs = Object.entries(relayings).map(([way, rules]) => {
      return { way, run: new RelayYearRun(size, { ...rules, prices, membersMax: RELAY_MEMBERS_MAX }) };
    });
    const { exact, credited } = year(world, royalty, (day, known, treasury) => {
      for (const { run } of runs) run.round(day, known, treasury);
    });
    for (const rounding of roundings) {
      const got = credited[rounding];
      const { tenth, all, people } = partOf(exact, got);
      rows.push({
        fee: `${kind}: ${royalty} nano`,
        way: rounding,
        smallestTenth: percent(tenth),
        all: percent(all),
        people,
      });
      figures[`${kind} ${rounding}`] = round(tenth);
    }
    const fee = `${kind}: ${royalty} nano`;
    figures[`${kind} owed to the smallest tenth, nano`] = Math.round(partOf(exact, exact).owed);
    const alone = partOf(exact, claimedAlone(credited.systematic));
    rows.push({ fee, way: "each claims alone, gas up to 2 %", ...shown(alone) });
    figures[`${kind} alone`] = round(alone.tenth);
    for (const { way, run } of runs) {
      const relayed = run.end();
      const part = partOf(exact, relayed.received);
      const sums = {
        claims: relayed.claims,
        free: relayed.free,
        fees: open(relayed.fees),
        treasury: open(relayed.borne),
      };
      rows.push({ fee, way, ...shown(part), ...sums });
      figures[`${kind} ${way}`] = round(part.tenth);
      figures[`${kind} ${way}, all`] = round(part.all);
    }
  }
  console.table(rows);
  console.log(JSON.stringify({ bench: "smallest", answers: DAYS * ANSWERS_A_DAY, ...GAS, ...figures }));
}

interface Year {
  /** Nano by payee: what exact fractions would come to. */
  readonly exact: Float64Array;
  readonly credited: Readonly<Record<Rounding, Float64Array>>;
}

function year(
  world: YearWorld,
  royalty: number,
  onDay: (day: number, credited: Float64Array, treasury: number) => void,
): Year {
  let treasury = 0;
  const size = FIRST + world.contributors;
  const exact = new Float64Array(size);
  const credited = {
    systematic: new Float64Array(size),
    "largest remainder": new Float64Array(size),
    "rounded down": new Float64Array(size),
  };
  const legs = new LegColumns();
  const measured = new Float64Array(size);
  let members: readonly { readonly payee: number; readonly weight: number }[] = [{ payee: FIRST, weight: 1 }];
  const contributorsBps = 10_000 - policy.modelBps - policy.contextBps - policy.treasuryBps;
  const priorMax = priorWeightMax(policy, new Set([2]));
  for (let day = 0; day < DAYS; day++) {
    const pooled = { systematic: 0, "largest remainder": 0, "rounded down": 0 };
    let exactPool = 0;
    for (let i = 0; i < ANSWERS_A_DAY; i++) {
      const { shares, unattributed } = evidence(world);
      const input = {
        ...{ ledger, seq: day * ANSWERS_A_DAY + i, cost: 0, royalty, policy, operator: NODE, stakers: 0 },
        ...{ model: [{ payee: NODE, weight: 1 }], context: [{ payee: NODE, weight: 1 }] },
        contributors: { shares, unattributed, priors: [{ payee: POOL, weight: 1 }] },
      };
      routeInto(legs, input);
      for (let leg = 0; leg < legs.count; leg++) {
        const [payee, amount] = [legs.payees[leg]!, legs.amounts[leg]!];
        if (legs.roles[leg] === roleCode.treasury) treasury += amount;
        if (legs.roles[leg] === roleCode.prior) pooled.systematic += amount;
        if (legs.roles[leg] === roleCode.contributor) credited.systematic[payee]! += amount;
      }
      const part = (royalty * contributorsBps) / 10_000;
      const prior = Math.min(unattributed, priorMax);
      exactPool += (part * prior) / EVIDENCE_TOTAL;
      const whole = [...shares, { payee: POOL, weight: prior }, { payee: RESERVE, weight: unattributed - prior }];
      for (const { payee, weight } of shares) {
        exact[payee]! += (part * weight) / EVIDENCE_TOTAL;
        measured[payee]! += weight;
      }
      for (const rounding of ["largest remainder", "rounded down"] as const)
        roundedParts(Math.floor(part), whole, rounding).forEach((amount, at) => {
          const { payee } = whole[at]!;
          if (payee === POOL) pooled[rounding] += amount;
          else credited[rounding][payee]! += amount;
        });
    }
    divide(pooled, exactPool, members, day, { exact, credited });
    members = trailing(measured);
    // An epoch a day, final a day later: the last round is that of the day after the year.
    onDay(day + 1, credited.systematic, treasury);
  }
  return { exact, credited };
}

/** Up to four records, weights as they come, and a part that no evidence explains. */
function evidence(world: YearWorld): {
  readonly shares: { payee: number; weight: number }[];
  readonly unattributed: number;
} {
  const unattributed = Math.floor(world.chance() * 0.3 * EVIDENCE_TOTAL);
  const weights = new Map<number, number>();
  const count = 1 + Math.floor(world.chance() * RECORDS_MAX);
  let left = EVIDENCE_TOTAL - unattributed;
  for (let i = 0; i < count; i++) {
    const part = i === count - 1 ? left : Math.floor(left * world.chance());
    left -= part;
    const authors = world.records[world.draw()]!;
    const each = Math.floor(part / authors.length);
    authors.forEach((author, a) => {
      const own = a === 0 ? part - each * (authors.length - 1) : each;
      if (own > 0) weights.set(author, (weights.get(author) ?? 0) + own);
    });
  }
  const shares = [...weights].map(([payee, weight]) => ({ payee, weight })).sort((a, b) => a.payee - b.payee);
  return { shares, unattributed };
}

/** A day's epoch: the pool is divided over its members by what evidence measured before. */
function divide(
  pooled: Readonly<Record<Rounding, number>>,
  exactPool: number,
  members: readonly { readonly payee: number; readonly weight: number }[],
  day: number,
  { exact, credited }: Year,
): void {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  for (const { payee, weight } of members) exact[payee]! += (exactPool * weight) / total;
  const id = new Uint8Array(32).fill(9);
  splitPool(ledger, day, id, { payee: POOL, members }, pooled.systematic).forEach((amount, i) => {
    credited.systematic[members[i]!.payee]! += amount;
  });
  for (const rounding of ["largest remainder", "rounded down"] as const)
    roundedParts(pooled[rounding], members, rounding).forEach((amount, i) => {
      credited[rounding][members[i]!.payee]! += amount;
    });
}

function trailing(measured: Float64Array): { payee: number; weight: number }[] {
  const members: { payee: number; weight: number }[] = [];
  for (let payee = FIRST; payee < measured.length; payee++) {
    const weight = Math.floor(measured[payee]! / 1_000);
    if (weight > 0) members.push({ payee, weight });
  }
  return members.length === 0 ? [{ payee: FIRST, weight: 1 }] : members;
}

/** The parts of an amount by weight, each rounded down; by largest remainder, what is left goes to the largest fractions. */
function roundedParts(
  amount: number,
  members: readonly { readonly weight: number }[],
  rounding: "largest remainder" | "rounded down",
): number[] {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const quotas = members.map(({ weight }) => (amount * weight) / total);
  const parts = quotas.map(Math.floor);
  if (rounding === "rounded down") return parts;
  let left = amount - parts.reduce((sum, part) => sum + part, 0);
  const order = quotas
    .map((quota, i) => [quota - Math.floor(quota), i] as const)
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  for (const [, i] of order) {
    if (left <= 0) break;
    parts[i]! += 1;
    left -= 1;
  }
  return parts;
}

/** What reaches payees who claim once, at the end, by themselves, where the gas is at most 2 % of the payout: what waits is not lost, and is not here yet. */
function claimedAlone(credited: Float64Array): Float64Array {
  const gas = Number(nanoOf(measuredGas("claim at depth 20, first"), prices));
  return credited.map((nano) => (gas <= nano * 0.02 ? nano - gas : 0));
}

function measuredGas(name: string): number {
  const gas = z.record(z.string(), z.string()).parse(JSON.parse(readFileSync("contracts/snapshots/gas.json", "utf8")));
  return Number(gas[name]);
}

function shown({ tenth, all, people }: ReturnType<typeof partOf>) {
  return { smallestTenth: percent(tenth), all: percent(all), people };
}

function open(nano: number): string {
  return `${(nano / 1e9).toFixed(3)} OPEN`;
}

/** Of their exact entitlement: what the smallest tenth got together, and what all did. */
function partOf(
  exact: Float64Array,
  got: Float64Array,
): { readonly tenth: number; readonly all: number; readonly people: number; readonly owed: number } {
  const people = Array.from(exact.keys()).filter((payee) => payee >= FIRST && exact[payee]! > 0);
  people.sort((a, b) => exact[a]! - exact[b]!);
  const smallest = people.slice(0, Math.ceil(people.length / 10));
  const ratio = (some: readonly number[]) =>
    some.reduce((sum, payee) => sum + got[payee]!, 0) / some.reduce((sum, payee) => sum + exact[payee]!, 0);
  return {
    tenth: ratio(smallest),
    all: ratio(people),
    people: people.length,
    owed: smallest.reduce((sum, payee) => sum + exact[payee]!, 0),
  };
}

function percent(part: number): string {
  return `${(100 * part).toFixed(2)} %`;
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

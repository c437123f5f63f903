import { type GasPrices, planRelay, type RelayCandidate } from "../../src/ledger/relay.ts";

export interface RelayYearRules {
  readonly prices: GasPrices;
  readonly feeBpsMax: number;
  /** Of the treasury's income. */
  readonly subsidyBps: number;
  readonly membersMax: number;
}

export interface RelayYear {
  /** Nano that reached each payee, fees taken out. */
  readonly received: Float64Array;
  readonly fees: number;
  /** What the treasury paid for the gas of those that had waited. */
  readonly borne: number;
  readonly batches: number;
  readonly claims: number;
  /** Of them, those that the treasury paid for. */
  readonly free: number;
}

const DAY_MS = 86_400_000;
const YEAR_DAYS = 365;

/** A year of a node that relays once a day, by the plan that it really makes; everybody agreed on the first day, and the round after the last day is the patient's. */
export class RelayYearRun {
  readonly #rules: RelayYearRules;
  readonly #claimed: Float64Array;
  readonly #received: Float64Array;
  readonly #lastMs: Float64Array;
  #fees = 0;
  #borne = 0;
  #batches = 0;
  #claims = 0;
  #free = 0;

  constructor(payees: number, rules: RelayYearRules) {
    this.#rules = rules;
    this.#claimed = new Float64Array(payees);
    this.#received = new Float64Array(payees);
    this.#lastMs = new Float64Array(payees);
  }

  /** `credited` and `treasury` as they are on that day, counted from 0; batches go until nobody is left who would. */
  round(day: number, credited: Float64Array, treasury: number): void {
    const { prices, subsidyBps, membersMax } = this.#rules;
    const nowMs = day * DAY_MS;
    for (;;) {
      const budget = BigInt(Math.floor((treasury * subsidyBps) / 10_000 - this.#borne));
      const rules = { nowMs, patienceMs: YEAR_DAYS * DAY_MS, budget: budget > 0n ? budget : 0n, membersMax };
      const { members } = planRelay(this.#candidates(credited), prices, rules);
      if (members.length === 0) return;
      this.#batches += 1;
      for (const { candidate, cost, fee, isFree } of members) {
        const payee = Number(candidate.payee);
        this.#claimed[payee] = credited[payee]!;
        this.#received[payee]! += Number(candidate.due - fee);
        this.#lastMs[payee] = nowMs;
        this.#fees += Number(fee);
        this.#claims += 1;
        if (!isFree) continue;
        this.#borne += Number(cost);
        this.#free += 1;
      }
    }
  }

  end(): RelayYear {
    const sums = {
      fees: this.#fees,
      borne: this.#borne,
      batches: this.#batches,
      claims: this.#claims,
      free: this.#free,
    };
    return { received: this.#received, ...sums };
  }

  #candidates(credited: Float64Array): RelayCandidate[] {
    const candidates: RelayCandidate[] = [];
    credited.forEach((nano, payee) => {
      const claimed = this.#claimed[payee]!;
      if (nano <= claimed) return;
      const isFirst = claimed === 0;
      candidates.push({
        ...{ payee: String(payee), due: BigInt(nano - claimed), isFirst, registers: isFirst },
        ...{ feeBpsMax: this.#rules.feeBpsMax, waitingSinceMs: this.#lastMs[payee]! },
      });
    });
    return candidates;
  }
}

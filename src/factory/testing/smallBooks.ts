import { type Hex, toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { ok, refuse, unwrap } from "../../core/result.ts";
import { trainingFee } from "../estimate.ts";
import type { Job, Owed, Payment } from "../job.ts";
import type { TrainingBooks } from "../payment.ts";

/** Purses and receipts of a small factory: receipts outlive the process, holds do not. */
export class SmallBooks {
  /** Nano of every account that is not named here. */
  usual = 1_000_000_000;
  readonly credit = new Map<string, number>();
  /** By job and number of the stretch. */
  readonly receipts = new Map<string, Payment>();
  isAway = false;
  #holds = new Map<string, { readonly account: string; readonly nano: number }>();

  get held(): number {
    return [...this.#holds.values()].reduce((sum, { nano }) => sum + nano, 0);
  }

  available(account: string): number {
    const mine = [...this.#holds.values()].filter((hold) => hold.account === account);
    return (this.credit.get(account) ?? this.usual) - mine.reduce((sum, { nano }) => sum + nano, 0);
  }

  /** What the process held is free again. */
  kill(): void {
    this.#holds = new Map();
  }

  /** As a process sees them, which is no more when `isDead` says so. */
  open(isDead: () => boolean): TrainingBooks {
    const alive = (): Promise<void> => (isDead() ? new Promise(() => undefined) : Promise.resolve());
    return {
      hold: async (job, worst) => {
        await alive();
        return this.#hold(job, worst);
      },
      release: async (job) => {
        await alive();
        this.#holds.delete(job);
      },
      post: async (job, owed) => {
        await alive();
        return this.#post(job, owed);
      },
    };
  }

  #hold(job: Job, worst: Owed) {
    if (this.#holds.has(job.id)) return ok(undefined);
    const nano = feeOf(job, worst);
    const missing = nano - this.available(job.account);
    if (missing > 0) return refuse("insufficient_funds", `${missing} nano are missing`);
    this.#holds.set(job.id, { account: job.account, nano });
    return ok(undefined);
  }

  #post(job: Job, owed: Owed) {
    const key = `${job.id} ${job.paid.length}`;
    const known = this.receipts.get(key);
    if (known !== undefined) return ok(known);
    if (this.isAway) return refuse("store_unavailable", "the books are away");
    const held = this.#hold(job, owed);
    if (!held.ok) return held;
    const nano = feeOf(job, owed);
    const receipt: Hex = toHex(sha256(utf8(key)).slice(0, 16));
    const { cost, royalty: dataFee } = unwrap(trainingFee(job.prices, owed.tokens));
    const payment = {
      receipt,
      seq: this.receipts.size,
      timeMs: 1,
      asset: job.base.hash,
      step: owed.step,
      tokens: owed.tokens,
    };
    const whole: Payment = {
      ...payment,
      cost: owed.isElsewhere === true ? 0 : cost,
      dataFee,
      credited: { operator: cost },
    };
    this.credit.set(job.account, (this.credit.get(job.account) ?? this.usual) - nano);
    this.receipts.set(key, whole);
    this.#holds.delete(job.id);
    return ok(whole);
  }
}

function feeOf({ prices }: Job, { tokens, isElsewhere }: Owed): number {
  const { cost, royalty } = unwrap(trainingFee(prices, tokens));
  return (isElsewhere === true ? 0 : cost) + royalty;
}

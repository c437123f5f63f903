import { z } from "zod";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";

/** Statements and dates are written for years that begin with 20. */
const END_MS = Date.UTC(2100, 0);
const keptSchema = z.object({ aheadMs: z.number().int().min(0) });

/** A clock that runs as the real one does, ahead of it by as much as it was moved. It goes forward only, also over a restart: what is written down stays in order. */
export class TestClock {
  readonly #path: string;
  readonly #realMs: () => number;
  #aheadMs: number;

  private constructor(path: string, realMs: () => number, aheadMs: number) {
    this.#path = path;
    this.#realMs = realMs;
    this.#aheadMs = aheadMs;
  }

  static async open(path: string, realMs: () => number): Promise<TestClock> {
    const text = await readIfThere(path);
    const kept = keptSchema.safeParse(text === undefined ? undefined : JSON.parse(text));
    return new TestClock(path, realMs, kept.success ? kept.data.aheadMs : 0);
  }

  get aheadMs(): number {
    return this.#aheadMs;
  }

  nowMs(): number {
    return this.#realMs() + this.#aheadMs;
  }

  async moveTo(targetMs: number): Promise<Result<void>> {
    const byMs = targetMs - this.nowMs();
    if (byMs < 0)
      return refuse("invalid_request", "the clock of the test world goes forward only", {
        hint: `it is ${new Date(this.nowMs()).toISOString()} there`,
        field: "to",
      });
    if (targetMs >= END_MS) return refuse("invalid_request", "the test world ends with the century", { field: "to" });
    const aheadMs = this.#aheadMs + byMs;
    await writeAtomically(this.#path, `${JSON.stringify({ aheadMs })}\n`);
    this.#aheadMs = aheadMs;
    return ok(undefined);
  }
}

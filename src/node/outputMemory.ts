import type { LineageRule } from "../attribution/policy.ts";
import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { LineageFinder } from "../datanets/intake.ts";
import { findLineage, type Output, type OutputStore, sketchOf } from "../datanets/outputs.ts";
import { readOpening } from "../gateway/opening.ts";
import type { AnsweredOutput } from "../gateway/ports.ts";
import { nextTurn } from "../host/turn.ts";
import type { Books } from "../ledger/ledger.ts";

export interface OutputMemoryParts {
  readonly outputs: OutputStore;
  readonly books: Pick<Books, "receipt" | "recent">;
  readonly combinations: { readonly policy: { readonly lineage: LineageRule } };
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
}

/** Answers that wait to be written down: what comes while so many wait is left out until the node starts again. */
const WAITING_MAX = 2_048;
const BATCH_MAX = 256;
/** Looked through at the start for answers that an end came before. */
const RECENT_MAX = 500;
const LIFE_MS = 180 * 86_400_000;
const KEPT_MAX = 100_000;
const FORGET_EVERY_MS = 600_000;

/** Remembers answers behind the requests that gave them, and recognises contributions that repeat one. */
export class OutputMemory {
  readonly #parts: OutputMemoryParts;
  #waiting: AnsweredOutput[] = [];
  #writing: Promise<void> | undefined;
  #forgottenMs = 0;

  constructor(parts: OutputMemoryParts) {
    this.#parts = parts;
  }

  remember(output: AnsweredOutput): void {
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(output);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Takes in what was answered and not written down when an earlier run ended. Returns what ends it: all that was given is then written down. */
  async begin(): Promise<() => Promise<void>> {
    const { books, outputs: store } = this.#parts;
    const recent = await books.recent({ limit: RECENT_MAX });
    const missing = await store.missing(recent.map(({ receipt }) => toHex(receipt.id)));
    for (const id of missing) {
      const found = await books.receipt(fromHex(id));
      const opening = found?.opening === undefined ? undefined : readOpening(found.opening);
      if (found === undefined || opening?.ok !== true || opening.value.isForgotten === true) continue;
      this.remember({ receipt: found.receipt.id, answer: opening.value.answer, timeMs: found.timeMs });
    }
    await this.settled();
    return () => this.settled();
  }

  /** When all that was given is written down, or could not be. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Finds what records repeat; `declared` are receipts that their contributor names. Refuses one that this ledger has not given. */
  async finder(declared: readonly string[]): Promise<Result<LineageFinder>> {
    const { outputs: store, books, combinations } = this.#parts;
    const { partMinPpm } = combinations.policy.lineage;
    const receipts: Hex[] = [];
    for (const text of new Set(declared)) {
      const id = fromHex(text);
      if ((await books.receipt(id)) === undefined) {
        const hint = "name receipts of answers that this node gave";
        return refuse("not_found", `there is no receipt ${text}`, { field: "derivedFrom", hint });
      }
      receipts.push(toHex(id));
    }
    return ok((records, timeMs) => findLineage(store, records, { timeMs, partMinPpm, declared: receipts }));
  }

  async #write(): Promise<void> {
    // Behind the request that is under way.
    await nextTurn();
    const { outputs: store, nowMs, say } = this.#parts;
    try {
      while (this.#waiting.length > 0) await store.remember(this.#waiting.splice(0, BATCH_MAX).flatMap(outputOf));
      if (nowMs() - this.#forgottenMs < FORGET_EVERY_MS) return;
      this.#forgottenMs = nowMs();
      await store.forget({ nowMs: nowMs(), countMax: KEPT_MAX });
    } catch (error) {
      say(`answers could not be remembered: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function outputOf({ receipt, answer, timeMs }: AnsweredOutput): Output[] {
  const sketch = sketchOf(answer);
  return sketch === undefined ? [] : [{ receipt: toHex(receipt), timeMs, expiresMs: timeMs + LIFE_MS, sketch }];
}

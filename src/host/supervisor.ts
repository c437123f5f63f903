import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type Refusal, type RefusalCode, type Result, refuse } from "../core/result.ts";

/** What befell a child process. `name` is the child's, as people know it. */
export type ChildEvent =
  | { readonly kind: "exited"; readonly name: string; readonly how: string; readonly restartInMs: number }
  | { readonly kind: "restarted"; readonly name: string; readonly pid: number; readonly note: string }
  | { readonly kind: "restart_failed"; readonly name: string; readonly refusal: Refusal; readonly retryInMs: number }
  | { readonly kind: "gave_up"; readonly name: string; readonly refusal: Refusal }
  | { readonly kind: "stopped_unsaved"; readonly name: string; readonly refusal: Refusal }
  | { readonly kind: "recovered"; readonly name: string; readonly note: string };

/** One life of a child, from a successful launch to its exit. */
export interface Life {
  readonly child: ChildProcess;
  /** What a restart should tell people, such as the state that it began from. */
  readonly note: string;
}

export interface ChildPlan {
  readonly name: string;
  /** What the child's absence is called in a refusal. */
  readonly unavailable: RefusalCode;
  /** Spawns the child and resolves once it serves. */
  launch(): Promise<Result<Life>>;
  /** Ends a living child cleanly. */
  halt(life: Life): Promise<void>;
  readonly onEvent: (event: ChildEvent) => void;
  /** Waits before the 1st, 2nd … restart in a row; when they are used up the supervisor gives up, but on a full disk, where somebody may make room any time. */
  readonly restartDelaysMs?: readonly number[];
  /** A child that lived this long has its restarts forgotten. */
  readonly healthyAfterMs?: number;
}

const RESTART_DELAYS_MS = [0, 250, 1000, 4000, 15_000, 30_000] as const;

/** Keeps one child process alive until it is told to stop. */
export class Supervisor {
  readonly #plan: ChildPlan;
  readonly #delaysMs: readonly number[];
  readonly #giveUpWaiting = new AbortController();
  #life: Life | undefined;
  #restarts = 0;
  #working: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(plan: ChildPlan) {
    this.#plan = plan;
    this.#delaysMs = plan.restartDelaysMs ?? RESTART_DELAYS_MS;
  }

  /** The living child's pid; undefined while it is down. */
  get pid(): number | undefined {
    return this.#life?.child.pid;
  }

  /** The first launch. Its refusal is the caller's: nothing is retried before the child has served once. */
  async start(): Promise<Result<void>> {
    const launched = await this.#launch();
    if (!launched.ok) return launched;
    await this.#adopt(launched.value);
    return { ok: true, value: undefined };
  }

  /** Ends the child cleanly, also in the middle of a restart; later calls wait for the first. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#giveUpWaiting.abort();
    await this.#working;
    const life = this.#life;
    this.#life = undefined;
    if (life !== undefined) await this.#plan.halt(life);
  }

  async #adopt(life: Life): Promise<void> {
    this.#life = life;
    const healthy = setTimeout(() => {
      this.#restarts = 0;
    }, this.#plan.healthyAfterMs ?? 60_000);
    healthy.unref();
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(healthy);
      if (this.#life !== life || this.#giveUpWaiting.signal.aborted) return;
      this.#life = undefined;
      this.#working = this.#restart(signal === null ? `code ${code}` : `signal ${signal}`);
    };
    // It may have died between serving and now; then its exit event is already past.
    if (life.child.exitCode !== null || life.child.signalCode !== null)
      onExit(life.child.exitCode, life.child.signalCode);
    else life.child.once("exit", onExit);
  }

  async #restart(how: string): Promise<void> {
    const { name, onEvent } = this.#plan;
    onEvent({ kind: "exited", name, how, restartInMs: this.#delayMs(this.#restarts) });
    let refusal: Refusal = { code: this.#plan.unavailable, message: `${name} keeps dying (${how})` };
    while (this.#restarts < this.#delaysMs.length || refusal.code === "disk_full") {
      const delayMs = this.#delayMs(this.#restarts);
      this.#restarts += 1;
      if (!(await this.#waited(delayMs))) return;
      const launched = await this.#launch();
      if (launched.ok) {
        onEvent({ kind: "restarted", name, pid: launched.value.child.pid ?? 0, note: launched.value.note });
        return this.#adopt(launched.value);
      }
      refusal = launched.error;
      if (this.#restarts < this.#delaysMs.length || refusal.code === "disk_full")
        onEvent({ kind: "restart_failed", name, refusal, retryInMs: this.#delayMs(this.#restarts) });
    }
    onEvent({ kind: "gave_up", name, refusal });
  }

  #delayMs(restarts: number): number {
    return this.#delaysMs[restarts] ?? this.#delaysMs.at(-1) ?? 0;
  }

  /** A launch that throws, because its folder has gone for instance, is one more way to fail: it must not end this process. */
  async #launch(): Promise<Result<Life>> {
    const { name, unavailable } = this.#plan;
    try {
      return await this.#plan.launch();
    } catch (error) {
      return refuse(unavailable, `${name} could not be started: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** False if told to stop meanwhile. */
  async #waited(delayMs: number): Promise<boolean> {
    const { signal } = this.#giveUpWaiting;
    if (delayMs > 0) await sleep(delayMs, undefined, { signal, ref: true }).catch(() => undefined);
    return !signal.aborted;
  }
}

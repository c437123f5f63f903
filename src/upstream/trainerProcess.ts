import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { type Result, refuse } from "../core/result.ts";
import type { Done, FromTrainer, Progress, ToTrainer, Work } from "../models/training/trainerProtocol.ts";

export interface TrainerOptions {
  /** Threads of one operator; 1 by default. The same number gives the same bits. */
  readonly threads?: number;
  /** The child's module, for tests. */
  readonly module?: URL;
}

interface Waiting {
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (result: Result<Done>) => void;
}

/** One life of the trainer's child process. When it ends, what it still had to do is refused. */
export class TrainerProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;
  #isOver = false;
  #words = "";

  constructor({ threads = 1, module = childModule() }: TrainerOptions) {
    const isSource = module.pathname.endsWith(".ts");
    this.#child = fork(module, {
      // Gradients travel as typed arrays.
      serialization: "advanced",
      execArgv: isSource ? ["--import", import.meta.resolve("tsx")] : [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#words = (this.#words + text).slice(-WORDS_MAX);
    });
    this.#child.on("message", (message: FromTrainer) => this.#take(message));
    this.#child.on("error", (error) => this.#end(error.message));
    // After `close`, and not `exit`, its last words have been read.
    this.#child.on("close", (code, signal) => this.#end(signal === null ? `code ${code}` : `signal ${signal}`));
    this.#send({ type: "setup", threads });
    this.#hold(false);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The child finishes what it is at, a step or a batch, before it heeds a signal. */
  run(work: Work, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Result<Done>> {
    if (this.#isOver) return Promise.resolve(refuse("upstream_failed", "The trainer's process has ended."));
    this.#ids += 1;
    const id = this.#ids;
    const onAbort = () => this.#send({ type: "cancel", id });
    return new Promise<Result<Done>>((resolve) => {
      this.#hold(true);
      this.#waiting.set(id, { onProgress, resolve });
      this.#send({ type: "work", id, work });
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    }).finally(() => signal.removeEventListener("abort", onAbort));
  }

  /** Ends it now; a training goes on from its last checkpoint another time. */
  async stop(): Promise<void> {
    if (this.#isOver) return;
    const closed = once(this.#child, "close");
    // Whoever waits for its end may have nothing else to live for.
    this.#hold(true);
    this.#child.kill("SIGKILL");
    await closed;
  }

  #send(message: ToTrainer): void {
    // A pipe that has gone is told by `close`.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #take(message: FromTrainer): void {
    if (message.type === "ready") return;
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    if (message.type === "progress") return waiting.onProgress(message.progress);
    this.#waiting.delete(message.id);
    if (this.#waiting.size === 0) this.#hold(false);
    waiting.resolve(message.result);
  }

  /** Only work keeps this process from ending. */
  #hold(isBusy: boolean): void {
    const { channel, stderr } = this.#child;
    for (const held of [this.#child, channel, stderr instanceof Socket ? stderr : undefined]) {
      if (isBusy) held?.ref();
      else held?.unref();
    }
  }

  #end(how: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const words = this.#words.trim().split("\n").slice(-3).join(" ");
    const hint = how === "signal SIGKILL" ? { hint: "It may have needed more memory than there is." } : {};
    const refusal = refuse("upstream_failed", `The trainer's process ended (${how})${words && `: ${words}`}.`, hint);
    for (const { resolve } of this.#waiting.values()) resolve(refusal);
    this.#waiting.clear();
  }
}

const WORDS_MAX = 4_096;

function childModule(): URL {
  const file = import.meta.url.endsWith(".ts") ? "trainerChild.ts" : "trainerChild.js";
  return new URL(`../models/training/${file}`, import.meta.url);
}

import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { pathToFileURL } from "node:url";
import type { Refusal } from "../core/result.ts";
import type { FromLlama, LlamaSetup, ToLlama } from "./llamaProtocol.ts";

/** One piece of work in the child. The last message of a run, or `onLost`, ends it. */
export interface LlamaRun {
  /** True when the message was the last one. */
  onMessage(message: Extract<FromLlama, { id: number }>): boolean;
  /** The child is gone. */
  onLost(refusal: Refusal): void;
}

type Work<T> = T extends { readonly id: number } ? Omit<T, "id"> : never;

export interface LlamaProcessPlan {
  readonly setup: LlamaSetup;
  /** How long it may take until it can serve. */
  readonly startMs: number;
  readonly waitMs: number;
  /** `isCrash` is false where it was told to end. */
  onExit(isCrash: boolean): void;
}

/** One life of the child process and the runs in it. */
export class LlamaProcess {
  /** Undefined once it serves; what is wrong where it never will. */
  readonly ready: Promise<Refusal | undefined>;
  readonly #child: ChildProcess;
  readonly #runs = new Map<number, LlamaRun>();
  #ids = 0;
  #isEnding = false;

  constructor({ setup, startMs, waitMs, onExit }: LlamaProcessPlan) {
    const [module, execArgv] = childModule();
    this.#child = fork(module, [], { execArgv, stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let said = "";
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-2_000);
    });
    this.ready = new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(lost("it did not start in time"));
        this.end();
      }, startMs);
      this.#child.on("message", (message: FromLlama) => {
        if (message.type === "ready") setTimeout(() => resolve(undefined), waitMs);
        else if (message.type === "unavailable") resolve(message.refusal);
        else this.#take(message);
        if (message.type === "ready" || message.type === "unavailable") clearTimeout(timer);
      });
      const over = (why: string): void => {
        clearTimeout(timer);
        resolve(lost(why));
        this.#loseAll(lost(why));
      };
      this.#child.once("error", (error) => over(error.message));
      this.#child.once("exit", (code, signal) => {
        over(`its process ended with ${signal ?? `code ${code}`}${lastLine(said)}`);
        onExit(!this.#isEnding);
      });
    });
    this.#post({ type: "setup", setup });
    this.#hold(false);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Starts a run; what comes back tells it to stop. */
  begin(work: Work<Extract<ToLlama, { type: "complete" | "score" }>>, run: LlamaRun): () => void {
    this.#ids += 1;
    const id = this.#ids;
    this.#runs.set(id, run);
    this.#hold(true);
    this.#post({ ...work, id });
    return () => {
      if (!this.#runs.has(id)) return;
      this.#over(id);
      this.#post({ type: "cancel", id });
    };
  }

  /** Ends now: it holds nothing. */
  end(): void {
    this.#isEnding = true;
    this.#child.kill("SIGKILL");
  }

  #take(message: Extract<FromLlama, { id: number }>): void {
    if (this.#runs.get(message.id)?.onMessage(message) === true) this.#over(message.id);
  }

  #over(id: number): void {
    this.#runs.delete(id);
    if (this.#runs.size === 0) this.#hold(false);
  }

  #loseAll(refusal: Refusal): void {
    const runs = [...this.#runs.values()];
    this.#runs.clear();
    for (const run of runs) run.onLost(refusal);
  }

  #post(message: ToLlama): void {
    // A child that has just died cannot be written to; its exit ends the runs.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** An idle child keeps nobody's process alive. */
  #hold(isBusy: boolean): void {
    const { stderr, channel } = this.#child;
    for (const handle of [this.#child, channel, stderr instanceof Socket ? stderr : undefined])
      if (isBusy) handle?.ref();
      else handle?.unref();
  }
}

/** Compiled code starts directly; in a source tree the module is TypeScript and runs through tsx. */
function childModule(): readonly [module: string, execArgv: string[]] {
  if (!import.meta.url.endsWith(".ts")) return [new URL("./llamaChild.js", import.meta.url).pathname, []];
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return [new URL("./llamaChild.ts", import.meta.url).pathname, ["--import", tsx]];
}

function lost(why: string): Refusal {
  return { code: "upstream_failed", message: `the llama.cpp engine broke down: ${why}` };
}

function lastLine(said: string): string {
  const line = said.trim().split("\n").at(-1)?.trim().slice(0, 200) ?? "";
  return line === "" ? "" : ` (${line})`;
}

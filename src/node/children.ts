import { setTimeout as sleep } from "node:timers/promises";

/** Something that was started and must be stopped: a child process, a server, a lock. */
export interface Stoppable {
  readonly name: string;
  stop(): Promise<void>;
  /** Its process, if it is one, for when there is no time to stop it well. */
  pid?(): number | undefined;
}

/** The parts of `process` that are used, so that a test can stand in for them. */
export interface ProcessHooks {
  on(event: "SIGINT" | "SIGTERM" | "SIGHUP" | "exit", listener: () => void): unknown;
  off(event: "SIGINT" | "SIGTERM" | "SIGHUP" | "exit", listener: () => void): unknown;
  exit(code: number): void;
  kill(pid: number, signal: NodeJS.Signals): unknown;
}

const STOP_WAIT_MS = 25_000;
/** npm passes a Ctrl-C on that the terminal has sent to all of us already: so soon after the first it is no second one. */
const ECHO_MS = 500;
/** 128 + the signal's number, as shells report it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * All that this process has started, in order, and its end: the first Ctrl-C, SIGTERM or SIGHUP stops everything
 * cleanly in reverse order and once; a second one kills what is left.
 */
export class Children {
  readonly #hooks: ProcessHooks;
  readonly #say: (message: string) => void;
  readonly #started: Stoppable[] = [];
  readonly #listeners: (() => void)[] = [];
  #stopping: Promise<void> | undefined;
  #mayEcho = false;

  constructor(hooks: ProcessHooks, say: (message: string) => void) {
    this.#hooks = hooks;
    this.#say = say;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) this.#listen(signal, () => this.#onSignal(signal));
    // Whatever ends this process, what it started does not outlive it.
    // SIGINT is PostgreSQL's fast shutdown; on SIGTERM it would wait for its clients.
    this.#listen("exit", () => this.#signalAll("SIGINT"));
  }

  /** Hands it over to be stopped, before everything that was handed over earlier. */
  add<T extends Stoppable>(child: T): T {
    this.#started.push(child);
    return child;
  }

  /** Stops everything in reverse order; one that hangs or fails does not keep the others. Later calls wait for the first. */
  stopAll(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (;;) {
      const child = this.#started.at(-1);
      if (child === undefined) break;
      const stopped = await Promise.race([
        child.stop().then(
          () => "stopped",
          (error: unknown) => `did not stop: ${error instanceof Error ? error.message : String(error)}`,
        ),
        sleep(STOP_WAIT_MS, "did not stop in time", { ref: false }),
      ]);
      if (stopped !== "stopped") {
        this.#say(`${child.name} ${stopped}`);
        this.#signal(child, "SIGKILL");
      }
      this.#started.splice(this.#started.indexOf(child), 1);
    }
    for (const unlisten of this.#listeners.splice(0)) unlisten();
  }

  /** Stops everything, and ends the process with this code. */
  end(exitCode: number): Promise<void> {
    return this.stopAll().then(() => this.#hooks.exit(exitCode));
  }

  #onSignal(signal: keyof typeof EXIT_CODES): void {
    if (this.#mayEcho) return;
    if (this.#stopping !== undefined) {
      this.#say("stopping at once");
      this.#signalAll("SIGKILL");
      this.#hooks.exit(EXIT_CODES[signal]);
      return;
    }
    this.#say("stopping; once more to stop at once");
    this.#mayEcho = true;
    setTimeout(() => {
      this.#mayEcho = false;
    }, ECHO_MS).unref();
    void this.end(EXIT_CODES[signal]);
  }

  #signalAll(signal: NodeJS.Signals): void {
    for (const child of this.#started) this.#signal(child, signal);
  }

  #signal(child: Stoppable, signal: NodeJS.Signals): void {
    const pid = child.pid?.();
    if (pid === undefined) return;
    try {
      this.#hooks.kill(pid, signal);
    } catch {
      // Already gone.
    }
  }

  #listen(event: Parameters<ProcessHooks["on"]>[0], listener: () => void): void {
    this.#hooks.on(event, listener);
    this.#listeners.push(() => this.#hooks.off(event, listener));
  }
}

import type { EngineEvent } from "../core/engine.ts";
import { failed } from "../core/engine.ts";
import { type Refusal, refuse } from "../core/result.ts";
import { LlamaPool } from "./llamaPool.ts";
import type { FromLlama, LlamaSetup, ToLlama } from "./llamaProtocol.ts";
import { LlamaRunner } from "./llamaRunner.ts";

/**
 * The child process of the llama.cpp engine, the only place where node-llama-cpp is loaded: native code that meets a fault ends its process, and
 * this one holds nothing that anybody would miss. It ends with its parent.
 */
const running = new Map<number, AbortController>();
let runner: LlamaRunner | undefined;

process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToLlama) => {
  if (message.type === "setup") void begin(message.setup);
  else if (message.type === "cancel") running.get(message.id)?.abort();
  else if (runner !== undefined) void run(runner, message);
});

async function begin(setup: LlamaSetup): Promise<void> {
  try {
    const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");
    const llama = await getLlama({
      ...{ gpu: false, build: "never", skipDownload: true, usePrebuiltBinaries: true, progressLogs: false },
      // Each context has its own threads: a shared limit would let them wait for one another with timers.
      ...{ maxThreads: 0, logLevel: LlamaLogLevel.fatal },
    });
    runner = new LlamaRunner(new LlamaPool(llama, setup));
    send({ type: "ready" });
  } catch (error) {
    send({ type: "unavailable", refusal: missing(error) });
  }
}

async function run(on: LlamaRunner, message: Extract<ToLlama, { type: "complete" | "score" }>): Promise<void> {
  const controller = new AbortController();
  running.set(message.id, controller);
  try {
    if (message.type === "complete") await complete(on, message, controller.signal);
    else send({ type: "scored", id: message.id, score: await score(on, message, controller.signal) });
  } finally {
    running.delete(message.id);
  }
}

/** Events of one turn of the event loop travel together. */
async function complete(
  on: LlamaRunner,
  { id, model, request }: Extract<ToLlama, { type: "complete" }>,
  signal: AbortSignal,
): Promise<void> {
  let events: EngineEvent[] = [];
  let flush: NodeJS.Immediate | undefined;
  const push = (isOver: boolean) => {
    clearImmediate(flush);
    flush = undefined;
    send({ type: "events", id, events, isOver });
    events = [];
  };
  try {
    for await (const batch of on.complete(model, request, signal)) {
      if (signal.aborted) break;
      events.push(...batch);
      if (request.isStreamed) flush ??= setImmediate(() => push(false));
    }
  } catch (error) {
    events.push(failed("upstream_failed", `the engine broke: ${reasonOf(error)}`));
  }
  push(true);
}

async function score(
  on: LlamaRunner,
  { model, request }: Extract<ToLlama, { type: "score" }>,
  signal: AbortSignal,
): ReturnType<LlamaRunner["score"]> {
  try {
    return await on.score(model, request, signal);
  } catch (error) {
    return refuse("upstream_failed", `the engine broke: ${reasonOf(error)}`);
  }
}

function missing(error: unknown): Refusal {
  const message = `llama.cpp cannot be loaded: ${reasonOf(error).split("\n")[0]}`;
  return { code: "upstream_failed", message, hint: "Install it: npm install node-llama-cpp@3.22.1" };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function send(message: FromLlama): void {
  process.send?.(message);
}

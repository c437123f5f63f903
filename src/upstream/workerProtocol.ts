import type { MessagePort } from "node:worker_threads";
import type { Engine, EngineEvent, EngineRequest } from "../core/engine.ts";
import { failed } from "../core/engine.ts";

/** What an engine's host and its worker thread say to each other. One run an `id`; a run's last event ends it. */
export type ToWorker =
  | { readonly type: "complete"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "cancel"; readonly id: number };

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "events"; readonly id: number; readonly events: readonly EngineEvent[]; readonly isOver: boolean };

/** The worker's side: serves an engine over the port until the thread ends. Events of one turn of the event loop travel together. */
export function serveEngine(port: MessagePort, engine: Engine): void {
  const running = new Map<number, AbortController>();
  port.on("message", (message: ToWorker) => {
    if (message.type === "cancel") {
      running.get(message.id)?.abort();
      return;
    }
    const controller = new AbortController();
    running.set(message.id, controller);
    void run(port, engine, message.id, message.request, controller.signal).finally(() => running.delete(message.id));
  });
  post(port, { type: "ready" });
}

async function run(
  port: MessagePort,
  engine: Engine,
  id: number,
  request: EngineRequest,
  signal: AbortSignal,
): Promise<void> {
  let events: EngineEvent[] = [];
  let flush: NodeJS.Immediate | undefined;
  const send = (isOver: boolean) => {
    clearImmediate(flush);
    flush = undefined;
    post(port, { type: "events", id, events, isOver });
    events = [];
  };
  try {
    for await (const batch of engine.complete(request, signal)) {
      if (signal.aborted) break;
      events.push(...batch);
      flush ??= setImmediate(() => send(false));
    }
  } catch (error) {
    events.push(
      failed("upstream_failed", `the engine broke: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
  send(true);
}

function post(port: MessagePort, message: FromWorker): void {
  port.postMessage(message);
}

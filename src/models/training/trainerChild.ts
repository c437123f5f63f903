import { ok, type Result, refuse } from "../../core/result.ts";
import { loadRuntime } from "../onnx/runtime.ts";
import { FolderEvaluator } from "./evaluatorFile.ts";
import type { Machine } from "./neuralModel.ts";
import type { Done, FromTrainer, Progress, ToTrainer, Work } from "./trainerProtocol.ts";
import { trainTask } from "./trainTaskFile.ts";

/**
 * The process in which models are trained and measured: minutes of native code that would hold up whoever else lived here. It ends with its parent, and
 * what it had not written yet is done again from the last checkpoint.
 */
const cancelledIds = new Set<number>();
let threads = 1;
let evaluator: Promise<Result<FolderEvaluator>> | undefined;
let before: Promise<void> = Promise.resolve();

process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToTrainer) => {
  if (message.type === "setup") threads = message.threads;
  else if (message.type === "cancel") cancelledIds.add(message.id);
  else before = before.then(() => answer(message.id, message.work));
});
void send({ type: "ready" });

async function answer(id: number, work: Work): Promise<void> {
  const isCancelled = (): boolean => cancelledIds.has(id);
  const report = (progress: Progress): Promise<void> => send({ type: "progress", id, progress });
  try {
    await send({ type: "done", id, result: await run(work, report, isCancelled) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await send({ type: "done", id, result: refuse("upstream_failed", `The trainer broke: ${reason}`) });
  }
  cancelledIds.delete(id);
}

async function run(
  work: Work,
  report: (progress: Progress) => Promise<void>,
  isCancelled: () => boolean,
): Promise<Result<Done>> {
  if (work.kind === "train") return train(work, report, isCancelled);
  evaluator ??= machine().then((made) => (made.ok ? ok(new FolderEvaluator(made.value)) : made));
  const ready = await evaluator;
  if (!ready.ok) {
    evaluator = undefined;
    return ready;
  }
  if (work.kind === "gradients") {
    const onExample = (example: Extract<Progress, { kind: "example" }>["example"]) =>
      report({ kind: "example", example });
    return nothing(await ready.value.gradients(work.task, onExample, isCancelled));
  }
  if (work.kind === "losses") {
    const losses = await ready.value.losses(work.task, isCancelled);
    return losses.ok ? ok({ kind: "losses", losses: losses.value }) : losses;
  }
  const curvature = await ready.value.curvature(work.task, isCancelled);
  return curvature.ok ? ok({ kind: "curvature", curvature: curvature.value }) : curvature;
}

async function train(
  { task }: Extract<Work, { kind: "train" }>,
  report: (progress: Progress) => Promise<void>,
  isCancelled: () => boolean,
): Promise<Result<Done>> {
  const made = await machine();
  if (!made.ok) return made;
  const nowMs = (): number => performance.now();
  return nothing(
    await trainTask(made.value, task, {
      ...{ nowMs, isCancelled, pause: () => new Promise<void>((resolve) => setImmediate(resolve)) },
      onEvent: (event) => void report({ kind: "event", event }),
    }),
  );
}

async function machine(): Promise<Result<Machine>> {
  const runtime = await loadRuntime();
  return runtime.ok ? ok({ runtime: runtime.value, threads }) : runtime;
}

function nothing(result: Result<void>): Result<Done> {
  return result.ok ? ok({ kind: "nothing" }) : result;
}

/** Resolves when the parent's pipe has taken it, so that gradients do not pile up here. */
function send(message: FromTrainer): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

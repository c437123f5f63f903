import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { type RefusalCode, type Result, refuse } from "../core/result.ts";
import { isAlive, until } from "./processes.ts";
import { type ChildEvent, type Life, Supervisor } from "./supervisor.ts";

/** A supervisor over `node -e` children; `refuseFrom` is the first launch that is refused. */
function supervise(more: {
  script?: string;
  refuseFrom?: number;
  refuseTo?: number;
  refusal?: RefusalCode;
  throwFrom?: number;
  delaysMs?: number[];
}) {
  const events: ChildEvent[] = [];
  let launches = 0;
  const launch = async (): Promise<Result<Life>> => {
    launches += 1;
    if (launches >= (more.throwFrom ?? 99)) throw new Error("gone");
    if (launches >= (more.refuseFrom ?? 99) && launches < (more.refuseTo ?? 99))
      return refuse(more.refusal ?? "store_unavailable", `no ${launches}`);
    const child = spawn(process.execPath, ["-e", more.script ?? "setInterval(()=>0,1e3)"], { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child, "spawn");
    return { ok: true, value: { child, note: `life ${launches}` } };
  };
  const halt = async ({ child }: { child: ChildProcess }): Promise<void> => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  const restartDelaysMs = more.delaysMs ?? [0, 10, 10];
  const onEvent = (event: ChildEvent): number => events.push(event);
  const plan = { name: "it", unavailable: "store_unavailable", launch, halt, onEvent, restartDelaysMs } as const;
  return {
    supervisor: new Supervisor(plan),
    events,
    kinds: () => events.map((event) => event.kind),
    launches: () => launches,
  };
}

test("a child that is killed is restarted, and its successor too", async () => {
  const { supervisor, kinds } = supervise({});
  await supervisor.start();
  for (const deaths of [1, 2]) {
    process.kill(supervisor.pid ?? 0, "SIGKILL");
    expect(await until(() => kinds().filter((kind) => kind === "restarted").length === deaths, 5_000)).toBe(true);
  }
  const pid = supervisor.pid ?? 0;
  await supervisor.stop();
  expect(isAlive(pid)).toBe(false);
  expect(kinds()).toEqual(["exited", "restarted", "exited", "restarted"]);
});

test("the first launch's refusal is the caller's; nothing is retried", async () => {
  const { supervisor, kinds, launches } = supervise({ refuseFrom: 1 });
  expect(await supervisor.start()).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
  expect(kinds()).toEqual([]);
  expect(launches()).toBe(1);
});

test("refused restarts are retried after their delays, then it gives up with the last refusal", async () => {
  const { supervisor, events, kinds } = supervise({ refuseFrom: 2 });
  await supervisor.start();
  process.kill(supervisor.pid ?? 0, "SIGKILL");
  expect(await until(() => kinds().includes("gave_up"), 5_000)).toBe(true);
  expect(kinds()).toEqual(["exited", "restart_failed", "restart_failed", "gave_up"]);
  expect(events.at(-1)).toMatchObject({ refusal: { code: "store_unavailable", message: "no 4" } });
});

test("on a full disk it never gives up", async () => {
  const { supervisor, kinds } = supervise({ refuseFrom: 2, refuseTo: 9, refusal: "disk_full" });
  await supervisor.start();
  process.kill(supervisor.pid ?? 0, "SIGKILL");
  expect(await until(() => kinds().includes("restarted"), 5_000)).toBe(true);
  await supervisor.stop();
  expect(kinds()).toEqual(["exited", ...Array(7).fill("restart_failed"), "restarted"]);
});

test("one refused restart does not keep the next from succeeding", async () => {
  const { supervisor, kinds } = supervise({ refuseFrom: 2, refuseTo: 3 });
  await supervisor.start();
  process.kill(supervisor.pid ?? 0, "SIGKILL");
  expect(await until(() => kinds().includes("restarted"), 5_000)).toBe(true);
  await supervisor.stop();
  expect(kinds()).toEqual(["exited", "restart_failed", "restarted"]);
});

test("a restart that throws is one that failed, and no unhandled rejection", async () => {
  const { supervisor, events, kinds } = supervise({ throwFrom: 2 });
  await supervisor.start();
  process.kill(supervisor.pid ?? 0, "SIGKILL");
  expect(await until(() => kinds().includes("gave_up"), 5_000)).toBe(true);
  expect(events.at(-1)).toMatchObject({
    refusal: { code: "store_unavailable", message: "it could not be started: gone" },
  });
});

test("a child that dies again and again is given up", async () => {
  const { supervisor, events, kinds } = supervise({ script: "process.exit(4)" });
  await supervisor.start();
  expect(await until(() => kinds().includes("gave_up"), 10_000)).toBe(true);
  expect(events.at(-1)).toMatchObject({ refusal: { code: "store_unavailable", message: "it keeps dying (code 4)" } });
});

test("stopping while a restart waits ends the wait, and nothing is started after it", async () => {
  const { supervisor, launches } = supervise({ delaysMs: [60_000] });
  await supervisor.start();
  process.kill(supervisor.pid ?? 0, "SIGKILL");
  await until(() => supervisor.pid === undefined, 5_000);
  await supervisor.stop();
  expect(launches()).toBe(1);
  expect(supervisor.pid).toBeUndefined();
});

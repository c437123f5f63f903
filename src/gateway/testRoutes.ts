import { type Result, refuse } from "../core/result.ts";
import type { EventType } from "../ledger/events.ts";
import { moveClockBody, type Triggered, testClockSchema, triggerBody, triggeredSchema } from "../protocol/testWorld.ts";
import { json, jsonOf, plain, type Reply, type Route, route } from "./routes.ts";

/** What a composition root lets tests do to a world that is theirs. */
export interface TestControls {
  nowMs(): number;
  /** How far the world's clock is ahead of the real one. */
  aheadMs(): number;
  /** Forward only: what is written down stays in order. */
  moveTo(nowMs: number): Promise<Result<void>>;
  /** Lets something really happen, paid for by this account. */
  trigger(type: EventType, account: string): Promise<Result<Triggered>>;
}

/** The endpoints that only a test world has. */
export function testRoutes(controls: TestControls): Route[] {
  const shared = { ...plain, access: "key", needs: "models.execute", tag: "test" } as const;
  const clock = (): Result<Reply> => {
    const nowMs = controls.nowMs();
    return json({ nowMs, now: new Date(nowMs).toISOString(), aheadMs: controls.aheadMs() });
  };
  return [
    route({
      ...{ ...shared, method: "GET", path: "/api/test/clock", response: testClockSchema },
      summary: "What time it is in the test world",
      handle: clock,
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/test/clock", body: moveClockBody, response: testClockSchema },
      summary: "Move the test world's clock forward, and do what is due by then",
      handle: async ({ body: { advanceMs, to } }) => {
        const target = to === undefined ? controls.nowMs() + (advanceMs ?? 0) : Date.parse(to);
        const moved = await controls.moveTo(target);
        return moved.ok ? clock() : moved;
      },
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/test/events", body: triggerBody, response: triggeredSchema },
      summary: "Let something happen in the test world, so that its event is sent",
      handle: async ({ body, key }) => {
        if (key === undefined) return refuse("unauthenticated", "no API key was given");
        return jsonOf(await controls.trigger(body.type, key.account));
      },
    }),
  ];
}

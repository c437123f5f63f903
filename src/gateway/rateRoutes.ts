import { type Result, refuse } from "../core/result.ts";
import type { RateDesk } from "../ledger/rates.ts";
import { acceptRateBody, rateSchema } from "../protocol/rates.ts";
import type { Floor } from "./order.ts";
import { json, plain, type Reply, type Route, route } from "./routes.ts";

/** What a dollar is here, who says so, and since when. */
export function rateRoutes(floor: Floor, desk: RateDesk | undefined): Route[] {
  const shown = (): Result<Reply> => {
    const rate = floor.catalog.rateFor("nano");
    if (!rate.ok) return rate;
    if (desk === undefined) {
      const { nanoPerUsd, source } = rate.value;
      return json({ nanoPerUsd, source, atMs: null, isFresh: true, pending: null, lastError: "" });
    }
    const { known, pending, lastError, isFresh } = desk.state;
    const { nanoPerUsd, source, atMs } = known ?? { ...rate.value, nanoPerUsd: 0, atMs: null };
    return json({ nanoPerUsd, source, atMs, isFresh, pending: pending ?? null, lastError });
  };
  return [
    route({
      ...{ ...plain, method: "GET", path: "/api/rate", tag: "service", access: "open", response: rateSchema },
      summary: "The rate that prices in dollars are held at",
      handle: shown,
    }),
    route({
      ...{ ...plain, method: "POST", path: "/api/rate/accept", tag: "service", access: "admin", body: acceptRateBody },
      ...{ summary: "Vouch for a rate that is pending, by naming it", response: rateSchema },
      handle: async ({ body }) => {
        if (desk === undefined) return refuse("conflict", "the rate is fixed: nothing is pending");
        const accepted = await desk.accept(body.nanoPerUsd);
        return accepted.ok ? shown() : accepted;
      },
    }),
  ];
}

import type { Result } from "../core/result.ts";
import { datanetParam } from "../protocol/datanets.ts";
import {
  type Arrived,
  arriveBody,
  arrivedSchema,
  type Departed,
  departedSchema,
  leaveBody,
  type SignedDeparture,
} from "../protocol/departures.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

/** Datanets that leave this ledger, and those that come from another, with what their people are owed. */
export interface Departures {
  /** Marks what is settled and unclaimed as taken over. Refuses `conflict` while something is accrued or only funded. */
  leave(datanet: string, to: string): Promise<Result<Departed>>;
  /** The account pays for what is owed from here on. The same statement again changes nothing. */
  arrive(datanet: string, departure: SignedDeparture, account: string): Promise<Result<Arrived>>;
}

const DEPARTURE_BYTES_MAX = 64 * 1024 * 1024;

export function departureRoutes(departures: Departures): Route[] {
  const shared = { ...plain, method: "POST", access: "admin", tag: "datanets", params: datanetParam } as const;
  return [
    route({
      ...{ ...shared, path: "/api/datanets/{name}/leave", body: leaveBody, response: departedSchema },
      summary: "Let a datanet's settled balances leave for another ledger, by a signed statement",
      handle: async ({ params, body }) => jsonOf(await departures.leave(params.name, body.to)),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/arrive", body: arriveBody, response: arrivedSchema },
      ...{ bodyBytesMax: DEPARTURE_BYTES_MAX, statuses: [201, 200] },
      summary: "Take over what another ledger owed a datanet's people, once",
      handle: async ({ params, body }) => {
        const arrived = await departures.arrive(params.name, body.departure, body.account);
        return arrived.ok ? json(arrived.value, arrived.value.known === arrived.value.entries ? 200 : 201) : arrived;
      },
    }),
  ];
}

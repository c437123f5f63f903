import type { Floor } from "./execution.ts";
import type { GatewayParts } from "./gateway.ts";
import type { Route } from "./routes.ts";
export function apiRoutes(_floor: Floor, _parts: GatewayParts, _state: () => object): Route[] {
  return [];
}

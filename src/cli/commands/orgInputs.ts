import type { z } from "zod";
import type { limitsSchema } from "../../protocol/accounts.ts";
import { wholeText } from "./inputs.ts";

/** What the commands about organisations share. */
export const orgOption = ["--org <id>", "the organisation (default: the key's own)"] as const;
export const personName = wholeText.max(120, "has at most 120 characters");

/** Where the part of an organisation with this id stands, below the organisation. */
export function targetOf(id: string): string {
  const folders: Readonly<Record<string, string>> = { mem: "members", prj: "projects", key: "keys" };
  return `${folders[id.slice(0, 3)] ?? ""}/${id}`;
}

/** Empty where there are none. */
export function describeLimits(
  { requestsPerMinute, tokensPerMinute, nanoPerDay, inFlight }: z.infer<typeof limitsSchema>,
  formatOpen: (nano: number) => string,
): string {
  const said = [
    requestsPerMinute === undefined ? [] : [`${requestsPerMinute} requests/min`],
    tokensPerMinute === undefined ? [] : [`${tokensPerMinute} tokens/min`],
    nanoPerDay === undefined ? [] : [`${formatOpen(nanoPerDay)} OPEN/day`],
    inFlight === undefined ? [] : [`${inFlight} in flight`],
  ].flat();
  return said.length === 0 ? "" : `at most ${said.join(", ")}`;
}

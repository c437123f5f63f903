import { concat, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result } from "../core/result.ts";
import { type Refused, refuseFor } from "./refused.ts";

/**
 * Calls without a key, by where they come from: a token bucket for each address, of IPv6 for each /64, in memory that does not grow with who calls. Addresses that fall on one slot share it;
 * which do, nobody can tell without the seed. This machine is never counted: it is the owner's, or a proxy that counts for itself.
 */
export class Guests {
  readonly #seed: Uint8Array;
  readonly #left = new Float64Array(SLOTS).fill(GUEST_CALLS);
  readonly #sinceMs = new Float64Array(SLOTS);

  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  enter(address: string, nowMs: number): Result<void, Refused> {
    const network = networkOf(address);
    if (network === undefined) return ok(undefined);
    const hash = sha256(concat(this.#seed, utf8(network)));
    const slot = (hash[0]! * 256 + hash[1]!) % SLOTS;
    const refilled = (Math.max(0, nowMs - this.#sinceMs[slot]!) * GUEST_CALLS) / MINUTE_MS;
    const left = Math.min(GUEST_CALLS, this.#left[slot]! + refilled);
    this.#sinceMs[slot] = nowMs;
    this.#left[slot] = left >= 1 ? left - 1 : left;
    if (left >= 1) return ok(undefined);
    return refuseFor("rate_limited", `calls without a key are limited to ${GUEST_CALLS} a minute for an address`, {
      hint: "wait, or call with a key: those have limits of their own",
      retryAfterMs: ((1 - left) * MINUTE_MS) / GUEST_CALLS,
    });
  }
}

/** A minute's, which may come at once. */
export const GUEST_CALLS = 300;
const MINUTE_MS = 60_000;
const SLOTS = 4_096;

/** Whose an address is: one of IPv4, the first half of IPv6. Undefined for this machine's own. */
export function networkOf(address: string): string | undefined {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (/^127\.|^::1$/.test(bare)) return undefined;
  if (!bare.includes(":")) return bare;
  const [head = [], tail = []] = bare.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => "0");
  return [...head, ...zeros, ...tail].slice(0, 4).join(":");
}

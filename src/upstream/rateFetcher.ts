import { isIP } from "node:net";
import { Agent, request } from "undici";
import { ok, type Result, refuse } from "../core/result.ts";
import { isInside, lookupOutside } from "./outside.ts";

const BYTES_MAX = 65_536;

export interface RateFetcherOptions {
  /** Also ask our own network, and by plain http: for a source beside the node. */
  readonly allowsInside: boolean;
  readonly timeoutMs?: number;
}

/**
 * Fetches a small text from an address that somebody else answers at: never more than 64 KiB, never longer than its time however slowly it drips,
 * never elsewhere by a redirect or by a name that resolves to our own network.
 */
export class RateFetcher {
  readonly #options: RateFetcherOptions;
  readonly #agent: Agent;

  constructor(options: RateFetcherOptions) {
    this.#options = options;
    const timeout = options.timeoutMs ?? 10_000;
    this.#agent = new Agent({
      ...{ connections: 1, headersTimeout: timeout, bodyTimeout: timeout, maxResponseSize: BYTES_MAX },
      connect: { timeout, ...(options.allowsInside ? {} : { lookup: lookupOutside }) },
    });
  }

  /** Refuses what it would never ask. */
  check(text: string): Result<URL> {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isHttp = url?.protocol === "https:" || (this.#options.allowsInside && url?.protocol === "http:");
    if (url === undefined || !isHttp || url.username !== "" || url.password !== "")
      return refuse("invalid_request", "a rate's address is an https URL without a user", {
        hint: "fixed:0.5, file:PATH#/pointer or https://…#/pointer",
        field: "rate",
      });
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (!this.#options.allowsInside && isIP(host) !== 0 && isInside(host))
      return refuse("invalid_request", "a rate is not asked for in the node's own network", { field: "rate" });
    return ok(url);
  }

  async get(address: string): Promise<Result<string>> {
    const url = this.check(address);
    if (!url.ok) return url;
    const signal = AbortSignal.timeout(this.#options.timeoutMs ?? 10_000);
    try {
      const headers = { accept: "application/json" };
      const answer = await request(url.value, { method: "GET", headers, dispatcher: this.#agent, signal });
      const text = await answer.body.text();
      if (answer.statusCode === 200) return ok(text);
      return refuse("upstream_failed", `${url.value.host} answered ${answer.statusCode}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return refuse("upstream_failed", `${url.value.host} gave no rate: ${reason.slice(0, 200)}`);
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

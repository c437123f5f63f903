import { isIP } from "node:net";
import { Agent, request } from "undici";
import { ok, type Result, refuse } from "../core/result.ts";
import { isInside, lookupOutside } from "./outside.ts";

export interface WebhookSenderOptions {
  /** Also call our own network, and plain http: for receivers beside the node. */
  readonly allowsInside: boolean;
  readonly timeoutMs?: number;
}

/** Sends to addresses that strangers chose. The name is resolved once, and the address that was checked is the one that is called; redirects are not followed. */
export class WebhookSender {
  readonly #options: WebhookSenderOptions;
  readonly #agent: Agent;

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
    const timeout = options.timeoutMs ?? 10_000;
    this.#agent = new Agent({
      ...{ connections: 4, headersTimeout: timeout, bodyTimeout: timeout, maxResponseSize: 65_536 },
      connect: { timeout, ...(options.allowsInside ? {} : { lookup: lookupOutside }) },
    });
  }

  /** Refuses what it would never call. */
  check(text: string): Result<URL> {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isHttp = url?.protocol === "https:" || (this.#options.allowsInside && url?.protocol === "http:");
    if (url === undefined || !isHttp || url.username !== "" || url.password !== "")
      return refuse("invalid_request", "a webhook's address is an https URL without a user", { field: "url" });
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (!this.#options.allowsInside && isIP(host) !== 0 && isInside(host))
      return refuse("invalid_request", "a webhook does not call the node's own network", { field: "url" });
    return ok(url);
  }

  async send(message: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }): Promise<Result<void>> {
    const url = this.check(message.url);
    if (!url.ok) return url;
    try {
      const { headers, body } = message;
      const answer = await request(url.value, { method: "POST", headers, body, dispatcher: this.#agent });
      await answer.body.dump();
      if (answer.statusCode >= 200 && answer.statusCode < 300) return ok(undefined);
      return refuse("upstream_failed", `the receiver answered ${answer.statusCode}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return refuse("upstream_failed", `the receiver was not reached: ${reason.slice(0, 200)}`);
    }
  }

  close(): Promise<void> {
    return this.#agent.close();
  }
}

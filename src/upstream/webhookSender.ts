import type { LookupAddress, LookupOptions } from "node:dns";
import { lookup } from "node:dns";
import { BlockList, isIP } from "node:net";
import { Agent, request } from "undici";
import { ok, type Result, refuse } from "../core/result.ts";

/** Addresses that no stranger may have us call: ourselves, our network, and what clouds answer on (RFC 6890, RFC 4193, RFC 3927). */
const inside = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  inside.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 128],
  ["::1", 128],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  inside.addSubnet(network, bits, "ipv6");

/** True for an address that only we can reach. IPv4 inside IPv6 is the IPv4 address. */
export function isInside(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isInside(mapped);
  const version = isIP(address);
  return version === 0 || inside.check(address, version === 4 ? "ipv4" : "ipv6");
}

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

type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

function lookupOutside(host: string, options: LookupOptions, done: Found): void {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, []);
    const outside = addresses.filter(({ address }) => !isInside(address));
    const [first] = outside;
    if (first === undefined) return done(new Error(`${host} is in the node's own network`), []);
    if (options.all === true) done(null, outside);
    else done(null, first.address, first.family);
  });
}

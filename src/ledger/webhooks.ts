import { utf8 } from "../core/bytes.ts";
import { hmacSha256 } from "../core/hash.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { type EventType, eventsOf, type KeptEvent, keptEvent, type LedgerEvent } from "./events.ts";
import type { Ledger } from "./ledger.ts";

/** Where somebody wants to be told, and how far they have been. Two streams: the journal's entries, and what is kept beside it. */
export interface Webhook {
  /** `whk_` and 24 hex digits. */
  readonly id: string;
  readonly url: string;
  /** Empty for all. */
  readonly types: readonly EventType[];
  /** Hex pseudonym of the one account whose events are wanted; empty for all. */
  readonly subject: string;
  /** The next journal entry and the next kept event to tell of. */
  readonly nextSeq: number;
  readonly nextKept: number;
  /** `paused` after {@link PATIENCE_MS} of failures, or by its owner; resumed where it stood. */
  readonly state: "active" | "paused";
  readonly failures: number;
  readonly failingSinceMs: number;
  readonly retryAtMs: number;
  readonly lastError: string;
  readonly createdMs: number;
}

export interface WebhookStore {
  webhooks(): Promise<readonly Webhook[]>;
  /** `secret` is 32 bytes; it is never read back but to sign. */
  addWebhook(webhook: Webhook, secret: Uint8Array): Promise<Result<void>>;
  saveWebhook(webhook: Webhook): Promise<void>;
  removeWebhook(id: string): Promise<boolean>;
  secret(id: string): Promise<Uint8Array | undefined>;
  keep(event: Omit<KeptEvent, "number">): Promise<void>;
  /** The number of the newest kept event; 0 for none. */
  lastKept(): Promise<number>;
  keptFrom(number: number, limit: number): Promise<readonly KeptEvent[]>;
  /** All of one type, in their order. */
  keptOf(type: EventType): Promise<readonly KeptEvent[]>;
}

/** Sends one event. The refusal says why it was not taken; whatever is not a 2xx answer was not. */
export type SendEvent = (request: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}) => Promise<Result<void>>;

export interface WebhookWorld {
  nowMs(): number;
  randomBytes(size: number): Uint8Array;
  say(text: string): void;
}

const ENTRIES_AT_ONCE = 256;
const DELAY_MS_MAX = 3_600_000;
const WEBHOOKS_MAX = 100;
/** Three days: a weekend and a morning. */
const PATIENCE_MS = 3 * 86_400_000;

/**
 * Tells of what happens, at least once and in order: an event is sent when all before it were taken. A receiver that fails is asked again after 1, 2, 4 … seconds, an hour at most,
 * and holds up nobody but itself.
 */
export class Webhooks {
  readonly #ledger: Pick<Ledger, "id" | "books">;
  readonly #store: WebhookStore;
  readonly #send: SendEvent;
  readonly #world: WebhookWorld;
  readonly #running = new Map<string, Promise<void>>();

  constructor(ledger: Pick<Ledger, "id" | "books">, store: WebhookStore, send: SendEvent, world: WebhookWorld) {
    this.#ledger = ledger;
    this.#store = store;
    this.#send = send;
    this.#world = world;
  }

  /** The secret is shown once. Begins with what happens from now on. */
  async add(order: {
    readonly url: string;
    readonly types: readonly EventType[];
    readonly subject: string;
  }): Promise<Result<{ readonly webhook: Webhook; readonly secret: string }>> {
    const known = await this.#store.webhooks();
    if (known.length >= WEBHOOKS_MAX) return refuse("conflict", `there are ${WEBHOOKS_MAX} webhooks, and no more`);
    const secret = this.#world.randomBytes(32);
    const webhook: Webhook = {
      ...{ id: `whk_${Buffer.from(this.#world.randomBytes(12)).toString("hex")}`, ...order },
      ...{ nextSeq: this.#ledger.books.size(), nextKept: (await this.#store.lastKept()) + 1, state: "active" },
      ...{ failures: 0, failingSinceMs: 0, retryAtMs: 0, lastError: "", createdMs: this.#world.nowMs() },
    };
    const added = await this.#store.addWebhook(webhook, secret);
    return added.ok ? ok({ webhook, secret: `whsec_${Buffer.from(secret).toString("base64")}` }) : added;
  }

  list(): Promise<readonly Webhook[]> {
    return this.#store.webhooks();
  }

  async remove(id: string): Promise<Result<void>> {
    return (await this.#store.removeWebhook(id)) ? ok(undefined) : unknownWebhook(id);
  }

  /** Goes on, from where it stood or from an earlier entry or kept event on: events are sent again, with the ids that they had. */
  async resume(id: string, from: { readonly seq?: number; readonly kept?: number }): Promise<Result<Webhook>> {
    const found = (await this.#store.webhooks()).find((one) => one.id === id);
    if (found === undefined) return unknownWebhook(id);
    const next = { seq: from.seq ?? found.nextSeq, kept: from.kept ?? found.nextKept };
    if (next.kept > (await this.#store.lastKept()) + 1)
      return refuse("invalid_request", "no such event is kept", { field: "fromKept" });
    if (next.seq > this.#ledger.books.size())
      return refuse("invalid_request", `the journal has ${this.#ledger.books.size()} entries`, { field: "fromSeq" });
    await this.#running.get(id);
    const resumed: Webhook = {
      ...found,
      ...{ state: "active", failures: 0, failingSinceMs: 0, retryAtMs: 0, lastError: "" },
      ...{ nextSeq: next.seq, nextKept: next.kept },
    };
    await this.#store.saveWebhook(resumed);
    return ok(resumed);
  }

  keep(type: EventType, subject: string, data: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#store.keep({ type, timeMs: this.#world.nowMs(), subject, data });
  }

  /** One round over all that are due. A webhook whose last round still runs is left to it. */
  async round(): Promise<void> {
    const nowMs = this.#world.nowMs();
    const due = (await this.#store.webhooks()).filter(
      ({ id, state, retryAtMs }) => state === "active" && retryAtMs <= nowMs && !this.#running.has(id),
    );
    for (const webhook of due) {
      const running = this.#deliver(webhook)
        .catch((error: unknown) => this.#world.say(`webhook ${webhook.id}: ${String(error)}`))
        .finally(() => this.#running.delete(webhook.id));
      this.#running.set(webhook.id, running);
    }
    await Promise.all(due.map(({ id }) => this.#running.get(id)));
  }

  async #deliver(webhook: Webhook): Promise<void> {
    const secret = await this.#store.secret(webhook.id);
    if (secret === undefined) return;
    const { books } = this.#ledger;
    let now = webhook;
    const until = Math.min(books.size(), now.nextSeq + ENTRIES_AT_ONCE);
    let seq = now.nextSeq;
    for await (const bytes of books.entries(now.nextSeq, until)) {
      const taken = await this.#sendAll(
        now,
        eventsOf(bytes, (number) => books.payee(number)?.id),
        secret,
      );
      if (!taken.ok) return this.#failed({ ...now, nextSeq: seq }, taken.error);
      seq += 1;
    }
    now = { ...now, nextSeq: seq };
    for (const kept of await this.#store.keptFrom(now.nextKept, ENTRIES_AT_ONCE)) {
      const taken = await this.#sendAll(now, [keptEvent(this.#ledger.id, kept)], secret);
      if (!taken.ok) return this.#failed(now, taken.error);
      now = { ...now, nextKept: kept.number + 1 };
    }
    await this.#store.saveWebhook({ ...now, failures: 0, failingSinceMs: 0, retryAtMs: 0, lastError: "" });
  }

  async #sendAll(webhook: Webhook, events: readonly LedgerEvent[], secret: Uint8Array): Promise<Result<void>> {
    for (const event of events) {
      if (!wants(webhook, event)) continue;
      const body = JSON.stringify(event);
      const taken = await this.#send({
        url: webhook.url,
        headers: signedHeaders(event.id, this.#world.nowMs(), body, secret),
        body,
      });
      if (!taken.ok) return taken;
    }
    return ok(undefined);
  }

  async #failed(webhook: Webhook, error: Refusal): Promise<void> {
    const nowMs = this.#world.nowMs();
    const failures = webhook.failures + 1;
    const failingSinceMs = webhook.failures === 0 ? nowMs : webhook.failingSinceMs;
    const delayMs = Math.min(DELAY_MS_MAX, 1_000 * 2 ** Math.min(failures - 1, 20));
    const state = nowMs - failingSinceMs > PATIENCE_MS ? "paused" : "active";
    if (state === "paused") this.#world.say(`webhook ${webhook.id} is paused: ${error.message}`);
    const lastError = error.message.slice(0, 300);
    await this.#store.saveWebhook({
      ...webhook,
      failures,
      failingSinceMs,
      state,
      lastError,
      retryAtMs: nowMs + delayMs,
    });
  }
}

/** Standard Webhooks 1.0, section "Signature scheme": HMAC-SHA256 over id, timestamp in seconds and body. */
export function signedHeaders(id: string, nowMs: number, body: string, secret: Uint8Array): Record<string, string> {
  const seconds = String(Math.floor(nowMs / 1_000));
  const mac = hmacSha256(secret, utf8(`${id}.${seconds}.${body}`));
  return {
    ...{ "content-type": "application/cloudevents+json", "webhook-id": id, "webhook-timestamp": seconds },
    "webhook-signature": `v1,${Buffer.from(mac).toString("base64")}`,
  };
}

function wants({ types, subject }: Webhook, event: LedgerEvent): boolean {
  const isWanted = types.length === 0 || types.some((type) => event.type === `org.openledger.${type}`);
  return isWanted && (subject === "" || event.subject === subject);
}

function unknownWebhook(id: string): Result<never> {
  return refuse("not_found", `there is no webhook ${id}`, { hint: "openledger webhook list" });
}

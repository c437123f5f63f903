import { z } from "zod";
import { fromHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Books } from "../ledger/ledger.ts";
import { finishReasons, settlementSchema } from "../protocol/completions.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";
import type { Answered } from "./order.ts";
import { type Refused, refuseFor } from "./refused.ts";

/** What an `Idempotency-Key` means for this request (draft-ietf-httpapi-idempotency-key-header). `end` must be called when it is answered. */
export type Once =
  | {
      readonly state: "new";
      readonly idempotency: { readonly key: string; readonly bodyHash: Uint8Array } | undefined;
      end(): void;
    }
  | { readonly state: "done"; readonly answered: Answered; end(): void };

/** Refuses a key that is still running, or was used with another body. */
export function beginOnce(
  books: Books,
  account: string,
  key: string | undefined,
  path: string,
  body: Uint8Array,
): Result<Once, Refused> | Promise<Result<Once, Refused>> {
  return key === undefined ? everyTime : beginKeyed(books, account, key, path, body);
}

const everyTime = ok({ state: "new", idempotency: undefined, end: () => {} } as const);

async function beginKeyed(
  books: Books,
  account: string,
  key: string,
  path: string,
  body: Uint8Array,
): Promise<Result<Once, Refused>> {
  if (!books.begin(account, key)) {
    return refuseFor("idempotency_in_flight", "a request with this idempotency key is still running", {
      retryAfterMs: 1_000,
    });
  }
  const end = () => books.abandon(account, key);
  try {
    const once = await lookUp(books, account, key, sha256(utf8(path), separator, body), end);
    if (!once.ok) end();
    return once;
  } catch (error) {
    end();
    throw error;
  }
}

async function lookUp(
  books: Books,
  account: string,
  key: string,
  bodyHash: Uint8Array,
  end: () => void,
): Promise<Result<Once, Refused>> {
  const known = await books.idempotency(account, key, bodyHash);
  if (!known.ok) return known;
  if (known.value.state === "new") return ok({ state: "new", idempotency: { key, bodyHash }, end });
  const stored = parseJson(known.value.response ?? "null");
  const parsed = stored.ok ? parseInput(storedSchema, stored.value) : stored;
  if (!parsed.ok) return refuse("conflict", "the key was used, and its response is no longer kept");
  const promise = await books.promise(known.value.receipt);
  const { receipt, settlement, failure, ...rest } = parsed.value;
  const answered: Answered = {
    ...rest,
    receipt: fromHex(receipt),
    failure: failure === undefined ? undefined : { code: "upstream_failed", message: failure.message },
    settlement,
    promise,
  };
  return ok({ state: "done", answered, end });
}

const separator = new Uint8Array(1);

const storedSchema = z.object({
  receipt: z.string(),
  answer: z.string(),
  finish: z.enum(finishReasons),
  usage: z.object({ tokensIn: z.number(), tokensOut: z.number(), calls: z.number() }),
  createdMs: z.number(),
  settlement: settlementSchema,
  failure: z.object({ message: z.string() }).optional(),
});

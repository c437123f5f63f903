import { ok, type Result } from "../core/result.ts";
import type { Answered } from "./order.ts";
import type { Refused } from "./refused.ts";

/** Nobody keeps a connection open for longer by asking for it. */
const WAIT_SECONDS_MAX = 60;

/** How long the end of an answer waits for its receipt: `Prefer: wait=SECONDS` (RFC 7240, section 4.3) says it, and what cannot be understood of that header is ignored, as there. */
export function receiptWaitMs(prefer: string | undefined, usualMs: number): number {
  if (prefer === undefined) return usualMs;
  const wait = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer)?.[1];
  return wait === undefined ? usualMs : 1_000 * Math.min(WAIT_SECONDS_MAX, Number(wait));
}

/** An execution as its caller sees it, and its end. */
export interface Waited {
  /** The answer with its receipt, or without it where that took longer than `waitMs` from the last byte on. */
  readonly answered: Promise<Result<Answered, Refused>>;
  /** When all is done: posted, or released. */
  readonly done: Promise<unknown>;
}

/** Called at the last byte, with what tells what is known of the answer; that is undefined where its fee cannot be said. */
export type LastByte = (pending: () => Answered | undefined) => void;

/** No answer waits for its attribution longer than `waitMs`. */
export function waited(run: (tell: LastByte) => Promise<Result<Answered, Refused>>, waitMs: number): Waited {
  let timer: NodeJS.Timeout | undefined;
  let letGo: (pending: Result<Answered>) => void = () => {};
  const done = run((pending) => {
    timer = setTimeout(() => {
      const known = pending();
      if (known !== undefined) letGo(ok(known));
    }, waitMs);
  });
  const answered = new Promise<Result<Answered, Refused>>((resolve, reject) => {
    letGo = resolve;
    done.then(resolve, reject).finally(() => clearTimeout(timer));
  });
  return { answered, done };
}

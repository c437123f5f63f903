import type { Hex } from "../core/bytes.ts";
import type { BindingState } from "../core/entry.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { BindingProof } from "./proof.ts";

/**
 * What becomes of an external identity, by its own proof or by the passing of its term:
 *
 *     (nobody) ──bind──▶ noticed ──notice over──▶ bound ──redirect──▶ redirected
 *         │  ╲             │  ▲ a proof of another address starts the notice again
 *         │   ╲refuse      │refuse            bound, redirected ──leave──▶ left
 *         │    ▼           ▼
 *         │   refused ◀────┘
 *         └──published term over, nothing claimed──▶ expired
 *
 * A binding happens once: nothing leads back from `bound`. The notice is public, so that whoever really is behind the identity can object where
 * only they can write. Nobody else is asked: a datanet's owner has no transition here.
 */
export interface Binding {
  readonly datanet: Hex;
  readonly ledger: Hex;
  readonly identity: string;
  readonly state: BindingState;
  /** 20-byte address that stands behind the identity, or will after the notice; null where nobody does. */
  readonly to: Hex | null;
  /** Hash of the proof behind the present state: 32 bytes; zeros for an expiry. */
  readonly proofHash: Hex;
  /** When the notice of the present `to` began, and when it is over; 0 where there was none. */
  readonly noticedMs: number;
  readonly noticeEndsMs: number;
  readonly changedMs: number;
}

/** Seven days in which an identity can object. */
export const NOTICE_MS = 7 * 24 * 3_600_000;

/** Applies a proof that {@link ./proof.ts} has checked. `current` undefined: the identity has never been heard of. */
export function applyProof(
  current: Binding | undefined,
  proof: BindingProof,
  terms: { readonly noticeMs: number; readonly timeMs: number },
): Result<Binding> {
  const { noticeMs, timeMs } = terms;
  assert(Number.isSafeInteger(noticeMs) && noticeMs >= 0, "a notice lasts a whole number of milliseconds");
  if (current !== undefined) {
    assert(
      current.datanet === proof.datanet && current.identity === proof.identity,
      "a proof is applied to its own identity",
    );
    if (current.proofHash === proof.hash)
      return refuse("conflict", "this proof was used before", { hint: "make a new one" });
  }
  const settled = current === undefined ? undefined : settleNotice(current, timeMs);
  const state = settled?.state;
  const base = {
    datanet: proof.datanet,
    ledger: proof.ledger,
    identity: proof.identity,
    proofHash: proof.hash,
    changedMs: timeMs,
  };
  const none = { ...base, to: null, noticedMs: 0, noticeEndsMs: 0 };
  switch (proof.action) {
    case "bind":
      if (state !== undefined && state !== "noticed") return already(settled!, "a binding happens once");
      if (state === "noticed" && settled!.to === proof.address) return already(settled!, "its notice is running");
      return ok({ ...base, state: "noticed", to: proof.address, noticedMs: timeMs, noticeEndsMs: timeMs + noticeMs });
    case "refuse":
      return state === undefined || state === "noticed"
        ? ok({ ...none, state: "refused" })
        : already(settled!, "it is too late to refuse");
    case "redirect":
      return state === "bound" || state === "redirected"
        ? ok({ ...base, state: "redirected", to: proof.address, noticedMs: timeMs, noticeEndsMs: timeMs + noticeMs })
        : already(settled, "only a bound identity is redirected");
    case "leave":
      return state === "bound" || state === "redirected"
        ? ok({ ...none, state: "left" })
        : already(settled, "only a bound identity leaves");
  }
}

/** A notice that is over makes the identity bound; anything else stays as it is. A redirection counts from the end of its own notice. */
export function settleNotice(binding: Binding, timeMs: number): Binding {
  if (binding.state !== "noticed" || timeMs < binding.noticeEndsMs) return binding;
  return { ...binding, state: "bound", changedMs: binding.noticeEndsMs };
}

/** An identity that never answered within the published term: what it was owed returns to the payers. */
export function expire(
  current: Binding | undefined,
  identity: { readonly datanet: Hex; readonly ledger: Hex; readonly identity: string },
  term: { readonly firstCreditMs: number; readonly termMs: number; readonly timeMs: number },
): Result<Binding> {
  if (current !== undefined)
    return already(settleNotice(current, term.timeMs), "only an identity that never answered expires");
  const ends = term.firstCreditMs + term.termMs;
  if (term.timeMs < ends)
    return refuse("binding_refused", `${identity.identity} has until ${new Date(ends).toISOString()} to answer`);
  return ok({
    datanet: identity.datanet,
    ledger: identity.ledger,
    identity: identity.identity,
    state: "expired",
    to: null,
    proofHash: `0x${"00".repeat(32)}`,
    noticedMs: 0,
    noticeEndsMs: 0,
    changedMs: term.timeMs,
  });
}

/** The address that is paid at a time; undefined while nobody is. */
export function boundAddress(binding: Binding | undefined, timeMs: number): Hex | undefined {
  if (binding === undefined || binding.to === null) return undefined;
  const { state } = settleNotice(binding, timeMs);
  if (state === "bound") return binding.to;
  return state === "redirected" && timeMs >= binding.noticeEndsMs ? binding.to : undefined;
}

function already(binding: Binding | undefined, why: string): Result<never> {
  const found =
    binding === undefined
      ? "nobody has answered for it yet"
      : `it is ${binding.state} since ${new Date(binding.changedMs).toISOString()}`;
  return refuse("binding_refused", `${why}: ${found}`);
}

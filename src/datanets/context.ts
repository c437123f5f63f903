import { type Hex, parseHex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { structuring } from "./document.ts";
import { packFields } from "./pack.ts";
import { sectionSizes } from "./section.ts";

/** A context: the structuring that turned documents into records which stand alone. Owned, versioned, a parent of each datanet version, paid in its own role. */
export interface ContextAsset {
  /** SHA-256 over method, version, parameters and owner: 32 bytes. */
  readonly id: Hex;
  readonly method: string;
  readonly methodVersion: string;
  /** What the method was run with, sorted by name. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /** 32-byte party id of whoever structured. */
  readonly owner: Hex;
}

/** The parameter that commits to what was added to the records. */
export const ANNOTATIONS = "annotations";

/** The context of records cut by {@link ./document.ts}, and of what was added to them. */
export function structuringContext(owner: Hex, annotations?: Hex): Result<ContextAsset> {
  return contextAsset({
    method: structuring.method,
    methodVersion: structuring.version,
    parameters: [
      ["blockMax", String(sectionSizes.blockMax)],
      ["target", String(sectionSizes.target)],
      ...(annotations === undefined ? [] : [[ANNOTATIONS, annotations] as const]),
    ],
    owner,
  });
}

export function contextAsset(draft: Omit<ContextAsset, "id">): Result<ContextAsset> {
  const { method, methodVersion, owner } = draft;
  if (!/^[\w.-]{1,64}$/.test(method) || !/^[\w.-]{1,32}$/.test(methodVersion)) {
    return refuse("invalid_request", "a structuring method and its version are words of letters, digits and . _ -");
  }
  if (parseHex(owner)?.length !== 32)
    return refuse("invalid_request", "a context's owner is a 32-byte party id", { field: "owner" });
  const parameters = [...draft.parameters].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const id = toHex(sha256(packFields(["openledger.context.1", method, methodVersion, owner, ...parameters.flat()])));
  return ok({ id, method, methodVersion, parameters, owner });
}

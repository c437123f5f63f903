import { contextSubject, priorSubject } from "../core/pool.ts";
import { keyOf } from "./keyOf.ts";
import type { KnownAsset } from "./stateImage.ts";

/** Which datanet's prior or context a pool is, by the pool's subject. */
export class DatanetPools {
  readonly #bySubject = new Map<string, { readonly datanet: Uint8Array; readonly role: "prior" | "context" }>();

  note({ record: { id, assetKind } }: KnownAsset): void {
    if (assetKind !== "datanet") return;
    this.#bySubject.set(keyOf(priorSubject(id)), { datanet: id, role: "prior" });
    this.#bySubject.set(keyOf(contextSubject(id)), { datanet: id, role: "context" });
  }

  of(subject: Uint8Array): { readonly datanet: Uint8Array; readonly role: "prior" | "context" } | undefined {
    return this.#bySubject.get(keyOf(subject));
  }
}

import type { BindingRecord } from "../core/entry.ts";

/** What became of identities, and whose money theirs is. */
export class KnownBindings {
  readonly #bindings = new Map<number, BindingRecord>();
  /** Identities whose money is, or was, a party's, by that party. */
  readonly #identities = new Map<number, Set<number>>();

  get all(): ReadonlyMap<number, BindingRecord> {
    return this.#bindings;
  }

  add(binding: BindingRecord): void {
    this.#identities.get(this.#bindings.get(binding.identity)?.to ?? 0)?.delete(binding.identity);
    this.#bindings.set(binding.identity, binding);
    if (binding.state !== "bound" && binding.state !== "redirected") return;
    const identities = this.#identities.get(binding.to) ?? new Set();
    this.#identities.set(binding.to, identities.add(binding.identity));
  }

  /** The identities that are bound or redirected to a party, and count in that epoch. */
  identitiesOf(party: number, epoch: number): number[] {
    return [...(this.#identities.get(party) ?? [])].filter((identity) => this.#bindings.get(identity)!.epoch <= epoch);
  }
}

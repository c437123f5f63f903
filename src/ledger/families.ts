import { equalBytes } from "../core/bytes.ts";
import type { Share } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import { mergeShares, uniqueIds } from "./payees.ts";
import type { KnownAsset } from "./stateImage.ts";

/** The families of models, worked out once as long as no asset changes. */
export class Families {
  readonly #state: BookState;
  readonly #families = new Map<KnownAsset, Family>();
  #version = 0;

  constructor(state: BookState) {
    this.#state = state;
  }

  of(model: KnownAsset): Family {
    if (this.#version !== this.#state.assetsVersion) this.#families.clear();
    this.#version = this.#state.assetsVersion;
    let family = this.#families.get(model);
    if (family === undefined) {
      family = familyOf(this.#state, model);
      this.#families.set(model, family);
    }
    return family;
  }
}

/** Who shares in a model's receipts beside those whom evidence names. */
export interface Family {
  readonly model: readonly Share[];
  readonly contexts: readonly Share[];
  readonly priors: readonly Share[];
}

function familyOf(state: BookState, model: KnownAsset): Family {
  const ancestors = ancestry(state, model);
  return {
    model: [{ payee: model.royaltyPayee, weight: 1 }],
    contexts: contextsOf(ancestors, model),
    priors: priorsOf(ancestors, model),
  };
}

/** The asset's ancestors, each once, nearest first. */
function ancestry(state: BookState, asset: KnownAsset): KnownAsset[] {
  const found: KnownAsset[] = [];
  let generation = [asset];
  while (generation.length > 0) {
    const parents = uniqueIds(generation.flatMap((child) => child.record.parents.map((parent) => parent.id)));
    generation = parents.map((id) => state.asset(id)!).filter((parent) => !found.includes(parent));
    found.push(...generation);
  }
  return found;
}

/** Those whose context was measured, by the pool of each datanet; of what was not measured yet, the owners of the contexts. */
function contextsOf(family: readonly KnownAsset[], model: KnownAsset): Share[] {
  const isMade = (context: KnownAsset): boolean =>
    [model, ...family].some(
      (child) =>
        child.context === undefined && child.record.parents.some(({ id }) => equalBytes(id, context.record.id)),
    );
  const contexts = family.filter((asset) => asset.record.assetKind === "context" && isMade(asset));
  const measured = family.flatMap(({ context }) => (context === undefined ? [] : [{ payee: context, weight: 1 }]));
  const weightIn = (asset: KnownAsset): number =>
    model.vector.find((share) => equalBytes(share.id, asset.record.id))?.weight ?? 1;
  const owned = contexts.map((asset) => ({ payee: asset.royaltyPayee, weight: weightIn(asset) }));
  return mergeShares([...measured, ...owned]);
}

/**
 * The prior of the one datanet that the model was made from. Of several, none: nothing says which of them an answer that no evidence explains
 * came from, and a datanet that was attached for its prior alone would take a part of it.
 */
function priorsOf(family: readonly KnownAsset[], model: KnownAsset): Share[] {
  const own = family.filter(({ seq, prior }) => prior !== undefined && seq === model.measures);
  return own.map(({ prior }) => ({ payee: prior!, weight: 1 }));
}

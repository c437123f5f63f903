import { toHex, utf8 } from "../core/bytes.ts";
import type { StopSignal } from "../core/engine.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/** How adapters get into a server and out of it again. */
export interface AdapterControl {
  /** Loading what is loaded already, under the same name, is no failure. */
  load(name: string, folder: string): Promise<Result<void>>;
  /** Unloading what is not there is no failure. */
  unload(name: string): Promise<Result<void>>;
}

/** An adapter that stays loaded until it is released. */
export interface AdapterLease {
  /** What the server calls it. */
  readonly name: string;
  release(): void;
  /** The server does not know it after all: it has started anew since. */
  forget(): void;
}

/**
 * Keeps at most so many adapters loaded, least recently used out first, never one that is in use. Whoever asks for an adapter that is being
 * loaded waits for that one load. Where every place is in use, the oldest takes no new requests, so that whoever waits gets a turn.
 */
export class VllmAdapters {
  readonly #control: AdapterControl;
  readonly #loadedMax: number;
  /** By folder, in the order in which they were used. */
  readonly #places = new Map<string, Place>();
  /** The server may have no room for one more before all that leave have left. */
  #leaving: Promise<unknown> = Promise.resolve();
  #waiting: (() => void)[] = [];

  constructor(control: AdapterControl, loadedMax: number) {
    this.#control = control;
    this.#loadedMax = loadedMax;
  }

  async lease(folder: string, signal: StopSignal): Promise<Result<AdapterLease>> {
    for (;;) {
      if (signal.aborted) return refuse("cancelled", "The request was cancelled.");
      const place = this.#places.get(folder) ?? this.#take(folder);
      if (place === undefined || place.isClosing) {
        await this.#turn(signal);
        continue;
      }
      place.users++;
      this.#places.delete(folder);
      this.#places.set(folder, place);
      const loaded = await place.loaded;
      if (loaded.ok) return ok(this.#leaseOf(place));
      place.users--;
      this.#drop(place);
      return loaded;
    }
  }

  /** A place for the folder, begun to be loaded; undefined while all are in use. */
  #take(folder: string): Place | undefined {
    if (this.#places.size >= this.#loadedMax) {
      const places = [...this.#places.values()];
      const idle = places.find(({ users }) => users === 0);
      const oldest = places[0];
      if (idle !== undefined) this.#evict(idle);
      else {
        if (oldest !== undefined && !places.some(({ isClosing }) => isClosing)) oldest.isClosing = true;
        return undefined;
      }
    }
    const name = nameOf(folder);
    const loaded = this.#leaving.then(() => this.#control.load(name, folder));
    const place: Place = { folder, name, loaded, users: 0, isClosing: false };
    this.#places.set(folder, place);
    return place;
  }

  #evict(place: Place): void {
    this.#places.delete(place.folder);
    const unloaded = place.loaded.then((loaded) => (loaded.ok ? this.#control.unload(place.name) : undefined));
    this.#leaving = Promise.all([this.#leaving, unloaded]);
  }

  #leaseOf(place: Place): AdapterLease {
    return {
      name: place.name,
      release: () => {
        place.users--;
        if (place.isClosing && place.users === 0 && this.#places.get(place.folder) === place) this.#evict(place);
        this.#wake();
      },
      forget: () => this.#drop(place),
    };
  }

  #drop(place: Place): void {
    if (this.#places.get(place.folder) === place) this.#places.delete(place.folder);
    this.#wake();
  }

  /** Each change lets all try again, in their order. */
  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  #turn(signal: StopSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((one) => one !== go);
        resolve();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(go);
    });
  }
}

interface Place {
  readonly folder: string;
  readonly name: string;
  readonly loaded: Promise<Result<void>>;
  users: number;
  isClosing: boolean;
}

/**
 * A server keeps whatever it first loaded under a name, so each folder has a name of its own; folders are never written twice.
 * The same folder has the same name after we have started anew, so that nothing is loaded a second time.
 */
function nameOf(folder: string): string {
  return `adapter-${toHex(sha256(utf8(folder))).slice(2, 26)}`;
}

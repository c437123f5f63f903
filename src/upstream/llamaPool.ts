import { availableParallelism } from "node:os";
import type { Llama, LlamaContext, LlamaContextSequence, LlamaModel as NativeModel } from "node-llama-cpp";
import type { StopSignal } from "../core/engine.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { END_OF_RECORD } from "../models/bpe.ts";
import { projections } from "../models/llama.ts";
import { type AdapterFile, type BaseFile, prepareAdapter, prepareBase } from "./llamaFiles.ts";
import { freeAdapter, makeContext, measure } from "./llamaNative.ts";
import type { LlamaModel, LlamaSetup } from "./llamaProtocol.ts";
import { tokenOf } from "./llamaToken.ts";

/** A base in memory. */
export interface LoadedBase extends BaseFile {
  readonly model: NativeModel;
  readonly threads: number;
  /** What one context of it takes. */
  readonly contextBytes: number;
}

/** One of a context's sequences, for one request: nothing of the request before is left in it. */
export interface Lease {
  readonly base: LoadedBase;
  readonly sequence: LlamaContextSequence;
  release(): void;
}

/**
 * Contexts by adapter, least recently used out first. A context belongs to one adapter and runs several requests in one batch; another adapter
 * needs another context, and never another base. Where all contexts are busy, the oldest one takes no new request, so that a waiting adapter gets its turn.
 */
export class LlamaPool {
  readonly #llama: Llama;
  readonly #setup: LlamaSetup;
  readonly #bases = new Map<string, Promise<Result<LoadedBase>>>();
  readonly #adapters = new Map<string, Promise<Result<AdapterFile>>>();
  /** In the order in which they were used: the first was used least recently. */
  readonly #slots = new Map<string, Slot>();
  /** One context or adapter comes or goes at a time, in the order in which that was decided. */
  #changing: Promise<unknown> = Promise.resolve();
  #waiting: Waiter[] = [];
  #bytes = 0;

  constructor(llama: Llama, setup: LlamaSetup) {
    this.#llama = llama;
    this.#setup = setup;
  }

  /** Waits for a sequence. An aborted wait ends with the refusal `cancelled`. */
  async lease(model: LlamaModel, signal: StopSignal): Promise<Result<Lease>> {
    const base = await remembered(this.#bases, model.base, () => this.#load(model.base));
    if (!base.ok) return base;
    const { adapter: folder } = model;
    if (folder === undefined) return this.#wait(base.value, undefined, signal);
    const { shape } = base.value;
    const key = JSON.stringify([model.base, folder]);
    const adapter = await remembered(this.#adapters, key, () => prepareAdapter(folder, shape, this.#setup.cacheFolder));
    return adapter.ok ? this.#wait(base.value, adapter.value, signal) : adapter;
  }

  #wait(base: LoadedBase, adapter: AdapterFile | undefined, signal: StopSignal): Promise<Result<Lease>> {
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiter);
        resolve(refuse("cancelled", "The request was cancelled."));
      };
      const grant = (result: Result<Lease>) => {
        signal.removeEventListener("abort", onAbort);
        resolve(result);
      };
      const waiter: Waiter = { key: `${base.path}\n${adapter?.path ?? ""}`, base, adapter, grant };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#pump();
    });
  }

  /** Gives what is free to those who wait, in their order. */
  #pump(): void {
    const still: Waiter[] = [];
    for (const waiter of this.#waiting.splice(0)) {
      const slot = this.#slots.get(waiter.key);
      if (slot === undefined && this.#makeRoom(waiter)) this.#open(waiter);
      const sequence = slot === undefined || slot.isClosing ? undefined : slot.free.pop();
      if (slot === undefined || sequence === undefined) still.push(waiter);
      else waiter.grant(ok(this.#leaseOf(waiter.base, slot, sequence)));
    }
    this.#waiting.push(...still);
  }

  #leaseOf(base: LoadedBase, slot: Slot, sequence: LlamaContextSequence): Lease {
    slot.users++;
    this.#slots.delete(slot.key);
    this.#slots.set(slot.key, slot);
    return { base, sequence, release: () => void this.#release(slot, sequence) };
  }

  async #release(slot: Slot, sequence: LlamaContextSequence): Promise<void> {
    await sequence.clearHistory().catch(() => {
      slot.isClosing = true;
    });
    slot.users--;
    slot.free.push(sequence);
    if (slot.isClosing && slot.users === 0) this.#close(slot);
    this.#pump();
  }

  /** Closes idle contexts until one more fits; where none is idle, the least recently used takes no new requests. */
  #makeRoom(waiter: Waiter): boolean {
    while (this.#slots.size > 0 && this.#bytesWith(waiter) > this.#setup.memoryBytesMax) {
      const open = [...this.#slots.values()].filter((slot) => slot.context !== undefined);
      const idle = open.find((slot) => slot.users === 0);
      if (idle !== undefined) this.#close(idle);
      else {
        const oldest = open[0];
        if (oldest !== undefined && !open.some((slot) => slot.isClosing)) oldest.isClosing = true;
        return false;
      }
    }
    return true;
  }

  /** Each context plans for the graph nodes of all adapters that are loaded, so that memory grows with the square of the contexts. */
  #bytesWith(waiter: Waiter): number {
    const contexts = this.#slots.size + 1;
    const nodes = NODES_PER_PROJECTION * projections.length * waiter.base.shape.layers;
    return this.#bytes + costOf(waiter) + contexts * contexts * nodes * NODE_BYTES;
  }

  #close(slot: Slot): void {
    this.#slots.delete(slot.key);
    this.#bytes -= slot.bytes;
    const { context, adapter } = slot;
    if (context === undefined) return;
    void this.#change(async () => {
      const { model } = context;
      await context.dispose();
      if (adapter !== undefined) await freeAdapter(model, adapter.path);
    });
  }

  /** llama.cpp walks over a base's adapters in a thread of its own when a context is made and when it first decodes, and guards them by nothing. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => {});
    return done;
  }

  #open(waiter: Waiter): void {
    const { key, adapter } = waiter;
    const slot: Slot = {
      ...{ key, adapter, bytes: costOf(waiter), free: [], users: 0, isClosing: false, context: undefined },
    };
    this.#slots.set(slot.key, slot);
    this.#bytes += slot.bytes;
    void this.#fill(slot, waiter).then((failure) => {
      if (failure !== undefined) {
        this.#close(slot);
        // The cached file may have gone: it is looked for again.
        this.#adapters.clear();
        const failing = this.#waiting.filter(({ key }) => key === slot.key);
        this.#waiting = this.#waiting.filter(({ key }) => key !== slot.key);
        for (const one of failing) one.grant(refuse("upstream_failed", `No context could be made: ${failure}`));
      }
      this.#pump();
    });
  }

  /** What went wrong, if anything did. */
  async #fill(slot: Slot, { base, adapter }: Waiter): Promise<string | undefined> {
    try {
      await this.#change(async () => {
        const context = await makeContext(base, base.threads, this.#setup.sequences, adapter?.path);
        const sequences = Array.from({ length: this.#setup.sequences }, () => context.getSequence());
        await sequences[0]?.evaluateWithoutGeneratingNewTokens([tokenOf(END_OF_RECORD)]);
        await sequences[0]?.clearHistory();
        slot.free.push(...sequences);
        slot.context = context;
      });
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #load(folder: string): Promise<Result<LoadedBase>> {
    const file = await prepareBase(folder, this.#setup);
    if (!file.ok) return file;
    try {
      const model = await this.#llama.loadModel({ modelPath: file.value.path, gpuLayers: 0 });
      const measured = { ...file.value, model };
      const { threads, sequences } = this.#setup;
      const one = await measure(measured, { threads: threads === "auto" ? 1 : threads, sequences });
      const hasMore = threads === "auto" && availableParallelism() > 1;
      // On a busy machine threads wait for one another, for seconds: two that take as long as one have lost.
      const two = hasMore ? await measure(measured, { threads: 2, sequences, withinMs: one.ms }) : one;
      const best = two.tokensPerSecond > THREAD_GAIN_MIN * one.tokensPerSecond ? two : one;
      return ok({ ...measured, threads: best.threads, contextBytes: best.bytes });
    } catch (error) {
      return refuse(
        "upstream_failed",
        `The base could not be loaded: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

/** A second thread must earn its core: requests to other models would have had it. */
const THREAD_GAIN_MIN = 1.3;
/** llama.cpp's `graph_max_nodes`, and what a node took of memory. */
const NODES_PER_PROJECTION = 6;
const NODE_BYTES = 2_048;

interface Slot {
  readonly key: string;
  readonly adapter: AdapterFile | undefined;
  readonly bytes: number;
  readonly free: LlamaContextSequence[];
  users: number;
  isClosing: boolean;
  context: LlamaContext | undefined;
}

interface Waiter {
  readonly key: string;
  readonly base: LoadedBase;
  readonly adapter: AdapterFile | undefined;
  grant(result: Result<Lease>): void;
}

function costOf({ base, adapter }: Waiter): number {
  return base.contextBytes + (adapter?.bytes ?? 0);
}

/** One attempt for all who ask meanwhile; what failed is tried again next time. */
async function remembered<T>(
  known: Map<string, Promise<Result<T>>>,
  key: string,
  make: () => Promise<Result<T>>,
): Promise<Result<T>> {
  let made = known.get(key);
  if (made === undefined) {
    made = make();
    known.set(key, made);
  }
  const result = await made;
  if (!result.ok && known.get(key) === made) known.delete(key);
  return result;
}

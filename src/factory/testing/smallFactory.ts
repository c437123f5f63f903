import { type Hex, toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { MemoryDatanetStore } from "../../datanets/memoryStore.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { tinyShape } from "../../models/testing/randomLlama.ts";
import type { TrainingEvent, TrainingTask } from "../../models/training/task.ts";
import type { Evaluator } from "../evaluator.ts";
import { Factory } from "../factory.ts";
import type { Deployment, Job } from "../job.ts";
import type { Base, FactoryPorts, JobFolders, Shop } from "../ports.ts";
import type { Tariff, TariffDesk } from "../tariff.ts";
import type { Trainer } from "../trainer.ts";
import { MemoryFactoryStore } from "./memoryStore.ts";
import { SmallBooks } from "./smallBooks.ts";

const hash = (text: string): Hex => toHex(sha256(utf8(text)));

/** The machine under a factory, as it survives the factory's process: a store, a disk, and what was asked of the trainer. */
export class SmallMachine {
  readonly store = new MemoryFactoryStore();
  readonly datanets = new MemoryDatanetStore();
  readonly books = new SmallBooks();
  readonly tariff = smallTariff();
  /** By training folder: the step of its checkpoint. */
  readonly checkpoints = new Map<string, number>();
  /** By job: steps whose weights are kept. */
  readonly kept = new Map<string, Set<number>>();
  readonly deployed = new Map<string, Deployment>();
  /** Folders in the order in which their training first began. */
  readonly begun: string[] = [];
  readonly finished: string[] = [];
  stepsPerJob = 6;
  /** Of the base; a step's is 4 / step. */
  baseLoss = 8;
  /** Held-out records, all of which lose the same. */
  heldOutRecords = 6;
  /** The trainer breaks instead of doing this step. */
  breaksAt = Number.POSITIVE_INFINITY;
  /** The disk takes no checkpoint of this step, and of none behind it. */
  fullAt = Number.POSITIVE_INFINITY;
  freeBytes = Number.MAX_SAFE_INTEGER;
  atOnce = 0;
  atOnceMost = 0;
  timeMs = 1_700_000_000_000;
  #drawn = 0;
  /** Processes that were killed go on in nothing. */
  #life = {};

  /** The process that runs now is no more; what it was about to do does not happen. */
  kill(): void {
    this.#life = {};
    this.books.kill();
    this.atOnce = 0;
  }

  /** A process with a factory in it. */
  open(changes: Partial<FactoryPorts> = {}): Factory {
    const life = this.#life;
    const ports: FactoryPorts = {
      ...{ store: this.#storeOfLife(), trainer: this.#trainer(), evaluator: smallEvaluator, datanets: this.datanets },
      answers: {
        answer: async ({ adapter }, { messages }) =>
          ok({ text: `${adapter ?? "base"}: ${messages.at(-1)?.content}`, isCut: false }),
      },
      bases: {
        list: async () => [smallBase.name],
        find: async (name) => (name === smallBase.name ? ok(smallBase) : refuse("model_not_found", `no base ${name}`)),
      },
      ...{ folders: this.folders(), shop: this.#shop(), build: "small" },
      books: this.books.open(() => this.#life !== life),
      tariff: this.tariff,
      corpus: () => Promise.reject(new Error("no corpus in a small factory")),
      nowMs: () => {
        this.timeMs += 1;
        return this.timeMs;
      },
      randomBytes: (size) => {
        this.#drawn += 1;
        return sha256(utf8(`${this.#drawn}`)).slice(0, size);
      },
      pause: tick,
      ...changes,
    };
    return new Factory(ports);
  }

  /** What a killed process still asks of the store is not heard. */
  #storeOfLife(): MemoryFactoryStore {
    const life = this.#life;
    return new Proxy(this.store, {
      get: (store, name) => {
        const value: unknown = Reflect.get(store, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]) => (this.#life === life ? Reflect.apply(value, store, given) : never());
      },
    });
  }

  /** Steps a few times, tells of each, keeps a checkpoint every two, and goes on from the one that it finds. */
  #trainer(): Trainer {
    const life = this.#life;
    const isDead = () => this.#life !== life;
    const train = async (task: TrainingTask, onEvent: (event: TrainingEvent) => void, signal: AbortSignal) => {
      const { folder } = task;
      if (!this.begun.includes(folder)) this.begun.push(folder);
      this.atOnce += 1;
      this.atOnceMost = Math.max(this.atOnceMost, this.atOnce);
      let step = this.checkpoints.get(folder) ?? 0;
      const save = () => {
        this.checkpoints.set(folder, step);
        onEvent({ type: "checkpoint", step, folder });
      };
      const evaluated = (heldOutLoss: number) => {
        const recordLosses = Array.from({ length: this.heldOutRecords }, () => heldOutLoss);
        onEvent({ type: "evaluated", step, heldOutLoss, recordLosses });
      };
      onEvent({ type: "started", steps: this.stepsPerJob, tokens: 100, resumedAt: step });
      if (step === 0) evaluated(this.baseLoss);
      while (step < this.stepsPerJob) {
        await tick();
        if (isDead()) return never();
        if (signal.aborted) {
          save();
          onEvent({ type: "cancelled", step });
          this.atOnce -= 1;
          return ok(undefined);
        }
        if (step + 1 === this.breaksAt) {
          this.atOnce -= 1;
          return refuse("upstream_failed", "the trainer broke");
        }
        step += 1;
        onEvent({ type: "step", step, loss: 3 / step, gradientNorm: 1, learningRate: 0.001, tokensPerSecond: 50 });
        if (step % 2 !== 0 && step !== this.stepsPerJob) continue;
        evaluated(4 / step);
        if (step >= this.fullAt) {
          this.atOnce -= 1;
          return refuse("disk_full", "The disk is full.");
        }
        save();
      }
      this.atOnce -= 1;
      if (!this.finished.includes(folder)) this.finished.push(folder);
      onEvent({
        type: "finished",
        folder,
        hash: hash(folder).slice(2),
        steps: step,
        heldOutLoss: 4 / step,
        reason: "done",
      });
      return ok(undefined);
    };
    return { train };
  }

  folders(): JobFolders {
    const stepsOf = (job: string) => this.kept.get(job) ?? new Set<number>();
    return {
      training: (job) => `/factory/${job}`,
      weights: (job, step) => `/factory/${job.id}/${step ?? "adapter"}`,
      keepCheckpoint: async (job, _base, step) => {
        if (this.checkpoints.get(`/factory/${job.id}`) !== step) return refuse("conflict", "replaced already");
        this.kept.set(job.id, stepsOf(job.id).add(step));
        return ok(undefined);
      },
      dropCheckpoint: async (job, step) => void this.kept.get(job)?.delete(step),
      tidy: async (job) => void this.checkpoints.delete(`/factory/${job}`),
      freeBytes: async () => this.freeBytes,
      putAdapter: async (_job, _base, { weights }) => ok(toHex(sha256(weights))),
    };
  }

  #shop(): Shop {
    const deploy: Shop["deploy"] = async (job: Job, _base, { name, step, royalty, parentsBps }) => {
      const known = this.deployed.get(name);
      if (known !== undefined) return known.hash === hash(job.id) ? ok(known) : refuse("already_exists", name);
      const facts = { asset: hash(`${job.id} asset`), hash: hash(job.id), royalty, parentsBps, createdMs: this.timeMs };
      const deployment: Deployment = { name, ...(step === undefined ? {} : { step }), ...facts };
      this.deployed.set(name, deployment);
      return ok(deployment);
    };
    return {
      isTaken: (name) => this.deployed.has(name),
      deploy,
      reprice: async (deployment): Promise<Result<void>> => {
        this.deployed.set(deployment.name, deployment);
        return ok(undefined);
      },
    };
  }
}

export const smallBase: Base = {
  ...{ name: "tiny", folder: "/bases/tiny", shape: tinyShape({ vocabulary: 8_192 }), tokenizer: houseTokenizer() },
  ...{ hash: hash("tiny"), licence: "MIT" },
};

function smallTariff(): TariffDesk {
  let now: Tariff = { cost: 1_000_000, base: 500_000, data: 2_000_000 };
  return {
    get now() {
      return now;
    },
    change: async (tariff) => {
      now = tariff;
      return ok(now);
    },
  };
}

/** A base loses a nat a token, an adapter half of one. */
const smallEvaluator: Evaluator = {
  losses: async ({ adapter, examples }) =>
    ok(examples.map(({ record }) => ({ record, tokens: 4, loss: adapter === undefined ? 4 : 2 }))),
  gradients: () => Promise.reject(new Error("no gradients in a small factory")),
  curvature: () => Promise.reject(new Error("no curvature in a small factory")),
};

/** A training file of so many questions with their answers. */
export function smallFile(lines = 20): Uint8Array {
  const said = Array.from({ length: lines }, (_unused, i) => ({
    messages: [
      { role: "user", content: `What is ${i}?` },
      { role: "assistant", content: `It is the number ${i}.` },
    ],
  }));
  return utf8(said.map((line) => JSON.stringify(line)).join("\n"));
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

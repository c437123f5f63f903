import type { Refusal, Result } from "../core/result.ts";
import type { Factory } from "../factory/factory.ts";
import type { StatementDesk } from "../ledger/issued.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Organisations } from "../ledger/organisations.ts";
import type { PayoutDesk } from "../ledger/payoutDesk.ts";
import { fixedRates, type RateDesk, type Rates } from "../ledger/rates.ts";
import type { ServedModelView } from "../protocol/service.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import type { Annotations } from "./annotationRoutes.ts";
import { apiRoutes } from "./apiRoutes.ts";
import { ModelCatalog } from "./catalog.ts";
import { completionRoutes, type LiveAnswers } from "./completionRoutes.ts";
import type { Timeouts } from "./deadline.ts";
import type { Departures } from "./departureRoutes.ts";
import { alsoReported, ExecutionDesk, type ReportRules } from "./executionDesk.ts";
import { fineTuningRoutes } from "./fineTuningRoutes.ts";
import { Leases } from "./leases.ts";
import { DAY_MS, KeyMeters } from "./limits.ts";
import { GatewayMetrics } from "./metrics.ts";
import type { ModelLibrary } from "./modelLibrary.ts";
import type { OperatorDesk } from "./operatorDesk.ts";
import { OperatorTable } from "./operators.ts";
import type { Floor } from "./order.ts";
import type {
  AnswerMemory,
  ChainView,
  CombinationTexts,
  DatanetDirectory,
  EpochControl,
  JournalFiles,
  PayeeLabel,
  World,
} from "./ports.ts";
import type { RelayParts } from "./relayRoutes.ts";
import { Rhythm } from "./rhythm.ts";
import { Router } from "./routes.ts";
import { HttpDoor, type ServerOptions } from "./server.ts";
import { modelView } from "./serviceRoutes.ts";
import type { TestControls } from "./testRoutes.ts";
import type { WebhookParts } from "./webhookRoutes.ts";
import type { Workshop } from "./workshop.ts";

/** What a composition root hands in. All but `world` and `ledger` may be left out: the endpoints concerned then say that it is not here. */
export interface GatewayParts {
  readonly world: World;
  readonly ledger: Ledger;
  /** Nano OPEN for one USD; play money at one for one where it is left out. */
  readonly rates?: Rates;
  /** Where the rate is asked for and may be out of bounds, its desk. */
  readonly rateDesk?: RateDesk;
  readonly labels?: PayeeLabel;
  readonly combinations?: CombinationTexts;
  readonly answers?: AnswerMemory;
  readonly datanets?: DatanetDirectory;
  readonly journal?: JournalFiles;
  readonly chain?: ChainView;
  readonly epochs?: EpochControl;
  /** Bank payouts: a ledger on credit has them. */
  readonly payouts?: PayoutDesk;
  readonly annotations?: Annotations;
  readonly departures?: Departures;
  /** Claims on chain, and those that are relayed. */
  readonly relays?: RelayParts;
  readonly statements?: StatementDesk;
  readonly webhooks?: WebhookParts;
  /** Answers requests with a test key: the gateway of another world. */
  readonly testWorld?: Gateway;
  /** What tests may do to the world that this gateway serves; absent in the live one. */
  readonly test?: TestControls;
  /** Told of each paid request that is refused, and why. */
  readonly onRefused?: (account: string, refusal: Refusal) => void;
  /** Customers that are kept apart; without it every key stands for its account alone. */
  readonly organisations?: Organisations;
  /** What the node's owner does with it; made after the gateway, since it serves models through it. */
  readonly workshop?: (gateway: Gateway) => Workshop;
  /** What is written about models, and their bases; made before the workshop. */
  readonly models?: (gateway: Gateway) => ModelLibrary;
  /** Servers elsewhere that run models of this node. */
  readonly operators?: (gateway: Gateway) => OperatorDesk;
  /** What reports of other gateways may do; by default they name known payers, who pay from their credit. */
  readonly reports?: ReportRules & {
    /** 32 bytes: who is paid for running a model that is served here too. */ readonly operator: Uint8Array;
  };
  /** Trains models; asked for after the library, since its models are served through the gateway. */
  readonly factory?: () => Factory;
  readonly version?: string;
}

export interface GatewayOptions {
  readonly admission?: Partial<AdmissionOptions>;
  readonly timeouts?: Partial<Timeouts>;
  readonly server?: Partial<ServerOptions>;
  readonly leaseMs?: number;
}

export const defaultOptions = {
  admission: { waitingMax: 1_024, waitingPerAccountMax: 64, queueTimeoutMs: 30_000 },
  timeouts: { firstByteMs: 60_000, idleMs: 30_000, totalMs: 600_000, receiptMs: 1_000 },
  server: { hosts: [], origins: [], bodyBytesMax: 4 * 1024 * 1024 },
  leaseMs: 30_000,
} as const satisfies Required<GatewayOptions>;

/** A running gateway: put models and operators in, listen, and drain it at the end. */
export class Gateway {
  readonly catalog: ModelCatalog;
  readonly operators: OperatorTable;
  readonly metrics: GatewayMetrics;
  readonly floor: Floor;
  readonly #door: HttpDoor;
  readonly #housekeeping: NodeJS.Timeout;

  constructor(parts: GatewayParts, options: GatewayOptions = {}) {
    const { ledger, world } = parts;
    this.catalog = new ModelCatalog(parts.rates ?? fixedRates({ nanoPerUsd: 1_000_000_000, source: "play" }));
    this.operators = new OperatorTable();
    const admission = new Admission(this.operators, world, { ...defaultOptions.admission, ...options.admission });
    const { organisations } = parts;
    const meters = new KeyMeters(organisations && ((key) => organisations.scopesOf(key)));
    const leases = new Leases(ledger.holds, options.leaseMs ?? defaultOptions.leaseMs);
    this.metrics = new GatewayMetrics(gauges(admission, ledger));
    this.floor = {
      ...{ world, ledger, admission, leases },
      ...{ catalog: this.catalog, operators: this.operators, metrics: this.metrics, meters },
      organisations,
      onRefused: parts.onRefused ?? (() => undefined),
      labels: parts.labels ?? (() => undefined),
      combinations: parts.combinations ?? (async () => undefined),
      answers: parts.answers,
      rhythm: new Rhythm(),
      timeouts: { ...defaultOptions.timeouts, ...options.timeouts },
    };
    const live: LiveAnswers = new Set();
    const startedMs = world.elapsedMs();
    const state = () => ({ isDraining: this.#door.isDraining, uptimeMs: world.elapsedMs() - startedMs });
    const openAi = completionRoutes(this.floor, live);
    const { datanets, journal, chain, epochs, payouts, departures, statements, webhooks, version = "0.1.0" } = parts;
    const models = parts.models?.(this);
    const factory = parts.factory?.();
    if (factory !== undefined) openAi.push(...fineTuningRoutes(factory, world.nowMs));
    const operators = parts.operators?.(this);
    const workshop = parts.workshop?.(this);
    const executions = this.#openDesk(parts);
    const api = apiRoutes(this.floor, openAi, {
      datanets,
      journal,
      chain,
      epochs,
      payouts,
      annotations: parts.annotations,
      departures,
      statements,
      webhooks,
      workshop,
      models,
      operators,
      executions,
      factory,
      relays: parts.relays,
      rateDesk: parts.rateDesk,
      test: parts.test,
      version,
      rhythm: this.floor.rhythm,
      state,
    });
    const router = new Router([...openAi, ...api]);
    const testDoor = parts.testWorld === undefined ? undefined : parts.testWorld.#door;
    const server = { ...defaultOptions.server, ...options.server };
    this.#door = new HttpDoor(
      { world, ledger, metrics: this.metrics, router, live, organisations, testWorld: testDoor },
      server,
    );
    this.#housekeeping = setInterval(
      () => {
        leases.renewAll();
        admission.pump();
      },
      Math.min(1_000, leases.leaseMs / 4),
    );
    this.#housekeeping.unref();
  }

  #openDesk({ world, ledger, reports }: GatewayParts): ExecutionDesk {
    const model = (name: string) => {
      const reported = this.catalog.reported.get(name);
      if (reported !== undefined || reports === undefined) return reported;
      const served = this.catalog.find(name);
      return served.ok ? alsoReported(served.value, reports.operator) : undefined;
    };
    const rules = reports ?? { payers: "known", credit: "prepaid" };
    const onBooked = (entry: Uint8Array) => this.floor.rhythm.count(world.nowMs(), entry);
    return new ExecutionDesk({ ledger, model, rateFor: (unit) => this.catalog.rateFor(unit), rules, onBooked });
  }

  /** Reads the recent journal back into the rhythm. For a composition root to call once, after the ledger is open. */
  seedRhythm(): Promise<void> {
    const { ledger, rhythm } = this.floor;
    return rhythm.seed(ledger.books, ledger.books.size());
  }

  /** Reads back what the day's receipts spent of the limits of a day. For a composition root to call once, before it listens. */
  async seedMeters(): Promise<void> {
    const { ledger, meters, world } = this.floor;
    const nowMs = world.nowMs();
    const day = Math.floor(nowMs / DAY_MS);
    meters.seed(await ledger.books.spending(day, day + 1), ledger.accounts.keys(), nowMs);
  }

  /** Binds; port 0 takes a free one. Refuses with `port_in_use`. */
  async listen(port: number, host = "127.0.0.1"): Promise<Result<{ readonly port: number; readonly url: string }>> {
    const bound = await this.#door.listen(port, host);
    if (!bound.ok) return bound;
    const name = host.includes(":") ? `[${host}]` : host;
    return { ok: true, value: { port: bound.value.port, url: `http://${name}:${bound.value.port}` } };
  }

  /** A served model as the own API shows it. */
  modelView(name: string): Result<ServedModelView> {
    const model = this.catalog.find(name);
    return model.ok ? { ok: true, value: modelView(this.floor, model.value) } : model;
  }

  /** Stops taking requests, lets those that run finish within `patienceMs`, cuts the rest; every hold ends posted or released. */
  async drain(patienceMs = 10_000): Promise<void> {
    this.floor.admission.turnAway();
    await this.#door.drain(patienceMs);
    clearInterval(this.#housekeeping);
  }
}

function gauges(admission: Admission, ledger: Ledger): Record<string, { help: string; read: () => number }> {
  return {
    openledger_requests_in_flight: { help: "requests at an operator", read: () => admission.inFlight },
    openledger_answers_unposted: {
      help: "answers being attributed and posted after their last byte",
      read: () => admission.unposted,
    },
    openledger_requests_waiting: { help: "requests in the fair queue", read: () => admission.waiting },
    openledger_holds: { help: "live holds", read: () => ledger.holds.count() },
    openledger_held_nano: { help: "nano set aside by live holds", read: () => Number(ledger.holds.totalHeld()) },
    openledger_journal_entries: { help: "durable journal entries", read: () => ledger.books.size() },
  };
}

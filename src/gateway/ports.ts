import type { Passage, StopSignal } from "../core/engine.ts";
import type { Result } from "../core/result.ts";
import type { PayeeShare } from "../ledger/execution.ts";
import type {
  ContributionView,
  ContributorView,
  DatanetDiffView,
  DatanetVersionView,
  DatanetView,
  RecordView,
} from "../protocol/datanets.ts";
import type { TraceView } from "../protocol/explanation.ts";
import type { Opening } from "../protocol/receipts.ts";

/** What the gateway needs from the world, passed in by the composition root. */
export interface World {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Monotonic milliseconds, for durations. */
  elapsedMs(): number;
  /** Cryptographically random bytes. */
  randomBytes(size: number): Uint8Array;
  /** Structured log. Fields never hold a secret, a prompt or an answer. */
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Grounds a model in its datanets: context before the dispatch, attribution after the last byte. */
export interface Grounding {
  readonly datanets: readonly string[];
  /** 32 bytes each: which index and which methods a verifier needs to attribute again. */
  readonly indexId: Uint8Array;
  readonly methodsHash: Uint8Array;
  /** Tokens of context that {@link retrieve} may add at most; part of the hold. */
  readonly contextTokensMax: number;
  retrieve(question: string, signal: StopSignal): Promise<readonly Passage[]>;
  attribute(input: AttributionInput): Promise<Attribution>;
  /** Where an answer's words stand in the datanets, for the eye. `prompt` as the receipt's hash is over. */
  trace?(prompt: string, answer: string): Promise<TraceView>;
}

export interface AttributionInput {
  /** 16 bytes: seeds the rounding, so that it favours nobody and everybody can recompute it. */
  readonly receipt: Uint8Array;
  readonly prompt: string;
  readonly answer: string;
  readonly passages: readonly Passage[];
}

export interface Attribution {
  /** With `unattributed` the weights sum to 1,000,000; at most 40 payees, each named once. */
  readonly shares: readonly PayeeShare[];
  readonly unattributed: number;
  /** 32 bytes. */
  readonly evidenceRoot: Uint8Array;
  readonly evidence: Opening["evidence"];
  /** Where this answer was attributed by other methods than the model's usual ones. 32 bytes. */
  readonly methodsHash?: Uint8Array;
  /** What else it takes to attribute again. */
  readonly grounds?: Pick<Opening, "context" | "derivations" | "stated">;
}

/** An answer that its payer has not forbidden to remember. */
export interface AnsweredOutput {
  /** 16 bytes. */
  readonly receipt: Uint8Array;
  readonly answer: string;
  readonly timeMs: number;
}

/** Remembers answers, so that whoever contributes one again passes credit on to those behind it. Never throws, and never keeps anybody waiting. */
export interface AnswerMemory {
  remember(output: AnsweredOutput): void;
}

/** Texts that methods' hashes are of (32 bytes), as long as the node has served a model with them. */
export type CombinationTexts = (methodsHash: Uint8Array) => Promise<string | undefined>;

/** Names for payees, where the node knows one and may show it. */
export type PayeeLabel = (payee: Uint8Array) => string | undefined;

/** What the own API shows of datanets. */
export interface DatanetDirectory {
  list(): Promise<readonly DatanetView[]>;
  get(name: string): Promise<Result<DatanetView>>;
  versions(name: string): Promise<Result<readonly DatanetVersionView[]>>;
  diff(name: string, from: number, to: number): Promise<Result<DatanetDiffView>>;
  records(
    name: string,
    query: { readonly q?: string; readonly limit: number; readonly offset: number },
  ): Promise<Result<{ readonly data: readonly RecordView[]; readonly total: number }>>;
  contributors(name: string): Promise<Result<readonly ContributorView[]>>;
  contributions(
    name: string,
    query: { readonly state?: ContributionView["state"]; readonly limit: number },
  ): Promise<Result<readonly ContributionView[]>>;
  /** `by` is the account that decided. */
  review(
    name: string,
    contribution: string,
    action: { readonly decision: "approve" | "reject"; readonly reason: string; readonly by: string },
  ): Promise<Result<ContributionView>>;
}

/** The published journal. `path` was checked: it is `checkpoint` or a tile's path. */
export interface JournalFiles {
  read(path: string): Promise<Uint8Array | undefined>;
}

/** The settlement chain, as far as a claim's view needs it. */
export interface ChainView {
  readonly chainId: number;
  readonly settlement: string;
  /** Lifetime nano that the payee has claimed. */
  claimed(payee: Uint8Array): Promise<Result<bigint>>;
  /** Of everybody together, where that is known. */
  claimedTotal?(): Promise<Result<bigint>>;
}

/** What an operator of the node may do with epochs from outside; the composition root knows the chain. */
export interface EpochControl {
  close(): Promise<Result<{ readonly epoch: number; readonly journalSize: number }>>;
  /** On a ledger on credit: the money for an epoch has arrived, under this reference. */
  fund?(epoch: number, reference: string): Promise<Result<void>>;
  /** On a ledger on credit: a funded epoch is released for payment. */
  settle?(epoch: number, reference: string): Promise<Result<void>>;
}

import type { EngineMessage, EngineRequest } from "../core/engine.ts";
import type { Rate, Usage } from "../core/quote.ts";
import type { Refusal } from "../core/result.ts";
import type { ApiKey, Hold, Ledger, ReceiptPromise } from "../ledger/ledger.ts";
import type { Organisations } from "../ledger/organisations.ts";
import type { FinishReason, WireSettlement } from "../protocol/completions.ts";
import type { Admission } from "./admission.ts";
import type { ModelCatalog, ServedModel } from "./catalog.ts";
import type { Timeouts } from "./deadline.ts";
import type { Leases } from "./leases.ts";
import type { Allowance, KeyMeters } from "./limits.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { OperatorTable } from "./operators.ts";
import type { AnswerMemory, CombinationTexts, PayeeLabel, World } from "./ports.ts";
import type { Rhythm } from "./rhythm.ts";

/** Everything that an execution touches. */
export interface Floor {
  readonly world: World;
  readonly ledger: Ledger;
  readonly catalog: ModelCatalog;
  readonly operators: OperatorTable;
  readonly admission: Admission;
  readonly meters: KeyMeters;
  readonly organisations: Organisations | undefined;
  readonly onRefused: (account: string, refusal: Refusal) => void;
  readonly leases: Leases;
  readonly metrics: GatewayMetrics;
  readonly rhythm: Rhythm;
  readonly labels: PayeeLabel;
  readonly combinations: CombinationTexts;
  readonly answers: AnswerMemory | undefined;
  readonly timeouts: Timeouts;
}

/** What a caller ordered, parsed and authenticated. */
export interface Order {
  readonly key: ApiKey;
  readonly model: ServedModel;
  readonly mode: "chat" | "text";
  readonly messages: readonly EngineMessage[];
  readonly maxTokens: number | undefined;
  readonly sampling: Pick<EngineRequest, "temperature" | "topP" | "seed" | "stop">;
  /** The payer forbids opening the receipt: nothing is kept of the texts. */
  readonly isUnaudited: boolean;
  /** The payer forbids to remember the answer, too. */
  readonly isForgotten: boolean;
  readonly idempotency: { readonly key: string; readonly bodyHash: Uint8Array } | undefined;
  readonly createdMs: number;
}

/** Of a caller who leaves all of it to the model, as most do. */
export const noSampling: Order["sampling"] = {};

/** A finished execution, as it is answered and as it is stored under its idempotency key. */
export interface Answered {
  readonly receipt: Uint8Array;
  readonly answer: string;
  readonly finish: FinishReason;
  readonly usage: Usage;
  readonly createdMs: number;
  /** Without the promise, which stands beside it. */
  readonly settlement: WireSettlement;
  readonly promise: ReceiptPromise | undefined;
  /** Why the answer is cut short, where it is. */
  readonly failure: Refusal | undefined;
}

/** An order with its worst case priced and set aside. */
export interface Placed {
  readonly order: Order;
  readonly hold: Hold;
  readonly rate: Rate;
  readonly worst: Usage;
  readonly allowance: Allowance;
  readonly prompt: string;
}

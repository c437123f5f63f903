import type { ReportRules } from "../gateway/executionDesk.ts";
import type { RateOptions } from "./ratePart.ts";
import type { RelayOptions } from "./relayPart.ts";

/** An OpenAI-compatible server that turns texts into vectors; `url` with its path, for example `http://127.0.0.1:8000/v1`. */
export interface EmbeddingOptions {
  readonly url: string;
  readonly model: string;
  readonly key?: string;
}

export interface NodeOptions {
  readonly data: string;
  readonly port: number;
  readonly host?: string;
  /** Names other than loopback ones that callers may use for it; in lower case. */
  readonly hostNames?: readonly string[];
  readonly databaseUrl?: string;
  readonly chain?: { readonly rpcUrl: string; readonly privateKey: string };
  readonly embeddings?: EmbeddingOptions;
  /** A new ledger keeps its books without a chain. */
  readonly isCredit?: boolean;
  /** How long an epoch stays open before the node closes it; 0 leaves that to whoever asks for it. */
  readonly epochMs?: number;
  /** What reports of other gateways may do, where that is not the usual. */
  readonly reports?: Partial<ReportRules>;
  /** Also a world for tests, behind the same port. */
  readonly hasTestWorld?: boolean;
  /** Where the dollar comes from; play money at one for one where it is left out. */
  readonly rate?: RateOptions;
  /** What gas is worth, and how claims are relayed. */
  readonly relay?: RelayOptions;
  readonly say: (text: string) => void;
}

export interface RunningNode {
  readonly url: string;
  /** 32 bytes. */
  readonly ledgerId: Uint8Array;
  readonly adminKey: string;
}

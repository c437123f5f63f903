import type { Hex } from "../core/bytes.ts";
import type { Result } from "../core/result.ts";
import type { Annotation } from "./annotation.ts";
import type { Binding } from "./binding.ts";
import type { ContextAsset } from "./context.ts";
import type { Contribution, ContributionStatus, Decision, PreparedContribution } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";
import type { DatanetRecord } from "./record.ts";
import type { BuiltVersion, DatanetVersion } from "./version.ts";

/** What stands on a contribution beside its records; what is left out stays as it is. */
export type Declared = Partial<Pick<Contribution, "lineage" | "documents">>;

/**
 * Where datanets are kept. Every method is atomic and durable when it returns; two callers at once see one of them refused, never both taken.
 * `storeSuite.ts` says what every implementation must do.
 */
export interface DatanetStore {
  /** `secret`: 32 random bytes that key the datanet's payee ids. Refuses a name or an id that exists (`already_exists`). */
  createDatanet(datanet: Datanet, secret: Uint8Array): Promise<Result<Datanet>>;
  datanet(name: string): Promise<Datanet | undefined>;
  /** In order of creation. */
  datanets(): Promise<readonly Datanet[]>;
  /** Never exported and never shown. */
  datanetSecret(name: string): Promise<Uint8Array | undefined>;

  /** Gives the contribution the next number. Refuses an unknown datanet (`not_found`) and an id that the datanet has (`already_exists`). */
  addContribution(prepared: Pick<PreparedContribution, "contribution" | "records">): Promise<Result<Contribution>>;
  contribution(datanet: string, id: Hex): Promise<Contribution | undefined>;
  /** In order of registration. */
  contributions(datanet: string, status?: ContributionStatus): Promise<readonly Contribution[]>;
  /** In the order in which they were put in; empty for an unknown contribution. */
  contributionRecords(datanet: string, id: Hex): Promise<readonly DatanetRecord[]>;
  /** Applies {@link ./review.ts} under a lock: of two decisions one is refused (`conflict`). */
  decide(datanet: string, id: Hex, decision: Decision): Promise<Result<Contribution>>;

  /** Writes what its party declares of a contribution's records after they were put in. Refuses one that is not there (`not_found`). */
  declare(datanet: string, id: Hex, said: Declared): Promise<Result<Contribution>>;

  /** Gives the annotation the next number. Refuses an unknown datanet (`not_found`) and an id that the datanet has (`already_exists`). */
  addAnnotation(annotation: Omit<Annotation, "number">): Promise<Result<Annotation>>;
  /** In order of number. */
  annotations(datanet: string): Promise<readonly Annotation[]>;
  /** As {@link decide}. */
  decideAnnotation(datanet: string, id: Hex, decision: Decision): Promise<Result<Annotation>>;

  /** Refuses a number that is not the next (`conflict`) and an unknown datanet (`not_found`). */
  addVersion(built: BuiltVersion, context: ContextAsset): Promise<Result<DatanetVersion>>;
  /** Undefined number: the latest. */
  version(datanet: string, number?: number): Promise<DatanetVersion | undefined>;
  versions(datanet: string): Promise<readonly DatanetVersion[]>;
  /** In the version's order, with what it adds to them; empty for an unknown version. */
  versionRecords(datanet: string, number: number): Promise<readonly DatanetRecord[]>;
  context(id: Hex): Promise<ContextAsset | undefined>;

  /** Writes `next` only where the stored binding still is `current` (undefined: there is none yet); else refuses (`conflict`). */
  saveBinding(datanet: string, current: Binding | undefined, next: Binding): Promise<Result<Binding>>;
  binding(datanet: string, identity: string): Promise<Binding | undefined>;
  /** By identity. */
  bindings(datanet: string): Promise<readonly Binding[]>;
}

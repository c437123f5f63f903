import type { Result } from "../core/result.ts";
import type { DatanetVersionView, DatanetView } from "../protocol/datanets.ts";
import type { ImportedModel, ImportModels } from "../protocol/executions.ts";
import type { ServedModelView } from "../protocol/service.ts";
import type {
  BindingView,
  ContextView,
  Contribute,
  Contributed,
  CreateDatanet,
  CreateModel,
  ExportFile,
  ExportFiles,
  LedgerTrustView,
  Notice,
  PaidClaim,
  RefuseBinding,
  Restored,
} from "../protocol/workshop.ts";

/**
 * What a node's owner does with it: the port behind the admin routes. The composition root implements it over the stores, the chain and the catalog.
 * All that it writes is durable when it returns.
 */
export interface Workshop {
  /** Refuses `already_exists`. */
  createDatanet(draft: CreateDatanet): Promise<Result<DatanetView>>;
  /** The same records by the same party again are the same contribution: `isNew` is false, and nothing is stored. */
  contribute(datanet: string, draft: Contribute): Promise<Result<{ readonly isNew: boolean } & Contributed>>;
  /** Freezes what is approved as the next version and registers it as an asset. Refuses `conflict` where nothing has changed. */
  publish(datanet: string): Promise<Result<DatanetVersionView>>;
  /** Who made a datanet's context, by what it changed in the answers of late; with `publish` this is what is paid from now on. */
  context(datanet: string, publish: boolean): Promise<Result<ContextView>>;
  exportFile(datanet: string, file: ExportFile): Promise<Result<Uint8Array>>;
  /** Ids, authors and provenance stay what they were; all of it is verified before any of it is stored. */
  restore(files: ExportFiles): Promise<Result<Restored>>;
  /** Builds the index, registers the assets, serves. */
  createModel(draft: CreateModel): Promise<Result<ServedModelView>>;
  /** Registers models that others serve, an outcome for each. What is known already stays as it is. */
  importModels(models: ImportModels): Promise<readonly ImportedModel[]>;
  /** Of every datanet, by datanet and identity. */
  bindings(): Promise<readonly BindingView[]>;
  /** Checks the proof where the identity alone can write, and gives public notice. */
  notice(datanet: string, claim: Notice): Promise<Result<BindingView>>;
  /** The identity itself says no, by its own proof. */
  refuse(datanet: string, refusal: RefuseBinding): Promise<Result<BindingView>>;
  /** Relays a claim: the money goes to whoever is entitled to it. Refuses `nothing_to_claim` and `epoch_not_final`. */
  claim(payee: Uint8Array): Promise<Result<PaidClaim>>;
  trust(): LedgerTrustView;
}

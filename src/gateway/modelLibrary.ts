import type { Result } from "../core/result.ts";
import type {
  BaseView,
  ExportFormat,
  ExportView,
  MeasurementView,
  MeasureOrder,
  RegisterBase,
  ServeBase,
} from "../protocol/models.ts";
import type { ServedModelView } from "../protocol/service.ts";

/** Bases to train on, and what is written about models. The composition root implements it. */
export interface ModelLibrary {
  bases(): Promise<readonly BaseView[]>;
  /** Takes up a Hugging Face folder of the node's machine. Refuses `already_exists`, and what cannot be trained. */
  registerBase(base: RegisterBase): Promise<Result<BaseView>>;
  /** Registers a base as an asset with its parents, and serves it. */
  serveBase(name: string, order: ServeBase): Promise<Result<ServedModelView>>;
  /** What each method counts for on a served neural model, and what is being measured. */
  measurement(model: string): Promise<Result<MeasurementView>>;
  /** Measures in the background what is not measured yet. The same again begins nothing twice. */
  measure(model: string, order: MeasureOrder): Promise<Result<MeasurementView>>;
  /** A served model's card, in Markdown. Refuses `model_not_found`. */
  card(model: string): Promise<Result<string>>;
  /** A served model's bill of materials: CycloneDX 1.7. */
  bom(model: string): Promise<Result<object>>;
  /** The same of a job's result, served or not. Refuse `not_found`. */
  jobCard(job: string): Promise<Result<string>>;
  jobBom(job: string): Promise<Result<object>>;
  /** Makes a folder of a served model for other programs, anew each time. */
  exportModel(model: string, format: "hf" | "gguf"): Promise<Result<ExportView>>;
  exportedFile(model: string, format: ExportFormat, file: string): Promise<Result<Uint8Array>>;
  /** The same of a job's result; `peft` makes a folder of the job itself, for a GPU machine to run. */
  exportJob(job: string, format: ExportFormat): Promise<Result<ExportView>>;
}

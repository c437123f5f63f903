import type { Result } from "../core/result.ts";
import type { Job, JobEvent } from "./job.ts";

/** An uploaded file. Never changed: the same bytes under the same name by the same account are the same file. */
export interface StoredFile {
  /** `file-` and 24 hex digits, of account, name and content. */
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly bytes: number;
  readonly examples: number;
  /** sha256 of the content, in hex. */
  readonly hash: string;
  readonly createdMs: number;
}

/** A part of a list, newest first. */
export interface Page {
  /** Begin behind this one; an unknown id gives an empty part. */
  readonly after?: string;
  readonly limit: number;
}

/**
 * Where the factory keeps files, jobs, their events and the machine's speeds. Durable when a method returns. Methods that return plain values throw a
 * `RefusalError` where the store is away. `testing/storeSuite.ts` says what every implementation must do.
 */
export interface FactoryStore {
  /** Keeps it, or gives back the one that is there. */
  addFile(file: StoredFile, content: Uint8Array): Promise<Result<StoredFile>>;
  file(id: string): Promise<StoredFile | undefined>;
  /** Undefined account: everybody's. */
  files(account: string | undefined, page: Page): Promise<readonly StoredFile[]>;
  fileBytes(account: string): Promise<number>;
  fileContent(id: string): Promise<Uint8Array | undefined>;
  /** False where there is none. */
  deleteFile(id: string): Promise<boolean>;

  /** Keeps it, or gives back the one of the same id that is there. */
  addJob(job: Job): Promise<Result<Job>>;
  /** Overwrites: a job is written by the one node that runs it. */
  saveJob(job: Job): Promise<Result<void>>;
  job(id: string): Promise<Job | undefined>;
  jobs(account: string | undefined, page: Page): Promise<readonly Job[]>;
  /** All that are not over, or owe something, oldest first. */
  openJobs(): Promise<readonly Job[]>;
  /** All with something deployed, oldest first. */
  deployedJobs(): Promise<readonly Job[]>;

  /** Numbers that are there already are left as they are. */
  addEvents(job: string, events: readonly JobEvent[]): Promise<Result<void>>;
  /** Newest first, below `before` where it is given. */
  events(job: string, page: { readonly before?: number; readonly limit: number }): Promise<readonly JobEvent[]>;

  /** Tokens a second, as last measured. */
  speed(key: string): Promise<number | undefined>;
  saveSpeed(key: string, tokensPerSecond: number): Promise<Result<void>>;
}

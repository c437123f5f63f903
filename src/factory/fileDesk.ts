import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { guarded } from "./jobBook.ts";
import type { FactoryPorts } from "./ports.ts";
import type { Page, StoredFile } from "./store.ts";
import { parseTrainingFile } from "./trainingFile.ts";

/** Whose things somebody may see: an account's, or everybody's where it is undefined. */
export type Viewer = string | undefined;

/** What one account may keep. */
export const ACCOUNT_BYTES_MAX = 256 * 1024 * 1024;
export const ACCOUNT_FILES_MAX = 1_000;
const NAME_CHARACTERS_MAX = 255;

/** Uploaded training files: checked when they come, kept per account, never changed. */
export class FileDesk {
  readonly #ports: Pick<FactoryPorts, "store" | "nowMs" | "pause">;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: Pick<FactoryPorts, "store" | "nowMs" | "pause">) {
    this.#ports = ports;
  }

  /** Refuses what cannot be learnt from, and what is more than an account may keep. The same file again is the same file. */
  add(account: string, name: string, content: Uint8Array): Promise<Result<StoredFile>> {
    // One after the other: two at once would both find room for themselves.
    const added = this.#turn.then(() => guarded(() => this.#add(account, name, content)));
    this.#turn = added.catch(() => undefined);
    return added;
  }

  find(viewer: Viewer, id: string): Promise<Result<StoredFile>> {
    return guarded(async () => {
      const file = await this.#ports.store.file(id);
      return file === undefined || (viewer !== undefined && file.account !== viewer) ? unknownFile(id) : ok(file);
    });
  }

  list(viewer: Viewer, page: Page): Promise<Result<readonly StoredFile[]>> {
    return guarded(async () => ok(await this.#ports.store.files(viewer, page)));
  }

  content(viewer: Viewer, id: string): Promise<Result<Uint8Array>> {
    return guarded(async () => {
      const file = await this.find(viewer, id);
      if (!file.ok) return file;
      const content = await this.#ports.store.fileContent(id);
      return content === undefined ? unknownFile(id) : ok(content);
    });
  }

  /** Refuses `conflict` while a job that is not over needs it. */
  remove(viewer: Viewer, id: string): Promise<Result<StoredFile>> {
    return guarded(async () => {
      const file = await this.find(viewer, id);
      if (!file.ok) return file;
      const needing = (await this.#ports.store.openJobs()).find(
        ({ source }) => source.kind === "file" && (source.file === id || source.validation === id),
      );
      if (needing !== undefined)
        return refuse("conflict", `the job ${needing.id} needs this file`, { hint: "cancel the job first" });
      return (await this.#ports.store.deleteFile(id)) ? file : unknownFile(id);
    });
  }

  async #add(account: string, name: string, content: Uint8Array): Promise<Result<StoredFile>> {
    const { store, nowMs, pause } = this.#ports;
    if (name === "" || name.length > NAME_CHARACTERS_MAX || /\p{Cc}/u.test(name))
      return refuse("invalid_request", `a file's name has 1 to ${NAME_CHARACTERS_MAX} printable characters`, {
        field: "file",
      });
    const examples = await parseTrainingFile(content, pause);
    if (!examples.ok) return { ok: false, error: { field: "file", ...examples.error } };
    const hash = toHex(sha256(content)).slice(2);
    const id = `file-${toHex(sha256(utf8(JSON.stringify([account, name, hash])))).slice(2, 26)}`;
    const known = await store.file(id);
    if (known !== undefined) return ok(known);
    const kept = await store.fileBytes(account);
    if (kept + content.length > ACCOUNT_BYTES_MAX)
      return refuse("payload_too_large", `an account keeps at most ${ACCOUNT_BYTES_MAX} bytes of files`, {
        hint: "delete files that are no longer needed",
        field: "file",
      });
    if ((await store.files(account, { limit: ACCOUNT_FILES_MAX })).length === ACCOUNT_FILES_MAX)
      return refuse("payload_too_large", `an account keeps at most ${ACCOUNT_FILES_MAX} files`, {
        hint: "delete files that are no longer needed",
        field: "file",
      });
    const facts = { bytes: content.length, examples: examples.value.length, hash, createdMs: nowMs() };
    return store.addFile({ id, account, name, ...facts }, content);
  }
}

function unknownFile(id: string): Result<never> {
  return refuse("not_found", `there is no file ${id.slice(0, 80)}`, { field: "file" });
}

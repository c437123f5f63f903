import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromHex } from "../core/bytes.ts";
import type { Engine } from "../core/engine.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { OperatorDesk } from "../gateway/operatorDesk.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { parseJson } from "../models/formats/json.ts";
import { type AttachOperator, attachOperatorSchema } from "../protocol/operators.ts";
import type { OperatorView } from "../protocol/service.ts";
import { OpenAiEngine } from "../upstream/openai.ts";
import { VllmEngine, type VllmModel } from "../upstream/vllm.ts";
import type { ModelPlace } from "./neuralModels.ts";
import { NEURAL_OPERATOR } from "./neuralShelf.ts";

export interface RemoteParts {
  readonly data: string;
  readonly gateway: Gateway;
  /** 32 bytes: who is paid where nobody is named. */
  readonly node: Uint8Array;
  readonly fetch: typeof fetch;
  /** Where a deployed adapter lies. */
  readonly placeOf: (model: string) => ModelPlace | undefined;
}

type RunningEngine = Engine & { close(): Promise<void> };

const PROBE_MS = 5_000;
/** Of the node itself, also while it serves nothing by them. */
const ownOperators: readonly string[] = [NEURAL_OPERATOR, "embedded"];

/** Operators elsewhere, attached over the API: a file each in the data folder's `operators`, readable by the node's owner only, for it may hold a key. */
export class RemoteOperators implements OperatorDesk {
  readonly #parts: RemoteParts;
  readonly #engines = new Map<string, RunningEngine>();

  constructor(parts: RemoteParts) {
    this.#parts = parts;
  }

  /** Attaches again what an earlier run has attached. Their servers may be away now: requests find that out. */
  async restore(say: (text: string) => void): Promise<Result<void>> {
    const files = await readdir(this.#folder).catch(() => []);
    for (const file of files.filter((name) => name.endsWith(".json")).sort()) {
      const read = attachOperatorSchema.safeParse(parseJson((await readIfThere(join(this.#folder, file))) ?? ""));
      if (!read.success) return refuse("data_folder_damaged", `${file} in ${this.#folder} cannot be read`);
      const served = read.data.models.filter(({ model }) => this.#parts.gateway.catalog.find(model).ok);
      if (served.length < read.data.models.length) say(`operator ${read.data.name}: some of its models are not served`);
      this.#put({ ...read.data, models: served });
    }
    return ok(undefined);
  }

  async attach(operator: AttachOperator): Promise<Result<OperatorView>> {
    const { name, models, baseUrl, kind } = operator;
    const { gateway } = this.#parts;
    const isOwn = ownOperators.includes(name) || gateway.operators.views(0).some((one) => one.name === name);
    if (!this.#engines.has(name) && isOwn)
      return refuse("already_exists", `${name} is an operator of the node itself`, { field: "name" });
    const wrong = checkUrl(baseUrl);
    if (wrong !== undefined) return refuse("invalid_request", wrong, { field: "baseUrl" });
    for (const { model, adapter } of models) {
      const served = gateway.catalog.find(model);
      if (!served.ok) return served;
      if (adapter !== undefined && kind !== "vllm")
        return refuse("invalid_request", "only a vLLM server loads adapters", { field: "kind" });
    }
    const answers = await this.#probe(operator);
    if (!answers.ok) return answers;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeAtomically(this.#file(name), `${JSON.stringify(operator, undefined, 2)}\n`, { mode: 0o600 });
    this.#put(operator);
    const view = gateway.operators.views(0).find((one) => one.name === name);
    return view === undefined ? refuse("not_found", `${name} was detached meanwhile`) : ok(view);
  }

  async detach(name: string): Promise<Result<void>> {
    const engine = this.#engines.get(name);
    if (engine === undefined)
      return refuse("not_found", `no operator ${name.slice(0, 128)} was attached`, {
        hint: "GET /api/operators lists all",
      });
    this.#engines.delete(name);
    this.#parts.gateway.operators.remove(name);
    await rm(this.#file(name), { force: true });
    void engine.close();
    return ok(undefined);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#engines.values()].map((engine) => engine.close()));
  }

  #put({ name, models, cost, concurrency, payee, ...rest }: AttachOperator): void {
    const { gateway, node } = this.#parts;
    const engine = this.#engineOf({ name, models, cost, concurrency, ...rest });
    const before = this.#engines.get(name);
    this.#engines.set(name, engine);
    gateway.operators.put({
      ...{ name, payee: payee === undefined ? node : fromHex(payee), engine, unit: "nano", cost, concurrency },
      models: Object.fromEntries(models.map(({ model, as }) => [model, rest.kind === "vllm" ? model : (as ?? model)])),
    });
    // It ends when the requests that run at it have ended.
    void before?.close();
  }

  #engineOf({ kind, baseUrl, apiKey, models, adaptersMax }: AttachOperator): RunningEngine {
    const options = { baseUrl, ...(apiKey === undefined ? {} : { apiKey }) };
    if (kind === "openai") return new OpenAiEngine(options);
    const known = new Map(models.map((one) => [one.model, one]));
    const find = (model: string): VllmModel | undefined => {
      const one = known.get(model);
      if (one === undefined) return undefined;
      const adapter = one.adapter ?? this.#parts.placeOf(model)?.adapter;
      return { base: one.as ?? model, ...(adapter === undefined ? {} : { adapter }) };
    };
    return new VllmEngine({ ...options, find, adaptersMax });
  }

  /** Whatever it answers to a list of its models, something answers there. */
  async #probe({ baseUrl, apiKey }: AttachOperator): Promise<Result<void>> {
    const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    try {
      const signal = AbortSignal.timeout(PROBE_MS);
      const url = `${baseUrl.replace(/\/+$/, "")}/models`;
      const response = await this.#parts.fetch(url, { headers, signal, redirect: "manual" });
      await response.body?.cancel();
      if (response.status !== 401 && response.status !== 403) return ok(undefined);
      return refuse("upstream_failed", "the server does not take this key", { field: "apiKey" });
    } catch {
      return refuse("upstream_failed", `nothing answers at ${baseUrl}`, { field: "baseUrl" });
    }
  }

  #file(name: string): string {
    return join(this.#folder, `${encodeURIComponent(name)}.json`);
  }

  get #folder(): string {
    return join(this.#parts.data, "operators");
  }
}

function checkUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return "it is not a URL";
  const { protocol, username, password } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") return "it is not an http or https URL";
  return username === "" && password === "" ? undefined : "it must not carry a name or password; a key is sent apart";
}

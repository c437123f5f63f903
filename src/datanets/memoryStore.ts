import type { Hex } from "../core/bytes.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { type Annotation, withNotes } from "./annotation.ts";
import type { Binding } from "./binding.ts";
import type { ContextAsset } from "./context.ts";
import type { Contribution, ContributionStatus, Decision, PreparedContribution } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";
import type { DatanetRecord } from "./record.ts";
import { decide } from "./review.ts";
import type { DatanetStore, Declared } from "./store.ts";
import type { BuiltVersion, DatanetVersion } from "./version.ts";

interface Kept {
  readonly datanet: Datanet;
  readonly secret: Uint8Array;
  readonly contributions: Map<Hex, Contribution>;
  readonly records: Map<Hex, readonly DatanetRecord[]>;
  readonly versions: BuiltVersion[];
  readonly annotations: Map<Hex, Annotation>;
  readonly bindings: Map<string, Binding>;
}

/** Datanets in memory: for tests, and for tools that import, build and leave. Each method runs in one turn, so it is atomic. */
export class MemoryDatanetStore implements DatanetStore {
  readonly #kept = new Map<string, Kept>();
  readonly #contexts = new Map<Hex, ContextAsset>();

  async createDatanet(datanet: Datanet, secret: Uint8Array): Promise<Result<Datanet>> {
    assert(secret.length >= 32, "a datanet secret has at least 32 bytes");
    for (const { datanet: other } of this.#kept.values()) {
      if (other.name === datanet.name || other.id === datanet.id)
        return refuse("already_exists", `datanet ${datanet.name} exists`);
    }
    const empty = {
      contributions: new Map(),
      records: new Map(),
      versions: [],
      annotations: new Map(),
      bindings: new Map(),
    };
    this.#kept.set(datanet.name, { datanet, secret: secret.slice(), ...empty });
    return ok(datanet);
  }

  async datanet(name: string): Promise<Datanet | undefined> {
    return this.#kept.get(name)?.datanet;
  }

  async datanets(): Promise<readonly Datanet[]> {
    return [...this.#kept.values()].map(({ datanet }) => datanet);
  }

  async datanetSecret(name: string): Promise<Uint8Array | undefined> {
    return this.#kept.get(name)?.secret.slice();
  }

  async addContribution(
    prepared: Pick<PreparedContribution, "contribution" | "records">,
  ): Promise<Result<Contribution>> {
    const kept = this.#kept.get(prepared.contribution.datanet);
    if (kept === undefined) return unknownDatanet(prepared.contribution.datanet);
    const { id } = prepared.contribution;
    if (kept.contributions.has(id)) return refuse("already_exists", `contribution ${id} was put in before`);
    const contribution = { ...prepared.contribution, number: kept.contributions.size + 1 };
    kept.contributions.set(id, contribution);
    kept.records.set(id, prepared.records);
    return ok(contribution);
  }

  async contribution(datanet: string, id: Hex): Promise<Contribution | undefined> {
    return this.#kept.get(datanet)?.contributions.get(id);
  }

  async contributions(datanet: string, status?: ContributionStatus): Promise<readonly Contribution[]> {
    const all = [...(this.#kept.get(datanet)?.contributions.values() ?? [])];
    return status === undefined ? all : all.filter((contribution) => contribution.status === status);
  }

  async contributionRecords(datanet: string, id: Hex): Promise<readonly DatanetRecord[]> {
    return this.#kept.get(datanet)?.records.get(id) ?? [];
  }

  async decide(datanet: string, id: Hex, decision: Decision): Promise<Result<Contribution>> {
    const kept = this.#kept.get(datanet);
    if (kept === undefined) return unknownDatanet(datanet);
    const contribution = kept.contributions.get(id);
    if (contribution === undefined) return refuse("not_found", `datanet ${datanet} has no contribution ${id}`);
    const decided = decide(kept.datanet, contribution, decision);
    if (decided.ok) kept.contributions.set(id, decided.value);
    return decided;
  }

  async declare(datanet: string, id: Hex, said: Declared): Promise<Result<Contribution>> {
    const contribution = this.#kept.get(datanet)?.contributions.get(id);
    if (contribution === undefined) return refuse("not_found", `datanet ${datanet} has no contribution ${id}`);
    const declared = { ...contribution, ...said };
    this.#kept.get(datanet)!.contributions.set(id, declared);
    return ok(declared);
  }

  async addAnnotation(annotation: Omit<Annotation, "number">): Promise<Result<Annotation>> {
    const kept = this.#kept.get(annotation.datanet);
    if (kept === undefined) return unknownDatanet(annotation.datanet);
    const { id } = annotation;
    if (kept.annotations.has(id)) return refuse("already_exists", `annotation ${id} was made before`);
    const numbered = { ...annotation, number: kept.annotations.size + 1 };
    kept.annotations.set(id, numbered);
    return ok(numbered);
  }

  async annotations(datanet: string): Promise<readonly Annotation[]> {
    return [...(this.#kept.get(datanet)?.annotations.values() ?? [])];
  }

  async decideAnnotation(datanet: string, id: Hex, decision: Decision): Promise<Result<Annotation>> {
    const kept = this.#kept.get(datanet);
    if (kept === undefined) return unknownDatanet(datanet);
    const annotation = kept.annotations.get(id);
    if (annotation === undefined) return refuse("not_found", `datanet ${datanet} has no annotation ${id}`);
    const decided = decide(kept.datanet, annotation, decision);
    if (decided.ok) kept.annotations.set(id, decided.value);
    return decided;
  }

  async addVersion(built: BuiltVersion, context: ContextAsset): Promise<Result<DatanetVersion>> {
    const { version } = built;
    assert(version.context === context.id, "a version is stored with its own context");
    const kept = this.#kept.get(version.datanet);
    if (kept === undefined) return unknownDatanet(version.datanet);
    if (version.number !== kept.versions.length + 1) {
      return refuse(
        "conflict",
        `version ${kept.versions.length + 1} of ${version.datanet} comes next, got ${version.number}`,
      );
    }
    kept.versions.push(built);
    this.#contexts.set(context.id, context);
    return ok(version);
  }

  async version(datanet: string, number?: number): Promise<DatanetVersion | undefined> {
    return this.#kept.get(datanet)?.versions.at(number === undefined ? -1 : number - 1)?.version;
  }

  async versions(datanet: string): Promise<readonly DatanetVersion[]> {
    return (this.#kept.get(datanet)?.versions ?? []).map(({ version }) => version);
  }

  async versionRecords(datanet: string, number: number): Promise<readonly DatanetRecord[]> {
    const kept = this.#kept.get(datanet);
    const built = kept?.versions[number - 1];
    return built === undefined ? [] : withNotes(built.records, built.version, [...kept!.annotations.values()]);
  }

  async context(id: Hex): Promise<ContextAsset | undefined> {
    return this.#contexts.get(id);
  }

  async saveBinding(datanet: string, current: Binding | undefined, next: Binding): Promise<Result<Binding>> {
    const kept = this.#kept.get(datanet);
    if (kept === undefined) return unknownDatanet(datanet);
    const stored = kept.bindings.get(next.identity);
    if (
      stored?.proofHash !== current?.proofHash ||
      stored?.state !== current?.state ||
      stored?.changedMs !== current?.changedMs
    ) {
      return refuse("conflict", `the binding of ${next.identity} has changed meanwhile`);
    }
    kept.bindings.set(next.identity, next);
    return ok(next);
  }

  async binding(datanet: string, identity: string): Promise<Binding | undefined> {
    return this.#kept.get(datanet)?.bindings.get(identity);
  }

  async bindings(datanet: string): Promise<readonly Binding[]> {
    const all = [...(this.#kept.get(datanet)?.bindings.values() ?? [])];
    return all.sort((a, b) => (a.identity < b.identity ? -1 : 1));
  }
}

function unknownDatanet(name: string): Result<never> {
  return refuse("not_found", `there is no datanet ${name}`);
}

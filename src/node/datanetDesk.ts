import { type Hex, parseHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import type { Contribution } from "../datanets/contribution.ts";
import { contributorsOf } from "../datanets/contributors.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import type { DatanetStore } from "../datanets/store.ts";
import { type DatanetVersion, diffVersions } from "../datanets/version.ts";
import type { DatanetDirectory } from "../gateway/ports.ts";
import { nextTurn } from "../host/turn.ts";
import type {
  ContributionView,
  ContributorView,
  DatanetDiffView,
  DatanetVersionView,
  DatanetView,
  RecordView,
} from "../protocol/datanets.ts";
import { scopeOf } from "./modelShelf.ts";
import type { Provenance } from "./provenance.ts";

/** What the API shows of datanets, read from the store. */
export class DatanetDesk implements DatanetDirectory {
  readonly #store: DatanetStore;
  readonly #provenance: Provenance;
  readonly #nowMs: () => number;
  /** Of the latest version that was asked of each datanet. */
  readonly #searches = new Map<string, { readonly version: string; readonly index: Promise<Bm25Index> }>();

  constructor(store: DatanetStore, provenance: Provenance, nowMs: () => number) {
    this.#store = store;
    this.#provenance = provenance;
    this.#nowMs = nowMs;
  }

  async list(): Promise<readonly DatanetView[]> {
    const views: DatanetView[] = [];
    for (const { name } of await this.#store.datanets()) {
      const view = await this.get(name);
      if (view.ok) views.push(view.value);
    }
    return views;
  }

  async get(name: string): Promise<Result<DatanetView>> {
    const datanet = await this.#store.datanet(name);
    if (datanet === undefined) return unknown(name);
    const version = await this.#store.version(name);
    const records = version === undefined ? [] : await this.#store.versionRecords(name, version.number);
    const { id, summary, description, tags, licence } = datanet;
    const asset = this.assetOf(version);
    return ok({
      ...{ id, name, summary, description, tags: [...tags], licence, records: records.length },
      ...{ contributors: contributorsOf(records).length, version: version?.number ?? 0 },
      ...(asset === undefined ? {} : { asset }),
    });
  }

  async versions(name: string): Promise<Result<readonly DatanetVersionView[]>> {
    if ((await this.#store.datanet(name)) === undefined) return unknown(name);
    return ok((await this.#store.versions(name)).map((version) => this.versionView(version)));
  }

  versionView(version: DatanetVersion): DatanetVersionView {
    const asset = this.assetOf(version);
    return {
      ...{ version: version.number, contentRoot: version.contentRoot, records: version.records.length },
      ...{ contributions: version.contributions.length, createdMs: version.createdMs },
      ...(asset === undefined ? {} : { asset }),
    };
  }

  async diff(name: string, from: number, to: number): Promise<Result<DatanetDiffView>> {
    const [before, after] = [await this.#store.version(name, from), await this.#store.version(name, to)];
    if (before === undefined || after === undefined)
      return refuse("not_found", `${name} has no version ${before === undefined ? from : to}`);
    const [old, fresh] = [await this.#store.versionRecords(name, from), await this.#store.versionRecords(name, to)];
    const { added, removed, moved, unchanged } = diffVersions(old, fresh);
    return ok({ from, to, added: [...added], removed: [...removed], moved: [...moved], unchanged });
  }

  async records(
    name: string,
    query: { readonly q?: string; readonly limit: number; readonly offset: number },
  ): Promise<Result<{ readonly data: readonly RecordView[]; readonly total: number }>> {
    if ((await this.#store.datanet(name)) === undefined) return unknown(name);
    const version = await this.#store.version(name);
    if (version === undefined) return ok({ data: [], total: 0 });
    const records = await this.#store.versionRecords(name, version.number);
    const view = (at: number, score?: number): RecordView => {
      const { headingPath, authors, notes, ...rest } = records[at]!;
      return {
        ...rest,
        headingPath: [...headingPath],
        authors: [...authors],
        ...(notes === undefined ? {} : { notes: [...notes] }),
        ...(score === undefined ? {} : { score }),
      };
    };
    if (query.q === undefined) {
      const page = records.slice(query.offset, query.offset + query.limit);
      return ok({ data: page.map((_, i) => view(query.offset + i)), total: records.length });
    }
    const known = this.#searches.get(name);
    const index = known?.version === version.id ? known.index : Bm25Index.inTurns(records, nextTurn);
    this.#searches.set(name, { version: version.id, index });
    const { hits } = (await index).search(query.q, query.offset + query.limit);
    return ok({ data: hits.slice(query.offset).map((hit) => view(hit.record, hit.score)), total: hits.length });
  }

  async contributors(name: string): Promise<Result<readonly ContributorView[]>> {
    if ((await this.#store.datanet(name)) === undefined) return unknown(name);
    const version = await this.#store.version(name);
    const records = version === undefined ? [] : await this.#store.versionRecords(name, version.number);
    const scope = await scopeOf(this.#store, this.#provenance, name);
    return ok(
      contributorsOf(records).map(({ identity, names, records: count }) => {
        const payee = identityPayeeId(scope, identity);
        const accrued = this.#provenance.ledger.books.accrued(payee).lifetime.toString();
        return { payee: toHex(payee), label: names[0] ?? identity, names: [...names], records: count, accrued };
      }),
    );
  }

  async contributions(
    name: string,
    query: { readonly state?: ContributionView["state"]; readonly limit: number },
  ): Promise<Result<readonly ContributionView[]>> {
    if ((await this.#store.datanet(name)) === undefined) return unknown(name);
    const status = query.state === "open" ? "pending" : query.state;
    return ok((await this.#store.contributions(name, status)).slice(0, query.limit).map(contributionView));
  }

  async review(
    name: string,
    contribution: string,
    action: { readonly decision: "approve" | "reject"; readonly reason: string; readonly by: string },
  ): Promise<Result<ContributionView>> {
    const id = hexOf(contribution);
    if (id === undefined) return refuse("not_found", `${name} has no contribution ${contribution}`);
    const decided = await this.#store.decide(name, id, { ...action, timeMs: this.#nowMs() });
    return decided.ok ? ok(contributionView(decided.value)) : decided;
  }

  /** The asset of a version; its content root is the version's id. */
  assetOf(version: DatanetVersion | undefined): Hex | undefined {
    if (version === undefined) return undefined;
    const assets = this.#provenance.ledger.assets.list();
    const asset = assets.find((each) => each.kind === "datanet" && toHex(each.contentRoot) === version.id);
    return asset === undefined ? undefined : toHex(asset.id);
  }
}

export function contributionView(contribution: Contribution): ContributionView {
  const { id, status, decision, records, submittedMs, lineage } = contribution;
  const repeats = lineage === undefined ? {} : { lineage: [...lineage] };
  const decided = decision === null ? {} : { reason: decision.reason, by: decision.by };
  return { id, state: status === "pending" ? "open" : status, records, createdMs: submittedMs, ...decided, ...repeats };
}

export function unknown(name: string): Result<never> {
  return refuse("not_found", `there is no datanet ${name}`, { hint: "openledger datanet list shows them" });
}

function hexOf(text: string): Hex | undefined {
  const bytes = parseHex(text);
  return bytes?.length === 32 ? toHex(bytes) : undefined;
}

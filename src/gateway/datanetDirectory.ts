import { type Hex, parseHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import type { Contribution } from "../datanets/contribution.ts";
import { contributorsOf } from "../datanets/contributors.ts";
import type { Datanet } from "../datanets/datanet.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import { type DatanetVersion, diffVersions } from "../datanets/version.ts";
import type { ContributionView, DatanetVersionView, DatanetView, RecordView } from "../protocol/datanets.ts";
import type { DatanetDirectory } from "./ports.ts";

export interface DirectoryParts {
  readonly store: DatanetStore;
  nowMs(): number;
  /** The 32-byte payee id of an identity in a datanet; undefined where it has none. */
  payeeOf(datanet: Datanet, identity: string): Promise<Uint8Array | undefined>;
  /** Lifetime nano credited to a payee. */
  accrued(payee: Uint8Array): bigint;
}

/** The datanets of a store, as the own API shows them. Each datanet's latest records are indexed when they are first searched. */
export function datanetDirectory(parts: DirectoryParts): DatanetDirectory {
  const { store } = parts;
  const searches = new Searches(store);
  const latest = (name: string) => versionOf(store, name);
  return {
    list: async () => Promise.all((await store.datanets()).map((datanet) => datanetView(store, datanet))),
    get: (name) => withDatanet(store, name, async (datanet) => ok(await datanetView(store, datanet))),
    versions: (name) =>
      withDatanet(store, name, async () => ok((await store.versions(name)).map(versionView).toReversed())),
    diff: (name, from, to) => withDatanet(store, name, () => diff(store, name, from, to)),
    records: (name, { q = "", limit, offset }) =>
      withDatanet(store, name, async () => {
        const version = await latest(name);
        if (version === undefined) return ok({ data: [], total: 0 });
        if (q.trim() !== "") return ok(await searches.search(version, q, limit, offset));
        const records = await store.versionRecords(name, version.number);
        return ok({
          data: records.slice(offset, offset + limit).map((record) => recordView(record)),
          total: records.length,
        });
      }),
    contributors: (name) => withDatanet(store, name, (datanet) => contributors(parts, datanet)),
    contributions: (name, { state, limit }) =>
      withDatanet(store, name, async () => {
        const status = state === "open" ? "pending" : state;
        return ok((await store.contributions(name, status)).slice(-limit).map(contributionView).toReversed());
      }),
    review: (name, contribution, { decision, reason, by }) =>
      withDatanet(store, name, async () => {
        const id = parseHex(contribution);
        if (id?.length !== 32)
          return refuse("invalid_request", "a contribution id is 32 bytes of hex", { field: "id" });
        const decided = await store.decide(name, toHex(id), { decision, reason, by, timeMs: parts.nowMs() });
        return decided.ok ? ok(contributionView(decided.value)) : decided;
      }),
  };
}

async function withDatanet<T>(
  store: DatanetStore,
  name: string,
  use: (datanet: Datanet) => Promise<Result<T>>,
): Promise<Result<T>> {
  const datanet = await store.datanet(name);
  return datanet === undefined ? refuse("not_found", `there is no datanet "${name}"`, { field: "name" }) : use(datanet);
}

async function versionOf(store: DatanetStore, name: string): Promise<DatanetVersion | undefined> {
  return store.version(name);
}

async function datanetView(store: DatanetStore, datanet: Datanet): Promise<DatanetView> {
  const version = await versionOf(store, datanet.name);
  const records = version === undefined ? [] : await store.versionRecords(datanet.name, version.number);
  const { id, name, summary, description, tags, licence } = datanet;
  return {
    ...{ name, summary, description, tags: [...tags], licence, asset: version?.id ?? id },
    ...{ records: records.length, contributors: contributorsOf(records).length, version: version?.number ?? 0 },
  };
}

async function diff(store: DatanetStore, name: string, from: number, to: number): ReturnType<DatanetDirectory["diff"]> {
  for (const number of [from, to]) {
    if ((await store.version(name, number)) === undefined)
      return refuse("not_found", `${name} has no version ${number}`);
  }
  const [before, after] = await Promise.all([store.versionRecords(name, from), store.versionRecords(name, to)]);
  const { added, removed, moved, unchanged } = diffVersions(before, after);
  return ok({ from, to, added: [...added], removed: [...removed], moved: [...moved], unchanged });
}

async function contributors(
  { store, payeeOf, accrued }: DirectoryParts,
  datanet: Datanet,
): ReturnType<DatanetDirectory["contributors"]> {
  const version = await versionOf(store, datanet.name);
  const records = version === undefined ? [] : await store.versionRecords(datanet.name, version.number);
  const views = contributorsOf(records).map(async ({ identity, names, records: count }) => {
    const payee = await payeeOf(datanet, identity);
    const credited = payee === undefined ? 0n : accrued(payee);
    return {
      ...{ payee: payee === undefined ? "" : toHex(payee), label: identity, names: [...names] },
      ...{ records: count, accrued: String(credited) },
    };
  });
  return ok(await Promise.all(views));
}

/** One search index for each datanet, of the version that was last searched. */
class Searches {
  readonly #store: DatanetStore;
  readonly #kept = new Map<
    string,
    { readonly version: Hex; readonly records: readonly DatanetRecord[]; readonly index: Bm25Index }
  >();

  constructor(store: DatanetStore) {
    this.#store = store;
  }

  async search(
    version: DatanetVersion,
    q: string,
    limit: number,
    offset: number,
  ): Promise<{ data: RecordView[]; total: number }> {
    let kept = this.#kept.get(version.datanet);
    if (kept?.version !== version.id) {
      const records = await this.#store.versionRecords(version.datanet, version.number);
      kept = { version: version.id, records, index: new Bm25Index(records) };
      this.#kept.set(version.datanet, kept);
    }
    const { records, index } = kept;
    const { hits } = index.search(q, Math.min(records.length, offset + limit));
    const data = hits.slice(offset).map(({ record, score }) => recordView(records[record]!, score));
    return { data, total: hits.length };
  }
}

function recordView(record: DatanetRecord, score?: number): RecordView {
  const { id, contributionId, title, headingPath, text, source, licence, date, authors } = record;
  return {
    ...{ id, contributionId, title, headingPath: [...headingPath], text, source, licence, date },
    authors: authors.map(({ identity, name }) => ({ identity, name })),
    ...(score === undefined ? {} : { score }),
  };
}

function versionView(version: DatanetVersion): DatanetVersionView {
  return {
    ...{ version: version.number, contentRoot: version.contentRoot, records: version.records.length },
    ...{ contributions: version.contributions.length, createdMs: version.createdMs, asset: version.id },
  };
}

function contributionView(contribution: Contribution): ContributionView {
  const { id, status, decision, records, submittedMs } = contribution;
  return {
    ...{ id, records, createdMs: submittedMs, state: status === "pending" ? "open" : status },
    ...(decision === null ? {} : { reason: decision.reason, by: decision.by }),
  };
}

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../core/bytes.ts";
import { assert, ok, type Result, refuse } from "../../core/result.ts";
import { contributorsOf } from "../../datanets/contributors.ts";
import { createDatanet } from "../../datanets/datanet.ts";
import { exportDatanet } from "../../datanets/export.ts";
import { importExport } from "../../datanets/importExport.ts";
import { folderSink } from "../../datanets/importFolderSink.ts";
import { publishVersion, submitContribution } from "../../datanets/intake.ts";
import { MemoryDatanetStore } from "../../datanets/memoryStore.ts";
import { diffVersions } from "../../datanets/version.ts";
import type { Gateway } from "../../gateway/gateway.ts";
import type { DatanetDirectory } from "../../gateway/ports.ts";
import { startNode, type TestNode, testGrounding, testId } from "../../gateway/testing/node.ts";
import { hello, ScriptedEngine } from "../../gateway/testing/scriptedEngine.ts";
import type { Workshop } from "../../gateway/workshop.ts";
import { smallJournal } from "../../ledger/testing/smallJournal.ts";
import type { DatanetView } from "../../protocol/datanets.ts";
import type { BindingView, Notice, RefuseBinding } from "../../protocol/workshop.ts";

/** A node without disk, database or chain: the real gateway and real datanets over memory, a small published journal, and a workshop in which bindings are only noted. */
export interface MemoryNode extends TestNode {
  readonly store: MemoryDatanetStore;
  readonly bindings: readonly BindingView[];
  /** All that a command may have changed, as one text. */
  state(): Promise<string>;
}

const owner = toHex(testId("owner"));
const journal = smallJournal();

export async function startMemoryNode(): Promise<MemoryNode> {
  const store = new MemoryDatanetStore();
  const bindings: BindingView[] = [];
  const node = await startNode({
    engines: { scripted: new ScriptedEngine(hello) },
    model: { grounding: testGrounding() },
    parts: {
      datanets: directoryOf(store),
      journal: { read: async (path) => journal.files.get(path) },
      workshop: (gateway) => memoryWorkshop(store, gateway, bindings),
    },
  });
  const state = async (): Promise<string> => {
    const { accounts, books } = node.ledger;
    const datanets = await store.datanets();
    const of = datanets.map(async ({ name }) => [await store.contributions(name), await store.versions(name)]);
    const balances = accounts.list().map(({ id }) => Object.values(accounts.balance(id) ?? {}).map(String));
    const models = node.gateway.catalog.list().map(({ name }) => name);
    return JSON.stringify([datanets, await Promise.all(of), bindings, balances, accounts.keys(), models, books.size()]);
  };
  return { ...node, store, bindings, state };
}

function memoryWorkshop(store: MemoryDatanetStore, gateway: Gateway, bindings: BindingView[]): Workshop {
  const directory = directoryOf(store);
  const note = (
    datanet: string,
    { identity }: Notice | RefuseBinding,
    state: BindingView["state"],
    to: BindingView["to"],
  ): Result<BindingView> => {
    const times = { noticedMs: 1, noticeEndsMs: 2, changedMs: 1 };
    const [payee, proofHash] = [toHex(testId(identity)), toHex(testId("proof"))];
    const binding: BindingView = { datanet, identity, payee, state, to, proofHash, ...times };
    bindings.push(binding);
    return ok(binding);
  };
  return {
    createDatanet: async ({ rules, ...draft }) => {
      const created = createDatanet(present({ ...draft, rules: rules && present(rules) }), owner, Date.now());
      const stored = created.ok ? await store.createDatanet(created.value, testId("secret")) : created;
      return stored.ok ? directory.get(draft.name) : stored;
    },
    contribute: async (datanet, draft) => {
      const { documents, ...said } = draft;
      const by = draft.by ?? owner;
      const whole = { ...said, by, ...(documents === undefined ? {} : { documents }) };
      const taken = await submitContribution(store, datanet, whole, Date.now());
      if (!taken.ok) return taken;
      const { id, status, number, records } = taken.value.contribution;
      return ok({ isNew: true, id, status, number, records, leftOut: [...taken.value.leftOut] });
    },
    publish: async (datanet) => {
      const built = await publishVersion(store, datanet, owner, Date.now());
      if (!built.ok) return built;
      const { number: version, contentRoot, records, contributions, createdMs } = built.value.version;
      return ok({ version, contentRoot, records: records.length, contributions: contributions.length, createdMs });
    },
    context: async (datanet) =>
      (await store.datanet(datanet)) === undefined
        ? refuse("not_found", `there is no datanet ${datanet}`)
        : ok({ datanet, versions: [] }),
    exportFile: (datanet, file) =>
      inFolder(async (folder) => {
        const exported = await exportDatanet(store, datanet, await folderSink(join(folder, "e")), "urn:test");
        return exported.ok ? ok(await readFile(join(folder, "e", file))) : exported;
      }),
    restore: (files) =>
      inFolder(async (folder) => {
        for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
        const restored = await importExport(store, folder, testId("new secret"));
        return restored.ok ? ok({ ...restored.value, name: restored.value.datanet.name }) : restored;
      }),
    createModel: async ({ name, datanet, royalty }) => {
      if ((await store.datanet(datanet)) === undefined) return refuse("not_found", `there is no datanet ${datanet}`);
      const none = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
      const [asset, index] = [testId(name), testId(`${name} index`)];
      const terms = { unit: "nano", royalty: royalty ?? none, contextTokens: 8_192 } as const;
      gateway.catalog.put({ name, asset, ownedBy: datanet, createdMs: 0, ...terms });
      const ids = { asset: toHex(asset), indexId: toHex(index), methodsHash: toHex(index) };
      return ok({ name, owner: datanet, datanets: [datanet], retrievedTokensMax: 0, operators: [], ...terms, ...ids });
    },
    importModels: async () => [],
    bindings: async () => bindings,
    notice: async (datanet, claim) => note(datanet, claim, "noticed", `0x${claim.address.slice(2)}`),
    refuse: async (datanet, refusal) => note(datanet, refusal, "refused", null),
    claim: async () => refuse("nothing_to_claim", "a memory node settles nothing"),
    trust: () => {
      const { ledger, domain, signer, ed25519 } = journal.trust;
      const contract = { chainId: domain.chainId, settlement: toHex(domain.verifyingContract) };
      return { ledger: toHex(ledger), ...contract, signer: toHex(signer), logKey: toHex(ed25519) };
    },
  };
}

function directoryOf(store: MemoryDatanetStore): DatanetDirectory {
  const known = async <T>(name: string, view: () => Promise<T>): Promise<Result<T>> =>
    (await store.datanet(name)) === undefined ? refuse("not_found", `there is no datanet ${name}`) : ok(await view());
  const latest = async (name: string) => {
    const version = await store.version(name);
    return version === undefined ? [] : await store.versionRecords(name, version.number);
  };
  const viewOf = async (name: string): Promise<DatanetView> => {
    const { id, summary, description, tags, licence } = (await store.datanet(name))!;
    const records = await latest(name);
    const counts = { records: records.length, contributors: contributorsOf(records).length };
    return {
      id,
      name,
      summary,
      description,
      tags: [...tags],
      licence,
      ...counts,
      version: (await store.versions(name)).length,
    };
  };
  const contributionsOf = async (name: string) =>
    (await store.contributions(name)).map(({ id, status, records, submittedMs: createdMs, by }) => {
      const state = status === "pending" ? ("open" as const) : status;
      return { id, state, records, createdMs, by };
    });
  return {
    list: async () => Promise.all((await store.datanets()).map(({ name }) => viewOf(name))),
    get: (name) => known(name, () => viewOf(name)),
    versions: (name) =>
      known(name, async () =>
        (await store.versions(name)).map(({ number: version, contentRoot, records, contributions, createdMs }) => ({
          ...{ version, contentRoot, records: records.length, contributions: contributions.length, createdMs },
        })),
      ),
    diff: (name, from, to) =>
      known(name, async () => {
        const [before, after] = [await store.versionRecords(name, from), await store.versionRecords(name, to)];
        const { added, removed, moved, unchanged } = diffVersions(before, after);
        return { from, to, added: [...added], removed: [...removed], moved: [...moved], unchanged };
      }),
    records: (name, { limit, offset }) =>
      known(name, async () => {
        const records = await latest(name);
        const page = records.slice(offset, offset + limit).map((record) => {
          const { headingPath, authors, notes: _notes, ...rest } = record;
          return { ...rest, headingPath: [...headingPath], authors: [...authors] };
        });
        return { data: page, total: records.length };
      }),
    contributors: (name) =>
      known(name, async () =>
        contributorsOf(await latest(name)).map(({ identity, names, records }) => ({
          ...{ payee: toHex(testId(identity)), label: names[0] ?? identity, names: [...names], records, accrued: "0" },
        })),
      ),
    contributions: (name, { state }) =>
      known(name, async () =>
        (await contributionsOf(name)).filter((one) => state === undefined || one.state === state),
      ),
    review: async (name, contribution, action) => {
      const found = (await store.contributions(name)).find(({ id }) => id === contribution);
      if (found === undefined) return refuse("not_found", `${name} has no contribution ${contribution}`);
      const decided = await store.decide(name, found.id, { ...action, timeMs: 1 });
      return decided.ok ? ok((await contributionsOf(name)).find(({ id }) => id === found.id)!) : decided;
    },
  };
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Without the fields that are undefined: what `exactOptionalPropertyTypes` asks for. */
function present<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const isWhole = (given: object): given is { [K in keyof T]: Exclude<T[K], undefined> } =>
    Object.values(given).every((value) => value !== undefined);
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  assert(isWhole(kept), "nothing undefined is left");
  return kept;
}

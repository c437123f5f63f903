import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { equalBytes, fromHex, type Hex, padAddress, parseBase64, toHex, utf8 } from "../core/bytes.ts";
import { hmacSha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { applyProof, type Binding, settleNotice } from "../datanets/binding.ts";
import { createDatanet } from "../datanets/datanet.ts";
import { exportDatanet } from "../datanets/export.ts";
import { signersOf } from "../datanets/gitCommit.ts";
import { identityPayeeId, parseIdentity } from "../datanets/identity.ts";
import { cloneReader } from "../datanets/importClone.ts";
import { importExport } from "../datanets/importExport.ts";
import { folderSink } from "../datanets/importFolderSink.ts";
import { openRepository, signedCommits } from "../datanets/importGitRun.ts";
import { declareAgain, publishVersion, submitContribution } from "../datanets/intake.ts";
import { type BindingProof, proveByCommit, proveByFundingFile } from "../datanets/proof.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Workshop } from "../gateway/workshop.ts";
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
  Proof,
  RefuseBinding,
  Restored,
} from "../protocol/workshop.ts";
import type { ContextDesk } from "./contextDesk.ts";
import type { DatanetDesk } from "./datanetDesk.ts";
import { unknown } from "./datanetDesk.ts";
import { CarriedBindings } from "./ledgerCarry.ts";
import { type ModelShelf, scopeOf } from "./modelShelf.ts";
import type { OutputMemory } from "./outputMemory.ts";
import { type Provenance, registerVersion } from "./provenance.ts";
import type { ReportedShelf } from "./reportedShelf.ts";

export interface WorkshopParts {
  readonly store: DatanetStore;
  readonly provenance: Provenance;
  readonly desk: DatanetDesk;
  readonly shelf: ModelShelf;
  readonly reported: ReportedShelf;
  readonly gateway: Gateway;
  readonly outputs: OutputMemory;
  readonly contexts: ContextDesk;
  /** Models that stand on a datanet credit by what is declared of its records from the next request on. */
  readonly onDeclared: (datanet: string) => Promise<void>;
  readonly nowMs: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly say: (text: string) => void;
  readonly trust: LedgerTrustView;
  /** How long a binding is public before it counts. */
  readonly noticeMs: number;
}

/** What the node's owner does with it: datanets in and out, models, bindings, claims. */
export class WorkshopPart implements Workshop {
  readonly #parts: WorkshopParts;
  readonly #carried: CarriedBindings;

  constructor(parts: WorkshopParts) {
    this.#parts = parts;
    this.#carried = new CarriedBindings({ ...parts.provenance, store: parts.store, nowMs: parts.nowMs });
  }

  async createDatanet(draft: CreateDatanet): Promise<Result<DatanetView>> {
    const { store, nowMs, randomBytes, desk } = this.#parts;
    const { description, tags, rules, ...rest } = draft;
    const datanet = createDatanet(
      { ...rest, ...defined({ description, tags }), ...(rules === undefined ? {} : { rules: defined(rules) }) },
      toHex(this.#node),
      nowMs(),
    );
    if (!datanet.ok) return datanet;
    const created = await store.createDatanet(datanet.value, randomBytes(32));
    return created.ok ? desk.get(draft.name) : created;
  }

  async contribute(datanet: string, draft: Contribute): Promise<Result<{ readonly isNew: boolean } & Contributed>> {
    const { store, nowMs, outputs } = this.#parts;
    const { documents, ...said } = draft;
    const by = draft.by ?? toHex(this.#node);
    const whole = { ...said, by, ...(documents === undefined ? {} : { documents }) };
    const lineageOf = await outputs.finder(draft.derivedFrom ?? []);
    if (!lineageOf.ok) return lineageOf;
    const submitted = await submitContribution(store, datanet, whole, nowMs(), lineageOf.value);
    if (!submitted.ok) {
      if (submitted.error.code !== "already_exists") return submitted;
      const finder = (draft.derivedFrom ?? []).length > 0 ? lineageOf.value : undefined;
      const again = await declareAgain(store, datanet, whole, nowMs(), finder);
      if (!again.ok) return again;
      if (again.value.isNew) await this.#parts.onDeclared(datanet);
      const { id, status, number, records } = again.value.contribution;
      return ok({ isNew: false, id, status, number, records, leftOut: [] });
    }
    const { id, status, number, records } = submitted.value.contribution;
    return ok({ isNew: true, id, status, number, records, leftOut: [...submitted.value.leftOut] });
  }

  async publish(name: string): Promise<Result<DatanetVersionView>> {
    const { store, provenance, desk, nowMs } = this.#parts;
    const datanet = await store.datanet(name);
    if (datanet === undefined) return unknown(name);
    const built = await publishVersion(store, name, toHex(this.#node), nowMs());
    if (!built.ok) return built;
    const registered = await registerVersion(provenance, built.value.version, datanet.licence);
    return registered.ok ? ok(desk.versionView(built.value.version)) : registered;
  }

  context(datanet: string, publish: boolean): Promise<Result<ContextView>> {
    return this.#parts.contexts.weigh(datanet, publish);
  }

  exportFile(datanet: string, file: ExportFile): Promise<Result<Uint8Array>> {
    return inTemporaryFolder(async (folder) => {
      const exported = await exportDatanet(
        this.#parts.store,
        datanet,
        await folderSink(join(folder, "export")),
        `openledger:${datanet}`,
      );
      return exported.ok ? ok(await readFile(join(folder, "export", file))) : exported;
    });
  }

  restore(files: ExportFiles): Promise<Result<Restored>> {
    return inTemporaryFolder(async (folder) => {
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      const imported = await importExport(this.#parts.store, folder, this.#parts.randomBytes(32));
      if (!imported.ok) return imported;
      const { datanet, records, contributions, versions } = imported.value;
      for (const version of await this.#parts.store.versions(datanet.name)) {
        const registered = await registerVersion(this.#parts.provenance, version, datanet.licence);
        if (!registered.ok) return registered;
      }
      return ok({ name: datanet.name, records, contributions, versions });
    });
  }

  async createModel(draft: CreateModel): Promise<Result<ServedModelView>> {
    const { shelf, say, gateway } = this.#parts;
    const { name, datanet, ...rest } = draft;
    const created = await shelf.create({ name, datanet, ...defined(rest) }, say);
    return created.ok ? gateway.modelView(name) : created;
  }

  importModels(models: ImportModels): Promise<readonly ImportedModel[]> {
    return this.#parts.reported.importAll(models);
  }

  async bindings(): Promise<readonly BindingView[]> {
    const views: BindingView[] = [];
    for (const { name } of await this.#parts.store.datanets()) {
      for (const binding of await this.#parts.store.bindings(name)) views.push(await this.#bindingView(name, binding));
    }
    return views;
  }

  async notice(name: string, claim: Notice): Promise<Result<BindingView>> {
    const proof = await this.#prove(name, claim.identity, claim.proof);
    if (!proof.ok) return proof;
    if (proof.value.address?.toLowerCase() !== claim.address.toLowerCase()) {
      return refuse("binding_refused", "the proof names another address than the one asked for", { field: "address" });
    }
    return this.#apply(name, proof.value);
  }

  async refuse(name: string, refusal: RefuseBinding): Promise<Result<BindingView>> {
    const proof = await this.#prove(name, refusal.identity, refusal.proof);
    if (!proof.ok) return proof;
    if (proof.value.action !== "refuse")
      return refuse("binding_refused", `the proof says ${proof.value.action}, not refuse`);
    return this.#apply(name, proof.value);
  }

  /** Notices whose time has run are made final on chain and in the journal. */
  async settleBindings(): Promise<Result<void>> {
    const { store, nowMs, provenance } = this.#parts;
    for (const { name } of await store.datanets()) {
      for (const binding of await store.bindings(name)) {
        const settled = settleNotice(binding, nowMs());
        if (settled.state === binding.state || settled.to === null) continue;
        const payee = identityPayeeId(await scopeOf(store, provenance, name), binding.identity);
        const final = await provenance.chain.finaliseBinding(provenance.ledger.id, payee, fromHex(settled.to));
        if (!final.ok) return final.error.code === "conflict" ? ok(undefined) : final;
        const to = padAddress(fromHex(settled.to));
        const journalled = await provenance.ledger.books.bind({
          identity: payee,
          to,
          state: "bound",
          proofHash: fromHex(settled.proofHash),
        });
        if (!journalled.ok && journalled.error.code !== "binding_refused") return journalled;
        const saved = await store.saveBinding(name, binding, settled);
        if (!saved.ok) return saved;
      }
    }
    return this.#carried.finalise();
  }

  async claim(payee: Uint8Array): Promise<Result<PaidClaim>> {
    const { ledger, chain } = this.#parts.provenance;
    const settled = await this.settleBindings();
    if (!settled.ok) return settled;
    const latest = ledger.epochs.list().findLast(({ status, isPast }) => status === "final" && !isPast)?.record.epoch;
    if (latest === undefined)
      return refuse("epoch_not_final", "no epoch is final yet", {
        hint: "openledger epoch close, then wait for its window",
      });
    const proof = await ledger.epochs.payout(latest, payee);
    if (!proof.ok) return proof;
    const paid = await chain.claim(ledger.id, latest, proof.value);
    return paid.ok
      ? ok({
          payee: toHex(payee),
          epoch: latest,
          paid: paid.value.paid.toString(),
          transaction: paid.value.transaction,
        })
      : paid;
  }

  trust(): LedgerTrustView {
    return this.#parts.trust;
  }

  get #node(): Uint8Array {
    return padAddress(this.#parts.provenance.chain.node);
  }

  async #prove(name: string, identity: string, proof: Proof): Promise<Result<BindingProof>> {
    const datanet = await this.#parts.store.datanet(name);
    if (datanet === undefined) return unknown(name);
    const parsed = parseIdentity(identity);
    if (!parsed.ok) return parsed;
    const target = {
      datanet: datanet.id,
      ledger: toHex(this.#parts.provenance.ledger.id),
      identity: parsed.value.text,
    };
    if (proof.kind === "signed_commit") {
      const object = parseBase64(proof.commit);
      if (object === undefined) return refuse("proof_invalid", "the commit is not base64", { field: "proof" });
      const keys = await keysOf(proof.clone, parsed.value.text, object);
      return keys.ok ? proveByCommit(target, object, keys.value) : keys;
    }
    if (proof.clone === undefined) {
      return refuse("proof_invalid", "this node fetches no repositories", {
        hint: "name the node's own clone of it with clone",
        field: "proof",
      });
    }
    return proveByFundingFile(target, cloneReader(proof.clone));
  }

  async #apply(name: string, proof: BindingProof): Promise<Result<BindingView>> {
    const { store, provenance, nowMs, noticeMs } = this.#parts;
    const current = await store.binding(name, proof.identity);
    const next = applyProof(current, proof, { noticeMs, timeMs: nowMs() });
    if (!next.ok) return next;
    const scope = await scopeOf(store, provenance, name);
    const payee = identityPayeeId(scope, proof.identity);
    if (next.value.state === "noticed" && next.value.to !== null) {
      const tag = hmacSha256(scope.secret, utf8(proof.identity));
      const account = fromHex(next.value.to);
      const notice = {
        chainId: Number(scope.chainId),
        registry: scope.registry,
        datanet: scope.datanet,
        tag,
        account,
        proofHash: fromHex(proof.hash),
      };
      const noticed = await provenance.chain.noticeBinding(provenance.ledger.id, notice);
      if (!noticed.ok) return noticed;
    }
    const to = next.value.to === null ? new Uint8Array(32) : padAddress(fromHex(next.value.to));
    const journalled = await provenance.ledger.books.bind({
      identity: payee,
      to,
      state: next.value.state,
      proofHash: fromHex(proof.hash),
    });
    if (!journalled.ok) return journalled;
    const saved = await store.saveBinding(name, current, next.value);
    return saved.ok ? ok(await this.#bindingView(name, saved.value)) : saved;
  }

  /** As it is kept: a notice that is over is no binding before chain and journal have it. */
  async #bindingView(datanet: string, binding: Binding): Promise<BindingView> {
    const { identity, state, to, proofHash, noticedMs, noticeEndsMs, changedMs } = binding;
    const payee = toHex(identityPayeeId(await scopeOf(this.#parts.store, this.#parts.provenance, datanet), identity));
    return { datanet, identity, payee, state, to, proofHash, noticedMs, noticeEndsMs, changedMs };
  }
}

/** SSH keys that have signed this identity's commits in the node's own clone: a new key of an old author proves nothing. */
async function keysOf(
  clone: string | undefined,
  identity: string,
  proof: Uint8Array,
): Promise<Result<ReadonlySet<Hex>>> {
  const hint =
    "name the node's own clone of the repository with clone: it must hold a commit that this identity signed before";
  if (clone === undefined)
    return refuse("proof_invalid", "a signed commit is compared with the identity's earlier commits", {
      hint,
      field: "proof",
    });
  const repository = await openRepository(clone);
  if (!repository.ok) return repository;
  const commits = await signedCommits(repository.value);
  if (!commits.ok) return commits;
  // The proof itself is no earlier commit.
  const earlier = commits.value.filter((commit) => !equalBytes(commit, proof));
  return ok(signersOf(earlier).get(identity) ?? new Set());
}

/** The fields that are there: what zod gives as `undefined` is left out. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]: Exclude<T[K], undefined> };
}

async function inTemporaryFolder<T>(work: (folder: string) => Promise<Result<T>>): Promise<Result<T>> {
  const folder = await mkdtemp(join(tmpdir(), "openledger-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

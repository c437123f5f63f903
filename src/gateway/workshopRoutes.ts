import { fromHex } from "../core/bytes.ts";
import { ok } from "../core/result.ts";
import type { Accounts } from "../ledger/ledger.ts";
import { datanetParam, datanetSchema, versionSchema } from "../protocol/datanets.ts";
import { payeeParam } from "../protocol/epochs.ts";
import { importedModelsSchema, importModelsSchema } from "../protocol/executions.ts";
import { servedModelSchema } from "../protocol/service.ts";
import {
  accountListSchema,
  bindingListSchema,
  bindingViewSchema,
  type ContextView,
  contextSchema,
  contributedSchema,
  contributeSchema,
  createDatanetSchema,
  createModelSchema,
  exportParam,
  ledgerTrustSchema,
  noticeSchema,
  paidClaimSchema,
  refuseBindingSchema,
  restoredSchema,
  restoreSchema,
} from "../protocol/workshop.ts";
import { accountView } from "./accountView.ts";
import type { PayeeLabel } from "./ports.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";
import type { Workshop } from "./workshop.ts";

/** What the owner's routes need of the floor. */
export interface WorkshopFloor {
  readonly ledger: { readonly accounts: Accounts };
  readonly labels: PayeeLabel;
}

/** The owner's routes: they make things. All ask for an admin key, but the ledger's public keys, which anybody may have. */
export function workshopRoutes(floor: WorkshopFloor, workshop: Workshop): Route[] {
  return [
    ...datanetMaking(floor, workshop),
    ...datanetCarrying(workshop),
    ...bindingRoutes(workshop),
    ...rest(floor, workshop),
  ];
}

const admin = { ...plain, method: "POST", access: "admin" } as const;

function datanetMaking({ labels }: WorkshopFloor, workshop: Workshop): Route[] {
  const named = (view: ContextView): ContextView => ({
    ...view,
    versions: view.versions.map((version) => ({
      ...version,
      parties: version.parties.map((party) => {
        const label = labels(fromHex(party.payee));
        return { ...party, ...(label === undefined ? {} : { label }) };
      }),
    })),
  });
  return [
    route({
      ...{ ...admin, path: "/api/datanets", tag: "datanets", body: createDatanetSchema, response: datanetSchema },
      statuses: [201],
      summary: "Create a datanet",
      handle: async ({ body }) => jsonOf(await workshop.createDatanet(body)),
    }),
    route({
      ...{ ...admin, audit: "none", path: "/api/datanets/{name}/contributions", tag: "datanets", params: datanetParam },
      ...{ body: contributeSchema, response: contributedSchema },
      statuses: [201, 200],
      summary: "Contribute records; the same records again are the same contribution (200)",
      handle: async ({ params, body }) => {
        const taken = await workshop.contribute(params.name, body);
        if (!taken.ok) return taken;
        const { isNew, ...contributed } = taken.value;
        return json(contributed, isNew ? 201 : 200);
      },
    }),
    route({
      ...{ ...admin, path: "/api/datanets/{name}/versions", tag: "datanets", params: datanetParam },
      response: versionSchema,
      statuses: [201],
      summary: "Freeze what is approved as the next version",
      handle: async ({ params }) => jsonOf(await workshop.publish(params.name)),
    }),
    route({
      ...{ ...admin, path: "/api/models/import", tag: "service", body: importModelsSchema },
      response: importedModelsSchema,
      summary: "Register models that others serve, with their terms and what they were made from: an outcome for each",
      handle: async ({ body }) => json({ data: await workshop.importModels(body) }),
    }),
    route({
      ...{ ...admin, method: "GET", path: "/api/datanets/{name}/context", tag: "datanets", params: datanetParam },
      response: contextSchema,
      summary: "Who made its context, by what that changed in the answers of late",
      handle: async ({ params }) => jsonOf(await workshop.context(params.name, false), named),
    }),
    route({
      ...{ ...admin, path: "/api/datanets/{name}/context", tag: "datanets", params: datanetParam },
      response: contextSchema,
      summary: "The same, and pay the context's part by it from now on; an epoch's close does so by itself",
      handle: async ({ params }) => jsonOf(await workshop.context(params.name, true), named),
    }),
    route({
      ...{ ...admin, path: "/api/models", tag: "service", body: createModelSchema, response: servedModelSchema },
      statuses: [201],
      summary: "Make an ∞-gram model of a datanet version and serve it",
      handle: async ({ body }) => jsonOf(await workshop.createModel(body)),
    }),
  ];
}

/** An export of some 100,000 pages of documentation; a body is held two or three times over while it is read. */
const RESTORE_BYTES_MAX = 64 * 1024 * 1024;

function datanetCarrying(workshop: Workshop): Route[] {
  return [
    route({
      ...{ ...admin, method: "GET", path: "/api/datanets/{name}/export/{file}", tag: "datanets", params: exportParam },
      ...{ response: "bytes", produces: ["application/ld+json", "application/jsonlines"] },
      summary: "A file of the datanet's export: JSON lines, with Croissant 1.1 metadata",
      handle: async ({ params }) => {
        const file = await workshop.exportFile(params.name, params.file);
        if (!file.ok) return file;
        const type = params.file === "metadata.json" ? "application/ld+json" : "application/jsonlines";
        return ok({ kind: "bytes", body: file.value, headers: { "content-type": type } });
      },
    }),
    route({
      ...{ ...admin, path: "/api/datanets/restore", tag: "datanets", body: restoreSchema, response: restoredSchema },
      bodyBytesMax: RESTORE_BYTES_MAX,
      statuses: [201],
      summary: "Take an exported datanet in: same ids, same authors, same provenance",
      handle: async ({ body }) => jsonOf(await workshop.restore(body.files)),
    }),
  ];
}

function bindingRoutes(workshop: Workshop): Route[] {
  const shared = { ...admin, tag: "bindings", params: datanetParam, response: bindingViewSchema } as const;
  return [
    route({
      ...{ ...admin, method: "GET", path: "/api/bindings", tag: "bindings", response: bindingListSchema },
      summary: "External identities that have answered, and whom they are bound to",
      handle: async () => json({ data: await workshop.bindings() }),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/bindings", body: noticeSchema },
      statuses: [201],
      summary: "Check an identity's proof and give public notice of its binding",
      handle: async ({ params, body }) => jsonOf(await workshop.notice(params.name, body)),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/bindings/refuse", body: refuseBindingSchema },
      summary: "An identity refuses, by its own proof",
      handle: async ({ params, body }) => jsonOf(await workshop.refuse(params.name, body)),
    }),
  ];
}

function rest({ ledger }: WorkshopFloor, workshop: Workshop): Route[] {
  return [
    route({
      ...{ ...admin, path: "/api/claims/{payee}", tag: "claims", params: payeeParam, response: paidClaimSchema },
      summary: "Claim on chain for a payee; the money goes to whoever is entitled to it",
      handle: async ({ params }) => jsonOf(await workshop.claim(fromHex(params.payee))),
    }),
    route({
      ...{ ...admin, method: "GET", path: "/api/accounts", tag: "accounts", response: accountListSchema },
      summary: "All accounts",
      handle: () => json({ data: ledger.accounts.list().map((account) => accountView(account, ledger.accounts)) }),
    }),
    route({
      ...{ ...admin, access: "open", method: "GET", path: "/api/ledger", tag: "service", response: ledgerTrustSchema },
      summary: "The keys that the journal is signed with, and the contract that they are bound to",
      handle: () => json(workshop.trust()),
    }),
  ];
}

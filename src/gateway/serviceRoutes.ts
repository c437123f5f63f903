import { toHex } from "../core/bytes.ts";
import { ok, type Refusal, refuse } from "../core/result.ts";
import {
  drainSchema,
  healthSchema,
  journalParam,
  modelParam,
  operatorListSchema,
  operatorParam,
  operatorSchema,
  pressureSchema,
  rhythmSchema,
  type ServedModelView,
  servedModelListSchema,
  servedModelSchema,
  totalsSchema,
} from "../protocol/service.ts";
import type { ServedModel } from "./catalog.ts";
import { publishedFile } from "./journal.ts";
import type { Floor } from "./order.ts";
import type { ChainView, JournalFiles } from "./ports.ts";
import type { ReportedModel } from "./reportedModels.ts";
import type { Rhythm } from "./rhythm.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";
import { stagesOfAll, stagesView } from "./stages.ts";

export interface ServiceParts {
  readonly version: string;
  readonly journal: JournalFiles | undefined;
  readonly rhythm: Rhythm;
  readonly chain: ChainView | undefined;
  state(): { readonly isDraining: boolean; readonly uptimeMs: number };
}

/** How the node is: health, models, operators, rhythm, pressure, totals, metrics, and the published journal. */
export function serviceRoutes(floor: Floor, parts: ServiceParts): Route[] {
  const { ledger, world, catalog, operators, admission, metrics } = floor;
  const shared = { ...plain, method: "GET", access: "open", tag: "service" } as const;
  return [
    route({
      ...{ ...shared, path: "/api/health", isFree: true, response: healthSchema },
      summary: "Whether the node takes requests",
      handle: () => {
        const { isDraining, uptimeMs } = parts.state();
        const [stopped, waiting] = [ledger.books.stopped(), ledger.books.waiting()];
        const written = stopped !== undefined ? "stopped" : waiting !== undefined ? "waiting" : "ok";
        const status = isDraining ? "draining" : written;
        const why = stopped ?? waiting;
        return json({
          ...{ status, version: parts.version, ledger: toHex(ledger.id) },
          ...(why === undefined ? {} : { why: saying(why) }),
          ...{
            journalSize: ledger.books.size(),
            uptimeSeconds: Math.floor(uptimeMs / 1_000),
            inFlight: admission.inFlight,
          },
        });
      },
    }),
    route({
      ...{ ...shared, path: "/api/models", response: servedModelListSchema },
      summary: "The served models, their terms, datanets and operators",
      handle: () => {
        const served = catalog.list().map((model) => modelView(floor, model));
        return json({ data: [...served, ...catalog.reported.list().map(reportedView)] });
      },
    }),
    route({
      ...{ ...shared, path: "/api/models/{name}", params: modelParam, response: servedModelSchema },
      summary: "One served model",
      handle: ({ params }) => {
        const reported = catalog.reported.get(params.name);
        if (reported !== undefined) return json(reportedView(reported));
        return jsonOf(catalog.find(params.name), (model) => modelView(floor, model));
      },
    }),
    route({
      ...{ ...shared, path: "/api/operators", response: operatorListSchema },
      summary: "Operators: quote, health, load",
      handle: () => json({ data: operators.views(world.nowMs()) }),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/operators/{name}/drain", access: "admin" },
      ...{ params: operatorParam, body: drainSchema, response: operatorSchema },
      summary: "Give an operator no new requests, or take that back",
      handle: ({ params, body }) => {
        const drained = operators.drain(params.name, body.draining);
        if (drained.ok) admission.pump();
        return jsonOf(drained);
      },
    }),
    route({
      ...{ ...shared, path: "/api/rhythm", response: rhythmSchema },
      summary: "Executions, compensations and distributions by the minute, hour and day",
      handle: () => json(parts.rhythm.view(world.nowMs())),
    }),
    route({
      ...{ ...shared, path: "/api/pressure", response: pressureSchema },
      summary: "Queues, limits, waits and refusals",
      handle: () =>
        json({
          ...admission.pressure(),
          holds: { count: ledger.holds.count(), total: String(ledger.holds.totalHeld()) },
          ...{ refusals: metrics.refusals(), operators: operators.views(world.nowMs()) },
        }),
    }),
    route({
      ...{ ...shared, path: "/api/totals", response: totalsSchema },
      summary: "The sums of the books",
      handle: async () => {
        const { receipts, ...sums } = ledger.books.totals();
        const text = Object.entries(sums).map(([name, value]) => [name, String(value)]);
        const reached = await stagesOfAll(ledger, parts.chain);
        const stages = reached?.ok ? { stages: stagesView(reached.value) } : {};
        return json({ ...Object.fromEntries(text), receipts, ...stages });
      },
    }),
    route({
      ...{ ...shared, path: "/metrics", isFree: true, response: "text" },
      summary: "Prometheus metrics",
      handle: async () => {
        return ok({ kind: "bytes", body: await metrics.text(), headers: { "content-type": metrics.contentType } });
      },
    }),
    route({
      ...{ ...shared, path: "/journal/{path*}", params: journalParam, isFree: true, response: "bytes" },
      produces: ["application/octet-stream", "text/plain"],
      summary: "The published journal: checkpoint and tiles (C2SP tlog-tiles)",
      handle: async ({ params }) => {
        if (parts.journal === undefined) return refuse("not_found", "this node publishes no journal");
        const file = await publishedFile(parts.journal, params.path);
        if (!file.ok) return file;
        const { bytes, type, cache } = file.value;
        return ok({ kind: "bytes", body: bytes, headers: { "content-type": type, "cache-control": cache } });
      },
    }),
  ];
}

function reportedView(model: ReportedModel): ServedModelView {
  const none = toHex(new Uint8Array(32));
  const { royaltyBps, unit, royalty } = model.terms;
  return {
    ...{ name: model.name, asset: toHex(model.asset), owner: model.ownedBy, contextTokens: 0, unit, royalty },
    ...{ retrievedTokensMax: 0, datanets: [...model.datanets], indexId: none, methodsHash: none, operators: [] },
    external: { royaltyBps, contributors: model.contributors, undeclared: model.isUndeclared },
  };
}

/** A served model as the own API shows it. */
export function modelView({ operators, world }: Floor, model: ServedModel): ServedModelView {
  const states = new Map(operators.views(world.nowMs()).map((view) => [view.name, view.state]));
  const { grounding } = model;
  const none = new Uint8Array(32);
  return {
    ...{ name: model.name, asset: toHex(model.asset), owner: model.ownedBy, contextTokens: model.contextTokens },
    ...{ unit: model.unit, royalty: model.royalty, datanets: [...(grounding?.datanets ?? [])] },
    ...{ retrievedTokensMax: grounding?.contextTokensMax ?? 0, indexId: toHex(grounding?.indexId ?? none) },
    methodsHash: toHex(grounding?.methodsHash ?? none),
    operators: operators.quoting(model).map(({ name, cost }) => ({ name, cost, state: states.get(name) ?? "up" })),
  };
}

function saying({ message, hint }: Refusal): string {
  return hint === undefined ? message : `${message}; ${hint}`;
}

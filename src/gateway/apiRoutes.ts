import { z } from "zod";
import type { Factory } from "../factory/factory.ts";
import type { StatementDesk } from "../ledger/issued.ts";
import type { PayoutDesk } from "../ledger/payoutDesk.ts";
import type { RateDesk } from "../ledger/rates.ts";
import { accountRoutes } from "./accountRoutes.ts";
import { type Annotations, annotationRoutes } from "./annotationRoutes.ts";
import { correctionRoutes } from "./correctionRoutes.ts";
import { datanetRoutes } from "./datanetRoutes.ts";
import { type Departures, departureRoutes } from "./departureRoutes.ts";
import { earningsRoutes } from "./earningsRoutes.ts";
import { epochRoutes } from "./epochRoutes.ts";
import type { ExecutionDesk } from "./executionDesk.ts";
import { executionRoutes } from "./executionRoutes.ts";
import { jobRoutes } from "./jobRoutes.ts";
import type { ModelLibrary } from "./modelLibrary.ts";
import { modelRoutes } from "./modelRoutes.ts";
import { openApiDocument } from "./openapi.ts";
import type { OperatorDesk } from "./operatorDesk.ts";
import { operatorRoutes } from "./operatorRoutes.ts";
import type { Floor } from "./order.ts";
import { organisationRoutes } from "./organisationRoutes.ts";
import { payoutRoutes } from "./payoutRoutes.ts";
import type { ChainView, DatanetDirectory, EpochControl, JournalFiles } from "./ports.ts";
import { rateRoutes } from "./rateRoutes.ts";
import { receiptRoutes } from "./receiptRoutes.ts";
import { type RelayParts, relayRoutes } from "./relayRoutes.ts";
import type { Rhythm } from "./rhythm.ts";
import { json, plain, type Route, route } from "./routes.ts";
import { serviceRoutes } from "./serviceRoutes.ts";
import { statementRoutes } from "./statementRoutes.ts";
import { termsRoutes } from "./termsRoutes.ts";
import { type TestControls, testRoutes } from "./testRoutes.ts";
import { type WebhookParts, webhookRoutes } from "./webhookRoutes.ts";
import type { Workshop } from "./workshop.ts";
import { workshopRoutes } from "./workshopRoutes.ts";

export interface ApiParts {
  readonly datanets: DatanetDirectory | undefined;
  readonly journal: JournalFiles | undefined;
  readonly chain: ChainView | undefined;
  readonly epochs: EpochControl | undefined;
  readonly payouts: PayoutDesk | undefined;
  readonly annotations: Annotations | undefined;
  readonly departures: Departures | undefined;
  readonly statements: StatementDesk | undefined;
  readonly webhooks: WebhookParts | undefined;
  readonly relays: RelayParts | undefined;
  readonly rateDesk: RateDesk | undefined;
  readonly test: TestControls | undefined;
  readonly workshop: Workshop | undefined;
  readonly models: ModelLibrary | undefined;
  readonly operators: OperatorDesk | undefined;
  readonly executions: ExecutionDesk;
  readonly factory: Factory | undefined;
  readonly version: string;
  readonly rhythm: Rhythm;
  state(): { readonly isDraining: boolean; readonly uptimeMs: number };
}

/** The own API. `openAi` are the routes that its document lists beside its own. */
export function apiRoutes(floor: Floor, openAi: readonly Route[], parts: ApiParts): Route[] {
  const routes: Route[] = [
    ...serviceRoutes(floor, parts),
    ...receiptRoutes(floor),
    ...correctionRoutes(floor),
    ...rateRoutes(floor, parts.rateDesk),
    ...(parts.test === undefined ? [] : testRoutes(parts.test)),
    ...executionRoutes(parts.executions),
    ...accountRoutes(floor, parts.chain),
    ...earningsRoutes(floor),
    ...(floor.organisations === undefined ? [] : organisationRoutes(floor, floor.organisations)),
    ...epochRoutes(floor, parts),
    ...(parts.relays === undefined ? [] : relayRoutes(floor, parts.relays)),
    ...termsRoutes(floor.ledger),
    ...(parts.webhooks === undefined ? [] : webhookRoutes(floor, parts.webhooks)),
    ...(parts.statements === undefined ? [] : statementRoutes(floor, parts.statements)),
    ...(parts.payouts === undefined ? [] : payoutRoutes(floor, parts.payouts)),
    ...(parts.datanets === undefined ? [] : datanetRoutes(parts.datanets)),
    ...(parts.annotations === undefined ? [] : annotationRoutes(parts.annotations)),
    ...(parts.departures === undefined ? [] : departureRoutes(parts.departures)),
    ...(parts.workshop === undefined ? [] : workshopRoutes(floor, parts.workshop)),
    ...(parts.factory === undefined ? [] : jobRoutes(parts.factory)),
    ...(parts.models === undefined ? [] : modelRoutes(parts.models)),
    ...(parts.operators === undefined ? [] : operatorRoutes(parts.operators)),
  ];
  let document: object | undefined;
  const describe = route({
    ...plain,
    ...{ method: "GET", path: "/api/openapi.json", tag: "service", access: "open", response: z.looseObject({}) },
    isFree: true,
    summary: "This document",
    handle: () => {
      document ??= openApiDocument([...openAi, ...routes], parts.version);
      return json(document);
    },
  });
  routes.push(describe);
  return routes;
}

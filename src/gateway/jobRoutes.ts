import { refuse } from "../core/result.ts";
import type { Factory } from "../factory/factory.ts";
import { gainOf } from "../factory/gain.ts";
import type { Job } from "../factory/job.ts";
import { fineTuneSchema, jobIdParam } from "../protocol/fineTuning.ts";
import {
  adapterFormSchema,
  deployBody,
  deploymentSchema,
  estimateSchema,
  evaluateBody,
  evaluationSchema,
  jobListSchema,
  jobsQuery,
  jobViewSchema,
  lossesQuery,
  lossesSchema,
  priceBody,
  tariffBody,
  tariffSchema,
} from "../protocol/jobs.ts";
import { modelParam } from "../protocol/service.ts";
import { accountOf, viewerOf } from "./fineTuningRoutes.ts";
import { orderOf, present } from "./fineTuningWire.ts";
import { readForm } from "./form.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

const shared = { ...plain, access: "key", needs: "models.build", tag: "jobs" } as const;
/** An adapter of rank 64 for a model of some billion weights. */
const ADAPTER_FORM_BYTES_MAX = 256 * 1024 * 1024;
const EVENTS_MAX = 1_000;

/** Training jobs as our own API has them: what they would take, what came of them, and what is done with it. */
export function jobRoutes(factory: Factory): Route[] {
  return [...readingRoutes(factory), ...doingRoutes(factory), ...tariffRoutes(factory)];
}

function tariffRoutes({ tariff }: Factory): Route[] {
  const path = "/api/jobs/prices";
  return [
    route({
      ...{ ...plain, access: "open", method: "GET", path, tag: "jobs", response: tariffSchema },
      summary: "What trainings cost here, in nano a million tokens that are learnt",
      handle: () => json(tariff.now),
    }),
    route({
      ...{ ...plain, access: "admin", method: "POST", path, tag: "jobs", body: tariffBody, response: tariffSchema },
      summary: "Other prices for trainings that are ordered from now on",
      handle: async ({ body }) => jsonOf(await tariff.change({ ...tariff.now, ...present(body) })),
    }),
  ];
}

function readingRoutes(factory: Factory): Route[] {
  return [
    route({
      ...{ ...shared, method: "POST", path: "/api/jobs/estimate", body: fineTuneSchema, response: estimateSchema },
      summary: "What a training would take: examples, tokens, time, cost and data fees; nothing is begun",
      handle: async ({ key, body }) => {
        const order = orderOf(body);
        if (!order.ok) return order;
        return jsonOf(await factory.estimate(accountOf(key), order.value), (prepared) => {
          const { base, source, options, heldOutShare, estimate } = prepared;
          return { base, source, options, heldOutShare, estimate };
        });
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/jobs", query: jobsQuery, response: jobListSchema },
      summary: "Training jobs, newest first",
      handle: async ({ key, query: { after, limit } }) => {
        const page = { limit, ...(after === undefined ? {} : { after }) };
        return jsonOf(await factory.jobs(viewerOf(key), page), (jobs) => ({ data: jobs.map(view) }));
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/jobs/{id}", params: jobIdParam, response: jobViewSchema },
      summary: "A training job with its estimate, progress, evaluations and deployments",
      handle: async ({ key, params }) => jsonOf(await factory.job(viewerOf(key), params.id), view),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/jobs/{id}/losses", params: jobIdParam, query: lossesQuery },
      ...{ summary: "A job's losses as it trains, behind a step", response: lossesSchema },
      handle: async ({ key, params, query }) => {
        const events = await factory.events(viewerOf(key), params.id, { limit: EVENTS_MAX });
        if (!events.ok) return events;
        const steps = new Map<number, { step: number; loss?: number; heldOutLoss?: number }>();
        for (const { data = {} } of events.value.toReversed()) {
          const { step, train_loss: loss, valid_loss: heldOutLoss } = data;
          if (typeof step !== "number" || step <= (query.after ?? -1)) continue;
          const row = steps.get(step) ?? { step };
          if (typeof loss === "number") row.loss = loss;
          if (typeof heldOutLoss === "number") row.heldOutLoss = heldOutLoss;
          steps.set(step, row);
        }
        return json({ data: [...steps.values()].sort((a, b) => a.step - b.step) });
      },
    }),
  ];
}

function doingRoutes(factory: Factory): Route[] {
  return [
    route({
      ...{ ...shared, method: "POST", path: "/api/jobs/{id}/evaluations", params: jobIdParam, body: evaluateBody },
      ...{ response: evaluationSchema, summary: "Measure the result, or a kept checkpoint, beside its base" },
      handle: async ({ key, params, body }) => jsonOf(await factory.evaluate(viewerOf(key), params.id, body.step)),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/jobs/{id}/deployments", params: jobIdParam, body: deployBody },
      ...{ response: deploymentSchema, summary: "Serve the result, or a kept checkpoint, under a name and a price" },
      handle: async ({ key, params, body }) => jsonOf(await factory.deploy(viewerOf(key), params.id, present(body))),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/models/{name}/price", params: modelParam, body: priceBody },
      response: deploymentSchema,
      summary: "Another royalty for a deployed model, from the next request on; what is not named stays",
      handle: async ({ key, params, body }) =>
        jsonOf(await factory.reprice(viewerOf(key), params.name, present(body.royalty))),
    }),
    route({
      ...{ ...shared, access: "admin", method: "POST", path: "/api/jobs/{id}/adapter", params: jobIdParam },
      ...{ form: adapterFormSchema, response: jobViewSchema, bodyBytesMax: ADAPTER_FORM_BYTES_MAX },
      summary: "An adapter that PEFT trained elsewhere becomes the job's result",
      handle: async ({ exchange, key, params, rawBody }) => {
        const form = await readForm(exchange.request.headers["content-type"], rawBody);
        if (!form.ok) return form;
        const [config, weights] = [form.value.get("config")?.bytes, form.value.get("weights")?.bytes];
        if (config === undefined || weights === undefined)
          return refuse("invalid_request", "the form has no config or no weights", { field: "config" });
        const provenance = form.value.get("provenance")?.bytes;
        const files = { config, weights, ...(provenance === undefined ? {} : { provenance }) };
        return jsonOf(await factory.importAdapter(viewerOf(key), params.id, files), view);
      },
    }),
  ];
}

function view({ orderHash: _hash, prices: _prices, keyId: _key, baseLosses: _losses, ...job }: Job): object {
  const gain = gainOf(job, undefined);
  return { ...job, ...(gain === undefined ? {} : { gain }) };
}

import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { PayoutDesk } from "../ledger/payoutDesk.ts";
import type { Payout, PayoutLine } from "../ledger/payouts.ts";
import { payeeParam } from "../protocol/epochs.ts";
import {
  type BankPayoutView,
  bankFileQuery,
  bankPayoutListSchema,
  bankPayoutParam,
  bankPayoutSchema,
  payeeDetailsBody,
  payeeDetailsSchema,
  payoutBody,
  payoutEndBody,
  payoutPlanSchema,
} from "../protocol/payouts.ts";
import { empty } from "../protocol/scalars.ts";
import type { Floor } from "./order.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

interface PayoutOrder {
  readonly currency: string;
  readonly nanoPerUnit: number;
  readonly minimum: number;
}

/** Bank payouts of a ledger on credit; its owner's alone, since they name people. */
export function payoutRoutes(floor: Floor, desk: PayoutDesk): Route[] {
  const shared = { ...plain, access: "admin", tag: "payouts" } as const;
  const order = (body: {
    readonly currency: string;
    readonly nanoPerUnit?: number | undefined;
    readonly minimum: number;
  }): Result<PayoutOrder> => {
    const { currency, minimum, nanoPerUnit } = body;
    if (nanoPerUnit !== undefined) return ok({ currency, minimum, nanoPerUnit });
    if (currency !== "USD")
      return refuse("invalid_request", `how many nano OPEN one ${currency} is has to be said`, {
        field: "nanoPerUnit",
      });
    const rate = floor.catalog.rateFor("microUsd");
    return rate.ok ? ok({ currency, minimum, nanoPerUnit: rate.value.nanoPerUsd }) : rate;
  };
  const labelled = (payee: string) => {
    const label = floor.labels(fromHex(payee));
    return label === undefined ? {} : { label };
  };
  return [
    route({
      ...{
        ...shared,
        method: "GET",
        path: "/api/payees/{payee}/details",
        params: payeeParam,
        response: payeeDetailsSchema,
      },
      summary: "How a payee is paid by bank",
      handle: async ({ params }) => jsonOf(await desk.details(payeeId(params.payee))),
    }),
    route({
      ...{
        ...shared,
        method: "POST",
        audit: "bodiless",
        path: "/api/payees/{payee}/details",
        params: payeeParam,
        body: payeeDetailsBody,
      },
      ...{ summary: "Set how a payee is paid by bank; kept outside the journal", response: payeeDetailsSchema },
      handle: async ({ params, body: { taxId, bic, ...rest } }) =>
        jsonOf(
          await desk.setDetails({
            ...{ payee: payeeId(params.payee), ...rest },
            ...(taxId === undefined ? {} : { taxId }),
            ...(bic === undefined ? {} : { bic }),
          }),
        ),
    }),
    route({
      ...{ ...shared, method: "DELETE", path: "/api/payees/{payee}/details", params: payeeParam, response: empty },
      summary: "Forget how a payee is paid; payouts that were made keep their copy",
      handle: async ({ params }) => jsonOf(await desk.forgetDetails(payeeId(params.payee)), () => ({})),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/payouts/plan", body: payoutBody, response: payoutPlanSchema },
      summary: "Who would be paid now, and who waits; makes nothing",
      handle: async ({ body }) =>
        jsonOf(await asOrdered(order(body), (it) => desk.plan(it)), ({ epoch, lines, waiting }) => ({
          ...{ epoch, lines: lines.map(lineView) },
          waiting: waiting.map((one) => ({ ...one, ...labelled(one.payee), nano: String(one.nano) })),
        })),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/payouts", body: payoutBody, response: bankPayoutSchema },
      summary: "Make a payout of all that is settled and due",
      handle: async ({ body }) => jsonOf(await asOrdered(order(body), (it) => desk.create(it)), payoutView),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/payouts", response: bankPayoutListSchema },
      summary: "All payouts, newest first",
      handle: async () => json({ data: (await desk.list()).map(payoutView).reverse() }),
    }),
    route({
      ...{
        ...shared,
        method: "GET",
        path: "/api/payouts/{number}",
        params: bankPayoutParam,
        response: bankPayoutSchema,
      },
      summary: "One payout",
      handle: async ({ params }) => jsonOf(await desk.get(params.number), payoutView),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/payouts/{number}/file", response: "text" },
      produces: ["application/xml", "text/csv"],
      ...{ summary: "The bank file, pain.001 or CSV", params: bankPayoutParam, query: bankFileQuery },
      handle: async ({ params, query }) => {
        const format = formatOf(query, floor.world.nowMs());
        if (!format.ok) return format;
        const file = await desk.file(params.number, format.value);
        if (!file.ok) return file;
        const type = query.format === "csv" ? "text/csv; charset=utf-8" : "application/xml; charset=utf-8";
        return ok({ kind: "bytes", body: file.value, headers: { "content-type": type } });
      },
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/payouts/{number}/end", params: bankPayoutParam, body: payoutEndBody },
      ...{ summary: "The bank has paid it, or it is cancelled", response: bankPayoutSchema },
      handle: async ({ params, body }) =>
        jsonOf(await desk.end(params.number, body.status, body.reference), payoutView),
    }),
  ];
}

function formatOf(
  query: {
    readonly format: string;
    readonly debtorName?: string | undefined;
    readonly debtorIban?: string | undefined;
    readonly debtorBic?: string | undefined;
    readonly on?: string | undefined;
  },
  nowMs: number,
): Result<"csv" | { debtor: { name: string; iban: string; bic?: string }; executionMs: number }> {
  const { format, debtorName: name, debtorIban: iban, debtorBic: bic, on } = query;
  if (format === "csv") return ok("csv");
  if (name === undefined || iban === undefined)
    return refuse("invalid_request", "a bank file names who pays: debtorName and debtorIban", { field: "debtorIban" });
  const debtor = { name, iban: iban.replaceAll(/\s/g, "").toUpperCase(), ...(bic === undefined ? {} : { bic }) };
  return ok({ debtor, executionMs: on === undefined ? nowMs : Date.parse(on) });
}

function payeeId(text: string): string {
  return toHex(fromHex(text));
}

function asOrdered<T>(
  order: Result<PayoutOrder>,
  rest: (order: PayoutOrder) => Promise<Result<T>>,
): Promise<Result<T>> {
  return order.ok ? rest(order.value) : Promise.resolve(order);
}

function lineView({ payee, nano, gross, withheld, net, details }: PayoutLine): BankPayoutView["lines"][number] {
  return { payee, legalName: details?.legalName ?? "", nano: String(nano), gross, withheld, net };
}

function payoutView({ lines, ...rest }: Payout): BankPayoutView {
  const sum = (part: "gross" | "withheld" | "net"): number => lines.reduce((total, line) => total + line[part], 0);
  const nano = String(lines.reduce((total, line) => total + line.nano, 0n));
  return {
    ...rest,
    sums: { gross: sum("gross"), withheld: sum("withheld"), net: sum("net"), nano },
    lines: lines.map(lineView),
  };
}

import type { z } from "zod";
import { equalBytes, fromHex, toHex } from "../core/bytes.ts";
import type { Receipt } from "../core/receipt.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Reported } from "../ledger/execution.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import { may } from "../protocol/capabilities.ts";
import { promiseSchema } from "../protocol/completions.ts";
import { type Explanation, explanationSchema } from "../protocol/explanation.ts";
import {
  combinationParam,
  executionListSchema,
  executionParam,
  executionQuery,
  type Opening,
  type ReceiptView,
  type ReportedView,
  receiptDetailSchema,
  receiptListSchema,
  receiptParam,
  receiptQuery,
} from "../protocol/receipts.ts";
import { explain } from "./explanation.ts";
import { hexText } from "./hexText.ts";
import { readOpening } from "./opening.ts";
import type { Floor } from "./order.ts";
import { receiptView } from "./receiptView.ts";
import { json, plain, type Reply, type Route, route } from "./routes.ts";
import { wirePromise } from "./settlementView.ts";

/** Receipts are public, as the journal is; who paid for one may also open it. */
export function receiptRoutes(floor: Floor): Route[] {
  const { ledger, labels, catalog } = floor;
  const view = (stored: Parameters<typeof receiptView>[0]) => receiptView(stored, ledger.books, labels, catalog);
  const one = (path: string, tag: string): Route =>
    route({
      ...plain,
      ...{ method: "GET", path, tag, access: "optional", needs: "receipts.read", response: receiptDetailSchema },
      summary: "One receipt with its route; the payer's key also opens it",
      params: receiptParam,
      handle: async ({ params, key }) => {
        const id = fromHex(params.id);
        const missing = missingOf(floor, id);
        const stored = await ledger.books.receipt(id);
        if (stored === undefined) return missing;
        if (isAnothers(floor, key, stored.receipt)) return unknown(params.id);
        const opening = mayOpen(floor, key, stored.receipt.account) ? openingOf(stored.opening) : undefined;
        const combination = await floor.combinations(stored.receipt.methodsHash);
        const isPayers = mayTrace(floor, key, stored.receipt);
        const reported = isPayers ? await ledger.books.reportedAs(stored.receipt.id) : undefined;
        const detail = {
          ...{ ...view(stored), entry: toHex(stored.entry) },
          ...(combination === undefined ? {} : { combination }),
          ...(reported === undefined ? {} : { reported: reportedView(reported) }),
        };
        return json(opening === undefined ? detail : { ...detail, opening });
      },
    });
  const promise = (path: string, tag: string): Route =>
    route({
      ...plain,
      ...{ method: "GET", path, tag, access: "open", response: promiseSchema },
      summary: "The signed promise that the receipt will be in the journal",
      params: receiptParam,
      handle: async ({ params }) => {
        const id = fromHex(params.id);
        const missing = missingOf(floor, id);
        const found = await ledger.books.promise(id);
        return found === undefined ? missing : json(wirePromise(found));
      },
    });
  return [
    one("/v1/receipts/{id}", "openai"),
    promise("/v1/receipts/{id}/promise", "openai"),
    one("/api/receipts/{id}", "receipts"),
    promise("/api/receipts/{id}/promise", "receipts"),
    route({
      ...{ ...plain, method: "GET", path: "/api/executions/{id}", tag: "executions", access: "key" },
      ...{ needs: "receipts.read", params: executionParam, query: executionQuery },
      response: executionListSchema,
      summary: "The receipt of an execution that another gateway served, by what that calls it",
      handle: async ({ params: { id }, query, key }) => {
        const data: z.infer<typeof executionListSchema>["data"] = [];
        for (const source of executionQuery.shape.source.unwrap().options) {
          if (query.source !== undefined && query.source !== source) continue;
          const receipt = await ledger.books.findReported({ source, id });
          const stored = receipt === undefined ? undefined : await ledger.books.receipt(receipt);
          if (stored === undefined || !mayTrace(floor, key, stored.receipt)) continue;
          const reported = await ledger.books.reportedAs(stored.receipt.id);
          if (reported !== undefined) data.push({ ...reportedView(reported), receipt: view(stored) });
        }
        return data.length > 0
          ? json({ data })
          : refuse("not_found", `no execution "${id}" was reported here`, {
              ...{ hint: "the id is the source's own: of CloudEvents, its source and id as SOURCE#ID", field: "id" },
            });
      },
    }),
    route({
      ...plain,
      ...{ method: "GET", path: "/api/receipts/{id}/explanation", tag: "receipts", access: "optional" },
      ...{ needs: "receipts.read", response: explanationSchema },
      summary:
        "Why it credits whom: the payer's key shows words and records, that of an account linked to whom it credits its own",
      params: receiptParam,
      handle: async ({ params, key }) => {
        const id = fromHex(params.id);
        const missing = missingOf(floor, id);
        const stored = await ledger.books.receipt(id);
        if (stored === undefined) return missing;
        if (isAnothers(floor, key, stored.receipt)) return unknown(params.id);
        return json(await explainStored(floor, stored, view(stored), key));
      },
    }),
    route({
      ...plain,
      ...{ method: "GET", path: "/api/attribution/{hash}", tag: "receipts", access: "open", response: "text" },
      summary: "The text that a receipt's methods hash is of: methods, what they count for, and rules",
      params: combinationParam,
      handle: async ({ params }) => {
        const text = await floor.combinations(fromHex(params.hash));
        if (text === undefined) return refuse("not_found", `no model here used ${params.hash}`, { field: "hash" });
        return ok({ kind: "bytes", body: text, headers: { "content-type": "text/plain; charset=utf-8" } });
      },
    }),
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/api/receipts",
        tag: "receipts",
        access: "optional",
        needs: "receipts.read",
        response: receiptListSchema,
      },
      summary: "Receipts, newest first; `mine=true` only those of the key's account",
      query: receiptQuery,
      handle: async ({ query, key }) => {
        const { limit, beforeSeq, mine } = query;
        if (mine && key === undefined) return refuse("unauthenticated", "mine=true needs an API key");
        const isOwn = mine || key?.scope !== undefined;
        const found = await ledger.books.recent({
          limit,
          ...(beforeSeq === undefined ? {} : { beforeSeq }),
          ...(isOwn && key !== undefined ? { account: key.account } : {}),
        });
        const last = found.length < limit ? undefined : found.at(-1);
        return json({ data: found.map(view), ...(last === undefined ? {} : { nextBeforeSeq: last.seq }) });
      },
    }),
  ];
}

type Stored = NonNullable<Awaited<ReturnType<Floor["ledger"]["books"]["receipt"]>>>;

async function explainStored(
  floor: Floor,
  { receipt, opening: text }: Stored,
  view: ReceiptView,
  key: ApiKey | undefined,
): Promise<Explanation> {
  const isPayer = mayOpen(floor, key, receipt.account);
  const payees = isPayer ? nobody : ownRecords(floor, key);
  const isContributor = view.legs.some(({ role, payee }) => role === "contributor" && payees.has(payee));
  const opening = isPayer || isContributor ? openingOf(text) : undefined;
  const grounding = floor.catalog
    .list()
    .find(
      ({ asset, grounding: one }) =>
        equalBytes(asset, receipt.model) && equalBytes(one?.indexId ?? none, receipt.indexId),
    )?.grounding;
  return explain({
    ...{ receipt: view, opening, payees, view: isPayer ? "payer" : isContributor ? "contributor" : "public" },
    combination: await floor.combinations(receipt.methodsHash),
    trace: isPayer && opening !== undefined ? await grounding?.trace?.(opening.prompt, opening.answer) : undefined,
    labelOf: (id) => floor.labels(fromHex(id)),
  });
}

const none = new Uint8Array(32);
const nobody: ReadonlySet<string> = new Set();

function unknown(id: string): Result<Reply> {
  return refuse("not_found", `there is no receipt ${id}`, { field: "id" });
}

/** What to say where a receipt is not found: an execution that still runs has its receipt's id. */
function missingOf({ leases }: Floor, id: Uint8Array): Result<Reply> {
  if (!leases.isKept(id)) return unknown(toHex(id));
  const hint = "ask again in a second: it is written when its answer is attributed";
  return refuse("not_found", `the receipt ${toHex(id)} is not written yet`, { field: "id", hint });
}

/** To a key of an organisation, what others paid for is not there, unless it pays those whom its account stands for; to a project's key it never is. */
function isAnothers({ ledger }: Floor, key: ApiKey | undefined, { account, legs }: Receipt): boolean {
  if (key?.scope === undefined) return false;
  if (equalBytes(ledger.accounts.get(key.account)?.pseudonym ?? none, account)) return false;
  if (key.scope.project !== undefined) return true;
  const numbers = new Set(ledger.earnings.of(key.account).map(({ payee }) => ledger.books.payeeNumber(payee)));
  return !legs.some(({ payee }) => numbers.has(payee));
}

/** Whose records a key sees the evidence for, by hex id: those whom its account stands for, as far as it may open receipts. */
function ownRecords({ ledger, organisations }: Floor, key: ApiKey | undefined): ReadonlySet<string> {
  if (key === undefined || key.scope?.project !== undefined) return nobody;
  if (key.scope !== undefined && !may(organisations?.roleOf(key), "receipts.open")) return nobody;
  return new Set(ledger.earnings.of(key.account).map(({ payee }) => hexText(payee)));
}

/** The key of the paying account, or an admin's. */
function mayOpen({ ledger, organisations }: Floor, key: ApiKey | undefined, pseudonym: Uint8Array): boolean {
  if (key === undefined) return false;
  if (key.scope !== undefined && !may(organisations?.roleOf(key), "receipts.open")) return false;
  const account = ledger.accounts.get(key.account);
  return key.admin || (account !== undefined && equalBytes(account.pseudonym, pseudonym));
}

/** Whose source it was reported from, and its own keys whatever they may open: a source's ids say nothing of what was asked. */
function mayTrace({ ledger }: Floor, key: ApiKey | undefined, { flags, account }: Receipt): boolean {
  if (key === undefined || !flags.reported) return false;
  return key.admin || equalBytes(ledger.accounts.get(key.account)?.pseudonym ?? none, account);
}

function reportedView({ source, id, causedBy, caused, laterWords }: Reported): ReportedView {
  const named = ({ receipt, ...name }: Reported["caused"][number]) => ({ ...name, receipt: hexText(receipt) });
  return {
    ...{ source, id, caused: caused.map(named), laterWords: [...laterWords] },
    ...(causedBy === undefined
      ? {}
      : { causedBy: { ...causedBy, receipt: causedBy.receipt && hexText(causedBy.receipt) } }),
  };
}

function openingOf(text: string | undefined): Opening | undefined {
  const opening = text === undefined ? undefined : readOpening(text);
  return opening?.ok ? opening.value : undefined;
}

import { fromHex, toHex } from "../core/bytes.ts";
import { type Result, refuse } from "../core/result.ts";
import type { EpochSummary } from "../ledger/ledger.ts";
import {
  claimSchema,
  closedEpochSchema,
  type EpochView,
  epochListSchema,
  epochParam,
  epochSchema,
  epochStepBody,
  inclusionQuery,
  inclusionSchema,
  payeeParam,
  payoutParam,
  payoutSchema,
  postingParam,
  postingSchema,
  seqParam,
} from "../protocol/epochs.ts";
import { inclusion } from "./journal.ts";
import type { Floor } from "./order.ts";
import type { ChainView, EpochControl, JournalFiles } from "./ports.ts";
import { json, jsonOf, plain, type Reply, type Route, route } from "./routes.ts";
import { stagesOf, stagesView } from "./stages.ts";

export interface EpochParts {
  readonly journal: JournalFiles | undefined;
  readonly chain: ChainView | undefined;
  readonly epochs: EpochControl | undefined;
}

/** Epochs, the proofs that they make possible, and what a payee can claim. */
export function epochRoutes(floor: Floor, { journal, chain, epochs }: EpochParts): Route[] {
  const books = floor.ledger.epochs;
  const shared = { ...plain, method: "GET", access: "open" } as const;
  return [
    route({
      ...{ ...shared, path: "/api/epochs", tag: "epochs", response: epochListSchema },
      summary: "Closed epochs, newest first, and the open one",
      handle: () => json({ data: books.list().map(epochView).reverse(), open: books.open() }),
    }),
    route({
      ...{ ...shared, path: "/api/epochs/{epoch}", tag: "epochs", params: epochParam, response: epochSchema },
      summary: "One epoch",
      handle: ({ params }) => {
        const found = books.list().find((one) => one.record.epoch === params.epoch);
        return found === undefined
          ? refuse("not_found", `epoch ${params.epoch} is not closed`)
          : json(epochView(found));
      },
    }),
    route({
      ...{
        ...shared,
        method: "POST",
        path: "/api/epochs",
        tag: "epochs",
        access: "admin",
        response: closedEpochSchema,
      },
      summary: "Close the open epoch now",
      handle: async () => (epochs === undefined ? notHere("closing epochs") : jsonOf(await epochs.close())),
    }),
    ...creditRoutes(floor, epochs),
    route({
      ...{
        ...shared,
        path: "/api/epochs/{epoch}/payouts/{payee}",
        tag: "proofs",
        params: payoutParam,
        response: payoutSchema,
      },
      summary: "A payee's leaf of the payout tree and its proof: what the contract asks for",
      handle: async ({ params: { epoch, payee } }) =>
        jsonOf(await books.payout(epoch, fromHex(payee)), (proof) => ({
          ...{ epoch, index: proof.index, payee: toHex(proof.payee), cumulative: String(proof.cumulative) },
          proof: proof.proof.map(toHex),
        })),
    }),
    route({
      ...{
        ...shared,
        path: "/api/epochs/{epoch}/debits/{payee}",
        tag: "proofs",
        params: payoutParam,
        response: payoutSchema,
      },
      summary: "A payer's leaf of the debit tree and its proof",
      handle: async ({ params: { epoch, payee } }) =>
        jsonOf(await books.debit(epoch, fromHex(payee)), (proof) => ({
          ...{ epoch, index: proof.index, payee: toHex(proof.payee), cumulative: String(proof.cumulative) },
          proof: proof.proof.map(toHex),
        })),
    }),
    route({
      ...{
        ...shared,
        path: "/api/epochs/{epoch}/postings/{index}",
        tag: "proofs",
        params: postingParam,
        response: postingSchema,
      },
      summary: "A leaf of the postings tree and its proof",
      handle: async ({ params: { epoch, index } }) =>
        jsonOf(await books.posting(epoch, index), ({ leaf, proof }) => ({
          epoch,
          index,
          leaf: toHex(leaf),
          proof: proof.map(toHex),
        })),
    }),
    route({
      ...{ ...shared, path: "/api/proofs/inclusion/{seq}", tag: "proofs", params: seqParam, query: inclusionQuery },
      response: inclusionSchema,
      summary: "RFC 6962 audit path of a journal entry",
      handle: async ({ params, query }) =>
        journal === undefined
          ? notHere("the published journal")
          : jsonOf(await inclusion(journal, params.seq, query.size)),
    }),
    route({
      ...{ ...shared, path: "/api/claims/{payee}", tag: "claims", params: payeeParam, response: claimSchema },
      summary: "What a payee has accrued, what is final, and what it has claimed",
      handle: ({ params }) => claim(floor, chain, fromHex(params.payee)),
    }),
  ];
}

function notHere(what: string): Result<Reply> {
  return refuse("not_found", `${what}: not part of this node`);
}

/** What only a ledger on credit does by hand; elsewhere the chain does it. */
function creditRoutes(floor: Floor, epochs: EpochControl | undefined): Route[] {
  const shared = { ...plain, method: "POST", access: "admin", tag: "epochs" } as const;
  const step = async (verb: "fund" | "settle", epoch: number, reference: string): Promise<Result<Reply>> => {
    const act = epochs?.[verb];
    if (act === undefined)
      return refuse("conflict", "this ledger settles on its chain, by itself", { hint: "see: openledger epoch list" });
    const done = await act(epoch, reference);
    if (!done.ok) return done;
    const found = floor.ledger.epochs.list().find((one) => one.record.epoch === epoch);
    return found === undefined ? refuse("not_found", `epoch ${epoch} is not closed`) : json(epochView(found));
  };
  const input = { params: epochParam, body: epochStepBody, response: epochSchema } as const;
  return [
    route({
      ...{ ...shared, ...input, path: "/api/epochs/{epoch}/funding" },
      summary: "On credit: the money for a closed epoch has arrived",
      handle: ({ params, body }) => step("fund", params.epoch, body.reference),
    }),
    route({
      ...{ ...shared, ...input, path: "/api/epochs/{epoch}/settlement" },
      summary: "On credit: a funded epoch is released for payment",
      handle: ({ params, body }) => step("settle", params.epoch, body.reference),
    }),
  ];
}

async function claim(
  { ledger, labels }: Floor,
  chain: ChainView | undefined,
  payee: Uint8Array,
): Promise<Result<Reply>> {
  if (ledger.books.payeeNumber(payee) === undefined)
    return refuse("not_found", `the journal knows no payee ${toHex(payee)}`);
  const { lifetime, open } = ledger.books.accrued(payee);
  const label = labels(payee);
  const latest = ledger.epochs.list().findLast((one) => one.status === "final" && !one.isPast);
  const claimed = await chain?.claimed(payee);
  const paid = claimed?.ok ? claimed.value : 0n;
  const reached = await stagesOf(ledger, payee, paid);
  const final = reached.settled + paid;
  return json({
    ...{ payee: toHex(payee), lifetime: String(lifetime), openEpoch: String(open), stages: stagesView(reached) },
    ...(label === undefined ? {} : { label }),
    ...(latest === undefined ? {} : { latestEpoch: latest.record.epoch, final: String(final) }),
    ...(chain === undefined ? {} : { settlement: chain.settlement, chainId: chain.chainId }),
    ...(claimed?.ok ? { claimed: String(claimed.value), claimable: String(reached.settled) } : {}),
  });
}

const stages = { closed: "accrued", proposed: "funded", final: "settled", voided: "voided" } as const;

function epochView({ record, seq, timeMs, status, reference, isPast }: EpochSummary): EpochView {
  const { epoch, first, end, credits, debits, registryBlock } = record;
  return {
    ...{ epoch, first, end, status, stage: stages[status], isPast, reference, seq, timeMs, registryBlock },
    postings: { root: toHex(record.postingsRoot), count: record.postingsCount },
    payouts: { root: toHex(record.payoutRoot), count: record.payoutCount },
    debitors: { root: toHex(record.debitRoot), count: record.debitCount },
    ...{ credits: String(credits), debits: String(debits), policyHash: toHex(record.policyHash) },
  };
}

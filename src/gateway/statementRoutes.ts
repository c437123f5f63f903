import { fromHex, toHex } from "../core/bytes.ts";
import { ok, refuse } from "../core/result.ts";
import { csvField } from "../ledger/bankFile.ts";
import type { IssuedStatement, StatementDesk } from "../ledger/issued.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import { statementPdf } from "../ledger/statementPdf.ts";
import {
  type IssuedStatementView,
  issueBody,
  issuedSchema,
  issuedStatementListSchema,
  issuedStatementSchema,
  issuerBody,
  issuerSchema,
  statementFormatQuery,
  statementListQuery,
  statementNumberParam,
} from "../protocol/statements.ts";
import type { Floor } from "./order.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

/** Monthly statements and credit notes as they were issued. They name people: an admin sees all, every other key its account's own. */
export function statementRoutes({ ledger, labels, catalog }: Floor, desk: StatementDesk): Route[] {
  const nameOf = (of: string): string | undefined =>
    of === "" ? undefined : (catalog.nameOf(fromHex(of)) ?? labels(fromHex(of)));
  const shared = { ...plain, access: "key", needs: "money.read", tag: "statements" } as const;
  const ownParty = (key: ApiKey | undefined): string | undefined => {
    const account = key === undefined ? undefined : ledger.accounts.get(key.account);
    return key?.admin === true ? undefined : toHex(account?.pseudonym ?? new Uint8Array(16));
  };
  return [
    route({
      ...{
        ...shared,
        access: "admin",
        method: "POST",
        path: "/api/statements",
        body: issueBody,
        response: issuedSchema,
      },
      summary:
        "Issue a month's statements for everybody who was credited or charged in it; again, only what is missing",
      handle: async ({ body }) => jsonOf(await desk.issue(body.period)),
    }),
    ...issuerRoutes(desk),
    route({
      ...{ ...shared, method: "GET", path: "/api/statements", query: statementListQuery },
      ...{ summary: "Issued statements, by number, without their lines", response: issuedStatementListSchema },
      handle: async ({ query: { period, party, limit }, key }) => {
        const of = ownParty(key) ?? (party === undefined ? undefined : toHex(fromHex(party)));
        const wanted = {
          ...(period === undefined ? {} : { period }),
          ...(of === undefined ? {} : { party: of }),
        };
        const found = await desk.store.list({ ...wanted, limit });
        return json({
          data: found.map((one) => ({ ...statementView(one, nameOf), lines: undefined, claims: undefined })),
        });
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/statements/{number}", params: statementNumberParam },
      ...{
        summary: "One statement, as JSON, CSV or PDF",
        query: statementFormatQuery,
        response: issuedStatementSchema,
        produces: ["application/json", "text/csv", "application/pdf"],
      },
      handle: async ({ params, query, key }) => {
        const own = ownParty(key);
        const issued = await desk.get(params.number);
        const isOwn = own === undefined || !issued.ok || issued.value.party.id === own;
        const found = isOwn ? issued : refuse("not_found", `there is no statement ${params.number}`);
        if (!found.ok || query.format === "json") return jsonOf(found, (one) => statementView(one, nameOf));
        const name = `statement-${params.number}.${query.format}`;
        const isCsv = query.format === "csv";
        return ok({
          kind: "bytes",
          body: isCsv ? statementCsv(found.value, nameOf) : await statementPdf(found.value, nameOf),
          headers: {
            "content-type": isCsv ? "text/csv; charset=utf-8" : "application/pdf",
            "content-disposition": `attachment; filename="${name}"`,
          },
        });
      },
    }),
  ];
}

function issuerRoutes({ store }: StatementDesk): Route[] {
  const shared = { ...plain, access: "admin", path: "/api/issuer", tag: "statements", response: issuerSchema } as const;
  return [
    route({
      ...{ ...shared, method: "GET", summary: "Who issues this node's statements" },
      handle: async () => json({ issuer: (await store.issuer()) ?? null }),
    }),
    route({
      ...{ ...shared, method: "POST", body: issuerBody },
      summary: "Say who issues statements from now on; those that were issued stay as they are",
      handle: async ({ body: { dueDays, ...issuer } }) => {
        const said = { ...issuer, ...(dueDays === undefined ? {} : { dueDays }) };
        await store.setIssuer(said);
        return json({ issuer: said });
      },
    }),
  ];
}

type NameOf = (of: string) => string | undefined;

/** Names of models and pools are those of today, and no part of the hash, which is over their ids. */
function statementView(statement: IssuedStatement, nameOf: NameOf): IssuedStatementView {
  const named = (of: string) => {
    const name = nameOf(of);
    return name === undefined ? {} : { name };
  };
  return {
    ...statement,
    ...{ nano: String(statement.nano), microUsd: String(statement.microUsd) },
    lines: statement.lines.map((line) => ({
      ...line,
      ...named(line.of),
      nano: String(line.nano),
      microUsd: String(line.microUsd),
    })),
    claims: statement.claims.map(({ nano, feeNano, microUsd, accrualMicroUsd, ...claim }) => ({
      ...{ ...claim, nano: String(nano), feeNano: String(feeNano), microUsd: String(microUsd) },
      ...(accrualMicroUsd === undefined ? {} : { accrualMicroUsd: String(accrualMicroUsd) }),
    })),
  };
}

/**
 * RFC 4180; a line's amounts are whole nano OPEN and whole millionths of a dollar. None of its texts is a person's own. A claim is a row of its own kind, which has a time, a source
 * for its rate, a fee and what it was worth when it was credited besides. The last column is what a model or pool is called.
 */
function statementCsv({ lines, claims }: IssuedStatement, nameOf: NameOf): string {
  const head = ["kind", "role", "by", "count", "nano", "nano per USD", "micro-USD"];
  const more = ["time", "rate source", "fee nano", "micro-USD at accrual", "name"];
  const rows = lines.map(({ kind, role, of, count, nano, nanoPerUsd, microUsd }) =>
    [kind, role, of, count, nano, nanoPerUsd, microUsd, "", "", "", "", csvField(nameOf(of) ?? "")].join(","),
  );
  const claimed = claims.map(({ way, reference, timeMs, nano, feeNano, nanoPerUsd, source, ...worth }) =>
    [
      ...["claimed", way, reference, 1, nano, nanoPerUsd, worth.microUsd],
      ...[new Date(timeMs).toISOString(), source, feeNano, worth.accrualMicroUsd ?? "", ""],
    ].join(","),
  );
  return [[...head, ...more].join(","), ...rows, ...claimed].map((row) => `${row}\r\n`).join("");
}

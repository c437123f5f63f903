import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, refuse } from "../../core/result.ts";
import { firstBroken } from "../../ledger/audit.ts";
import { keyListSchema, keySchema, limitsSchema, newKeySchema } from "../../protocol/accounts.ts";
import { auditSchema, organisationParam, spendingSchema, usageSchema } from "../../protocol/organisations.ts";
import { parseInput } from "../../protocol/parse.ts";
import { counted } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, openAmount, wholeNumber } from "./inputs.ts";
import { describeLimits, orgOption, personName, targetOf } from "./orgInputs.ts";

const org = organisationParam.shape.id.default("me");
const keyId = z.string().regex(/^key_[0-9a-f]{24}$/, "a key id, key_ and 24 hex digits");
const whole = wholeNumber(1, 1_000_000_000).optional();

const key = command({
  path: "org key",
  summary: "Create a key of a project, or another key of one's own; its secret is shown this once",
  arguments: [["<name>", "what it is for"]],
  options: [
    ["--project <id>", "a project's key executes and nothing else; without it, a key in one's own role"],
    orgOption,
  ],
  examples: ["openledger org key prod --project prj_…", "openledger org key laptop"],
  input: z.object({ name: personName, project: z.string().optional(), org }),
  run: async ({ name, project, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const path = `/api/organisations/${id}/keys`;
    const made =
      project === undefined
        ? await client.value.post(`${path}/own`, { name }, newKeySchema)
        : await client.value.post(path, { name, project }, newKeySchema);
    if (made.ok) {
      output.line(made.value.secret);
      output.line(`  ${made.value.key.id}; the secret is not shown again`);
    }
    return made;
  },
});

const keys = command({
  path: "org keys",
  summary: "The organisation's keys",
  options: [orgOption],
  examples: ["openledger org keys"],
  input: z.object({ org }),
  run: async ({ org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/organisations/${id}/keys`, keyListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ id: name, name: what, hint, scope, limits, revokedMs }) => ({
          ...{ id: name, name: what, hint, member: scope?.member, project: scope?.project },
          ...{ limits: describeLimits(limits, formatOpen), revoked: revokedMs && new Date(revokedMs).toISOString() },
        })),
        "make one: openledger org key NAME",
      );
    return found;
  },
});

const rotate = command({
  path: "org rotate",
  summary: "Another secret for the same key; the old one stops at once",
  arguments: [["<id>", "key_ and 24 hex digits"]],
  options: [orgOption],
  examples: ["openledger org rotate key_…"],
  input: z.object({ id: keyId, org }),
  run: async ({ id: which, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const fresh = await client.value.post(`/api/organisations/${id}/keys/${which}/rotate`, {}, newKeySchema);
    if (fresh.ok) {
      output.line(fresh.value.secret);
      output.line(`  ${fresh.value.key.id} (${fresh.value.key.name}); the secret before it has stopped`);
    }
    return fresh;
  },
});

const revoke = command({
  path: "org revoke",
  summary: "Revoke a key, at once and for good",
  arguments: [["<id>", "key_ and 24 hex digits"]],
  options: [orgOption],
  examples: ["openledger org revoke key_…"],
  input: z.object({ id: keyId, org }),
  run: async ({ id: which, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const revoked = await client.value.delete(`/api/organisations/${id}/keys/${which}`, keySchema);
    if (revoked.ok) output.line(`${revoked.value.id} (${revoked.value.name}) is revoked`);
    return revoked;
  },
});

const limit = command({
  path: "org limit",
  summary: "Set the limits of an organisation, member, project or key, in place of those it has",
  arguments: [["<id>", "mem_…, prj_… or key_…; me or org_… for the whole organisation"]],
  options: [
    ["--open-per-day <open>", "OPEN at most on a UTC day"],
    ["--requests-per-minute <count>", "at most"],
    ["--tokens-per-minute <count>", "at most"],
    ["--in-flight <count>", "requests at once at most"],
    orgOption,
  ],
  examples: ["openledger org limit me --open-per-day 50", "openledger org limit prj_… --in-flight 20"],
  input: z.object({
    ...{ id: z.string().regex(/^(?:me|(?:org|mem|prj|key)_[0-9a-f]{24})$/, "me, or an org_, mem_, prj_ or key_ id") },
    ...{ openPerDay: openAmount.optional(), requestsPerMinute: whole, tokensPerMinute: whole, inFlight: whole, org },
  }),
  run: async ({ id, org: of, openPerDay, ...counts }, { client: open, output }) => {
    const limits = parseInput(limitsSchema, {
      ...counts,
      ...(openPerDay === undefined ? {} : { nanoPerDay: openPerDay }),
    });
    if (!limits.ok) return limits;
    const client = await open();
    if (!client.ok) return client;
    const isWhole = id === "me" || id.startsWith("org_");
    const path = isWhole ? `/api/organisations/${id}` : `/api/organisations/${of}/${targetOf(id)}`;
    const set = await client.value.post(`${path}/limits`, limits.value, z.object({ limits: limitsSchema }));
    if (set.ok) output.line(`${id}: ${describeLimits(set.value.limits, formatOpen) || "no limits"}`);
    return set;
  },
});

const usage = command({
  path: "org usage",
  summary: "What the organisation and its parts use now, beside their limits",
  options: [orgOption],
  examples: ["openledger org usage"],
  input: z.object({ org }),
  run: async ({ org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/organisations/${id}/usage`, usageSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ what, limits, nanoToday, inFlight }) => ({
          ...{ what, "OPEN today": formatOpen(nanoToday), "in flight": inFlight },
          limits: describeLimits(limits, formatOpen),
        })),
      );
    return found;
  },
});

const spending = command({
  path: "org spending",
  summary: "What each key spent on each day",
  options: [["--from <date>", "the first day, as 2027-01-31"], ["--until <date>", "the day after the last"], orgOption],
  examples: ["openledger org spending --from 2027-01-01 --until 2027-02-01"],
  input: z.object({
    from: z.iso.date("must be a date as 2027-01-31"),
    until: z.iso.date("must be a date as 2027-01-31"),
    org,
  }),
  run: async ({ from, until, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/organisations/${id}/spending`, spendingSchema, { from, until });
    if (found.ok)
      output.table(
        found.value.data.map(({ nano, ...rest }) => ({ ...rest, OPEN: formatOpen(nano) })),
        "nothing was spent in this time",
      );
    return found;
  },
});

const ROWS_AT_ONCE = 1_000;

const audit = command({
  path: "org audit",
  summary: "Every administrative act, and whether the log is whole",
  options: [["--node", "of the node itself: what its owner did"], orgOption],
  examples: ["openledger org audit", "openledger org audit --node"],
  input: z.object({ node: flag, org }),
  run: async ({ node, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const path = node ? "/api/audit" : `/api/organisations/${id}/audit`;
    const rows: z.infer<typeof auditSchema>["data"] = [];
    for (;;) {
      const page = await client.value.get(path, auditSchema, { after: rows.length, limit: ROWS_AT_ONCE });
      if (!page.ok) return page;
      rows.push(...page.value.data);
      if (page.value.data.length < ROWS_AT_ONCE) break;
    }
    output.table(
      rows.map(({ number, timeMs, member, key: by, action, target, before, after }) => ({
        ...{ number, time: new Date(timeMs).toISOString(), by: member === "" ? by : member, action, target },
        what: before === "" ? after : `${before} → ${after}`,
      })),
    );
    const broken = firstBroken(rows, undefined);
    if (broken !== undefined)
      return refuse("verification_failed", `row ${broken} does not follow from the one before it`);
    output.line(
      `  ${counted(rows.length, "row")}, each following from the one before${rows.length === 0 ? "" : `; the last is ${rows.at(-1)?.hash}`}`,
    );
    return ok({ data: rows });
  },
});

export const orgKeyCommands: readonly CliCommand[] = [key, keys, rotate, revoke, limit, usage, spending, audit];

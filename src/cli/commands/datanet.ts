import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { refuse } from "../../core/result.ts";
import {
  contributionListSchema,
  contributionSchema,
  contributorListSchema,
  datanetListSchema,
  datanetSchema,
  diffSchema,
  recordListSchema,
  versionListSchema,
  versionSchema,
} from "../../protocol/datanets.ts";
import { parseInput } from "../../protocol/parse.ts";
import { contextSchema, createDatanetSchema } from "../../protocol/workshop.ts";
import { counted, payeeText, percent } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { count, flag, wholeNumber, wholeText } from "./inputs.ts";

const name: readonly [string, string] = ["<name>", "the datanet"];
const named = z.object({ name: wholeText });

const create = command({
  path: "datanet create",
  summary: "Create a datanet",
  arguments: [["<name>", "1 to 64 of a-z, 0-9 and . _ - inside"]],
  options: [
    ["--summary <text>", "one line on what it is about"],
    ["--licence <spdx>", "SPDX id under which the whole is offered, for example CC-BY-4.0"],
    ["--description <text>", "more about it"],
    ["--tag <tag...>", "what it is found by"],
    ["--review <open|required>", "open: what passes the automatic checks is approved at once"],
    ["--allow <spdx...>", "licences that records may have; permissive ones where it is left out"],
  ],
  examples: [
    'openledger datanet create handbook --summary "How we work" --licence CC-BY-4.0',
    'openledger datanet create notes --summary "Field notes" --licence MIT --review open --tag field',
  ],
  input: z.object({
    ...{ name: wholeText, summary: wholeText, licence: wholeText, description: z.string().optional() },
    ...{ tag: z.array(z.string()).optional(), review: z.string().optional(), allow: z.array(z.string()).optional() },
  }),
  run: async ({ tag, review, allow, ...facts }, { client: open, output }) => {
    const rules = { ...(review && { review }), ...(allow && { licences: allow }) };
    const wanted = { ...facts, ...(tag && { tags: tag }), ...(Object.keys(rules).length > 0 && { rules }) };
    const draft = parseInput(createDatanetSchema, wanted);
    if (!draft.ok) return draft;
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post("/api/datanets", draft.value, datanetSchema);
    if (made.ok) {
      output.line(`datanet ${made.value.name} is there`);
      output.line(`  put something in: openledger datanet import ${made.value.name} --git DIR`);
    }
    return made;
  },
});

const list = command({
  path: "datanet list",
  summary: "All datanets of the node",
  examples: ["openledger datanet list", "openledger datanet list --json"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/datanets", datanetListSchema);
    if (found.ok) {
      output.table(
        found.value.data.map(({ name, version, records, contributors, licence, summary }) => ({
          ...{ name, version, records, contributors, licence, summary },
        })),
        "make one: openledger datanet create --help",
      );
    }
    return found;
  },
});

const show = command({
  path: "datanet show",
  summary: "One datanet and its versions",
  arguments: [name],
  examples: ["openledger datanet show npm-docs"],
  input: named,
  run: async ({ name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(pathOf(name), datanetSchema);
    if (!found.ok) return found;
    const versions = await client.value.get(`${pathOf(name)}/versions`, versionListSchema);
    if (!versions.ok) return versions;
    const { id, summary, licence, tags, records, contributors } = found.value;
    output.heading(found.value.name);
    output.line(summary);
    output.line(
      `${counted(records, "record")} by ${counted(contributors, "contributor")}, ${licence}${tags.map((tag) => ` #${tag}`).join("")}`,
    );
    output.line(`id ${id}`);
    output.heading("Versions");
    output.table(
      versions.value.data.map(({ version, records, contributions, createdMs, contentRoot }) => ({
        ...{
          version,
          records,
          contributions,
          published: new Date(createdMs).toISOString(),
          "content root": contentRoot,
        },
      })),
      "freeze what is approved as the first: openledger datanet publish DATANET",
    );
    return { ok: true, value: { ...found.value, versions: versions.value.data } };
  },
});

const records = command({
  path: "datanet records",
  summary: "Records of a datanet, or those that a search finds",
  arguments: [name],
  options: [
    ["--query <text>", "search for this"],
    ["--limit <count>", "at most this many (default 20)"],
    ["--offset <count>", "skip this many"],
  ],
  examples: ["openledger datanet records npm-docs --limit 5", 'openledger datanet records npm-docs --query "retry"'],
  input: z.object({
    ...{ name: wholeText, query: wholeText.optional(), limit: count.default(20) },
    offset: wholeNumber(0, 10_000_000).default(0),
  }),
  run: async ({ name, query, limit, offset }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`${pathOf(name)}/records`, recordListSchema, { q: query, limit, offset });
    if (found.ok) {
      output.table(
        found.value.data.map(({ id, title, headingPath, authors, source }) => ({
          ...{ id: id.slice(0, 14), title: placeText(title, headingPath) },
          ...{ authors: authors.map((author) => author.name), source },
        })),
      );
      output.line(`${found.value.data.length} of ${found.value.total}`);
    }
    return found;
  },
});

const contributors = command({
  path: "datanet contributors",
  summary: "Who is in a datanet, and what they have been credited",
  arguments: [name],
  examples: ["openledger datanet contributors npm-docs"],
  input: named,
  run: async ({ name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`${pathOf(name)}/contributors`, contributorListSchema);
    if (found.ok) {
      output.table(
        found.value.data.map(({ label, records, accrued, payee }) => ({
          ...{ contributor: label, records, "credited OPEN": formatOpen(BigInt(accrued)), payee: payeeText(payee) },
        })),
        "put something in: openledger datanet import --help",
      );
    }
    return found;
  },
});

const diff = command({
  path: "datanet diff",
  summary: "What changed between two versions",
  arguments: [name, ["<from>", "a version's number"], ["<to>", "a version's number"]],
  examples: ["openledger datanet diff npm-docs 1 2"],
  input: z.object({ name: wholeText, from: count, to: count }),
  run: async ({ name, from, to }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`${pathOf(name)}/diff`, diffSchema, { from, to });
    if (found.ok) {
      const { added, removed, unchanged } = found.value;
      for (const id of added) output.line(`+ ${id}`);
      for (const id of removed) output.line(`- ${id}`);
      output.line(`${added.length} added, ${removed.length} removed, ${unchanged} unchanged`);
    }
    return found;
  },
});

const review = command({
  path: "datanet review",
  summary: "The contributions that wait for a decision, or the decision on one",
  arguments: [name, ["[contribution]", "its id; without one the open contributions are listed"]],
  options: [
    ["--approve", "take it"],
    ["--reject", "do not take it"],
    ["--reason <text>", "why; published with the decision"],
  ],
  examples: [
    "openledger datanet review handbook",
    'openledger datanet review handbook 0x3f… --approve --reason "checked against the sources"',
  ],
  input: z.object({
    ...{ name: wholeText, contribution: wholeText.optional() },
    ...{ approve: flag, reject: flag, reason: z.string().optional() },
  }),
  run: async ({ name, contribution, approve, reject, reason }, { client: open, output }) => {
    if (contribution !== undefined && approve === reject)
      return refuse("invalid_request", "a review either approves or rejects", { hint: "--approve or --reject" });
    if (contribution !== undefined && (reason ?? "").trim().length < 3)
      return refuse("invalid_request", "a review gives its reason, in at least 3 characters", { field: "reason" });
    const client = await open();
    if (!client.ok) return client;
    const path = `${pathOf(name)}/contributions`;
    if (contribution === undefined) {
      const waiting = await client.value.get(path, contributionListSchema, { state: "open", limit: 1_000 });
      if (waiting.ok) {
        output.table(
          waiting.value.data.map(({ id, by, records, createdMs }) => ({
            ...{ id, by, records, submitted: new Date(createdMs).toISOString() },
          })),
          "nothing waits for a decision",
        );
      }
      return waiting;
    }
    const body = { decision: approve ? "approve" : "reject", reason };
    const decided = await client.value.post(
      `${path}/${encodeURIComponent(contribution)}/review`,
      body,
      contributionSchema,
    );
    if (decided.ok) output.line(`${decided.value.state}: ${counted(decided.value.records, "record")}`);
    return decided;
  },
});

const publish = command({
  path: "datanet publish",
  summary: "Freeze what is approved as the next version",
  arguments: [name],
  examples: ["openledger datanet publish handbook"],
  input: named,
  run: async ({ name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post(`${pathOf(name)}/versions`, {}, versionSchema);
    if (made.ok) {
      const { version, records, contributions, contentRoot } = made.value;
      output.line(
        `version ${version} of ${name}: ${counted(records, "record")} from ${counted(contributions, "contribution")}`,
      );
      output.line(`  content root ${contentRoot}`);
    }
    return made;
  },
});

const context = command({
  path: "datanet context",
  summary: "Who structured and reviewed a datanet's records, by what that changed in the answers of late",
  arguments: [name],
  options: [["--weigh", "pay the context's part of fees by it from now on; the close of an epoch does so by itself"]],
  examples: ["openledger datanet context handbook", "openledger datanet context handbook --weigh"],
  input: z.object({ name: wholeText, weigh: flag }),
  run: async ({ name, weigh }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const path = `${pathOf(name)}/context`;
    const found = weigh
      ? await client.value.post(path, {}, contextSchema)
      : await client.value.get(path, contextSchema);
    if (!found.ok) return found;
    for (const { version, answers, parties } of found.value.versions) {
      const total = parties.reduce((sum, { weight }) => sum + weight, 0);
      output.heading(`Version ${version}, ${counted(answers, "answer")} of late`);
      if (parties.length === 0)
        output.line("nothing was measured yet: the context's part goes to whoever owns the context");
      else
        output.table(
          parties.map(({ by, label, payee, weight }) => ({
            ...{ who: label ?? by, "of the context's part": percent(weight, total), payee: payeeText(payee) },
          })),
        );
    }
    return found;
  },
});

export const datanetCommands: readonly CliCommand[] = [
  create,
  list,
  show,
  records,
  contributors,
  context,
  diff,
  review,
  publish,
];

/** A record's place: its document's title and the headings that it stands under, of which the first is often that title. */
function placeText(title: string, headings: readonly string[]): string {
  return (headings[0] === title ? headings : [title, ...headings]).join(" › ");
}

export function pathOf(datanet: string): string {
  return `/api/datanets/${encodeURIComponent(datanet)}`;
}

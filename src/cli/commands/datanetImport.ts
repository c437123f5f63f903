import { basename, resolve } from "node:path";
import { z } from "zod";
import { ok, type Result, refuse } from "../../core/result.ts";
import { parseIdentity } from "../../datanets/identity.ts";
import { importFolder } from "../../datanets/importFolder.ts";
import { importGit } from "../../datanets/importGit.ts";
import type { DraftDocument, Import, ImportedGroup, LeftOut } from "../../datanets/importing.ts";
import { importJsonl } from "../../datanets/importJsonl.ts";
import { importNpm } from "../../datanets/importNpm.ts";
import type { Author, RecordContent } from "../../datanets/record.ts";
import { type Contributed, contributedSchema } from "../../protocol/workshop.ts";
import type { Client } from "../client.ts";
import { counted, type Output } from "../output.ts";
import { command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { flag, receiptId, wholeText } from "./inputs.ts";

/** A request stays well below what a node takes, however large the group. */
const BATCH = { records: 1_000, bytes: 1_500_000 } as const;
const LEFT_OUT_SHOWN = 20;

export const datanetImportCommand = command({
  path: "datanet import",
  summary: "Import documents here and contribute them to a datanet",
  arguments: [["<name>", "the datanet"]],
  options: [
    ["--folder <dir>", "the documents of a folder; needs --licence and --author"],
    ["--git <dir>", "the documents of a git repository, each by the people whose lines survive in it"],
    ["--jsonl <file>", "JSON lines, plain or gzipped, one document a line"],
    ["--npm <dir>", "README and docs of the packages of a node_modules folder"],
    ["--licence <spdx>", "what the folder or the repository does not say itself"],
    ["--author <author...>", 'who wrote a folder, as "Name <identity>", for example "Ann <git:ann@example.org>"'],
    ["--package <name...>", "of --npm only these packages"],
    ["--code", "also source code, not documents only"],
    ["--by <identity>", "who contributes; the node's own party where it is left out"],
    ["--label <text>", "what the contribution is called"],
    ["--derived-from <receipt...>", "receipts of this ledger's answers that the records were made from"],
  ],
  examples: [
    "openledger datanet import handbook --git ../handbook",
    'openledger datanet import notes --folder ./notes --licence CC-BY-4.0 --author "Ann <git:ann@example.org>"',
    "openledger datanet import npm-docs --npm ./node_modules",
    "openledger datanet import eips --jsonl eips.jsonl.gz --label eips",
  ],
  input: z.object({
    ...{ name: wholeText, folder: wholeText.optional(), git: wholeText.optional(), jsonl: wholeText.optional() },
    ...{ npm: wholeText.optional(), licence: wholeText.optional(), author: z.array(wholeText).default([]) },
    ...{ package: z.array(wholeText).optional(), code: flag, by: wholeText.optional(), label: wholeText.optional() },
    derivedFrom: z.array(receiptId).max(16).optional(),
  }),
  run: async (input, { client: open, output }) => {
    const events = importOf(input);
    if (!events.ok) return events;
    const client = await open();
    if (!client.ok) return client;
    const report = await contributeAll(client.value, input.name, input, events.value, output);
    if (!report.ok) return report;
    const { contributions, records, known, leftOut } = report.value;
    output.line(
      `${counted(contributions.length, "contribution")} with ${counted(records, "record")}; ${known} were there already`,
    );
    const pending = contributions.filter(({ status }) => status === "pending").length;
    if (pending > 0)
      output.line(`${pending} ${pending === 1 ? "waits" : "wait"} for review: openledger datanet review ${input.name}`);
    showLeftOut(leftOut, output);
    return report;
  },
});

interface Sources {
  readonly folder?: string | undefined;
  readonly git?: string | undefined;
  readonly jsonl?: string | undefined;
  readonly npm?: string | undefined;
  readonly licence?: string | undefined;
  readonly author: readonly string[];
  readonly package?: readonly string[] | undefined;
  readonly code: boolean;
  readonly label?: string | undefined;
}

function importOf(input: Sources): Result<Import> {
  const { folder, git, jsonl, npm, licence, code: withCode } = input;
  const given = [folder, git, jsonl, npm].filter((source) => source !== undefined);
  if (given.length !== 1) {
    return refuse("invalid_request", `an import has one source, got ${given.length}`, {
      hint: "one of --folder, --git, --jsonl, --npm",
    });
  }
  const label = input.label ?? basename(resolve(given[0]!));
  if (git !== undefined) return ok(importGit({ folder: git, withCode, ...(licence === undefined ? {} : { licence }) }));
  if (jsonl !== undefined) return ok(importJsonl({ file: jsonl, label }));
  if (npm !== undefined) {
    const wanted = input.package;
    return ok(importNpm({ folder: npm, ...(wanted && { accept: (name: string) => wanted.includes(name) }) }));
  }
  if (licence === undefined)
    return refuse("invalid_request", "a folder cannot say its licence itself", {
      field: "licence",
      hint: "--licence MIT",
    });
  const authors = parseAuthors(input.author);
  return authors.ok ? ok(importFolder({ folder: folder!, licence, authors: authors.value, label, withCode })) : authors;
}

function parseAuthors(texts: readonly string[]): Result<Author[]> {
  const authors: Author[] = [];
  for (const text of texts) {
    const match = /^([^<>]+)<([^<>]+)>$/.exec(text);
    const identity = match === null ? undefined : parseIdentity(match[2]!.trim());
    if (match === null || !identity?.ok) {
      return refuse("invalid_request", `"${text}" does not name an author`, {
        ...{ field: "author", hint: 'write "Name <identity>", for example "Ann <git:ann@example.org>"' },
      });
    }
    authors.push({ identity: identity.value.text, name: match[1]!.trim() });
  }
  if (authors.length > 0) return ok(authors);
  return refuse("invalid_request", "a folder cannot say who wrote it", {
    ...{ field: "author", hint: '--author "Name <identity>"' },
  });
}

interface ImportReport {
  readonly contributions: readonly Contributed[];
  readonly records: number;
  /** Contributions that the datanet had before. */
  readonly known: number;
  readonly leftOut: readonly LeftOut[];
}

async function contributeAll(
  client: Client,
  datanet: string,
  { by, derivedFrom }: { readonly by?: string | undefined; readonly derivedFrom?: readonly string[] | undefined },
  events: Import,
  output: Output,
): Promise<Result<ImportReport>> {
  const contributions: Contributed[] = [];
  const leftOut: LeftOut[] = [];
  const before = await client.get(`${pathOf(datanet)}`, z.looseObject({}));
  if (!before.ok) return before;
  let known = 0;
  for await (const event of events) {
    if (event.kind === "refused") return { ok: false, error: event.refusal };
    if (event.kind === "progress") {
      output.progress(event.total === null ? event.label : `${event.done} of ${event.total}  ${event.label}`);
    } else if (event.kind === "leftOut") leftOut.push({ what: event.what, reason: event.reason });
    else {
      for (const batch of batchesOf(event.group)) {
        const said = { ...(by === undefined ? {} : { by }), ...(derivedFrom === undefined ? {} : { derivedFrom }) };
        const body = { ...batch, ...said };
        const taken = await client.post(`${pathOf(datanet)}/contributions`, body, contributedSchema);
        if (taken.ok) {
          contributions.push(taken.value);
          leftOut.push(...taken.value.leftOut);
        } else if (taken.error.code === "already_exists") known += 1;
        else if (taken.error.code === "rule_violated")
          leftOut.push({ what: batch.label, reason: `${taken.error.message}. ${taken.error.hint ?? ""}`.trim() });
        else return taken;
      }
    }
  }
  const records = contributions.reduce((sum, one) => sum + one.records, 0);
  return ok({ contributions, records, known, leftOut });
}

/** The group in parts that one request can hold. The same group always has the same parts, so that the same import is the same contributions. */
export function* batchesOf(group: ImportedGroup): Generator<ImportedGroup> {
  const { documents = [] } = group;
  const parts: RecordContent[][] = [[]];
  let bytes = 0;
  for (const record of group.records) {
    const size = Buffer.byteLength(JSON.stringify(record));
    const last = parts.at(-1)!;
    if (last.length > 0 && (last.length >= BATCH.records || bytes + size > BATCH.bytes)) {
      parts.push([record]);
      bytes = size;
    } else {
      last.push(record);
      bytes += size;
    }
  }
  let first = 0;
  for (const [i, records] of parts.entries()) {
    const own = documentsIn(documents, first, first + records.length);
    first += records.length;
    const label = parts.length === 1 ? group.label : `${group.label} (part ${i + 1} of ${parts.length})`;
    yield { label, licence: group.licence, records, ...(own.length === 0 ? {} : { documents: own }) };
  }
}

/** Those that have records at the places [from, until), by their places from there. */
function documentsIn(documents: readonly DraftDocument[], from: number, until: number): readonly DraftDocument[] {
  return documents.flatMap(({ records, ...document }) => {
    const own = records.filter((at) => at >= from && at < until).map((at) => at - from);
    return own.length === 0 ? [] : [{ ...document, records: own }];
  });
}

function showLeftOut(leftOut: readonly LeftOut[], output: Output): void {
  if (leftOut.length === 0) return;
  output.heading(`Left out: ${leftOut.length}`);
  output.table(leftOut.slice(0, LEFT_OUT_SHOWN).map(({ what, reason }) => ({ what, reason })));
  if (leftOut.length > LEFT_OUT_SHOWN)
    output.line(`  and ${leftOut.length - LEFT_OUT_SHOWN} more; --json lists them all`);
}

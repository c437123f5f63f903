import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { padAddress, toHex } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { importGit } from "../../datanets/importGit.ts";
import type { Import } from "../../datanets/importing.ts";
import { importNpm } from "../../datanets/importNpm.ts";
import { importInto } from "../../datanets/intake.ts";
import type { DatanetRecord, RecordContent } from "../../datanets/record.ts";
import type { Node } from "../../node/node.ts";
import { counted, type Output } from "../output.ts";

/** What the demonstration stands on: a datanet of real contributions by real people, and the model that is made of it. */
export interface Library {
  readonly datanet: string;
  readonly model: string;
  readonly records: readonly DatanetRecord[];
  readonly contributor: Uint8Array;
  readonly isNew: boolean;
}

/** The demonstration's own contributor, whom it says to be its own: an account of the development chain. */
export const DEMO_CONTRIBUTOR = 2;

const ownRecord: Omit<RecordContent, "authors"> = {
  title: "openledger-receipt",
  headingPath: ["How to read an OpenLedger receipt"],
  text: [
    "An OpenLedger receipt says who paid for one execution, what ran, who ran it, what it used and what it cost.",
    "Its fee has two lines: the cost, which the operator keeps, and the royalty, which is divided over the model, its context, its contributors and the treasury.",
    "Each leg of a receipt names a role, a payee, a weight and an amount in nano OPEN; the amounts add up to the fee, to the last nano.",
    "Whoever holds the receipt can recompute every leg from the weights, the sequence number and the policy, without trusting the node that wrote it.",
  ].join("\n"),
  source: "openledger demonstration",
  licence: "CC0-1.0",
  date: null,
};

/** Makes the datanet and the model, or finds them as an earlier run has left them. */
export async function openLibrary(node: Node, repo: string | undefined, output: Output): Promise<Result<Library>> {
  const plan = planOf(repo);
  if (node.chain.actor === undefined) {
    return refuse("conflict", "the demonstration needs the development chain: it acts for people that it makes up", {
      hint: "run it without CHAIN_RPC_URL",
    });
  }
  const contributor = padAddress(Buffer.from(node.chain.actor(DEMO_CONTRIBUTOR).address.slice(2), "hex"));
  const known = await node.datanets.version(plan.name);
  if (known === undefined) {
    const made = await makeDatanet(node, plan, contributor, output);
    if (!made.ok) return made;
  }
  if (node.shelf.index(plan.name) === undefined) {
    output.progress("building the model");
    const model = await node.workshop.createModel({ name: plan.name, datanet: plan.name });
    if (!model.ok) return model;
  }
  const version = (await node.datanets.version(plan.name))!;
  const records = await node.datanets.versionRecords(plan.name, version.number);
  return ok({ datanet: plan.name, model: plan.name, records, contributor, isNew: known === undefined });
}

interface Plan {
  readonly name: string;
  readonly summary: string;
  readonly source: () => Import;
}

function planOf(repo: string | undefined): Plan {
  if (repo !== undefined) {
    const name =
      basename(resolve(repo))
        .toLowerCase()
        .replaceAll(/[^a-z0-9._-]+/g, "-")
        .replaceAll(/^[._-]+|[._-]+$/g, "") || "repository";
    return {
      name,
      summary: `The documentation of ${name}, by those whose lines survive in it`,
      source: () => importGit({ folder: repo }),
    };
  }
  const summary = "The documentation of the installed npm packages, by the people who wrote it";
  return { name: "npm-docs", summary, source: () => importNpm({ folder: modulesFolder() }) };
}

/** The node_modules that this program itself runs on. */
function modulesFolder(): string {
  const zod = fileURLToPath(import.meta.resolve("zod"));
  return zod.slice(0, zod.lastIndexOf("node_modules") + "node_modules".length) || dirname(zod);
}

async function makeDatanet(node: Node, plan: Plan, contributor: Uint8Array, output: Output): Promise<Result<void>> {
  if ((await node.datanets.datanet(plan.name)) === undefined) {
    const draft = { name: plan.name, summary: plan.summary, licence: "CC-BY-4.0", rules: { review: "open" } } as const;
    const created = await node.workshop.createDatanet(draft);
    if (!created.ok) return created;
  }
  const by = toHex(padAddress(node.chain.chain.node));
  const progress = (done: number, total: number | null, label: string): void =>
    output.progress(total === null ? label : `reading ${done}/${total} ${label}`);
  const imported = await importInto(node.datanets, plan.name, plan.source(), by, () => Date.now(), progress);
  if (!imported.ok) return imported;
  const { contributions, records, leftOut } = imported.value;
  output.line(
    `  taken in: ${counted(contributions.length, "contribution")} with ${counted(records, "record")}; left out: ${counted(leftOut.length, "thing")}, each with its reason:`,
  );
  for (const [reason, count] of reasons(leftOut).slice(0, 4))
    output.line(`    ${String(count).padStart(4)} × ${reason}`);
  const own = await node.workshop.contribute(plan.name, {
    by: toHex(contributor),
    label: "the demonstration's own contributor",
    licence: "CC0-1.0",
    records: [
      {
        ...ownRecord,
        headingPath: [...ownRecord.headingPath],
        authors: [{ identity: `address:${toHex(contributor.slice(12))}`, name: "the demonstration's own contributor" }],
      },
    ],
  });
  if (!own.ok) return own;
  const published = await node.workshop.publish(plan.name);
  return published.ok ? ok(undefined) : published;
}

function reasons(leftOut: readonly { readonly reason: string }[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { reason } of leftOut) {
    const kind = reason.replace(/^it has \d+ characters?.*/, "too short or too long to stand alone").slice(0, 90);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

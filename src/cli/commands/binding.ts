import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ok, type Result, refuse } from "../../core/result.ts";
import { type BindingView, bindingListSchema, bindingViewSchema, type Proof } from "../../protocol/workshop.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { flag, wholeText } from "./inputs.ts";

const proofOptions: readonly (readonly [string, string])[] = [
  ["--funding-json", "the proof is FUNDING.json on the repository's default branch; the node reads it itself"],
  ["--clone <dir>", "the node's own clone of the repository, on the node's machine"],
  ["--commit <file>", "the proof is a signed commit: a file with the raw object, as git cat-file commit ID prints it"],
];
const proofInput = { fundingJson: flag, clone: wholeText.optional(), commit: wholeText.optional() };

const list = command({
  path: "binding list",
  summary: "External identities that have answered, and whom they are bound to",
  examples: ["openledger binding list"],
  input: z.object({}),
  run: async (_input, { client: open, output, world }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/bindings", bindingListSchema);
    if (found.ok) showBindings(found.value.data, output, world.nowMs());
    return found;
  },
});

const notice = command({
  path: "binding notice",
  summary: "Bind an external identity to an address by its own proof: public notice first",
  arguments: [
    ["<datanet>", "the datanet that owes it"],
    ["<identity>", "for example repo:github.com/owner/name or git:ann@example.org"],
    ["<address>", "0x and 40 hex digits: whom the proof names"],
  ],
  options: proofOptions,
  examples: [
    "openledger binding notice npm-docs repo:github.com/ann/tool 0x… --funding-json",
    "openledger binding notice handbook git:ann@example.org 0x… --commit proof.commit",
  ],
  input: z.object({ datanet: wholeText, identity: wholeText, address: wholeText, ...proofInput }),
  run: async ({ datanet, identity, address, ...given }, { client: open, output, world }) => {
    const proof = await proofOf(given);
    if (!proof.ok) return proof;
    const client = await open();
    if (!client.ok) return client;
    const body = { identity, address, proof: proof.value };
    const noticed = await client.value.post(`${pathOf(datanet)}/bindings`, body, bindingViewSchema);
    if (noticed.ok) showBindings([noticed.value], output, world.nowMs());
    return noticed;
  },
});

const refuseBinding = command({
  path: "binding refuse",
  summary: "An external identity refuses, by its own proof",
  arguments: [
    ["<datanet>", "the datanet that owes it"],
    ["<identity>", "who refuses"],
  ],
  options: proofOptions,
  examples: ["openledger binding refuse npm-docs repo:github.com/ann/tool --funding-json"],
  input: z.object({ datanet: wholeText, identity: wholeText, ...proofInput }),
  run: async ({ datanet, identity, ...given }, { client: open, output, world }) => {
    const proof = await proofOf(given);
    if (!proof.ok) return proof;
    const client = await open();
    if (!client.ok) return client;
    const body = { identity, proof: proof.value };
    const refused = await client.value.post(`${pathOf(datanet)}/bindings/refuse`, body, bindingViewSchema);
    if (refused.ok) showBindings([refused.value], output, world.nowMs());
    return refused;
  },
});

export const bindingCommands: readonly CliCommand[] = [list, notice, refuseBinding];

async function proofOf(given: {
  readonly fundingJson: boolean;
  readonly clone?: string | undefined;
  readonly commit?: string | undefined;
}): Promise<Result<Proof>> {
  const { fundingJson, clone, commit } = given;
  if (fundingJson === (commit !== undefined))
    return refuse("invalid_request", "a binding has one proof", { hint: "--funding-json, or --commit FILE" });
  if (commit === undefined) return ok({ kind: "funding_json", ...(clone === undefined ? {} : { clone }) });
  const bytes = await readFile(commit).catch(() => undefined);
  if (bytes === undefined) return refuse("not_found", `there is no file ${commit}`, { field: "commit" });
  return ok({ kind: "signed_commit", commit: bytes.toString("base64"), ...(clone === undefined ? {} : { clone }) });
}

function showBindings(bindings: readonly BindingView[], output: Output, nowMs: number): void {
  output.table(
    bindings.map(({ datanet, identity, state, to, noticeEndsMs }) => ({
      ...{ datanet, identity, to },
      state: state === "noticed" && noticeEndsMs <= nowMs ? "notice over, not bound yet" : state,
      "notice ends": noticeEndsMs === 0 ? undefined : new Date(noticeEndsMs).toISOString(),
    })),
    "give a notice: openledger binding notice DATANET IDENTITY 0x…",
  );
}

import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { readExport } from "../../datanets/importExport.ts";
import { errorCode, refuseOnDisk, writeAtomically } from "../../host/files.ts";
import { arrivedSchema, departedSchema, signedDepartureSchema } from "../../protocol/departures.ts";
import { parseInput, parseJson } from "../../protocol/parse.ts";
import { exportFiles, restoredSchema } from "../../protocol/workshop.ts";
import type { Client } from "../client.ts";
import { type CliCommand, command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { downloadDatanet } from "./datanetExchange.ts";
import { wholeText } from "./inputs.ts";

const BALANCES = "balances.json";

const leave = command({
  path: "datanet leave",
  summary: "Take a datanet to another ledger: records, history, people, and what they are owed",
  arguments: [
    ["<name>", "the datanet"],
    ["<folder>", "a folder that does not exist yet"],
  ],
  options: [["--to <ledger>", "who takes it over: a ledger's id, or a name that both sides know"]],
  examples: ["openledger datanet leave handbook ./handbook --to 0x4f…"],
  input: z.object({ name: wholeText, folder: wholeText, to: wholeText }),
  run: async ({ name, folder, to }, { client: open, output }) => {
    const target = resolve(folder);
    const client = await open();
    if (!client.ok) return client;
    // The records first: what is owed is marked as taken over only when there is a folder to take it in.
    const written = await refuseOnDisk(dirname(target), () => exported(client.value, name, target));
    if (!written.ok || !written.value.ok) return written.ok ? written.value : written;
    const left = await client.value.post(`${pathOf(name)}/leave`, { to }, departedSchema);
    if (!left.ok) return left;
    const { departure, people, nano } = left.value;
    if (departure !== undefined)
      await writeAtomically(join(target, BALANCES), `${JSON.stringify(departure, undefined, 2)}\n`, { mode: 0o600 });
    output.line(`${name} is in ${folder}, with ${formatOpen(BigInt(nano))} OPEN that ${people} people are owed`);
    if (departure !== undefined)
      output.line("  balances.json names them: give it to whoever takes over, and to nobody else");
    return ok({ name, folder: target, people, nano });
  },
});

const arrive = command({
  path: "datanet arrive",
  summary: "Take a datanet in that has left another ledger, and owe its people what they were owed there",
  arguments: [["<folder>", "what `datanet leave` wrote"]],
  options: [["--account <id>", "who pays for what is owed"]],
  examples: ["openledger datanet arrive ./handbook --account acct_…"],
  input: z.object({ folder: wholeText, account: wholeText.optional() }),
  run: async ({ folder, account }, { client: open, output }) => {
    const whole = await readExport(folder);
    if (!whole.ok) return whole;
    const departure = await readBalances(folder);
    if (!departure.ok) return departure;
    if (departure.value !== undefined && account === undefined)
      return refuse("invalid_request", "--account is missing: somebody pays for what is owed from here on", {
        field: "account",
      });
    const client = await open();
    if (!client.ok) return client;
    const { name } = whole.value.datanet;
    const restored = await restore(client.value, folder);
    if (!restored.ok && restored.error.code !== "already_exists") return restored;
    output.line(restored.ok ? `${name} is here, as it was` : `${name} was here already`);
    if (departure.value === undefined) return ok({ name, people: 0, nano: "0" });
    const body = { departure: departure.value, account };
    const arrived = await client.value.post(`${pathOf(name)}/arrive`, body, arrivedSchema);
    if (!arrived.ok) return arrived;
    const { people, nano, entries, known } = arrived.value;
    const how = known === entries ? "which was booked before" : `in ${entries} entries of the journal`;
    output.line(`  ${people} people are owed ${formatOpen(BigInt(nano))} OPEN here, ${how}`);
    return ok({ name, ...arrived.value });
  },
});

export const departureCommands: readonly CliCommand[] = [leave, arrive];

/** A folder that holds this datanet's export already is as good: leaving goes on where it was interrupted. */
async function exported(client: Client, name: string, target: string): Promise<Result<void>> {
  const isThere = await stat(target).then(
    () => true,
    () => false,
  );
  if (isThere) {
    const found = await readExport(target);
    if (found.ok && found.value.datanet.name === name) return ok(undefined);
    return refuse("already_exists", `${target} is there already`, { hint: "name a folder that does not exist" });
  }
  await mkdir(dirname(target), { recursive: true });
  const written = await downloadDatanet(client, name, target);
  return written.ok ? ok(undefined) : written;
}

async function restore(client: Client, folder: string): Promise<Result<unknown>> {
  const texts = await Promise.all(
    exportFiles.map(async (file) => [file, await readFile(join(folder, file), "utf8")] as const),
  );
  return client.post("/api/datanets/restore", { files: Object.fromEntries(texts) }, restoredSchema);
}

async function readBalances(folder: string) {
  try {
    const json = parseJson(await readFile(join(folder, BALANCES), "utf8"));
    return json.ok ? parseInput(signedDepartureSchema, json.value) : json;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return ok(undefined);
    throw error;
  }
}

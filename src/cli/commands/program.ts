import { resolve } from "node:path";
import { Command, CommanderError, Help } from "commander";
import { ok, type Refusal, RefusalError } from "../../core/result.ts";
import { DATA_FOLDER } from "../../node/dataFolder.ts";
import { testWorldFolder } from "../../node/secrets.ts";
import { refusalRow } from "../../protocol/refusals.ts";
import { adminKeyOf, findNode, openClient } from "../client.ts";
import { openOutput } from "../output.ts";
import { accountCommands } from "./account.ts";
import { askCommand } from "./ask.ts";
import { attributeCommand } from "./attribute.ts";
import { backupCommands } from "./backup.ts";
import { bindingCommands } from "./binding.ts";
import { claimCommand } from "./claim.ts";
import type { CliCommand, Shell, World } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { datanetCommands } from "./datanet.ts";
import { datanetAnnotateCommands } from "./datanetAnnotate.ts";
import { datanetExchangeCommands } from "./datanetExchange.ts";
import { datanetImportCommand } from "./datanetImport.ts";
import { departureCommands } from "./departure.ts";
import { epochCommands } from "./epoch.ts";
import { ingestCommand } from "./ingest.ts";
import { keyCommands } from "./key.ts";
import { ledgerCommands } from "./ledger.ts";
import { modelCommands } from "./model.ts";
import { modelExchangeCommands } from "./modelExchange.ts";
import { modelImportCommand } from "./modelImport.ts";
import { modelJobCommands } from "./modelJob.ts";
import { modelMeasureCommand } from "./modelMeasure.ts";
import { modelTrainCommands } from "./modelTrain.ts";
import { operatorCommands } from "./operator.ts";
import { orgCommands } from "./org.ts";
import { payoutCommands } from "./payout.ts";
import { probeCommand } from "./probe.ts";
import { rateCommands } from "./rate.ts";
import { receiptCommands } from "./receipt.ts";
import { relayCommands } from "./relay.ts";
import { shadowCommand } from "./shadow.ts";
import { statementCommands } from "./statement.ts";
import { statusCommand } from "./status.ts";
import { termsCommands } from "./terms.ts";
import { testCommands } from "./test.ts";
import { demoCommand, upCommand } from "./up.ts";
import { verifyCommand } from "./verify.ts";
import { webhookCommands } from "./webhook.ts";

/** Every command, in the order of the help text. */
export const commands: readonly CliCommand[] = [
  upCommand,
  demoCommand,
  statusCommand,
  ...[...backupCommands, ...ledgerCommands],
  ...[...datanetCommands, ...datanetAnnotateCommands, datanetImportCommand],
  ...[...datanetExchangeCommands, ...departureCommands],
  ...[
    ...modelCommands,
    ...modelTrainCommands,
    ...modelJobCommands,
    ...modelExchangeCommands,
    modelMeasureCommand,
    modelImportCommand,
  ],
  ...operatorCommands,
  askCommand,
  ...[ingestCommand, shadowCommand],
  ...termsCommands,
  ...receiptCommands,
  ...keyCommands,
  ...accountCommands,
  ...orgCommands,
  ...epochCommands,
  claimCommand,
  ...relayCommands,
  ...rateCommands,
  ...[...statementCommands, ...payoutCommands, ...webhookCommands],
  verifyCommand,
  probeCommand,
  attributeCommand,
  ...bindingCommands,
  ...testCommands,
  completionCommand(() => buildProgram(() => undefined)),
];

const groups: Readonly<Record<string, string>> = {
  ledger: "Where a ledger keeps its accounts",
  datanet: "Community data networks: contributions, versions, export",
  model: "Models: made, served, described, carried away",
  operator: "Servers elsewhere that run models of this node",
  terms: "What assets ask for, and licences of others as terms",
  receipt: "What was executed, who paid, who is credited",
  key: "API keys",
  account: "Accounts, credit and statements",
  org: "Customers: organisations, their members, projects, keys, limits and audit log",
  epoch: "Closed ranges of the journal",
  relay: "Claims that the node makes for payees who agreed, their gas deducted at cost",
  rate: "What a dollar is here",
  statement: "Monthly statements and credit notes",
  payout: "Bank payouts of a ledger on credit",
  payee: "How payees are paid by bank",
  webhook: "Who is told of what happens",
  test: "The test world of a node: keys, a clock that can be moved, events",
  binding: "External identities and whom they are bound to",
};

const HELP_WIDTH_MAX = 100;
/** Less room than this beside a term is none. */
const HELP_TEXT_WIDTH_MIN = 34;
/** BSD sysexits.h: an error of ours. */
const EXIT_SOFTWARE = 70;

/** Runs one command line, without the program's name. The exit code; refusals have that of the one error table. */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  const early = openOutput(world.terminal, {
    json: args.includes("--json"),
    colour: !args.includes("--no-color"),
  });
  let exitCode = 0;
  const refused = (refusal: Refusal): void => {
    early.refusal(refusal);
    exitCode = refusalRow(refusal.code).exitCode;
  };
  const program = buildProgram(async (cli, raw, common) => {
    const shell = openShell(common, world, (code) => {
      exitCode = refusalRow(code).exitCode;
    });
    const done = await cli.run(raw, shell);
    if (done.ok) shell.output.result(done.value);
    else refused(done.error);
  });
  const heard: string[] = [];
  for (const one of family(program)) {
    one.exitOverride().configureOutput({
      writeOut: (text) => world.terminal.write(text),
      writeErr: (text) => heard.push(text),
      getOutHelpWidth: () => Math.min(world.terminal.width, HELP_WIDTH_MAX),
    });
  }
  if (args.length === 0) {
    world.terminal.write(program.helpInformation());
    return 0;
  }
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof RefusalError) refused(error.refusal);
    else if (error instanceof CommanderError)
      return endOfParsing(error, heard.join(""), meantCommand(program, args), refused) ?? exitCode;
    else {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      const hint = world.environment.isDebug ? (stack ?? "") : "OPENLEDGER_DEBUG=1 shows where";
      world.terminal.writeError(`something broke here: ${name}: ${message.split("\n", 1)[0]}\n${hint}\n`);
      return EXIT_SOFTWARE;
    }
  }
  return exitCode;
}

type Given = Readonly<Record<string, unknown>>;

/** The commander tree of the table. `execute` gets a command, its options and arguments by name, and by themselves the options that all commands have: an argument may be called as one of them is. */
export function buildProgram(
  execute: (cli: CliCommand, raw: Given, common: Given) => Promise<void> | undefined,
): Command {
  const program = new Command("openledger")
    .description("The accounting layer under machine economies: who contributed, refined, executed and earned.")
    .option("--json", "print one JSON value and nothing else")
    .option("--no-color", "no colours")
    .option("--data <dir>", "the node's data folder", DATA_FOLDER)
    .option("--url <url>", "the node's address; the node of the data folder where it is left out")
    .option("--key <key>", "API key; the data folder's admin key where it is left out")
    .showHelpAfterError(false)
    .configureHelp({ minWidthToWrap: HELP_TEXT_WIDTH_MIN, formatItem })
    .helpCommand(true)
    .addHelpText("after", "\nBegin with:\n  $ openledger demo\n");
  const parents = new Map<string, Command>();
  for (const cli of commands) {
    const words = cli.path.split(" ");
    const group = words.length > 1 ? words[0]! : undefined;
    const parent = group === undefined ? program : (parents.get(group) ?? addGroup(program, parents, group));
    const added = parent.command(words.at(-1)!).description(cli.summary);
    const names = (cli.arguments ?? []).map(([flags, about]) => {
      added.argument(flags, about);
      return flags.replace(/[<>[\].]/g, "");
    });
    for (const [flags, about] of cli.options ?? []) added.option(flags, about);
    added.addHelpText("after", `\nExamples:\n${cli.examples.map((example) => `  $ ${example}`).join("\n")}\n`);
    added.action(async (...given: unknown[]) => {
      const values = names.map((name, i) => [name, given[i]]);
      await execute(cli, { ...added.optsWithGlobals(), ...Object.fromEntries(values) }, program.opts());
    });
  }
  return program;
}

/** What has no room beside its term stands below it. */
function formatItem(term: string, termWidth: number, description: string, help: Help): string {
  const width = help.helpWidth ?? 80;
  if (width - termWidth - 4 >= HELP_TEXT_WIDTH_MIN || description === "")
    return Help.prototype.formatItem.call(help, term, termWidth, description, help);
  return `  ${term}\n      ${help.boxWrap(description, width - 6).replaceAll("\n", "\n      ")}`;
}

function addGroup(program: Command, parents: Map<string, Command>, name: string): Command {
  const group = program.command(name).description(groups[name] ?? "");
  parents.set(name, group);
  return group;
}

function family(command: Command): Command[] {
  return [command, ...command.commands.flatMap(family)];
}

/** Help ends parsing too. Undefined: a refusal was shown. */
function endOfParsing(
  error: CommanderError,
  said: string,
  meant: string,
  refused: (refusal: Refusal) => void,
): number | undefined {
  if (error.exitCode === 0) return 0;
  const isHelp = error.code === "commander.help";
  const lines = said
    .replace(/^error: /, "")
    .trimEnd()
    .split("\n");
  const message = isHelp ? `${meant} needs one of its commands` : lines.join(" ");
  refused({ code: "invalid_request", message, hint: `${meant} --help` });
  return undefined;
}

/** The deepest command that the words name. */
function meantCommand(program: Command, args: readonly string[]): string {
  let [command, path]: [Command, string] = [program, program.name()];
  for (const word of args.filter((arg) => !arg.startsWith("-"))) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) continue;
    [command, path] = [next, `${path} ${word}`];
  }
  return path;
}

function openShell(raw: Given, world: World, endAs: Shell["endAs"]): Shell {
  const text = (name: string): string | undefined => (typeof raw[name] === "string" ? raw[name] : undefined);
  const output = openOutput(world.terminal, { json: raw["json"] === true, colour: raw["color"] !== false });
  const data = resolve(text("data") ?? DATA_FOLDER);
  return {
    ...{ output, world, data, endAs },
    client: async (inside) => {
      const key = text("key") ?? (inside === "test" ? await adminKeyOf(testWorldFolder(data)) : undefined);
      const node = await findNode({ data, url: text("url"), key });
      return node.ok ? ok(openClient(node.value, world.fetch)) : node;
    },
  };
}

import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { Children } from "../../node/children.ts";
import type { MoveDone, MovePlan } from "../../node/ledgerMovePlan.ts";
import { counted, type Output } from "../output.ts";
import { type CliCommand, command, type Shell } from "./command.ts";
import { flag, openAmount } from "./inputs.ts";

const moveCommand = command({
  path: "ledger move",
  summary: "Take a ledger on credit to a chain: the same ledger and journal go on there",
  options: [
    ["--to-chain", "the one way there is; it cannot be taken back"],
    ["--dry-run", "say what would be registered, deposited and owed, and write nothing"],
    ["--deposit <OPEN>", "deposit so much more than is owed, for what accounts will spend"],
  ],
  examples: [
    "openledger ledger move --to-chain --dry-run --data ./books",
    "openledger ledger move --to-chain --data ./books",
    "CHAIN_RPC_URL=https://rpc.example.org openledger ledger move --to-chain --deposit 500",
  ],
  input: z.object({ toChain: flag, dryRun: flag, deposit: openAmount.optional() }),
  run: async ({ toChain, dryRun, deposit }, shell) => {
    if (!toChain)
      return refuse("invalid_request", "--to-chain is missing: a ledger moves from credit to a chain, and never back", {
        hint: "openledger ledger move --to-chain --dry-run shows what that would be",
        field: "toChain",
      });
    const done = await move(shell, dryRun, deposit);
    if (!done.ok) return done;
    show(done.value, shell);
    return done;
  },
});

export const ledgerCommands: readonly CliCommand[] = [moveCommand];

/** Whatever is started for it ends with it. */
async function move(shell: Shell, dryRun: boolean, extraNano: number | undefined): Promise<Result<MoveDone>> {
  const { world, output, data } = shell;
  const { databaseUrl, chain } = world.environment;
  const children = new Children(world.hooks, output.progress);
  const optional = {
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(chain === undefined ? {} : { chain }),
    ...(extraNano === undefined ? {} : { extraNano }),
  };
  try {
    const done = await world.moveLedger(
      { data, dryRun, nowMs: world.nowMs, say: output.progress, ...optional },
      children,
    );
    return done.ok ? ok(done.value) : done;
  } finally {
    await children.stopAll();
  }
}

function show({ state, ledger, node, chainId, movedAt, plan }: MoveDone, { output, data }: Shell): void {
  if (state === "moved before")
    output.line(`the ledger is on chain ${chainId} since entry ${movedAt}; nothing is left to do`);
  if (state === "planned") output.line(`ledger ${ledger} would move to a chain, and nothing was written`);
  if (state === "moved") output.line(`ledger ${ledger} is on chain ${chainId} from entry ${movedAt} on`);
  if (plan !== undefined) showPlan(plan, output);
  output.line(`  the node acts there under the key that signs its journal: ${node}`);
  if (state === "moved") output.line(`  start it with: openledger up --data ${data}`);
}

function showPlan({ credited, paid, owed, open, payees, assets, bindings, unspent }: MovePlan, output: Output): void {
  output.line(
    `  credited ${formatOpen(credited)} OPEN, of which ${formatOpen(paid)} were paid outside, and never again`,
  );
  output.line(
    `  owed ${formatOpen(owed)} OPEN to ${counted(payees, "payee")}: the node deposits it, and they claim it there`,
  );
  if (open > 0n) output.line(`  of this ${formatOpen(open)} OPEN are accrued; their epoch is closed first`);
  output.line(`  ${assets} assets to register, ${bindings} identities to give notice of`);
  output.line(
    `  accounts can still spend ${formatOpen(unspent)} OPEN: on a chain that takes a deposit too (--deposit)`,
  );
}

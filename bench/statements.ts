import { message, startScript } from "./support/benchProcess.ts";
import type { StatementsMeasured } from "./support/statementsProcess.ts";

const ROWS = 1_000_000;

/**
 * A month of LiteLLM spend rows, booked as durable receipts on a ledger on credit, its epoch closed, and the statements of everybody issued: payers,
 * and the real contributors to a real datanet. What the rows say, team by team, is added up beside it by another way, and must be equal to the nano.
 * A quarter of the month and the whole of it, side by side and each in a process of its own: memory must not grow with the rows. `--rows N` makes it shorter.
 */
export async function run(): Promise<void> {
  const asked = process.argv.indexOf("--rows");
  const rows = asked < 0 ? ROWS : Number(process.argv[asked + 1]);
  const quarter = await month(Math.ceil(rows / 4));
  const whole = quarter === undefined ? undefined : await month(rows);
  if (quarter === undefined || whole === undefined) {
    console.log("the records of tldr are not beside the repository: nothing is measured");
    return;
  }
  const steps = ["models", "ingest", "epoch", "issue", "whole"] as const;
  console.table(
    steps.map((step) => ({
      ...{
        step,
        [`seconds, ${quarter.rows} rows`]: quarter.seconds[step],
        [`${whole.rows} rows`]: whole.seconds[step],
      },
      ...{ [`peak MB, ${quarter.rows} rows`]: quarter.peakMb[step], [`MB, ${whole.rows} rows`]: whole.peakMb[step] },
    })),
  );
  const { payers, models, contributors, people, statements, cpuSeconds } = whole;
  const growth = Math.round((100 * whole.peakMb.whole) / quarter.peakMb.whole) / 100;
  console.log(
    `${whole.rows} rows, ${payers} payers, ${models} models, ${contributors} of ${people} contributors: ${statements} statements, equal to the source to the nano; at most ${whole.peakMb.whole} MB, ${growth} times that of a quarter`,
  );
  console.log(
    JSON.stringify({
      ...{ bench: "statements", rows: whole.rows, ...whole.seconds, statements, contributors, cpuSeconds },
      ...{ rssMb: whole.peakMb.whole, rssMbOfAQuarter: quarter.peakMb.whole, growth },
    }),
  );
}

async function month(rows: number): Promise<StatementsMeasured | undefined> {
  const child = startScript("statementsProcess", [String(rows)]);
  try {
    return await message<StatementsMeasured>(child);
  } catch (error) {
    if (child.exitCode === 0) return undefined;
    throw error;
  }
}

import { resolve } from "node:path";
import { z } from "zod";
import { toHex } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { Children } from "../../node/children.ts";
import type { EmbeddingOptions } from "../../node/nodeOptions.ts";
import type { RateOptions } from "../../node/ratePart.ts";
import type { RelayOptions } from "../../node/relayPart.ts";
import { command, type Shell } from "./command.ts";
import { flag, hostName, port, wholeNumber, wholeText } from "./inputs.ts";

/** The port of a node that was given none. */
const PORT = 4242;
const MINUTES_A_WEEK = 10_080;
const usdPrice = z
  .string()
  .regex(/^\d{1,12}(?:\.\d{1,12})?$/, "must be a price in dollars")
  .optional();

export const upCommand = command({
  path: "up",
  summary: "Start a node on the data folder and stay",
  options: [
    ["--port <port>", `port to listen on (default ${PORT}; 0 takes a free one)`],
    ["--host <address>", "address to listen on (default 127.0.0.1)"],
    ["--allow-host <name...>", "answer to this host name too, besides localhost and 127.0.0.1; may be repeated"],
    ["--credit", "a new ledger on credit: no chain, no token; the same journal, epochs and verifier"],
    ["--report-payers <who>", "open: reported executions open accounts for new payers; known: they name known ones"],
    ["--report-credit <how>", "arrears: reported executions are booked and paid for later; prepaid: they need credit"],
    ["--epoch <minutes>", "how long an epoch stays open (default 60; 0 closes none by itself)"],
    ["--test", "also a world for tests: keys, a ledger, a clock and a model of its own, behind the same port"],
    ["--rate <source>", "dollars for one OPEN: fixed:0.5, file:PATH#/pointer or https://…#/pointer into JSON"],
    ["--rate-min <usd>", "a lower price of one OPEN is not believed"],
    ["--rate-max <usd>", "nor a higher one"],
    ["--rate-step <bps>", "nor one this far from the last, in basis points (default 2000)"],
    ["--rate-stale <minutes>", "how old a rate may be when money is held at it (default 60)"],
    ["--rate-time <pointer>", "where the JSON says of when its price is"],
    ["--relay-rate <open>", "OPEN for one ETH of gas: on another's chain, claims are relayed from then on"],
    ["--relay-hours <hours>", "how often claims are relayed (default 24; 0 only by hand)"],
    ["--relay-subsidy <bps>", "of the treasury's income, for the gas of the small that waited a year (default 6000)"],
  ],
  examples: ["openledger up", "openledger up --data ./books --port 8080", "DATABASE_URL=postgres://… openledger up"],
  input: z.object({
    port: port.default(PORT),
    host: wholeText.optional(),
    allowHost: z.array(hostName).optional(),
    credit: flag,
    test: flag,
    reportPayers: z.enum(["open", "known"]).optional(),
    reportCredit: z.enum(["prepaid", "arrears"]).optional(),
    epoch: wholeNumber(0, MINUTES_A_WEEK).optional(),
    ...{ rate: wholeText.optional(), rateMin: usdPrice, rateMax: usdPrice, rateTime: wholeText.optional() },
    relayRate: z
      .string()
      .regex(/^\d{1,8}(?:\.\d{1,6})?$/, "must be an amount of OPEN")
      .optional(),
    ...{ relayHours: wholeNumber(0, 8_760).optional(), relaySubsidy: wholeNumber(0, 10_000).optional() },
    ...{ rateStep: wholeNumber(0, 1_000_000).optional(), rateStale: wholeNumber(1, MINUTES_A_WEEK).optional() },
  }),
  run: ({ port, host, allowHost, credit, test, epoch, reportPayers, reportCredit, ...dollar }, shell) =>
    supervised(shell, async (children) => {
      const { databaseUrl, chain, embeddings } = shell.world.environment;
      if (embeddings !== undefined && !isServer(embeddings)) return noServer;
      const reports = {
        ...(reportPayers === undefined ? {} : { payers: reportPayers }),
        ...(reportCredit === undefined ? {} : { credit: reportCredit }),
      };
      const started = await shell.world.startNode(
        {
          ...{ data: shell.data, port, say: shell.output.progress },
          ...(host === undefined ? {} : { host }),
          ...(allowHost === undefined ? {} : { hostNames: allowHost }),
          ...(credit ? { isCredit: true } : {}),
          ...(test ? { hasTestWorld: true } : {}),
          ...(epoch === undefined ? {} : { epochMs: epoch * 60_000 }),
          ...(Object.keys(reports).length === 0 ? {} : { reports }),
          relay: relayOptions(dollar),
          ...rateOptions({ ...dollar, rate: dollar.rate ?? shell.world.environment.rate }),
          ...(databaseUrl === undefined ? {} : { databaseUrl }),
          ...(chain === undefined ? {} : { chain }),
          ...(embeddings === undefined ? {} : { embeddings }),
        },
        children,
      );
      if (!started.ok) return started;
      const { url, ledgerId } = started.value;
      shell.output.line(`OpenLedger is up at ${url}`);
      shell.output.line(`  ledger ${toHex(ledgerId)}`);
      shell.output.line("  stop it with Ctrl-C; ask it with: openledger status");
      return ok({ url, ledger: toHex(ledgerId) });
    }),
});

interface DollarInput {
  readonly rate: string | undefined;
  readonly rateMin?: string | undefined;
  readonly rateMax?: string | undefined;
  readonly rateStep?: number | undefined;
  readonly rateStale?: number | undefined;
  readonly rateTime?: string | undefined;
}

function relayOptions(input: {
  readonly relayRate?: string | undefined;
  readonly relayHours?: number | undefined;
  readonly relaySubsidy?: number | undefined;
}): RelayOptions {
  const { relayRate: openPerEth, relayHours: hours, relaySubsidy: subsidyBps } = input;
  return {
    ...(openPerEth === undefined ? {} : { openPerEth }),
    ...(hours === undefined ? {} : { everyMs: hours * 3_600_000 }),
    ...(subsidyBps === undefined ? {} : { subsidyBps }),
  };
}

function rateOptions(input: DollarInput): { readonly rate?: RateOptions } {
  const { rate: source, rateMin: min, rateMax: max, rateStep: stepBps, rateStale, rateTime: time } = input;
  if (source === undefined) return {};
  return {
    rate: {
      source,
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
      ...(stepBps === undefined ? {} : { stepBps }),
      ...(rateStale === undefined ? {} : { staleMs: rateStale * 60_000 }),
      ...(time === undefined ? {} : { time }),
    },
  };
}

function isServer({ url, model }: EmbeddingOptions): boolean {
  return /^https?:\/\/[^@]+$/.test(url) && URL.canParse(url) && model.trim() !== "";
}

const noServer = refuse("invalid_request", "OPENLEDGER_EMBEDDINGS_URL or OPENLEDGER_EMBEDDINGS_MODEL is not right", {
  hint: "for example OPENLEDGER_EMBEDDINGS_URL=http://127.0.0.1:8000/v1 OPENLEDGER_EMBEDDINGS_MODEL=bge-small",
});

export const demoCommand = command({
  path: "demo",
  summary: "Show the whole loop: from a contribution to a claimed payment",
  options: [
    ["--once", "do all of it, print one JSON object of sums as the last line, and end"],
    ["--repo <dir>", "use this git repository instead of the installed packages' documentation"],
    ["--port <port>", `port to listen on (default ${PORT}; 0 takes a free one)`],
  ],
  examples: ["openledger demo", "openledger demo --once", "openledger demo --repo ../my-project"],
  input: z.object({ once: flag, repo: wholeText.optional(), port: port.default(PORT) }),
  run: async ({ once, repo, port }, shell) => {
    const { output, world, data } = shell;
    return supervised(
      shell,
      async (children) => {
        const options = { data, port, once, output, ...(repo === undefined ? {} : { repo: resolve(repo) }) };
        const shown = await world.runDemo(options, children);
        if (shown.ok && once && !output.json) world.terminal.write(`${JSON.stringify(shown.value, decimalBigint)}\n`);
        return shown;
      },
      once,
    );
  },
});

/** What was started outlives the command, unless it failed or `ends`; Ctrl-C ends it either way. */
async function supervised<T>(
  { world, output }: Shell,
  work: (children: Children) => Promise<Result<T>>,
  ends = false,
): Promise<Result<T>> {
  const children = new Children(world.hooks, output.progress);
  try {
    const done = await work(children);
    if (!done.ok || ends) await children.stopAll();
    return done;
  } catch (error) {
    await children.stopAll();
    throw error;
  }
}

function decimalBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import type { Prices } from "../../core/quote.ts";
import { servedModelListSchema, servedModelSchema } from "../../protocol/service.ts";
import { counted, type Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, openAmount, wholeNumber, wholeText } from "./inputs.ts";

const create = command({
  path: "model create",
  summary: "Make an ∞-gram model of a datanet version and serve it",
  arguments: [["<name>", "what callers will name"]],
  options: [
    ["--datanet <name>", "what it is made of"],
    ["--version <number>", "a version of it; the latest where it is left out"],
    ["--royalty-in <price>", "OPEN per million tokens of prompt and context"],
    ["--royalty-out <price>", "OPEN per million tokens of answer"],
    ["--royalty-call <price>", "OPEN per call"],
    ["--usd", "the prices are dollars, held at the rate of the moment: the node needs one, see up --rate"],
    ["--parents-bps <bps>", "the part of its own share that flows to what it was made from, in basis points"],
  ],
  examples: [
    "openledger model create handbook-model --datanet handbook",
    "openledger model create m --datanet handbook --royalty-in 0.002 --royalty-out 0.004 --royalty-call 0.000001",
  ],
  input: z.object({
    ...{ name: wholeText, datanet: wholeText, version: wholeNumber(1, 1_000_000).optional() },
    ...{ royaltyIn: openAmount.optional(), royaltyOut: openAmount.optional(), royaltyCall: openAmount.optional() },
    ...{ usd: flag, parentsBps: wholeNumber(0, 10_000).optional() },
  }),
  run: async ({ royaltyIn, royaltyOut, royaltyCall, usd, ...draft }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const isPriced = royaltyIn !== undefined || royaltyOut !== undefined || royaltyCall !== undefined;
    // Nano of an OPEN were read; of a dollar, millionths are meant.
    const [inPerMillion, outPerMillion, perCall] = [royaltyIn, royaltyOut, royaltyCall].map((nano = 0) =>
      usd ? Math.ceil(nano / 1_000) : nano,
    );
    const royalty = { inPerMillion, outPerMillion, perCall };
    output.progress("building the index and registering the assets");
    const made = await client.value.post(
      "/api/models",
      { ...draft, ...(usd ? { unit: "microUsd" } : {}), ...(isPriced ? { royalty } : {}) },
      servedModelSchema,
    );
    if (made.ok) {
      output.line(`model ${made.value.name} is served`);
      output.line(`  ask it: openledger ask ${made.value.name} "…"`);
    }
    return made;
  },
});

const list = command({
  path: "model list",
  summary: "The models that are served here, and those that others serve and report",
  examples: ["openledger model list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/models", servedModelListSchema);
    if (found.ok) {
      output.table(
        found.value.data.map(({ name, owner, contextTokens, datanets, operators, external }) => ({
          ...{ name, owner, context: contextTokens, datanets },
          operators: external === undefined ? operators.map((operator) => operator.name) : "others, and reported",
        })),
        "make one: openledger model create NAME --datanet DATANET",
      );
    }
    return found;
  },
});

const show = command({
  path: "model show",
  summary: "One model: its asset, terms, datanets and operators",
  arguments: [["<name>", "the model"]],
  examples: ["openledger model show npm-docs"],
  input: z.object({ name: wholeText }),
  run: async ({ name }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/models/${encodeURIComponent(name)}`, servedModelSchema);
    if (found.ok) {
      const { asset, owner, datanets, indexId, methodsHash, royalty, unit, operators, external } = found.value;
      const { contextTokens, retrievedTokensMax } = found.value;
      output.heading(found.value.name);
      output.table(
        Object.entries({ asset, owner, datanets, index: madeOf(indexId), methods: madeOf(methodsHash) }).map(
          ([what, is]) => ({
            what,
            is,
          }),
        ),
      );
      if (external === undefined && datanets.length > 0)
        output.line(
          retrievedTokensMax > 0
            ? `  reads up to ${retrievedTokensMax} tokens of records beside a question`
            : `  reads no records: a context of ${contextTokens} tokens has no room for them, so it says what it has learnt`,
        );
      if (external !== undefined) {
        const { royaltyBps, contributors, undeclared } = external;
        const whose = undeclared ? "undeclared: no contributor is paid" : counted(contributors, "declared contributor");
        output.line(`  served by others and reported; ${royaltyBps / 100} % of what it cost is royalty; ${whose}`);
      }
      output.heading(`Prices, ${unit === "nano" ? "OPEN" : "USD"}`);
      const rows = [
        ["royalty", royalty, ""] as const,
        ...operators.map(({ name, cost, state }) => [name, cost, state] as const),
      ];
      showPrices(rows, unit, output);
    }
    return found;
  },
});

/** A model that others serve has neither index nor methods here. */
function madeOf(hash: string): string | undefined {
  return /^0x0+$/.test(hash) ? undefined : hash;
}

export const modelCommands: readonly CliCommand[] = [create, list, show];

function showPrices(
  rows: readonly (readonly [name: string, prices: Prices, state: string])[],
  unit: "nano" | "microUsd",
  output: Output,
): void {
  const text = (price: number) => (unit === "nano" ? formatOpen(price) : String(price / 1_000_000));
  output.table(
    rows.map(([line, { inPerMillion, outPerMillion, perCall }, state]) => ({
      ...{ line, "per million in": text(inPerMillion), "per million out": text(outPerMillion) },
      ...{ "per call": text(perCall), state },
    })),
  );
}

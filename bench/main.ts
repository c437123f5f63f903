/** Runs one benchmark by name: `npm run bench -- NAME`. Each prints a table for people and, as its last line, one JSON object. */
const benches: Readonly<
  Record<string, { readonly about: string; readonly load: () => Promise<{ run(): Promise<void> }> }>
> = {
  attacks: {
    about: "what copies, sybils, spam and mimicry gain their makers, and cost their victim",
    load: () => import("./attacks.ts"),
  },
  attribution: {
    about: "what influence foretells of retraining, beside BM25, DataInf, TRAK and others (--quick, --house)",
    load: () => import("./attribution.ts"),
  },
  cost: {
    about: "what a million receipts cost in CPU, disk and gas, and the memory of an idle node",
    load: () => import("./cost.ts"),
  },
  epoch: {
    about: "closing an epoch of a million accounts and a million legs, beside one of ten",
    load: () => import("./epoch.ts"),
  },
  factory: {
    about: "from a published datanet to an answering adapter of the house model; hash, loss, agreement of engines",
    load: () => import("./factory.ts"),
  },
  gateway: { about: "CPU per request beside a bare proxy, JSON and SSE", load: () => import("./gateway.ts") },
  grounding: {
    about: "questions answered from records with context, beside windows of equal bytes; unanswerable ones refused",
    load: () => import("./grounding.ts"),
  },
  house: {
    about: "training the house model from nothing, as the one in the package was",
    load: () => import("./house.ts"),
  },
  houseLoss: {
    about: "held-out loss of the house model, beside the ∞-gram model and their mixture",
    load: () => import("./houseLoss.ts"),
  },
  ingest: {
    about: "reported executions a second in batches of 1,000, beside one INSERT a row",
    load: () => import("./ingest.ts"),
  },
  ledger: {
    about: "durable receipts of 36 legs a second, beside one row per leg and SQL double entry",
    load: () => import("./ledger.ts"),
  },
  loop: {
    about: "questions answered, attributed and journalled a second, at 1× and 2× overload",
    load: () => import("./loop.ts"),
  },
  mixing: {
    about: "answers of the house model with the ∞-gram model mixed into each token, beside the model alone",
    load: () => import("./mixing.ts"),
  },
  planted: {
    about: "one planted passage among six, ranked first by attribution, beside BM25 and the place",
    load: () => import("./planted.ts"),
  },
  serving: {
    about: "300 adapters over one base on llama.cpp: first token, memory, cost beside one adapter",
    load: () => import("./serving.ts"),
  },
  shapley: {
    about: "what some sets of passages say beside all of them, of six and of ten, and how long the engine takes for it",
    load: () => import("./shapley.ts"),
  },
  smallest: {
    about: "what the smallest tenth of real contributors gets of its due in a year, beside usual rounding",
    load: () => import("./smallest.ts"),
  },
  spans: {
    about: "building the ∞-gram index and finding maximal spans, beside a naive scan",
    load: () => import("./spans.ts"),
  },
  spansdisk: {
    about: "maximal spans in a corpus larger than memory, cold and warm (--tokens 1000000000)",
    load: () => import("./spansdisk.ts"),
  },
  statements: {
    about: "a million spend rows to statements of payers and contributors, equal to the nano (--rows N)",
    load: () => import("./statements.ts"),
  },
  tokenizer: { about: "training and running the house tokenizer", load: () => import("./tokenizer.ts") },
  training: {
    about: "tokens a second of loss and gradients, tiny to 135M, beside jax-js (--peers)",
    load: () => import("./training.ts"),
  },
};

const [name = "--help"] = process.argv.slice(2);
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
if (bench !== undefined) await (await bench.load()).run();
else {
  const isHelp = name === "--help" || name === "-h";
  if (!isHelp) console.error(`there is no benchmark "${name}"`);
  console.log("npm run bench -- NAME, where NAME is one of");
  for (const [each, { about }] of Object.entries(benches)) console.log(`  ${each.padEnd(10)}${about}`);
  process.exitCode = isHelp ? 0 : 2;
}

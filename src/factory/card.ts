import { formatOpen } from "../core/money.ts";
import type { Prices } from "../core/quote.ts";
import { comparedText } from "./compared.ts";
import { weightsOf } from "./estimate.ts";
import type { Evaluation, Measured } from "./evaluation.ts";
import { type Gain, isGain, isOfFew, isUnsure } from "./gain.ts";
import type { BaseFacts, DatanetFacts, ModelFacts, TrainingFacts } from "./modelFacts.ts";

/** Of a datanet's contributors, so many stand in a card; the bill of materials has all. */
const CONTRIBUTORS_SHOWN = 50;

/**
 * A model card: Markdown under the front matter that Hugging Face reads (https://huggingface.co/docs/hub/model-cards). Texts that others wrote are
 * escaped: a name cannot become a heading, a link or a row of its own.
 */
export function modelCard(facts: ModelFacts): string {
  const parts = [
    frontMatter(facts),
    `# ${plain(facts.name)}`,
    introduction(facts),
    ...sourceSections(facts),
    ...(facts.training === undefined ? [] : [trainingSection(facts.training)]),
    ...facts.evaluations.map(evaluationSection),
    ...(facts.methods === undefined ? [] : [attributionSection(facts.methods)]),
    ...(facts.terms === undefined ? [] : [termsSection(facts.licence, facts.terms)]),
    limitsSection(facts),
    identitySection(facts),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** Of what something is made from: the base and the datanets, with their people. */
export function sourceSections({ base, datanets }: Pick<ModelFacts, "base" | "datanets">): readonly string[] {
  return [
    ...(base === undefined ? [] : [baseSection(base)]),
    ...(datanets.length === 0 ? [] : [datanetSection(datanets)]),
  ];
}

function frontMatter({ kind, licence, base, datanets, name }: ModelFacts): string {
  const spdx = hubLicences.get(licence);
  const lines = [
    ...(spdx === undefined ? ["license: other", `license_name: ${quoted(licence)}`] : [`license: ${spdx}`]),
    "pipeline_tag: text-generation",
    ...(kind === "index" ? [] : [`library_name: ${kind === "adapter" ? "peft" : "transformers"}`]),
    ...(kind === "adapter" || kind === "model"
      ? [`base_model: ${quoted(base?.name ?? "unknown")}`, `base_model_relation: ${relations[kind]}`]
      : []),
    ...(datanets.length === 0 ? [] : ["datasets:", ...datanets.map((datanet) => `- ${quoted(datanet.name)}`)]),
    "tags:",
    ...["openledger", ...(kind === "adapter" ? ["lora"] : [])].map((tag) => `- ${tag}`),
    `model_name: ${quoted(name)}`,
  ];
  return ["---", ...lines, "---"].join("\n");
}

function introduction({ kind, name, base, datanets, file }: ModelFacts): string {
  const learnt =
    datanets.length > 0
      ? `the ${datanets.length === 1 ? "datanet" : "datanets"} ${listed(datanets.map((one) => plain(one.name)))}`
      : `an uploaded file${file === undefined ? "" : ` (${plain(file)})`}`;
  const what = {
    adapter: `A LoRA adapter for the base ${plain(base?.name ?? "")}, trained on ${learnt}.`,
    model: `The base ${plain(base?.name ?? "")} with all of its weights trained on ${learnt}.`,
    base: "A base model, as it is.",
    index: `An ∞-gram model: an index over ${learnt}, without weights. What it says is taken from there.`,
  }[kind];
  return `${what}\n\n\`\`\`sh\nopenledger ask ${shellWord(name)} "…"\n\`\`\``;
}

function baseSection({ name, licence, shape, source, madeFrom, figures }: BaseFacts): string {
  const million = (weightsOf(shape) / 1e6).toFixed(1);
  const rows = madeFrom.map((one) => [
    ...[plain(one.name), plain(one.licence), whole(one.records), whole(one.contributors), plain(one.source)],
  ]);
  const lines = [
    "## Base",
    `${plain(name)}, ${million} million weights: ${shape.layers} layers of ${shape.hidden}, ${shape.heads} heads, reads ${whole(shape.contextTokens)} tokens. Licence ${plain(licence)}.`,
    ...(source === undefined ? [] : [plain(source)]),
    ...(rows.length === 0 ? [] : [table(["made from", "licence", "records", "contributors", "source"], rows)]),
    ...(Object.keys(figures).length === 0
      ? []
      : [
          table(
            ["measured", "value"],
            Object.entries(figures).map(([what, value]) => [plain(what), String(value)]),
          ),
        ]),
  ];
  return lines.join("\n\n");
}

function datanetSection(datanets: readonly DatanetFacts[]): string {
  const rows = datanets.map(({ name, version, licence, records, contributors, summary }) => [
    ...[plain(name), String(version), plain(licence), whole(records), whole(contributors.length), plain(summary)],
  ]);
  const people = datanets.map(({ name, contributors }) => {
    const shown = contributors.slice(0, CONTRIBUTORS_SHOWN);
    const more = contributors.length - shown.length;
    const names = shown.map((one) => `${plain(one.name)} (${whole(one.records)})`).join(", ");
    return `Who contributed to ${plain(name)}, with records: ${names}${more > 0 ? `, and ${whole(more)} more` : ""}.`;
  });
  const repeats = datanets.flatMap(({ name, lineage }) => {
    const [records, answers] = [
      new Set(lineage.map(({ record }) => record)),
      new Set(lineage.map((one) => one.receipt)),
    ];
    if (records.size === 0) return [];
    return `Records of ${plain(name)} that repeat earlier answers: ${whole(records.size)}, of ${answers.size === 1 ? "one answer" : `${whole(answers.size)} answers`}, whose own people have a part of their credit.`;
  });
  const head = ["datanet", "version", "licence", "records", "contributors", "what it is"];
  return ["## Datanets", table(head, rows), ...people, ...repeats].join("\n\n");
}

function trainingSection({ job, step, options, examples, heldOut, result, gain }: TrainingFacts): string {
  const { adapter: lora } = options;
  const rows: [string, string][] = [
    ["job", job],
    ...(step === undefined ? [] : [["checkpoint at step", whole(step)] as [string, string]]),
    [
      "method",
      lora === undefined ? "all weights" : `LoRA, rank ${lora.rank}, alpha ${lora.alpha}, dropout ${lora.dropout}`,
    ],
    ...(lora === undefined ? [] : [["targets", lora.targets.join(", ")] as [string, string]]),
    ["examples, and held out", `${whole(examples)}, ${whole(heldOut)}`],
    [
      "epochs, sequences a step, tokens a sequence",
      `${options.epochs}, ${options.batchSize}, ${options.sequenceTokens}`,
    ],
    ["learning rate, weight decay, seed", `${options.learningRate}, ${options.weightDecay}, ${options.seed}`],
  ];
  if (result !== undefined) {
    const { steps, trainedTokens, reason, build } = result;
    if (reason === "imported") rows.push(["trained", "elsewhere, from this job's export, and imported"]);
    else rows.push(["steps, tokens", `${whole(steps)}, ${whole(trainedTokens)}`]);
    rows.push(["build", plain(build)]);
  }
  const heldOutLoss = gain?.after ?? result?.heldOutLoss;
  if (gain !== undefined) rows.push(["held-out loss of its base, nats a token", gain.before.toFixed(4)]);
  if (heldOutLoss !== undefined) rows.push(["held-out loss, nats a token", heldOutLoss.toFixed(4)]);
  if (gain?.compared !== undefined)
    rows.push(["record by record, beside its base", comparedText(gain.compared, isGain(gain))]);
  return ["## Training", table(["what", "value"], rows)].join("\n\n");
}

function evaluationSection({ step, parts }: Evaluation): string {
  const share = (value: number | undefined) => (value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
  const row = (name: string, who: string, { loss, answers, exactMatch, grounding }: Measured) => [
    ...[plain(name), who, loss.toFixed(4), whole(answers), share(exactMatch), share(grounding)],
  ];
  const rows = parts.flatMap(({ name, base, model }) => [row(name, "base", base), row(name, "model", model)]);
  const of = step === undefined ? "" : ` of the checkpoint at step ${step}`;
  return [
    `## Evaluation${of}`,
    "On records that were held out of training. Grounded: the share of the answers' bits that spans of the datanet explain.",
    table(["on", "which", "loss, nats a token", "answers", "exact", "grounded"], rows),
    ...parts.flatMap(({ name, base: { cut: before = 0 }, model: { cut = 0 } }) =>
      before + cut === 0
        ? []
        : [
            `Cut at their limit on ${plain(name)}, and so not exact: ${before} of the base's answers, ${cut} of the model's.`,
          ],
    ),
  ].join("\n\n");
}

function attributionSection(methods: NonNullable<ModelFacts["methods"]>): string {
  const known = { exact: "how it works", measured: "measured on this model", assumed: "assumed by the node's policy" };
  const rows = methods.map(({ method: { id, version, kind, measures }, reliabilityPpm, basis }) => [
    ...[`${id} ${version}`, kind, measures, `${(reliabilityPpm / 10_000).toFixed(1)} %`, known[basis]],
  ]);
  return [
    "## Attribution",
    "Who is credited for an answer follows from these methods. Of what each finds, a part counts; the rest is unattributed.",
    table(["method", "evidence", "measures", "counts for", "known from"], rows),
  ].join("\n\n");
}

function termsSection(licence: string, { royalty, parentsBps }: NonNullable<ModelFacts["terms"]>): string {
  const price = (name: keyof Prices) => formatOpen(royalty[name]);
  return [
    "## Terms",
    `Licence ${plain(licence)}. Royalty in OPEN: ${price("inPerMillion")} per million tokens in, ${price("outPerMillion")} per million out, ${price("perCall")} a call. Of the model's own share, ${(parentsBps / 100).toFixed(2)} % flows to what it was made from. What an answer costs beside that is the operator's quote.`,
  ].join("\n\n");
}

function gainLimits(gain: Gain): readonly string[] {
  if (isOfFew(gain)) return ["Too few records were held out to tell whether anything was gained by its training."];
  if (!isGain(gain)) return ["Nothing was gained by its training: on what was held out it is no better than its base."];
  return isUnsure(gain)
    ? ["What was gained by its training may be chance: the records that were held out point both ways."]
    : [];
}

function limitsSection({ kind, datanets, training, methods = [] }: ModelFacts): string {
  const seesInfluence = methods.some(({ method }) => method.kind === "influence");
  const lines = [
    kind === "index"
      ? "It repeats and joins what its records say, and knows nothing else."
      : "It can say what is not true, also in the words of its records. Its answers are not checked.",
    datanets.length === 0
      ? "No datanet is declared: nobody is credited for what it learnt from, and the contributors' part of its royalty is reserved."
      : `Credit follows evidence: what an answer repeats of its datanets' records, and what of them was in the context. ${seesInfluence ? "Influence that leaves no such trace is estimated." : "Influence that leaves no such trace is not seen by it."}`,
    ...(training?.gain === undefined ? [] : gainLimits(training.gain)),
    ...(training?.result?.reason === "imported"
      ? ["It was trained elsewhere: that it was trained on these records is declared, not shown."]
      : []),
  ];
  return ["## Limits", lines.map((line) => `- ${line}`).join("\n")].join("\n\n");
}

function identitySection({ hash, asset, base, kind, datanets }: ModelFacts): string {
  const isMade = kind === "adapter" || kind === "model";
  const rows = [
    ["sha256 of what it computes from", `\`${hash}\``],
    ...(asset === undefined ? [] : [["asset", `\`${asset}\``]]),
    ...(base === undefined || !isMade ? [] : [[`base ${plain(base.name)}`, `\`${base.hash}\``]]),
    ...(base?.asset === undefined || !isMade ? [] : [[`base ${plain(base.name)}, asset`, `\`${base.asset}\``]]),
    ...datanets.flatMap(({ name, version, id, contentRoot, asset: of }) => {
      const called = `${plain(name)}, version ${version}`;
      return [
        [called, `\`${id}\``],
        ...(contentRoot === undefined ? [] : [[`${called}, content root`, `\`${contentRoot}\``]]),
        ...(of === undefined ? [] : [[`${called}, asset`, `\`${of}\``]]),
      ];
    }),
  ];
  return ["## Identity", table(["what", "id"], rows)].join("\n\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** One line of text that Markdown leaves alone. */
function plain(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_{}[\]<>#|~]/g, (mark) => `\\${mark}`);
}

/** A YAML scalar: JSON is YAML. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

function shellWord(text: string): string {
  return /^[\w.:@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

function whole(value: number): string {
  return value.toLocaleString("en-US");
}

const relations = { adapter: "adapter", model: "finetune" } as const;
/** As the hub spells them (https://huggingface.co/docs/hub/repositories-licenses). */
const hubLicences = new Map([
  ["Apache-2.0", "apache-2.0"],
  ["MIT", "mit"],
  ["CC-BY-4.0", "cc-by-4.0"],
  ["CC0-1.0", "cc0-1.0"],
  ["BSD-2-Clause", "bsd-2-clause"],
  ["BSD-3-Clause", "bsd-3-clause"],
  ["ISC", "isc"],
  ["Unlicense", "unlicense"],
]);

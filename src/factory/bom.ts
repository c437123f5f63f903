import { utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import type { Evaluation, Measured } from "./evaluation.ts";
import type { BaseFacts, DatanetFacts, ModelFacts, SourceFacts, TrainingFacts } from "./modelFacts.ts";

/** A CycloneDX 1.7 document. */
export interface Bom {
  readonly $schema: "http://cyclonedx.org/schema/bom-1.7.schema.json";
  readonly bomFormat: "CycloneDX";
  readonly specVersion: "1.7";
  readonly serialNumber: string;
  readonly version: 1;
  readonly metadata: { readonly timestamp: string; readonly tools: object; readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

export interface Component {
  readonly type: "machine-learning-model" | "data" | "application";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  readonly authors?: readonly { readonly "bom-ref": string; readonly name: string }[];
  readonly hashes?: readonly { readonly alg: "SHA-256"; readonly content: string }[];
  readonly licenses?: readonly object[];
  readonly modelCard?: object;
  readonly data?: readonly object[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

/**
 * What a model is made of, as a CycloneDX 1.7 ML-BOM (https://cyclonedx.org/capabilities/mlbom/): the model, its base, every datanet version with all of its
 * contributors, and what the base was made from. The same facts give the same document: its serial number follows from them.
 */
export function modelBom(facts: ModelFacts): Bom {
  const { base, datanets } = facts;
  const isMade = facts.kind === "adapter" || facts.kind === "model";
  const model: Component = {
    ...{ type: "machine-learning-model", "bom-ref": refOf("model", facts.hash), name: facts.name },
    ...{ hashes: sha256Of(facts.hash), licenses: licensesOf(facts.licence), modelCard: cardOf(facts) },
    properties: propertiesOf(facts),
  };
  const own = base !== undefined && isMade ? [baseComponent(base)] : [];
  const sources = base?.madeFrom ?? [];
  const sourceRefs = sources.map((source) => refOf("data", source.hash));
  const datanetRefs = datanets.map(({ id }) => refOf("datanet", id));
  const baseRefs = own.map((component) => component["bom-ref"]);
  return {
    ...{ $schema: "http://cyclonedx.org/schema/bom-1.7.schema.json", bomFormat: "CycloneDX", specVersion: "1.7" },
    ...{ serialNumber: `urn:uuid:${uuidOf(JSON.stringify(facts))}`, version: 1 },
    metadata: {
      timestamp: new Date(facts.createdMs).toISOString(),
      tools: { components: [{ type: "application", name: "OpenLedger" }] },
      component: model,
    },
    components: [...own, ...datanets.map(datanetComponent), ...sources.map(sourceComponent)],
    dependencies: [
      { ref: model["bom-ref"], dependsOn: [...baseRefs, ...datanetRefs, ...(isMade ? [] : sourceRefs)] },
      ...own.map((component) => ({ ref: component["bom-ref"], dependsOn: sourceRefs })),
      ...[...datanetRefs, ...sourceRefs].map((ref) => ({ ref, dependsOn: [] })),
    ],
  };
}

function cardOf(facts: ModelFacts): object {
  const { kind, datanets, base, training, evaluations } = facts;
  const sources = kind === "base" ? (base?.madeFrom ?? []) : [];
  const refs = [...datanets.map(({ id }) => refOf("datanet", id)), ...sources.map(({ hash }) => refOf("data", hash))];
  const inputs = [{ format: "text" }];
  return {
    modelParameters: {
      approach: { type: kind === "base" || kind === "index" ? "self-supervised" : "supervised" },
      task: "text generation",
      ...(kind === "index"
        ? { architectureFamily: "n-gram", modelArchitecture: "∞-gram" }
        : { architectureFamily: "transformer", modelArchitecture: "LlamaForCausalLM" }),
      ...(refs.length === 0 ? {} : { datasets: refs.map((ref) => ({ ref })) }),
      ...{ inputs, outputs: inputs },
    },
    quantitativeAnalysis: {
      performanceMetrics: [
        ...lossesOf(training),
        ...evaluations.flatMap(metricsOf),
        ...(kind === "base" ? Object.entries(base?.figures ?? {}) : []).map(([type, value]) => ({
          ...{ type, value: String(value) },
        })),
      ],
    },
    considerations: {
      technicalLimitations: [
        kind === "index"
          ? "Repeats and joins what its records say, and knows nothing else."
          : "Can say what is not true, also in the words of its records.",
      ],
      ethicalConsiderations: [
        {
          name: datanets.length === 0 ? "No datanet is declared" : "Contributors are credited by evidence",
          mitigationStrategy:
            datanets.length === 0
              ? "The contributors' part of its royalty is reserved for datanets."
              : "Each answer's receipt names who is credited, by which evidence; what no evidence explains is not paid to those who decide.",
        },
      ],
    },
  };
}

function lossesOf({ result, gain }: Partial<TrainingFacts> = {}): object[] {
  const loss = (value: number | undefined, more: object = {}) =>
    value === undefined ? [] : [{ type: "held-out loss, nats a token", value: String(value), ...more }];
  return [
    ...loss(gain?.before, { slice: "its base, before the training" }),
    ...loss(gain?.after ?? result?.heldOutLoss),
  ];
}

function metricsOf({ step, parts }: Evaluation): object[] {
  const suffix = step === undefined ? "" : `, checkpoint at step ${step}`;
  return parts.flatMap(({ name, version, base, model }) => {
    const on = `${name}${version === undefined ? "" : ` version ${version}`}${suffix}`;
    const of = (who: string, { loss, exactMatch, grounding }: Measured) => [
      { type: "held-out loss, nats a token", value: String(loss), slice: `${who} on ${on}` },
      ...(exactMatch === undefined
        ? []
        : [{ type: "exact match", value: String(exactMatch), slice: `${who} on ${on}` }]),
      ...(grounding === undefined ? [] : [{ type: "grounding", value: String(grounding), slice: `${who} on ${on}` }]),
    ];
    return [...of("base", base), ...of("model", model)];
  });
}

function baseComponent({ name, hash, licence, source, asset }: BaseFacts): Component {
  return {
    ...{ type: "machine-learning-model", "bom-ref": refOf("model", hash), name, hashes: sha256Of(hash) },
    ...{ licenses: licensesOf(licence), ...(source === undefined ? {} : { description: source }) },
    ...(asset === undefined ? {} : { properties: [{ name: "openledger:asset", value: asset }] }),
  };
}

function datanetComponent({ name, version, id, licence, summary, records, ...more }: DatanetFacts): Component {
  const { contributors, lineage, contentRoot, asset } = more;
  return {
    ...{ type: "data", "bom-ref": refOf("datanet", id), name, version: String(version), description: summary },
    authors: contributors.map((one) => ({
      "bom-ref": `${refOf("datanet", id)}/${one.payee.slice(2)}`,
      name: one.name,
    })),
    ...{ hashes: sha256Of(id), licenses: licensesOf(licence) },
    data: [{ type: "dataset", name, governance: { owners: [{ organization: { name: `contributors of ${name}` } }] } }],
    properties: [
      ...(contentRoot === undefined ? [] : [{ name: "openledger:content-root", value: contentRoot }]),
      ...(asset === undefined ? [] : [{ name: "openledger:asset", value: asset }]),
      { name: "openledger:records", value: String(records) },
      { name: "openledger:contributors", value: String(contributors.length) },
      ...contributors.map((one) => ({ name: `openledger:records:${one.payee}`, value: String(one.records) })),
      ...lineage.map(({ record, receipt, partPpm, isDeclared }) => ({
        name: `openledger:repeats:${record}`,
        value: JSON.stringify({ receipt, partPpm, isDeclared }),
      })),
    ],
  };
}

function sourceComponent({ name, licence, source, records, contributors, hash }: SourceFacts): Component {
  return {
    ...{ type: "data", "bom-ref": refOf("data", hash), name, description: source, hashes: sha256Of(hash) },
    ...{ licenses: licensesOf(licence), data: [{ type: "dataset", name }] },
    properties: [
      { name: "openledger:records", value: String(records) },
      { name: "openledger:contributors", value: String(contributors) },
    ],
  };
}

function propertiesOf({ kind, asset, training, terms, file }: ModelFacts): NonNullable<Component["properties"]> {
  const { adapter: lora, ...options } = training?.options ?? {};
  const entries: [string, unknown][] = [
    ["kind", kind],
    ["asset", asset],
    ["job", training?.job],
    ["step", training?.step],
    ["build", training?.result?.build],
    ["trained", training?.result?.reason],
    ["file", file],
    ["royalty", terms?.royalty],
    ["parents-bps", terms?.parentsBps],
    ["lora", lora],
    ...(training === undefined ? [] : ([["options", options]] as [string, unknown][])),
  ];
  return entries
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ({
      ...{ name: `openledger:${name}`, value: typeof value === "string" ? value : JSON.stringify(value) },
    }));
}

/** An expression, and never an id: the schema lists the ids that it knows, and a licence may be newer. */
function licensesOf(expression: string): readonly object[] {
  if (/^[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*$/.test(expression)) return [{ expression }];
  return [{ license: { name: expression } }];
}

function sha256Of(hash: string): NonNullable<Component["hashes"]> {
  return [{ alg: "SHA-256", content: hash.replace(/^0x/, "") }];
}

function refOf(kind: "model" | "datanet" | "data", hash: string): string {
  return `openledger:${kind}:${hash.replace(/^0x/, "")}`;
}

/** RFC 9562 section 5.8: a UUID of our own making, of a hash. */
function uuidOf(text: string): string {
  const bytes = sha256(utf8(text)).slice(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

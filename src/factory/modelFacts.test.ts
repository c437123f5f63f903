import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { influenceMethod, lineageMethod, spanMethod } from "../attribution/description.ts";
import { combinationOf, defaultPolicy } from "../attribution/policy.ts";
import { toHex } from "../core/bytes.ts";
import { projections } from "../models/llama.ts";
import { tinyShape } from "../models/testing/randomLlama.ts";
import { modelBom } from "./bom.ts";
import { modelCard } from "./card.ts";
import type { ModelFacts } from "./modelFacts.ts";

const hash = (n: number) => toHex(new Uint8Array(32).fill(n));
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom("a | b", "a \\| b", "# x\n---\n", "[x](y)", "<b>", "`"),
);
const contributor = fc.record({ payee: fc.nat({ max: 255 }).map(hash), name: text, records: fc.nat({ max: 99 }) });
const datanet = fc.record({
  ...{ name: text, version: fc.integer({ min: 1, max: 9 }), id: fc.nat({ max: 255 }).map(hash) },
  ...{ licence: fc.constantFrom("CC-BY-4.0", "MIT AND ISC", "my own words"), summary: text, records: fc.nat() },
  contributors: fc.uniqueArray(contributor, { maxLength: 4, selector: ({ payee }) => payee }),
  lineage: fc.array(
    fc.record({
      record: fc.nat(9).map(hash),
      receipt: fc.nat(9).map(hash),
      partPpm: fc.nat(1_000_000),
      isDeclared: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
});
const source = fc.record({
  ...{
    name: text,
    licence: text,
    source: text,
    records: fc.nat(),
    contributors: fc.nat(),
    hash: fc.constant(hash(200)),
  },
});
const measured = fc.record({ loss: fc.float({ min: 0, max: 9, noNaN: true }), tokens: fc.nat(), answers: fc.nat() });
const neuralMethods = combinationOf(defaultPolicy, [
  [spanMethod, { measuredPpm: 430_000 }],
  [influenceMethod, "unmeasured"],
  [lineageMethod, "exact"],
]).methods;
const facts: fc.Arbitrary<ModelFacts> = fc.record(
  {
    ...{ name: text, kind: fc.constantFrom("adapter", "model", "base", "index"), hash: fc.constant(hash(1)) },
    ...{ asset: fc.constant(hash(2)), licence: text, createdMs: fc.nat(), file: text },
    base: fc.record({
      ...{ name: text, hash: fc.constant(hash(3)), licence: text, shape: fc.constant(tinyShape()), source: text },
      ...{ madeFrom: fc.array(source, { maxLength: 1 }), figures: fc.constant({ "held-out loss": 3.5 }) },
    }),
    datanets: fc.uniqueArray(datanet, { maxLength: 3, selector: ({ id }) => id }),
    training: fc.record({
      ...{ job: fc.constant("ftjob-1"), examples: fc.nat(), heldOut: fc.nat() },
      options: fc.constant({
        ...{ adapter: { rank: 8, alpha: 16, dropout: 0, targets: projections }, epochs: 2, batchSize: 8, seed: 1 },
        ...{ sequenceTokens: 64, learningRate: 0.003, warmUp: 0.05, weightDecay: 0.01, gradientNormMax: 1 },
        ...{ patience: 0, checkpointEvery: 5, fitsInfluence: false },
      }),
    }),
    evaluations: fc.array(
      fc.record({
        timeMs: fc.nat(),
        parts: fc.array(
          fc.record({ name: text, examples: fc.nat(), base: measured, model: measured, samples: fc.constant([]) }),
          { maxLength: 2 },
        ),
      }),
      { maxLength: 2 },
    ),
    methods: fc.constant(neuralMethods),
    terms: fc.constant({ royalty: { inPerMillion: 0, outPerMillion: 2_000_000_000, perCall: 1 }, parentsBps: 3_000 }),
  },
  { requiredKeys: ["name", "kind", "hash", "licence", "createdMs", "datanets", "evaluations"] },
);

/** The parts of CycloneDX 1.7's JSON schema that an ML-BOM uses; objects take no other fields, as there. */
const ref = z.string().min(1);
const licenses = z.array(
  z.union([
    z.strictObject({ license: z.strictObject({ name: z.string() }) }),
    z.strictObject({ expression: z.string() }),
  ]),
);
const format = z.array(z.strictObject({ format: z.string() }));
const component = z.strictObject({
  type: z.enum(["machine-learning-model", "data"]),
  "bom-ref": ref,
  name: z.string(),
  version: z.string().max(1_024).optional(),
  description: z.string().optional(),
  authors: z.array(z.strictObject({ "bom-ref": ref, name: z.string() })).optional(),
  hashes: z.array(z.strictObject({ alg: z.literal("SHA-256"), content: z.string().regex(/^[a-fA-F0-9]{64}$/) })),
  licenses,
  data: z
    .array(
      z.strictObject({
        ...{ type: z.literal("dataset"), name: z.string() },
        governance: z
          .strictObject({ owners: z.array(z.strictObject({ organization: z.strictObject({ name: z.string() }) })) })
          .optional(),
      }),
    )
    .optional(),
  properties: z.array(z.strictObject({ name: z.string(), value: z.string() })).optional(),
  modelCard: z
    .strictObject({
      modelParameters: z.strictObject({
        approach: z.strictObject({ type: z.enum(["supervised", "self-supervised"]) }),
        ...{ task: z.string(), architectureFamily: z.string(), modelArchitecture: z.string() },
        datasets: z.array(z.strictObject({ ref })).optional(),
        ...{ inputs: format, outputs: format },
      }),
      quantitativeAnalysis: z.strictObject({
        performanceMetrics: z.array(
          z.strictObject({ type: z.string(), value: z.string(), slice: z.string().optional() }),
        ),
      }),
      considerations: z.strictObject({
        technicalLimitations: z.array(z.string()),
        ethicalConsiderations: z.array(z.strictObject({ name: z.string(), mitigationStrategy: z.string() })),
      }),
    })
    .optional(),
});
const bomSchema = z.strictObject({
  ...{ $schema: z.string(), bomFormat: z.literal("CycloneDX"), specVersion: z.literal("1.7"), version: z.literal(1) },
  serialNumber: z.string().regex(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/),
  metadata: z.strictObject({
    timestamp: z.iso.datetime(),
    tools: z.strictObject({
      components: z.array(z.strictObject({ type: z.literal("application"), name: z.string() })),
    }),
    component,
  }),
  components: z.array(component),
  dependencies: z.array(z.strictObject({ ref, dependsOn: z.array(ref) })),
});

test("a bill of materials is CycloneDX 1.7, names every part once, and leads from the model to every datanet and contributor", () => {
  fc.assert(
    fc.property(facts, (given) => {
      const bom = bomSchema.parse(JSON.parse(JSON.stringify(modelBom(given))));
      const all = [bom.metadata.component, ...bom.components];
      const refs = all.flatMap((one) => [one["bom-ref"], ...(one.authors ?? []).map((author) => author["bom-ref"])]);
      expect(new Set(refs).size).toBe(refs.length);
      const next = new Map(bom.dependencies.map((one) => [one.ref, one.dependsOn]));
      expect([...next.keys()].sort()).toEqual(all.map((one) => one["bom-ref"]).sort());
      const reached = new Set([bom.metadata.component["bom-ref"]]);
      for (const one of reached) for (const other of next.get(one) ?? []) reached.add(other);
      expect(reached.size).toBe(all.length);
      for (const { id, contributors } of given.datanets) {
        const found = bom.components.find((one) => one["bom-ref"] === `openledger:datanet:${id.slice(2)}`);
        expect(found?.authors?.map(({ name }) => name)).toEqual(contributors.map(({ name }) => name));
      }
      expect(modelBom(given)).toEqual(modelBom(given));
    }),
  );
});

test("a card has front matter that YAML reads, one heading a section, and tables whose rows are whole, whatever people are called", () => {
  fc.assert(
    fc.property(facts, (given) => {
      const card = modelCard(given);
      const [, front, body] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(card) ?? [];
      expect(front).toContain("pipeline_tag: text-generation");
      for (const line of front!.split("\n")) expect(line).toMatch(/^(?:[a-z_]+:(?: .+)?|- .+)$/);
      const allowed = /^# |^## (?:Base|Datanets|Training|Evaluation|Attribution|Terms|Limits|Identity)/;
      for (const line of body!.split("\n").filter((one) => one.startsWith("#"))) expect(line).toMatch(allowed);
      for (const block of body!
        .trimEnd()
        .split("\n\n")
        .filter((one) => one.startsWith("| "))) {
        const cells = block.split("\n").map((row) => row.replaceAll(/\\./g, "").split("|").length);
        expect(new Set(cells).size).toBe(1);
      }
      for (const { name } of given.datanets.flatMap(({ contributors }) => contributors))
        for (const word of name.split(/[^a-z0-9]+/i)) expect(body).toContain(word);
    }),
  );
});

test("a card says what each method counts for, and how that is known", () => {
  const facts = { name: "x", kind: "adapter", hash: hash(1), licence: "MIT", createdMs: 0 } as const;
  const card = modelCard({ ...facts, datanets: [], evaluations: [], methods: neuralMethods });
  expect(card).toContain(`## Attribution`);
  expect(card).toContain("| span 1 | span | match | 43.0 % | measured on this model |");
  expect(card).toContain("| influence 4 | influence | cause | 50.0 % | assumed by the node's policy |");
  expect(card).toContain("| lineage 1 | lineage | match | 100.0 % | how it works |");
});

test("a card names licence, base and datanets where the hub looks for them", () => {
  const given: ModelFacts = {
    ...{ name: "ft:house:x", kind: "adapter", hash: hash(1), licence: "CC-BY-4.0", createdMs: 0, evaluations: [] },
    base: { name: "house", hash: hash(3), licence: "CC-BY-4.0", shape: tinyShape(), madeFrom: [], figures: {} },
    datanets: [
      {
        name: "pages",
        version: 2,
        id: hash(4),
        licence: "CC0-1.0",
        summary: "s",
        records: 1_234,
        contributors: [],
        lineage: [],
      },
    ],
  };
  const front = modelCard(given).split("---")[1];
  expect(front).toBe(`
license: cc-by-4.0
pipeline_tag: text-generation
library_name: peft
base_model: "house"
base_model_relation: adapter
datasets:
- "pages"
tags:
- openledger
- lora
model_name: "ft:house:x"
`);
  expect(modelCard({ ...given, licence: "MIT AND ISC" })).toContain('license: other\nlicense_name: "MIT AND ISC"');
  expect(modelCard(given)).toContain("| pages | 2 | CC0-1.0 | 1,234 | 0 | s |");
});

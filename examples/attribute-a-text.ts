/**
 * Makes a datanet of a folder of Markdown, indexes it, and says which stretches of a text are whose.
 * Everything is in memory and in a temporary folder; no node is needed.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attributeText } from "../src/attribution/attribute.ts";
import { toHex } from "../src/core/bytes.ts";
import { keccak256 } from "../src/core/hash.ts";
import { assert, unwrap } from "../src/core/result.ts";
import { createDatanet } from "../src/datanets/datanet.ts";
import { importFolder } from "../src/datanets/importFolder.ts";
import { importInto, publishVersion } from "../src/datanets/intake.ts";
import { MemoryDatanetStore } from "../src/datanets/memoryStore.ts";
import { buildIndex } from "../src/models/corpusIndex.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";

const pages = {
  ann: `# Sourdough

## Feeding the starter
Feed the starter with equal weights of rye flour and water every evening, and keep it at twenty-four degrees until it has doubled.

## Baking
Bake the loaf for forty minutes in a closed pot, then for ten more without its lid, so that the crust turns dark.
`,
  ben: `# Coffee

## Grinding
Grind the beans just before brewing, as coarse as sea salt for a press and as fine as powdered sugar for an espresso.
`,
};
const text = `Here is your morning. Feed the starter with equal weights of rye flour and water every evening, and while \
the loaf is in the oven, grind the beans just before brewing, as coarse as sea salt for a press. Enjoy the day!`;

const folder = await mkdtemp(join(tmpdir(), "openledger-example-"));
try {
  const us = toHex(keccak256(new Uint8Array(32)));
  const store = new MemoryDatanetStore();
  const draft = {
    name: "kitchen",
    summary: "What we know about breakfast",
    licence: "CC-BY-4.0",
    rules: { review: "open" },
  } as const;
  unwrap(await store.createDatanet(unwrap(createDatanet(draft, us, Date.now())), new Uint8Array(32)));
  for (const [name, page] of Object.entries(pages)) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "notes.md"), page);
    const authors = [{ identity: `git:${name}@example.org`, name }];
    const notes = importFolder({ folder: join(folder, name), licence: "CC-BY-4.0", authors, label: `${name}'s notes` });
    unwrap(await importInto(store, "kitchen", notes, us, () => Date.now()));
  }
  const { version, records } = unwrap(await publishVersion(store, "kitchen", us, Date.now()));
  console.log(`kitchen, version ${version.number}: ${records.length} records, content root ${version.id}\n`);

  const { evidence, totalUnits, explainedUnits } = attributeText(buildIndex(houseTokenizer(), records), text);
  for (const { kind, output, recordNumber, weight } of evidence.toSorted((a, b) => a.output.from - b.output.from)) {
    const { authors, title, headingPath } = records[recordNumber]!;
    const part = `${((100 * weight) / totalUnits).toFixed(1)} %`.padStart(6);
    console.log(`${part}  ${authors[0]!.name}: ${[title, ...headingPath].join(" › ")} (${kind})`);
    console.log(`        “${text.slice(output.from, output.until).trim()}”`);
  }
  console.log(`\n${((100 * (totalUnits - explainedUnits)) / totalUnits).toFixed(1)} % of the text is nobody's here`);
  const credited = new Set(evidence.map(({ recordNumber }) => records[recordNumber]!.authors[0]!.name));
  assert(credited.has("ann") && credited.has("ben"), "both authors are found");
} finally {
  await rm(folder, { recursive: true, force: true });
}

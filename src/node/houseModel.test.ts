import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { parties, smallLedger } from "../ledger/testing/smallLedger.ts";
import { readLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { houseModelFolder } from "../models/houseModelFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { registerBase } from "./baseAssets.ts";
import { BaseShelf, HOUSE } from "./factoryBases.ts";

const shelf = new BaseShelf(join(tmpdir(), "openledger-no-data"), houseModelFolder());

test("the house model is a base over the house tokenizer, with numbers for weights", async () => {
  const base = unwrap(await shelf.find(HOUSE));
  expect(base).toMatchObject({ licence: "CC-BY-4.0", shape: { vocabulary: 8_192, layers: 4, contextTokens: 256 } });
  expect(toHex(base.tokenizer.hash)).toBe(toHex(houseTokenizer().hash));
  const { tensors } = unwrap(await readLlamaFolder(base.folder));
  for (const { data } of tensors.values()) expect(data.every(Number.isFinite)).toBe(true);
});

test("its README says of sources and figures what its notes say", async () => {
  const base = unwrap(await shelf.find(HOUSE));
  const { madeFrom, figures } = await shelf.notes(base);
  const readme = readFileSync(join(base.folder, "README.md"), "utf8");
  expect(madeFrom).toHaveLength(3);
  for (const { records, contributors, licence, source } of madeFrom) {
    const row = [records.toLocaleString("en-US"), contributors.toLocaleString("en-US"), licence].join(" | ");
    expect(readme).toContain(`| ${row} | [${source.replace("https://github.com/", "")}](${source}) |`);
  }
  expect(Object.values(figures)).toHaveLength(3);
  for (const figure of Object.values(figures)) expect(readme).toContain(`| ${figure.toFixed(3)} |`);
});

test("as an asset it has its sources for parents, and passes a part of its royalty on to them", async () => {
  const { ledger } = await smallLedger();
  const provenance = { chain: creditChain(parties.node.slice(12)), ledger };
  const base = unwrap(await shelf.find(HOUSE));
  const asset = unwrap(await registerBase(provenance, base, await shelf.notes(base)));
  expect(asset.parents).toHaveLength(3);
  expect(asset.terms).toMatchObject({ licence: "CC-BY-4.0", parentsBps: 3_000 });
  for (const { id } of asset.parents) expect(ledger.assets.get(id)?.kind).toBe("datanet");
  const again = unwrap(await registerBase(provenance, base, await shelf.notes(base)));
  expect(toHex(again.id)).toBe(toHex(asset.id));
});

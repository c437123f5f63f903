import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { usualTariff } from "../factory/tariff.ts";
import { TariffFile } from "./tariffFile.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-tariff-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a node begins with the usual prices, and keeps those that were set", async () => {
  const tariff = unwrap(await TariffFile.open(folder));
  expect(tariff.now).toEqual(usualTariff);
  const dearer = { cost: 1, base: 2, data: 3 };
  unwrap(await tariff.change(dearer));
  expect(tariff.now).toEqual(dearer);
  expect(unwrap(await TariffFile.open(folder)).now).toEqual(dearer);
});

test.each(["", "[]", '{"cost":1}', '{"cost":-1,"base":0,"data":0}', '{"cost":1e300,"base":0,"data":0}'])(
  "a file with %j is refused rather than read as something else",
  async (text) => {
    writeFileSync(join(folder, "training-prices.json"), text);
    expect(await TariffFile.open(folder)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
  },
);

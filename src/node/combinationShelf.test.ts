import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { indexCombination } from "../attribution/attribute.ts";
import { combinationHash, combinationText } from "../attribution/policy.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { CombinationShelf } from "./combinationShelf.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const hash = combinationHash(indexCombination);

test("a combination is written down and published before a receipt can name it", async () => {
  const shelf = unwrap(await CombinationShelf.open(folder));
  const published: Uint8Array[] = [];
  shelf.publishTo(async (text) => {
    expect(await readFile(join(folder, "combinations", `${toHex(hash)}.txt`), "utf8")).toBe(
      combinationText(indexCombination),
    );
    published.push(text);
    return ok(undefined);
  });
  await shelf.keep(indexCombination);
  expect(published).toEqual([utf8(combinationText(indexCombination))]);
  expect(await shelf.text(hash)).toBe(combinationText(indexCombination));
});

test("one that the ledger does not publish is not kept as if it were", async () => {
  const shelf = unwrap(await CombinationShelf.open(folder));
  shelf.publishTo(async () => refuse("store_unavailable", "the record store is away"));
  await expect(shelf.keep(indexCombination)).rejects.toThrow("the record store is away");
});

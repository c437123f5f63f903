import { readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { unwrap } from "../core/result.ts";
import { forgetLoaded, keepState, loadState } from "./chainState.ts";

const dumpAt = (block: number): string =>
  `0x${gzipSync(JSON.stringify({ accounts: {}, best_block_number: block })).toString("hex")}`;

test("the newest state is loaded, unpacked, and its copy removed", async () => {
  const folder = await temporaryFolder();
  expect(unwrap(await loadState(folder))).toBeUndefined();
  for (const block of [1, 2, 3])
    expect(unwrap(await keepState(folder, dumpAt(block)))).toEqual({ blockNumber: BigInt(block) });
  const state = unwrap(await loadState(folder));
  expect(state).toMatchObject({ blockNumber: 3n, note: undefined });
  expect(JSON.parse(readFileSync(state?.path ?? "", "utf8"))).toEqual({ accounts: {}, best_block_number: 3 });
  await forgetLoaded(state);
  expect(readdirSync(folder).sort()).toEqual(["state.json.gz", "state.previous.json.gz"]);
});

test("a damaged current state never takes the place of a sound previous one", async () => {
  const folder = await temporaryFolder();
  const current = join(folder, "state.json.gz");
  for (const block of [1, 2]) unwrap(await keepState(folder, dumpAt(block)));
  truncateSync(current, 10);
  unwrap(await keepState(folder, dumpAt(3)));
  truncateSync(current, 10);
  expect(unwrap(await loadState(folder))).toMatchObject({ blockNumber: 1n });
});

test("any byte that changes in the packed file is noticed", async () => {
  const folder = await temporaryFolder();
  const packed = Buffer.from(dumpAt(7).slice(2), "hex");
  for (let at = 10; at < packed.length; at += 1) {
    const changed = Buffer.from(packed);
    changed[at] = changed[at]! ^ 1;
    expect(await keepState(folder, `0x${changed.toString("hex")}`), `byte ${at}`).toMatchObject({ ok: false });
  }
  expect(readdirSync(folder)).toEqual([]);
});

test.each([undefined, null, 7, "", "0x", "0xzz", `0x${gzipSync("{}").toString("hex")}`])(
  "what is no state is refused and nothing kept: %s",
  async (dump) => {
    const folder = await temporaryFolder();
    expect(await keepState(folder, dump)).toMatchObject({ ok: false, error: { code: "chain_unavailable" } });
    expect(readdirSync(folder)).toEqual([]);
  },
);

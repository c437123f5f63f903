import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ask, endAll, folder, run, start } from "./program.ts";
import { makeRepository } from "./repository.ts";

const total = z.string().regex(/^\d+$/).transform(BigInt);
const sumsSchema = z.looseObject({
  ...{ seconds: z.number(), receipts: z.number(), creditedNano: total, debitedNano: total, heldNano: total },
  ...{ firstReceiptSeconds: z.number(), asked: z.number(), feesNano: z.number(), claimedNano: total },
  ...{ balanceRoseNano: total, theft: z.string(), copierWeight: z.number(), skimmedEntry: z.number() },
  ...{ victimBefore: z.number(), victimAfter: z.number(), monthQuestions: z.number(), smallestNano: total },
  ...{ verifiedEntries: z.number(), verifiedEpochs: z.number(), settledCreditsNano: total },
});
type Sums = z.output<typeof sumsSchema>;

let place: Awaited<ReturnType<typeof folder>>;
let data: string;
let repo: string;
beforeAll(async () => {
  place = await folder();
  data = join(place.path, "data");
  repo = makeRepository(place.path);
});
afterAll(async () => {
  await endAll();
  await place.remove();
});

/** Runs the demonstration to its end: its last line, and all that it said. */
async function demo(): Promise<{ readonly sums: Sums; readonly said: string }> {
  const program = start(["demo", "--once", "--repo", repo, "--port", "0", "--data", data]);
  const { code, stdout, stderr } = await program.ended(120_000);
  expect(`${stdout}${stderr}`).not.toMatch(/\n\s+at .+:\d+:\d+/);
  expect(code, `${stdout}${stderr}`).toBe(0);
  return { sums: sumsSchema.parse(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")), said: stdout };
}

function agrees(sums: Sums): void {
  expect(sums.creditedNano).toBe(sums.debitedNano);
  expect(sums.heldNano).toBe(0n);
  expect(sums.claimedNano).toBeGreaterThan(0n);
  expect(sums.claimedNano).toBe(sums.balanceRoseNano);
  expect(sums.theft).not.toBe("paid");
  expect(sums.theft).not.toBe("nobody to rob");
  expect(sums.copierWeight).toBe(0);
  expect(sums.victimAfter).toBe(sums.victimBefore);
  expect(sums.skimmedEntry).toBeGreaterThan(0);
  expect(sums.monthQuestions).toBe(200);
  expect(sums.smallestNano).toBeGreaterThan(0n);
  expect(sums.receipts).toBeGreaterThanOrEqual(sums.asked + sums.monthQuestions);
}

let first: { readonly sums: Sums; readonly said: string };

test("the demonstration on a repository ends with sums that agree, and names both of its authors", async () => {
  first = await demo();
  agrees(first.sums);
  expect(first.sums.verifiedEpochs).toBe(2);
  expect(first.said).toMatch(/made the datanet handbook/);
  expect(first.said).toMatch(/Ann Ames/);
  expect(first.said).toMatch(new RegExp(`entry ${first.sums.skimmedEntry}`));
}, 150_000);

test("its journal verifies without it, and not any more when one byte of it is another", async () => {
  const verdict = z.object({ size: z.number(), kinds: z.looseObject({ receipt: z.number() }) });
  const { size, kinds } = verdict.parse(await ask(["verify", "--no-chain", "--data", data]));
  expect(size).toBeGreaterThanOrEqual(first.sums.verifiedEntries);
  expect(kinds.receipt).toBe(first.sums.receipts);
  const bundle = join(data, "journal", "tile", "entries", "000");
  const kept = readFileSync(bundle);
  const changed = Uint8Array.from(kept);
  changed[changed.length - 1]! ^= 1;
  writeFileSync(bundle, changed);
  const refused = await run(["verify", "--no-chain", "--data", data]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/entry 255/);
  writeFileSync(bundle, kept);
  expect((await run(["verify", "--no-chain", "--data", data])).code).toBe(0);
});

test("a second start reuses everything: no new version, a journal that has grown and verifies", async () => {
  const again = await demo();
  agrees(again.sums);
  expect(again.said).toMatch(/found the datanet handbook/);
  expect(again.said).not.toMatch(/deploying the contracts/);
  expect(again.sums.verifiedEpochs).toBe(4);
  expect(again.sums.verifiedEntries).toBeGreaterThan(first.sums.verifiedEntries);
  expect(again.sums.receipts).toBe(2 * first.sums.receipts);
}, 150_000);

test("without --once it stays up, and each command that it suggests works", async () => {
  const node = start(["demo", "--repo", repo, "--port", "0", "--data", data]);
  await node.says(/It stays up/, 120_000);
  await node.says(/Ctrl-C stops it/);
  const suggested = [...node.said().matchAll(/npm run openledger -- (.+)/g)].map(([, words = ""]) => words);
  expect(suggested.length).toBeGreaterThanOrEqual(3);
  for (const words of suggested) {
    const args = [...words.matchAll(/"([^"]+)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
    const { code, stdout, stderr } = await run([...args, "--data", data]);
    expect(code, `${words}: ${stdout}${stderr}`).toBe(0);
  }
  expect(await ask(["datanet", "show", "handbook", "--data", data])).toMatchObject({ versions: [{ version: 1 }] });
  node.signal("SIGINT");
  expect((await node.ended()).code).toBe(130);
}, 150_000);

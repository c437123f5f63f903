import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { openReportFile } from "./reportFile.ts";
import { SeenRows } from "./seenRows.ts";
import { castShadow, type ShadowOptions } from "./shadow.ts";

let folder: string;
let records: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  records = join(folder, "records.jsonl");
  const record = (name: string, text: string) =>
    JSON.stringify({ id: name, authors: [name], license: "MIT", source: "o/n@1 f", title: name, text });
  await writeFile(
    records,
    [record("Ann", "Sluice gates open at dawn."), record("Ben", "Kettles are polished.")].join("\n"),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const models = [
  { name: "whole", royaltyBps: 3_000, trainedOn: [{ datanet: "notes" }] },
  { name: "bare", royaltyBps: 500 },
];

test("every nano of the file is charged once and owed to somebody, whatever is sent twice, unknown or broken", async () => {
  const row = fc.record({
    id: fc.nat(30),
    team: fc.constantFrom("a", "b", "c"),
    model: fc.constantFrom("whole", "bare", "unlisted"),
    nano: fc.nat(5_000),
    isBroken: fc.nat(9).map((n) => n === 0),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async (rows) => {
      const lines = rows.map(({ id, team, model, nano, isBroken }) =>
        isBroken
          ? "{"
          : JSON.stringify({
              request_id: `r${id}`,
              endTime: "2026-01-02",
              team_id: team,
              model,
              spend: `0.${String(nano).padStart(9, "0")}`,
            }),
      );
      const shadow = await cast(lines.join("\n"));
      const firsts = new Map<number, (typeof rows)[number]>();
      for (const one of rows) if (!one.isBroken && !firsts.has(one.id)) firsts.set(one.id, one);
      const due = [...firsts.values()].reduce((sum, { nano }) => sum + BigInt(nano), 0n);
      expect(shadow.rows.booked).toBe(firsts.size);
      expect(shadow.rows.booked + shadow.rows.known + shadow.rows.refused).toBe(rows.length);
      expect(shadow.charged).toBe(due);
      const sum = (type: string) =>
        shadow.parties.filter((one) => one.type === type).reduce((all, { nano }) => all + nano, 0n);
      expect([sum("account"), sum("payee")]).toEqual([-due, due]);
      for (const { lines: parts, nano } of shadow.parties)
        expect(parts.reduce((all, part) => all + part.nano, 0n)).toBe(nano);
      const team = [...firsts.values()]
        .filter((one) => one.team === "a")
        .reduce((all, { nano }) => all + BigInt(nano), 0n);
      expect(-(shadow.parties.find(({ name }) => name === "a")?.nano ?? 0n)).toBe(team);
    }),
    { numRuns: 25 },
  );
});

test("contributors by name, in the ratio of what they wrote", async () => {
  const shadow = await cast('{"request_id":"1","endTime":"2026-01-02","team_id":"a","model":"whole","spend":1}');
  const owed = (name: string) => Number(shadow.parties.find((one) => one.name === name)?.nano ?? 0n);
  // 30 % royalty, of which contributors have 70 % where there is neither context nor stake.
  expect(owed("Ann") + owed("Ben")).toBe(210_000_000);
  expect(owed("Ann") / owed("Ben")).toBeCloseTo(26 / 21, 4);
  expect(shadow.modelName(shadow.parties.find(({ name }) => name === "Ann")?.lines[0]?.of ?? "")).toBe("whole");
});

test("rows that were seen are found again, and others are not", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(10_000), { maxLength: 400 }), fc.array(fc.nat(10_000)), (added, others) => {
      const seen = new SeenRows();
      const hash = (n: number, of: number) => sha256(Uint8Array.of(of, n >> 8, n & 255)).slice(0, 16);
      for (const n of added) seen.add(hash(n, 0), hash(n, 1));
      for (const n of added) seen.add(hash(n, 0), hash(n, 2));
      for (const n of [...added, ...others])
        expect(seen.get(hash(n, 0))).toEqual(added.includes(n) ? hash(n, 1) : undefined);
      expect(seen.count).toBe(added.length);
    }),
  );
});

async function cast(text: string) {
  const file = join(folder, "rows.jsonl");
  await writeFile(file, text);
  const { chunks } = unwrap(await openReportFile(file));
  const options: ShadowOptions = {
    ...{ report: { format: "litellm" }, models, datanets: new Map([["notes", records]]), royaltyBps: 2_000 },
    ...{ nanoPerUsd: 1_000_000_000, nowMs: 1, onProgress: () => undefined },
  };
  return unwrap(await castShadow(chunks(7), options));
}

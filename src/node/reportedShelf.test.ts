import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseManifest } from "../cli/manifest.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { sealRecord } from "../datanets/record.ts";
import { ReportedModels } from "../gateway/reportedModels.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { assets, parties, type SmallLedger, smallLedger } from "../ledger/testing/smallLedger.ts";
import type { DeclaredVersion, FindVersion } from "./declared.ts";
import { ReportedShelf } from "./reportedShelf.ts";

const text =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.";

test("a manifest: each row by itself, and the same again is known", async () => {
  const { shelf, models, small } = await begin();
  const manifest = [
    { name: "all", trainedOn: [{ datanet: "notes" }], royaltyBps: 100 },
    {
      name: "some",
      trainedOn: [
        {
          datanet: "notes",
          contributors: [{ identity: "git:ann@a.org", weight: 3 }, { payee: `0x${"ab".repeat(20)}` }],
        },
      ],
    },
    { name: "bare" },
    { name: "measured", trainedOn: [{ datanet: "notes", by: "measured" }] },
    { name: "all", royaltyBps: 200 },
    { name: "lost", trainedOn: [{ datanet: "nothing" }] },
    { name: "alone", trainedOn: [{ contributors: [{ identity: "git:ann@a.org" }] }] },
    { name: "wrong", trainedOn: [{ datanet: "notes", records: ["0x00"] }] },
    {
      name: "both",
      trainedOn: [{ datanet: "notes", contributors: [{ identity: "git:a@a.org", payee: `0x${"ab".repeat(20)}` }] }],
    },
    "nothing",
    { name: "half \ud800" },
  ];
  const options = { models: manifest, dryRun: false, replace: false };
  const dry = await shelf.importAll({ ...options, dryRun: true });
  const before = small.ledger.books.size();
  const first = await shelf.importAll(options);
  expect(first.map(({ name, outcome, code, contributors }) => [name, outcome, code ?? contributors])).toEqual([
    ["all", "registered", 2],
    ["some", "registered", 2],
    ["bare", "registered", 0],
    ["measured", "registered", 0],
    ["all", "refused", "already_exists"],
    ["lost", "refused", "not_found"],
    ["alone", "refused", "invalid_request"],
    ["wrong", "refused", "not_found"],
    ["both", "refused", "invalid_request"],
    ["", "refused", "invalid_request"],
    ["half \ud800", "refused", "invalid_request"],
  ]);
  expect(dry.map(({ outcome }) => outcome).slice(0, 4)).toEqual(Array(4).fill("registered"));
  const size = small.ledger.books.size();
  expect(size).toBeGreaterThan(before);
  const again = await shelf.importAll(options);
  expect(again.map(({ outcome }) => outcome).slice(0, 4)).toEqual(Array(4).fill("known"));
  expect(small.ledger.books.size()).toBe(size);
  expect(models.list().map(({ name, isUndeclared, pool }) => [name, isUndeclared, pool !== undefined])).toEqual([
    ["all", false, true],
    ["some", false, true],
    ["bare", true, false],
    ["measured", false, false],
  ]);
});

test("is there after a restart, at the version that it was registered with, and replaced only where that is asked for", async () => {
  const folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { shelf, models, small } = await begin(folder);
  const models_ = [{ name: "m", trainedOn: [{ datanet: "notes" }] }];
  await shelf.importAll({ models: models_, dryRun: false, replace: false });
  const restarted = await begin(folder, small);
  unwrap(await restarted.shelf.restore());
  const [same] = await restarted.shelf.importAll({ models: models_, dryRun: false, replace: false });
  expect(same?.outcome).toBe("known");
  const later = await begin(folder, small, 2);
  unwrap(await later.shelf.restore());
  expect(later.models.get("m")).toEqual({ ...models.get("m"), grounding: expect.any(Function) });
  // The latest version is another one now: the same row says something else.
  const [refused] = await later.shelf.importAll({ models: models_, dryRun: false, replace: false });
  expect(refused).toMatchObject({ outcome: "refused", code: "already_exists" });
  const [replaced] = await later.shelf.importAll({ models: models_, dryRun: false, replace: true });
  expect(replaced?.outcome).toBe("replaced");
  expect(toHex(later.models.get("m")!.asset)).not.toBe(toHex(models.get("m")!.asset));
});

test("a text is attributed to whoever it repeats", async () => {
  const { shelf, models } = await begin();
  await shelf.importAll({ models: [{ name: "m", trainedOn: [{ datanet: "notes" }] }], dryRun: false, replace: false });
  const grounding = await models.get("m")?.grounding?.();
  const found = await grounding?.attribute({
    receipt: new Uint8Array(16),
    prompt: "",
    answer: `As we say: ${text}`,
    passages: [],
  });
  expect(found?.shares.map(({ payee }) => toHex(payee))).toEqual([toHex(identityPayeeId(scope, "git:ann@a.org"))]);
  expect(shelf.labelOf(identityPayeeId(scope, "git:ben@b.org"))).toBe("Ben");
});

test.each([
  ["a list", '[{"name":"a"}]', [{ name: "a" }]],
  ["an object", '{"models":[{"name":"a"}]}', [{ name: "a" }]],
  ["lines", '{"name":"a"}\n\n{"name":\n', [{ name: "a" }, '{"name":']],
  [
    "a table",
    "name,datanet,version,royalty_bps,cost_in,by\na,notes,3,3000,5,\nb,x@1; y@2,,,,measured\nc,,,,,\n",
    [
      { name: "a", royaltyBps: 3_000, cost: { inPerMillion: 5 }, trainedOn: [{ datanet: "notes", version: 3 }] },
      {
        name: "b",
        trainedOn: [
          { datanet: "x", version: 1, by: "measured" },
          { datanet: "y", version: 2, by: "measured" },
        ],
      },
      { name: "c", trainedOn: [] },
    ],
  ],
])("a manifest may be %s", (_, manifest, rows) => expect(unwrap(parseManifest(manifest))).toEqual(rows));

test("what is no manifest is refused", () => {
  for (const manifest of ["[", '{"models":1}', 'a,b\n"']) expect(parseManifest(manifest).ok).toBe(false);
});

const scope = { chainId: 0, registry: new Uint8Array(20), datanet: sha256(utf8("notes")), secret: new Uint8Array(32) };

async function begin(folder?: string, known?: SmallLedger, latest = 1) {
  const small = known ?? (await smallLedger());
  const models = new ReportedModels();
  const author = (name: string) => ({ identity: `git:${name.toLowerCase()}@${name[0]!.toLowerCase()}.org`, name });
  const content = { title: "Canal", headingPath: [], source: "notes", licence: "CC-BY-4.0", date: null };
  const records = [
    sealRecord({ ...content, text, authors: [author("Ann")] }, "0x01"),
    sealRecord(
      { ...content, text: "Copper kettles are polished with salt and vinegar.", authors: [author("Ben")] },
      "0x01",
    ),
  ];
  const find: FindVersion = async (datanet, version) => {
    if (datanet !== "notes") return refuse("not_found", `there is no datanet ${datanet}`);
    const found: DeclaredVersion = { datanet, number: version ?? latest, asset: assets.datanet, scope, records };
    return ok(found);
  };
  const provenance = { chain: creditChain(parties.node.slice(12)), ledger: small.ledger };
  const shelf = new ReportedShelf({
    ...{ provenance, models, find, operator: parties.operator, hasOwners: true, nowMs: () => 1 },
    ...(folder === undefined ? {} : { folder }),
  });
  return { shelf, models, small };
}

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { indexCombination, infinigramCombination } from "../attribution/attribute.ts";
import { passageMethod, spanMethod } from "../attribution/description.ts";
import { answerNumber } from "../attribution/lineage.ts";
import { type Combination, combinationOf, combinationText, defaultPolicy } from "../attribution/policy.ts";
import { verifyOpened } from "../cli/commands/opened.ts";
import { toHex } from "../core/bytes.ts";
import { defaultPolicyBps } from "../core/policy.ts";
import { unwrap } from "../core/result.ts";
import { routeFee } from "../core/route.ts";
import { prepareContribution } from "../datanets/contribution.ts";
import { createDatanet } from "../datanets/datanet.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { buildVersion } from "../datanets/version.ts";
import { saltedHash, writeOpening } from "../gateway/opening.ts";
import type { Attribution } from "../gateway/ports.ts";
import { smallJournal } from "../ledger/testing/smallJournal.ts";
import { verifyJournal } from "../ledger/verify.ts";
import { buildIndex, type CorpusIndex } from "../models/corpusIndex.ts";
import { saveIndex } from "../models/corpusIndexFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { PageCache } from "../models/shardPages.ts";
import { openDiskCorpus } from "./diskGround.ts";
import { corpusOf, type Ground, groundModel } from "./grounding.ts";
import { People } from "./people.ts";

const sluice =
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.";
const kettles =
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.";
const prompt = "When does the gate open?";
const receiptId = smallJournal().receipt.receipt.id;
const salts = { prompt: new Uint8Array(16).fill(1), answer: new Uint8Array(16).fill(2) };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a copy", () => {
  test("of a record, near or exact, is in no version, so that its first contributor is credited alone", async () => {
    const copies = [
      ["ann", sluice],
      ["ben", kettles],
      ["eve", sluice],
      ["eve", sluice.replace("return", "leave")],
    ] as const;
    const ground = groundOf(copies.map(([who, text]) => ({ who, text })));
    expect(ground.records.map(({ authors }) => authors[0]!.name)).toEqual(["ann", "ben"]);
    const before = await answered(groundOf(copies.slice(0, 2).map(([who, text]) => ({ who, text }))), sluice);
    expect((await answered(ground, sluice)).shares).toEqual(before.shares);
    expect(namesOf(ground, await answered(ground, sluice))).toEqual(["ann"]);
  });
});

describe("an opened receipt", () => {
  const ground = groundOf([
    { who: "ann", text: sluice },
    { who: "ben", text: kettles },
  ]);
  const answer = `As it is written: ${sluice} Salt, wheat flour.`;

  test.each([
    ["the default's", ground],
    [
      "a policy's own",
      {
        ...ground,
        ...named(infinigramCombination({ ...defaultPolicy, lineage: { keepPpm: 300_000, partMinPpm: 100_000 } })),
      },
    ],
    [
      "methods that are half trusted",
      {
        ...ground,
        ...named(
          combinationOf(defaultPolicy, [
            [spanMethod, "unmeasured"],
            [passageMethod, { measuredPpm: 700_000 }],
          ]),
        ),
      },
    ],
    ["a record that repeats an earlier answer", withUpstream(ground)],
    ["what only an engine can find", withEngine(ground)],
  ])("verifies to its weights, combination: %s", async (_what, of) => {
    expect(await verify(of, answer)).toMatchObject({ ok: true, value: { hasWeights: true } });
  });

  test("verifies against an index on disk, too", async () => {
    const root = join(folder, "grounds");
    const index = unwrap(await openDiskCorpus(root, ground.records, new PageCache(2 ** 22)));
    const verified = await verify({ ...ground, index }, answer);
    expect(verified).toMatchObject({ ok: true, value: { hasWeights: true } });
    index.close();
  });

  test("counts half of what is half trusted, and says that the rest is nobody's", async () => {
    const half = combinationOf(defaultPolicy, [[spanMethod, "unmeasured"]]);
    const [whole, shrunk] = [await answered(ground, sluice), await answered({ ...ground, ...named(half) }, sluice)];
    expect(whole.unattributed).toBe(0);
    expect(shrunk.unattributed).toBeGreaterThanOrEqual(499_999);
    expect(shrunk.unattributed).toBeLessThanOrEqual(500_100);
  });

  test("passes half of what repeats an earlier answer to whom that answer credits", async () => {
    const attribution = await answered(withUpstream(ground), sluice);
    const upstream = attribution.shares.find(({ payee }) => payee[0] === 9);
    // Whole units of 1/256 bit: within a few of a million.
    expect(Math.abs(upstream!.weight - 400_000)).toBeLessThan(100);
    expect(attribution.unattributed).toBe(0);
    expect(attribution.evidence.find(({ kind }) => kind === "lineage")).toMatchObject({ title: "an earlier answer" });
  });

  test.each<[string, (attribution: Attribution) => Attribution, string]>([
    [
      "other weights",
      (one) => ({
        ...one,
        shares: one.shares.map((share) => ({ ...share, weight: share.weight - 1 })),
        unattributed: one.unattributed + one.shares.length,
      }),
      "weights",
    ],
    ["other payees", (one) => ({ ...one, evidence: one.evidence.map((item) => ({ ...item, payees: [] })) }), "weights"],
    [
      "no derivations",
      (one) => ({ ...one, grounds: { context: one.grounds?.context ?? [] } }),
      "does not come out again",
    ],
  ])("does not verify with %s", async (_what, lie, words) => {
    expect(await verify(withUpstream(ground), answer, lie)).toMatchObject({
      ok: false,
      error: { code: "verification_failed", message: expect.stringContaining(words) },
    });
  });

  test("does not verify with another combination's text", async () => {
    const other = named(
      infinigramCombination({ ...defaultPolicy, assumedPpm: 1, lineage: { keepPpm: 300_000, partMinPpm: 100_000 } }),
    );
    const text = combinationText(other.combination);
    expect(await verify(ground, answer, (one) => one, text)).toMatchObject({ ok: false });
  });
});

function groundOf(contributions: readonly { readonly who: string; readonly text: string }[]): Ground {
  const owner = toHex(new Uint8Array(32).fill(1));
  const datanet = unwrap(
    createDatanet({ name: "canal", summary: "Of canals", licence: "MIT", rules: { review: "open" } }, owner, 1),
  );
  const approved = contributions.map(({ who, text }, i) => {
    const author = { identity: `git:${who}@example.org`, name: who };
    const content = { title: "Notes", headingPath: [], text, source: `notes ${i}`, licence: "MIT", date: null };
    const draft = {
      by: author.identity,
      label: who,
      licence: "MIT",
      records: [{ ...content, authors: [author] }],
    };
    const { contribution, records } = unwrap(prepareContribution(datanet, draft, 1));
    return { contribution: { ...contribution, number: i + 1 }, records };
  });
  const { records } = unwrap(buildVersion({ datanet, previous: undefined, context: owner, approved, timeMs: 2 }));
  const index = buildIndex(houseTokenizer(), records);
  return { datanets: ["canal"], records, index, people: peopleOf(records) };
}

function peopleOf(records: readonly DatanetRecord[], upstream: readonly (typeof upstreamShares)[] = []): People {
  const scope = {
    chainId: 31_337,
    registry: new Uint8Array(20),
    datanet: new Uint8Array(32),
    secret: new Uint8Array(32),
  };
  return new People({ scope, records }, ...upstream.map((shares) => ({ shares })));
}

const upstreamShares = [{ payee: new Uint8Array(32).fill(9), type: "identity" as const, weight: 800_000 }];
const earlier = new Uint8Array(16).fill(5);

/** Ann's record repeats an earlier answer, which was credited by four fifths. */
function withUpstream<G extends Ground>(ground: G): G {
  const derivation = { receipt: earlier, partPpm: 1_000_000, attributedPpm: 800_000 };
  const answers = new Map([[answerNumber(earlier), { receipt: earlier, shares: upstreamShares }]]);
  const upstream = { derivations: new Map([[0, [derivation]]]), answers };
  return { ...ground, people: peopleOf(ground.records, [upstreamShares]), upstream };
}

function withEngine<G extends Ground>(ground: G): G {
  const combination = combinationOf(defaultPolicy, [
    [spanMethod, { measuredPpm: 500_000 }],
    [{ ...passageMethod, id: "likelihood", measures: "use" }, { measuredPpm: 900_000 }],
  ]);
  const item = { kind: "passage" as const, record: corpusOf(ground.index).recordId(1), recordNumber: 1 };
  const place = {
    output: { from: 0, until: `As it is written: ${sluice} Salt, wheat flour.`.length },
    source: { from: 0, until: 0 },
  };
  const explain = (units: number) => [{ ...item, ...place, weight: units >> 1 }];
  return { ...ground, ...named(combination), wholeMethods: () => [{ kind: "passage", explain }] };
}

function isInMemory(index: Ground["index"]): index is CorpusIndex {
  return "tokens" in index;
}

function named(combination: Combination) {
  return { combination };
}

async function answered(ground: Ground, answer: string): Promise<Attribution> {
  const grounding = groundModel(ground);
  const passages = await grounding.retrieve(answer, new AbortController().signal);
  return grounding.attribute({ receipt: receiptId, prompt, answer, passages });
}

function namesOf(ground: Ground, { shares }: Attribution): (string | undefined)[] {
  return shares.map(({ payee }) => ground.people.labelOf(payee));
}

/** A receipt of this answer in a small journal, opened, and maybe lied about on the way. */
async function verify(
  ground: Ground,
  answer: string,
  lie: (attribution: Attribution) => Attribution = (one) => one,
  combination = combinationText(ground.combination ?? indexCombination),
) {
  const said = lie(await answered(ground, answer));
  const { seq, receipt: honest } = smallJournal().receipt;
  const contributors = {
    shares: said.shares.map(({ weight }, i) => ({ payee: [6, 5, 4][i]!, weight })),
    ...{ unattributed: said.unattributed, priors: [] },
  };
  const policy = { ...defaultPolicyBps, treasury: 1, reserve: 2, datanetReserve: 3 };
  const parties = { operator: 4, model: [{ payee: 5, weight: 1 }], context: [], stakers: 0 };
  const journal = smallJournal({
    receipt: (receipt) => ({
      ...receipt,
      ...{ promptHash: saltedHash(salts.prompt, prompt), answerHash: saltedHash(salts.answer, answer) },
      ...{ indexId: ground.index.id, methodsHash: groundModel(ground).methodsHash, evidenceRoot: said.evidenceRoot },
      unattributed: said.unattributed,
      legs: routeFee({ ledger: smallJournal().trust.ledger, seq, ...honest.fee, policy, ...parties, contributors }),
    }),
  });
  const opening: unknown = JSON.parse(writeOpening(salts, prompt, answer, said.evidence, said.grounds));
  const [opened, index] = [join(folder, "opened.json"), join(folder, "index")];
  await writeFile(opened, JSON.stringify({ entry: toHex(journal.entries[seq]!), combination, opening }));
  const isOnDisk = !isInMemory(ground.index);
  if (isInMemory(ground.index)) unwrap(saveIndex(index, ground.index));
  const folders = isOnDisk ? await readdir(join(folder, "grounds")) : [];
  const where = isOnDisk ? join(folder, "grounds", folders[0]!) : index;
  const read = async (name: string) => journal.files.get(name);
  const verdict = unwrap(await verifyJournal({ read, trust: journal.trust }));
  return verifyOpened({ opened, index: where, read, verdict, data: folder });
}

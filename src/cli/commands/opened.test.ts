import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attributeText, indexMethodsHash } from "../../attribution/attribute.ts";
import { evidenceRoot } from "../../attribution/evidence.ts";
import { toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { unwrap } from "../../core/result.ts";
import { saltedHash } from "../../gateway/opening.ts";
import { type SmallJournal, smallJournal } from "../../ledger/testing/smallJournal.ts";
import { verifyJournal } from "../../ledger/verify.ts";
import { buildIndex } from "../../models/corpusIndex.ts";
import { saveIndex } from "../../models/corpusIndexFile.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { verifyOpened } from "./opened.ts";

const texts = [
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.",
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.",
];
const index = buildIndex(
  houseTokenizer(),
  texts.map((text) => ({ id: toHex(sha256(utf8(text))), text })),
);
const prompt = "When does the gate open?";
const answer = `As it is written: ${texts[0]} Salt, wheat flour.`;
const salts = { promptSalt: toHex(new Uint8Array(16).fill(1)), answerSalt: toHex(new Uint8Array(16).fill(2)) };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
  unwrap(saveIndex(join(folder, "index"), index));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A journal whose receipt was attributed with these records in the context, and what opens it. */
function openedJournal(context: readonly number[]): {
  journal: SmallJournal;
  opened: { entry: string; opening: object };
} {
  const { evidence, totalUnits } = attributeText(index, answer, { context });
  const journal = smallJournal({
    receipt: (receipt) => ({
      ...receipt,
      ...{
        promptHash: saltedHash(new Uint8Array(16).fill(1), prompt),
        indexId: index.id,
        methodsHash: indexMethodsHash,
      },
      ...{
        answerHash: saltedHash(new Uint8Array(16).fill(2), answer),
        evidenceRoot: evidenceRoot(evidence, totalUnits),
      },
    }),
  });
  const items = evidence.map(({ kind, record, weight }) => ({ kind, weight, record: toHex(record), payee: "0x00" }));
  const opening = { v: 1, ...salts, prompt, answer, evidence: items };
  return { journal, opened: { entry: toHex(journal.entries[journal.receipt.seq]!), opening } };
}

async function verify(journal: SmallJournal, opened: object) {
  const path = join(folder, "opened.json");
  await writeFile(path, JSON.stringify(opened));
  const read = async (name: string) => journal.files.get(name);
  const verdict = await verifyJournal({ read, trust: journal.trust });
  if (!verdict.ok) throw new Error(verdict.error.message);
  return verifyOpened({ opened: path, index: join(folder, "index"), read, verdict: verdict.value, data: folder });
}

test.each([
  ["none", []],
  ["the credited ones", [0, 1]],
  ["one that is credited as a passage", [1]],
])("an opened receipt's attribution comes out again, context: %s", async (_what, context) => {
  const { journal, opened } = openedJournal(context);
  expect(await verify(journal, opened)).toMatchObject({ ok: true, value: { seq: journal.receipt.seq } });
});

test.each<[string, object, string]>([
  ["another prompt", { prompt: "?" }, "the prompt is not the receipt's"],
  ["another answer", { answer: "!" }, "the answer is not the receipt's"],
  ["another context", { context: [toHex(sha256(utf8(texts[1]!)))] }, "does not come out again"],
])("%s does not verify", async (_what, change, words) => {
  const { journal, opened } = openedJournal([]);
  const lie = { ...opened, opening: { ...opened.opening, ...change } };
  expect(await verify(journal, lie)).toMatchObject({
    ok: false,
    error: { code: "verification_failed", message: expect.stringContaining(words) },
  });
});

test("a receipt that is not published yet is no fault: it is said how to wait for it", async () => {
  const { journal, opened } = openedJournal([]);
  const path = join(folder, "opened.json");
  await writeFile(path, JSON.stringify(opened));
  const read = async (name: string) => journal.files.get(name);
  const verdict = { ...unwrap(await verifyJournal({ read, trust: journal.trust })), size: journal.receipt.seq };
  expect(await verifyOpened({ opened: path, index: join(folder, "index"), read, verdict, data: folder })).toMatchObject(
    {
      ok: false,
      error: { code: "not_found", hint: expect.stringContaining("--wait") },
    },
  );
});

test("a receipt of another journal does not verify", async () => {
  const { opened } = openedJournal([]);
  expect(await verify(smallJournal(), opened)).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining("is not entry") },
  });
});

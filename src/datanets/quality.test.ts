import { describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import { prepareContribution, RULES } from "./contribution.ts";
import { createDatanet, type DatanetDraft, defaultRules } from "./datanet.ts";
import { checkRecord } from "./quality.ts";
import type { RecordContent } from "./record.ts";
import { decide } from "./review.ts";

const good: RecordContent = {
  title: "tar",
  headingPath: ["Use"],
  text: "Extract an archive into a folder: `tar xf archive.tar --directory=path/to/folder`.",
  source: "tldr@1 tar.md",
  licence: "MIT",
  date: null,
  authors: [{ identity: "npm:tar", name: "Ann" }],
};
const long = Array.from({ length: 40 }, (_, i) => `clause ${i} of the text`).join(", ");

describe("checkRecord", () => {
  it.each<[string, Partial<RecordContent>, string | undefined]>([
    ["a good record", {}, undefined],
    ["code", { text: "```js\nconst a = await readFile('x');\nconsole.log(a.length);\n```" }, undefined],
    [
      "Japanese",
      {
        text: "この文書は、貢献者が書いた文章を機械が読めるように整えたものです。誰が書いたかを忘れないためのものです。",
      },
      undefined,
    ],
    ["Arabic", { text: "يجب أن يحصل كل من يساهم في البيانات على نصيبه العادل من العائد." }, undefined],
    ["ANSI colours", { text: `\x1b[31mred\x1b[0m is how a terminal writes red text on screen` }, undefined],
    ["too short", { text: "See above." }, "length"],
    ["too long", { text: "word ".repeat(5_000) }, "length"],
    ["another licence", { licence: "GPL-3.0-only" }, "licence"],
    ["no author", { authors: [] }, "authors"],
    ["an identity in another spelling", { authors: [{ identity: "git:Ann@x.org", name: "Ann" }] }, "authors"],
    ["an identity twice", { authors: [good.authors[0]!, { identity: "npm:tar", name: "Bob" }] }, "authors"],
    ["no source", { source: " " }, "source"],
    ["line art", { text: "+-----+-----+-----+-----+\n|=====|=====|=====|=====|\n+-----+-----+ab+-----+\n" }, "letters"],
    ["one line again and again", { text: "buy this now, friends\n".repeat(20) }, "repetition"],
    [
      "one phrase again and again",
      { text: `${"best coin ever ".repeat(40)} and this is all that I have to say` },
      "repetition",
    ],
    ["encoded data", { text: `data ${"QUJD".repeat(800)} is here for you to decode` }, "run"],
    ["a control character", { text: `${long}\0` }, "controls"],
    ["invisible characters", { text: `${long}\u202e` }, "invisible"],
    ["a look-alike", { text: `${long} at раypal` }, "script"],
  ])("%s", (_, change, check) => {
    const found = checkRecord({ ...good, ...change }, defaultRules).map((finding) => finding.check);
    if (check === undefined) expect(found).toEqual([]);
    else expect(found).toContain(check);
  });
});

const owner = `0x${"aa".repeat(32)}` as const;
const draft: DatanetDraft = { name: "net", summary: "A net", licence: "CC0-1.0" };
const net = unwrap(createDatanet(draft, owner, 1));

describe("createDatanet", () => {
  it.each<[string, Partial<DatanetDraft>]>([
    ["name", { name: "Has Spaces" }],
    ["name", { name: "../x" }],
    ["summary", { summary: " " }],
    ["tags", { tags: ["UPPER"] }],
    ["licence", { licence: "MIT OR ISC" }],
    ["licence", { licence: "my own" }],
    ["rules.licences", { rules: { licences: [] } }],
    ["rules.charactersMin", { rules: { charactersMin: 10, charactersMax: 5 } }],
  ])("refuses a bad %s", (field, change) => {
    expect(createDatanet({ ...draft, ...change }, owner, 1)).toMatchObject({ ok: false, error: { field } });
  });
});

describe("contributions", () => {
  const records = [good, { ...good, text: "short" }, good];

  it("takes what keeps the rules and says why the rest is left out", () => {
    const {
      contribution,
      records: taken,
      leftOut,
    } = unwrap(prepareContribution(net, { by: "npm:ann", label: "x", licence: "MIT", records }, 5));
    expect(taken).toHaveLength(1);
    expect(leftOut.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("5 characters"),
      expect.stringContaining("already"),
    ]);
    expect(contribution).toMatchObject({ status: "pending", decision: null, records: 1 });
  });

  it("refuses a contribution of which nothing remains, and too large a one", () => {
    const none = prepareContribution(
      net,
      { by: "npm:ann", label: "x", licence: "MIT", records: [{ ...good, text: "no" }] },
      5,
    );
    expect(none).toMatchObject({
      ok: false,
      error: { code: "rule_violated", hint: expect.stringContaining("2 characters") },
    });
    const small = unwrap(createDatanet({ ...draft, rules: { recordsMax: 1 } }, owner, 1));
    expect(prepareContribution(small, { by: "npm:ann", label: "x", licence: "MIT", records }, 5).ok).toBe(false);
  });

  it("approves at once where review is open", () => {
    const open = unwrap(createDatanet({ ...draft, rules: { review: "open" } }, owner, 1));
    const { contribution } = unwrap(
      prepareContribution(open, { by: "npm:ann", label: "x", licence: "MIT", records }, 5),
    );
    expect(contribution).toMatchObject({ status: "approved", decision: { by: RULES, timeMs: 5 } });
  });

  const pending = {
    ...unwrap(prepareContribution(net, { by: "npm:ann", label: "x", licence: "MIT", records }, 5)).contribution,
    number: 1,
  };
  const approve = { decision: "approve", reason: "good", by: "npm:bob", timeMs: 6 } as const;

  it("is decided once, with a reason, by somebody else", () => {
    const decided = unwrap(decide(net, pending, approve));
    expect(decided).toMatchObject({ status: "approved", decision: approve });
    expect(decide(net, decided, { ...approve, decision: "reject" })).toMatchObject({
      ok: false,
      error: { code: "conflict" },
    });
    expect(decide(net, pending, { ...approve, reason: " a " })).toMatchObject({
      ok: false,
      error: { field: "reason" },
    });
    expect(decide(net, pending, { ...approve, by: "npm:ann" })).toMatchObject({
      ok: false,
      error: { code: "forbidden" },
    });
    expect(decide(net, { ...pending, by: owner }, { ...approve, by: owner }).ok).toBe(true);
  });
});

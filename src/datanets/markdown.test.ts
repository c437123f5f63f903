import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { documentFormat, splitDocument } from "./document.ts";
import { markdownBlocks, markdownTitle, plainHeading, splitMarkdown } from "./markdown.ts";
import { splitCode, splitPlainText } from "./plainText.ts";
import { linesOf } from "./section.ts";

const line = fc.constantFrom(
  "",
  "",
  "# One",
  "## Two",
  "### Three ###",
  "Words of a paragraph.",
  "Setext",
  "===",
  "---",
  "```js",
  "```",
  "~~~~",
  "- an item",
  "  under the item",
  "1. first",
  "| a | b |",
  "To do it:",
  "    indented code",
  "x".repeat(90),
);
const document = fc.array(line, { maxLength: 40 }).map((lines) => lines.join("\n"));
const sizes = { target: 120, blockMax: 200 };

describe("laws of splitting", () => {
  it("every line is a heading, blank, or in exactly one section, in order", () => {
    fc.assert(
      fc.property(document, (text) => {
        const lines = linesOf(text);
        const headings = new Set<number>();
        for (const block of markdownBlocks(lines)) {
          if (block.kind === "heading") for (let i = block.first; i <= block.last; i++) headings.add(i);
        }
        const sections = splitMarkdown(text, sizes);
        const owners = lines.map((_, i) => sections.filter(({ first, last }) => i >= first && i <= last).length);
        const frontMatter = frontMatterLines(lines);
        for (const [i, owner] of owners.entries()) {
          if (lines[i]!.trim() !== "" && !headings.has(i) && i >= frontMatter) expect(owner).toBe(1);
          else expect(owner).toBeLessThanOrEqual(1);
        }
        for (const [i, section] of sections.entries()) {
          expect(section.first).toBeGreaterThan(sections[i - 1]?.last ?? -1);
          expect(section.text).toBe(
            lines
              .slice(section.first, section.last + 1)
              .map((text) => text.trimEnd())
              .join("\n"),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it("never cuts a fence that fits, and never puts two headings' texts together", () => {
    fc.assert(
      fc.property(document, (text) => {
        const lines = linesOf(text);
        const sections = splitMarkdown(text, sizes);
        for (const block of markdownBlocks(lines)) {
          const size = lines.slice(block.first, block.last + 1).join("\n").length + 1;
          const holders = sections.filter(({ first, last }) => first <= block.last && last >= block.first);
          if (block.kind === "heading") expect(holders).toEqual([]);
          else if (size <= sizes.blockMax) expect(holders.length).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** By another way than the code: the only generated line that looks like `key:` is "To do it:", which has spaces in its key. */
function frontMatterLines(lines: readonly string[]): number {
  const head = /^---\n(?:\w+:.*\n)(?:.*\n)*?---(?:\n|$)/.exec(lines.join("\n"));
  return head === null ? 0 : head[0].split("\n").length - 1;
}

describe("markdown", () => {
  it("gives each piece its heading path", () => {
    const text =
      "intro\n\n# Tool\n\nWhat it is.\n\n## Use\n\n```sh\n# not a heading\n\ntool --run\n```\n\nOther\n-----\n\nDone.\n\n# End\n\nBye.";
    expect(
      splitMarkdown(text).map(({ headingPath, text: piece }) => [headingPath.join("/"), piece.split("\n")[0]]),
    ).toEqual([
      ["", "intro"],
      ["Tool", "What it is."],
      ["Tool/Use", "```sh"],
      ["Tool/Other", "Done."],
      ["End", "Bye."],
    ]);
  });

  it("keeps what leads on with what it leads to", () => {
    const text = `${"a".repeat(1_500)}\n\n- Extract an archive:\n\n\`${"tar ".repeat(60)}\`\n\n- List it:\n\n\`tar tf\``;
    const sections = splitMarkdown(text);
    expect(sections.find((section) => section.text.includes("Extract"))?.text).toContain("`tar ");
  });

  it("cuts a single block at line ends when it is larger than a block may be", () => {
    const rows = Array.from({ length: 100 }, (_, i) => `| row ${i} | ${"x".repeat(80)} |`);
    const sections = splitMarkdown(rows.join("\n"));
    expect(sections.length).toBeGreaterThan(3);
    expect(sections.map((section) => section.text).join("\n")).toBe(rows.join("\n"));
  });

  it.each([
    ["`a` and **b**", "a and b"],
    ["[x](http://y) ![i](z)", "x"],
    ['<a name="q"></a> Q _really_', "Q really"],
    ["snake_case_name", "snake_case_name"],
    ["Title {#anchor}", "Title"],
  ])("heading %j is %j", (markup, plain) => expect(plainHeading(markup)).toBe(plain));

  it("leaves front matter out and takes the title from the first heading", () => {
    const text = "---\ntitle: x\n---\n# Real\n\nBody of it.";
    expect(splitMarkdown(text).map((section) => section.text)).toEqual(["Body of it."]);
    expect(markdownTitle(text)).toBe("Real");
    expect(splitMarkdown("a\r\n\r\nb\rc").map((section) => section.text)).toEqual(["a\n\nb\nc"]);
  });
});

describe("other formats", () => {
  it("reads a manual page by its capitals", () => {
    const page = "NAME\n       tar - an archiver\n\nEXIT STATUS\n       0 on success\n";
    expect(splitPlainText(page).map(({ headingPath, text }) => [headingPath, text.trim()])).toEqual([
      [["NAME"], "tar - an archiver"],
      [["EXIT STATUS"], "0 on success"],
    ]);
  });

  it("reads roff source", () => {
    const page =
      '.\\" a comment\n.TH TAR 1\n.SH Name\ntar \\- an \\fBarchiver\\fR\n.SH Options\n.TP\n.B \\-\\-extract\nunpacks';
    const sections = splitDocument(page, "roff");
    expect(sections.map(({ headingPath }) => headingPath)).toEqual([["Name"], ["Options"]]);
    expect(sections[0]!.text).toBe("tar - an archiver");
    expect(sections[1]!.text).toContain("--extract");
  });

  it("cuts code between top-level statements", () => {
    const code = "// adds\nfunction add() {\n\n  return 1;\n\n}\n\nfunction other() {\n}";
    expect(splitCode(code, { target: 30, blockMax: 500 }).map((section) => section.text)).toEqual([
      "// adds\nfunction add() {\n\n  return 1;\n\n}",
      "function other() {\n}",
    ]);
  });

  it.each([
    ["README.md", "markdown"],
    ["docs/tar.1", "roff"],
    ["notes.txt", "plain"],
    ["src/a.ts", "code"],
    ["README", "markdown"],
    ["logo.png", undefined],
    ["LICENSE", undefined],
  ])("%s is %s", (path, format) => expect(documentFormat(path)).toBe(format));
});

import { markdownTitle, splitMarkdown } from "./markdown.ts";
import { splitCode, splitPlainText, splitRoff } from "./plainText.ts";
import { type Author, cleanContent, type RecordContent } from "./record.ts";
import { type Section, type SectionSizes, sectionSizes } from "./section.ts";

/** A document as an importer found it, and the records that it is cut into. */
export type DocumentFormat = "markdown" | "plain" | "roff" | "code";

export interface Document {
  /** Where it stands, for its format and its name; `/` between folders. */
  readonly path: string;
  readonly text: string;
  /** Undefined: the document's own first heading, or else its file name. */
  readonly title?: string;
  readonly source: string;
  readonly licence: string;
  readonly date: string | null;
  readonly authors: readonly Author[];
}

/** What structures documents into records, by name and version: part of every context asset. */
export const structuring = { method: "openledger.structure", version: "1" } as const;

export function documentFormat(path: string): DocumentFormat | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  if (/\.(?:md|markdown|mdown|mkd|mdx)$/.test(name)) return "markdown";
  if (/\.(?:txt|text|rst|adoc|asciidoc)$/.test(name)) return "plain";
  if (/^[\w.+-]+\.[1-8]$/.test(name)) return "roff";
  if (/\.(?:[cm]?[jt]sx?|py|rb|go|rs|c|h|cc|cpp|hpp|java|kt|swift|sol|sh|lua|php|cs|scala|zig|sql)$/.test(name))
    return "code";
  if (/^(?:readme|changelog|contributing|authors|faq|guide|tutorial)$/.test(name)) return "markdown";
  return undefined;
}

export function splitDocument(text: string, format: DocumentFormat, sizes: SectionSizes = sectionSizes): Section[] {
  switch (format) {
    case "markdown":
      return splitMarkdown(text, sizes);
    case "plain":
      return splitPlainText(text, sizes);
    case "roff":
      return splitRoff(text, sizes);
    case "code":
      return splitCode(text, sizes);
  }
}

/** What to call a document that nobody named. */
export function documentTitle(path: string, text: string, format: DocumentFormat): string {
  const own = format === "markdown" ? markdownTitle(text) : undefined;
  return own ?? path.slice(path.lastIndexOf("/") + 1);
}

export function documentRecords(document: Document, sizes: SectionSizes = sectionSizes): RecordContent[] {
  const format = documentFormat(document.path) ?? "plain";
  const title = document.title ?? documentTitle(document.path, document.text, format);
  const { source, licence, date, authors } = document;
  return splitDocument(document.text, format, sizes).map((section) =>
    cleanContent({ title, headingPath: section.headingPath, text: section.text, source, licence, date, authors }),
  );
}

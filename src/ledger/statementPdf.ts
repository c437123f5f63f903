import PDFDocument from "pdfkit";
import { formatOpen } from "../core/money.ts";
import type { IssuedStatement } from "./issued.ts";

const MARGIN = 50;
const columns = [
  { head: "what", width: 75 },
  { head: "role", width: 75 },
  { head: "by", width: 115 },
  { head: "count", width: 50, isNumber: true },
  { head: "OPEN", width: 95, isNumber: true },
  { head: "USD", width: 85, isNumber: true },
] as const;

/** A statement on A4, for people and their tax advisers. Letters that the standard fonts lack become a question mark; the JSON form has them all. */
export function statementPdf(statement: IssuedStatement): Promise<Uint8Array> {
  const title = `${statement.kind === "statement" ? "Statement" : "Credit note"} ${statement.number}`;
  const created = new Date(statement.issuedMs);
  const pdf = new PDFDocument({
    ...{ size: "A4", margin: MARGIN, bufferPages: true },
    // The same statement is the same file.
    info: { Title: title, Producer: "OpenLedger", Creator: "OpenLedger", CreationDate: created, ModDate: created },
  });
  const parts: Uint8Array[] = [];
  const done = new Promise<Uint8Array>((resolve, reject) => {
    pdf.on("data", (part: Uint8Array) => parts.push(part));
    pdf.on("end", () => resolve(Uint8Array.from(Buffer.concat(parts))));
    pdf.on("error", reject);
  });
  writeHead(pdf, statement, title);
  writeLines(pdf, statement);
  numberPages(pdf);
  pdf.end();
  return done;
}

function writeHead(pdf: PDFKit.PDFDocument, statement: IssuedStatement, title: string): void {
  const { party, period, issuedMs, entries, hash } = statement;
  pdf.font("Helvetica-Bold").fontSize(18).text(title);
  pdf.font("Helvetica").fontSize(10).moveDown(0.5);
  const facts = [
    `${plain(party.name) || "(no name is kept)"}${party.taxId === "" ? "" : `, tax number ${plain(party.taxId)}`}`,
    `${party.type} ${party.id}`,
    `${period}, issued ${new Date(issuedMs).toISOString().slice(0, 10)}`,
    `journal entries ${entries.from} to ${entries.until}, sha256 ${hash}`,
  ];
  for (const fact of facts) pdf.text(fact);
  pdf.moveDown();
}

function writeLines(pdf: PDFKit.PDFDocument, { lines, nano, microUsd }: IssuedStatement): void {
  writeRow(
    pdf,
    columns.map(({ head }) => head),
    "Helvetica-Bold",
  );
  for (const { kind, role, of, count, nano: amount, microUsd: worth } of lines) {
    if (pdf.y > pdf.page.height - MARGIN - 40) pdf.addPage();
    const by = of === "" ? "" : `${of.slice(0, 10)}…${of.slice(-6)}`;
    writeRow(pdf, [kind, role, by, String(count), formatOpen(amount), dollars(worth)], "Helvetica");
  }
  pdf.moveDown(0.5);
  writeRow(pdf, ["sum", "", "", "", formatOpen(nano), dollars(microUsd)], "Helvetica-Bold");
}

function writeRow(pdf: PDFKit.PDFDocument, cells: readonly string[], font: string): void {
  const { y } = pdf;
  let x = MARGIN;
  pdf.font(font).fontSize(9);
  for (const [i, column] of columns.entries()) {
    const align = "isNumber" in column ? "right" : "left";
    pdf.text(plain(cells[i] ?? ""), x, y, { width: column.width, align, lineBreak: false, ellipsis: true });
    x += column.width;
  }
  pdf.x = MARGIN;
  pdf.y = y + 14;
}

function numberPages(pdf: PDFKit.PDFDocument): void {
  const { count } = pdf.bufferedPageRange();
  for (let page = 0; page < count; page++) {
    pdf.switchToPage(page);
    // Text below the margin would begin another page.
    pdf.page.margins.bottom = 0;
    const at = pdf.page.height - 35;
    pdf
      .font("Helvetica")
      .fontSize(8)
      .text(`${page + 1} of ${count}`, MARGIN, at, { width: 495, align: "right" });
  }
}

/** Millionths with six decimals, less the zeros beyond the second. */
function dollars(micro: bigint): string {
  const size = micro < 0n ? -micro : micro;
  const digits = size.toString().padStart(7, "0");
  const fraction = digits.slice(-6).replace(/0{1,4}$/, "");
  return `${micro < 0n ? "-" : ""}${digits.slice(0, -6)}.${fraction}`;
}

/** Latin-1 and the few signs of WinAnsi that we use: what Helvetica has. */
function plain(text: string): string {
  return text.normalize("NFC").replaceAll(/[^\x20-\x7e\xa0-\xff…–€]/g, "?");
}

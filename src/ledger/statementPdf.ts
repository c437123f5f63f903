import PDFDocument from "pdfkit";
import { formatOpen } from "../core/money.ts";
import type { IssuedStatement } from "./issued.ts";

const MARGIN = 50;
interface Column {
  readonly head: string;
  readonly width: number;
  readonly isNumber?: boolean;
}
const columns: readonly Column[] = [
  { head: "what", width: 75 },
  { head: "role", width: 75 },
  { head: "by", width: 115 },
  { head: "count", width: 50, isNumber: true },
  { head: "OPEN", width: 95, isNumber: true },
  { head: "USD", width: 85, isNumber: true },
];
const claimColumns: readonly Column[] = [
  { head: "claimed", width: 58 },
  { head: "by", width: 82 },
  { head: "OPEN", width: 85, isNumber: true },
  { head: "fee", width: 75, isNumber: true },
  { head: "USD then", width: 65, isNumber: true },
  { head: "  rate by", width: 65 },
  { head: "USD at accrual", width: 65, isNumber: true },
];

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
  writeClaims(pdf, statement);
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
  writeHeads(pdf, columns);
  for (const { kind, role, of, count, nano: amount, microUsd: worth } of lines) {
    if (pdf.y > pdf.page.height - MARGIN - 40) pdf.addPage();
    const by = of === "" ? "" : `${of.slice(0, 10)}…${of.slice(-6)}`;
    writeRow(pdf, columns, [kind, role, by, String(count), formatOpen(amount), dollars(worth)], "Helvetica");
  }
  pdf.moveDown(0.5);
  writeRow(pdf, columns, ["sum", "", "", "", formatOpen(nano), dollars(microUsd)], "Helvetica-Bold");
}

/** What was claimed, beside what it was worth then and when it was credited; no part of the sum. */
function writeClaims(pdf: PDFKit.PDFDocument, { claims }: IssuedStatement): void {
  if (claims.length === 0) return;
  if (pdf.y > pdf.page.height - MARGIN - 80) pdf.addPage();
  pdf.moveDown();
  pdf.font("Helvetica-Bold").fontSize(11).text("Claimed");
  pdf.moveDown(0.5);
  writeHeads(pdf, claimColumns);
  for (const { way, reference, timeMs, nano, feeNano, nanoPerUsd, source, microUsd, accrualMicroUsd } of claims) {
    if (pdf.y > pdf.page.height - MARGIN - 40) pdf.addPage();
    const by = way === "bank" ? reference : `${reference.slice(0, 12)}…`;
    const worth = nanoPerUsd === 0 ? "no rate" : dollars(microUsd);
    const accrued = accrualMicroUsd === undefined ? "not issued" : dollars(accrualMicroUsd);
    const day = new Date(timeMs).toISOString().slice(0, 10);
    const cells = [day, by, formatOpen(nano), formatOpen(feeNano), worth, source, accrued];
    writeRow(pdf, claimColumns, cells, "Helvetica");
  }
}

function writeHeads(pdf: PDFKit.PDFDocument, table: readonly Column[]): void {
  const heads = table.map(({ head }) => head);
  writeRow(pdf, table, heads, "Helvetica-Bold");
}

function writeRow(pdf: PDFKit.PDFDocument, table: readonly Column[], cells: readonly string[], font: string): void {
  const { y } = pdf;
  let x = MARGIN;
  pdf.font(font).fontSize(9);
  for (const [i, column] of table.entries()) {
    const align = column.isNumber === true ? "right" : "left";
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

import PDFDocument from "pdfkit";
import { formatOpen } from "../core/money.ts";
import type { IssuedStatement } from "./issued.ts";

const MARGIN = 50;
/** Between a number, which ends at the edge of its column, and the words behind it. */
const GAP = 8;
interface Column {
  readonly head: string;
  readonly width: number;
  readonly isNumber?: boolean;
}
const columns: readonly Column[] = [
  { head: "what", width: 135 },
  { head: "by", width: 155 },
  { head: "count", width: 45, isNumber: true },
  { head: "OPEN", width: 85, isNumber: true },
  { head: "USD", width: 75, isNumber: true },
];
const claimColumns: readonly Column[] = [
  { head: "claimed", width: 58 },
  { head: "by", width: 82 },
  { head: "OPEN", width: 85, isNumber: true },
  { head: "fee", width: 75, isNumber: true },
  { head: "USD then", width: 65, isNumber: true },
  { head: "rate by", width: 65 },
  { head: "USD at accrual", width: 65, isNumber: true },
];

/** What a line is for, in words; others are named by kind and role. */
const words: Readonly<Record<string, string>> = {
  "earned operator": "running models",
  "earned treasury": "treasury's part",
  "earned reserve": "reserved",
  "spent payer": "executions, charged",
  "spent earnings": "executions, paid of earnings",
  "pool pool": "share of a pool",
  "correction payer": "given back or charged later",
  "transfer balance": "balance brought here",
  "transfer payer": "balance brought here, charged",
  "paid outside": "paid before the move to a chain",
};

/**
 * A statement on A4, for people and their tax advisers. `nameOf` says what a model or pool is called, by the hex of its id; where it does not know, the id stands there.
 * Letters that the standard fonts lack become a question mark; the JSON form has them all.
 */
export function statementPdf(
  statement: IssuedStatement,
  nameOf: (of: string) => string | undefined = () => undefined,
): Promise<Uint8Array> {
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
  writeLines(pdf, statement, nameOf);
  writeClaims(pdf, statement);
  numberPages(pdf);
  pdf.end();
  return done;
}

function writeHead(pdf: PDFKit.PDFDocument, statement: IssuedStatement, title: string): void {
  const { party, period, issuedMs, entries, hash, issuer, due } = statement;
  if (issuer !== undefined) {
    const from = [issuer.name, issuer.address, issuer.taxId === "" ? "" : `tax number ${issuer.taxId}`];
    pdf
      .font("Helvetica")
      .fontSize(9)
      .text(plain(from.filter(Boolean).join(" – ")), { width: 495 });
    pdf.moveDown();
  }
  pdf.font("Helvetica-Bold").fontSize(18).text(title);
  pdf.font("Helvetica").fontSize(10).moveDown(0.5);
  const facts = [
    `${plain(party.name) || "(no name is kept)"}${party.taxId === "" ? "" : `, tax number ${plain(party.taxId)}`}`,
    `${party.type} ${party.id}`,
    `${period}, issued ${new Date(issuedMs).toISOString().slice(0, 10)}${due === undefined ? "" : `, due ${due}`}`,
    `journal entries ${entries.from} to ${entries.until}`,
    `sha256 ${hash}`,
  ];
  for (const [i, fact] of facts.entries()) pdf.fontSize(i === 0 ? 11 : 9).text(fact);
  pdf.moveDown();
  const side = party.type === "account" ? "A minus is charged to the account" : "A minus is taken from the payee";
  const rates = "Dollars are at the rate that each entry froze, or at that of the day of issue where it has none.";
  pdf.fontSize(9).text(`${side}; the rest is credited. ${rates}`, { width: 495 });
  pdf.moveDown();
}

/** What a line is for: of a role in a royalty, or of a correction, by the role's name. */
function wordsOf(kind: string, role: string): string {
  return words[`${kind} ${role}`] ?? (kind === "earned" ? `royalty, ${role}` : `${kind}, ${role}`);
}

function writeLines(
  pdf: PDFKit.PDFDocument,
  { lines, nano, microUsd, party }: IssuedStatement,
  nameOf: (of: string) => string | undefined,
): void {
  writeHeads(pdf, columns);
  const open = aligned([...lines.map((line) => formatOpen(line.nano)), formatOpen(nano)]);
  const usd = aligned([...lines.map((line) => dollars(line.microUsd)), dollars(microUsd)]);
  for (const [i, { kind, role, of, count }] of lines.entries()) {
    if (pdf.y > pdf.page.height - MARGIN - 40) {
      pdf.addPage();
      writeHeads(pdf, columns);
    }
    const id = of === "" ? "" : `${of.slice(0, 10)}…${of.slice(-6)}`;
    const cells = [wordsOf(kind, role), nameOf(of) ?? id, String(count), open[i]!, usd[i]!];
    writeRow(pdf, columns, cells, "Helvetica");
  }
  pdf.moveDown(0.5);
  const isCharged = nano < 0n;
  const sum = isCharged && party.type === "account" ? "sum, charged" : isCharged ? "sum, taken back" : "sum, credited";
  writeRow(pdf, columns, [sum, "", "", open.at(-1)!, usd.at(-1)!], "Helvetica-Bold");
}

/** What was claimed, beside what it was worth then and when it was credited; no part of the sum. */
function writeClaims(pdf: PDFKit.PDFDocument, { claims }: IssuedStatement): void {
  if (claims.length === 0) return;
  if (pdf.y > pdf.page.height - MARGIN - 80) pdf.addPage();
  pdf.moveDown();
  pdf.font("Helvetica-Bold").fontSize(11).text("Claimed");
  pdf.moveDown(0.5);
  writeHeads(pdf, claimColumns);
  const open = aligned(claims.map(({ nano }) => formatOpen(nano)));
  const fees = aligned(claims.map(({ feeNano }) => formatOpen(feeNano)));
  for (const [i, { way, reference, timeMs, nanoPerUsd, source, microUsd, accrualMicroUsd }] of claims.entries()) {
    if (pdf.y > pdf.page.height - MARGIN - 40) pdf.addPage();
    const by = way === "bank" ? reference : `${reference.slice(0, 12)}…`;
    const worth = nanoPerUsd === 0 ? "no rate" : dollars(microUsd);
    const accrued = accrualMicroUsd === undefined ? "not issued" : dollars(accrualMicroUsd);
    const day = new Date(timeMs).toISOString().slice(0, 10);
    const cells = [day, by, open[i]!, fees[i]!, worth, source, accrued];
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
    const gap = table[i - 1]?.isNumber === true && column.isNumber !== true ? GAP : 0;
    const width = column.width - gap;
    pdf.text(plain(cells[i] ?? ""), x + gap, y, { width, align, lineBreak: false, ellipsis: true });
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

/** The same amounts with as many decimals as the finest of them, two at least: points stand under points. */
function aligned(amounts: readonly string[]): string[] {
  const places = Math.max(2, ...amounts.map((amount) => amount.split(".")[1]?.length ?? 0));
  return amounts.map((amount) => {
    const [whole = "", fraction = ""] = amount.split(".");
    return `${whole}.${fraction.padEnd(places, "0")}`;
  });
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

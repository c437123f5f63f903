import { assert } from "../core/result.ts";
import type { Payout } from "./payouts.ts";

/** Who pays: the account that a bank file debits. */
export interface Debtor {
  readonly name: string;
  readonly iban: string;
  readonly bic?: string;
}

/** ISO 20022 `pain.001.001.09`, customer credit transfer initiation: one payment, one transfer a line. Banks read it as it is. */
export function pain001(payout: Payout, debtor: Debtor, executionMs: number): string {
  const { number, createdMs, currency } = payout;
  const id = `OL-PAYOUT-${number}`;
  const lines = payout.lines.filter(({ net }) => net > 0);
  const sum = money(lines.reduce((total, { net }) => total + net, 0));
  const agent = (bic: string | undefined): string =>
    bic === undefined
      ? "<FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId>"
      : `<FinInstnId><BICFI>${bic}</BICFI></FinInstnId>`;
  const transfers = lines.map(({ net, payee, details }, i) => {
    assert(details !== undefined, "whoever is paid by bank has details");
    return (
      `      <CdtTrfTxInf><PmtId><EndToEndId>${id}-${i + 1}</EndToEndId></PmtId><Amt><InstdAmt Ccy="${currency}">${money(net)}</InstdAmt></Amt>` +
      `<CdtrAgt>${agent(details.bic)}</CdtrAgt><Cdtr><Nm>${bankText(details.legalName, 70)}</Nm><PstlAdr><Ctry>${details.country}</Ctry></PstlAdr></Cdtr>` +
      `<CdtrAcct><Id><IBAN>${details.iban}</IBAN></Id></CdtrAcct><RmtInf><Ustrd>${bankText(`Contributions ${payee.slice(0, 18)} payout ${number}`, 140)}</Ustrd></RmtInf></CdtTrfTxInf>`
    );
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09">
  <CstmrCdtTrfInitn>
    <GrpHdr><MsgId>${id}</MsgId><CreDtTm>${new Date(createdMs).toISOString().slice(0, 19)}Z</CreDtTm><NbOfTxs>${lines.length}</NbOfTxs><CtrlSum>${sum}</CtrlSum><InitgPty><Nm>${bankText(debtor.name, 70)}</Nm></InitgPty></GrpHdr>
    <PmtInf>
      <PmtInfId>${id}</PmtInfId><PmtMtd>TRF</PmtMtd><NbOfTxs>${lines.length}</NbOfTxs><CtrlSum>${sum}</CtrlSum>
      <ReqdExctnDt><Dt>${new Date(executionMs).toISOString().slice(0, 10)}</Dt></ReqdExctnDt>
      <Dbtr><Nm>${bankText(debtor.name, 70)}</Nm></Dbtr><DbtrAcct><Id><IBAN>${debtor.iban}</IBAN></Id></DbtrAcct><DbtrAgt>${agent(debtor.bic)}</DbtrAgt>
${transfers.join("\n")}
    </PmtInf>
  </CstmrCdtTrfInitn>
</Document>
`;
}

const csvColumns = [
  "payee",
  "name",
  "country",
  "tax id",
  "iban",
  "bic",
  "gross",
  "withheld",
  "net",
  "currency",
  "nano",
];

export function payoutCsv({ lines, currency }: Payout): string {
  const rows = lines.map(({ payee, details, gross, withheld, net, nano }) => [
    ...[payee, details?.legalName ?? "", details?.country ?? "", details?.taxId ?? ""],
    ...[details?.iban ?? "", details?.bic ?? ""],
    ...[money(gross), money(withheld), money(net), currency, String(nano)],
  ]);
  return [csvColumns, ...rows].map((row) => `${row.map(csvField).join(",")}\r\n`).join("");
}

/** A field of RFC 4180. A text that a spreadsheet would run as a formula is quoted by a leading apostrophe. */
export function csvField(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Minor units with two decimals. */
function money(minor: number): string {
  return `${Math.floor(minor / 100)}.${String(minor % 100).padStart(2, "0")}`;
}

/** The characters that every SEPA bank takes (EPC217-08, section 1.4); accents are taken off, the rest becomes a dot. */
function bankText(text: string, charactersMax: number): string {
  const plain = text.normalize("NFKD").replaceAll(/\p{M}/gu, "");
  return plain
    .replaceAll(/[^a-zA-Z0-9/\-?:().,'+ ]/g, ".")
    .slice(0, charactersMax)
    .trim();
}

import { compareBytes, concat, toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { TRANSFER_LINES_MAX, transferId } from "../core/transfer.ts";
import { numberOf } from "./payees.ts";
import type { LedgerStore } from "./ports.ts";
import type { Purses } from "./purses.ts";
import type { TransferDraft, TransferDraftLine, Transferred } from "./transferDraft.ts";
import type { Writer } from "./writer.ts";

/**
 * Journals a statement's balances, in entries of at most {@link TRANSFER_LINES_MAX} lines. Each is booked once: what was interrupted goes on where it stopped when the same statement is sent again.
 * Refuses `invalid_request` for a statement that cannot be, `idempotency_mismatch` for another one under the same source, `insufficient_funds` where the account cannot bring it all.
 */
export async function transferBalances(
  { writer, purses, store }: { readonly writer: Writer; readonly purses: Purses; readonly store: LedgerStore },
  { account: id, source, lines }: TransferDraft,
): Promise<Result<Transferred>> {
  const account = purses.account(id);
  if (account === undefined) return refuse("not_found", `there is no account ${id}`, { field: "account" });
  const parts = partsOf(lines);
  if (!parts.ok) return parts;
  const keys = parts.value.map((_, index) => `transfer:${toHex(source)}:${index}`);
  const before = new Map(
    (await store.idempotencies(writer.state.ledger, TRANSFERRED, keys)).map((row) => [row.key, row.bodyHash]),
  );
  const due = parts.value.map((part, index) => ({ part, index, key: keys[index]!, bodyHash: hashOf(id, part) }));
  const other = due.find(({ key, bodyHash }) => toHex(before.get(key) ?? bodyHash) !== toHex(bodyHash));
  if (other !== undefined)
    return refuse("idempotency_mismatch", "a statement with other lines was transferred under this source");
  const missing = due.filter(({ key }) => !before.has(key));
  const total = missing.flatMap(({ part }) => part).reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  const affordable = canBring(purses, id, total);
  if (!affordable.ok) return affordable;
  for (const { part, index, key, bodyHash } of missing) {
    const amount = part.reduce((sum, line) => sum + line.amount, 0);
    const written = await writer.run((batch) => {
      const paid = purses.setAside(id, amount, false);
      if (!paid.ok) return paid;
      purses.giveBack(id, amount);
      const numbered = part.map(({ payee, type, amount: nano }) => ({
        payee: numberOf(writer.state, batch, payee, type),
        amount: nano,
      }));
      const { payer, pseudonym } = account;
      const sorted = numbered.sort((a, b) => a.payee - b.payee);
      const transfer = { source, index, payer, account: pseudonym, lines: sorted };
      const { seq } = batch.add({ kind: "transfer", transfer });
      const receipt = transferId(transfer);
      batch.idempotency.push({ account: TRANSFERRED, key, bodyHash, receipt, response: String(seq) });
      return ok(() => undefined);
    });
    if (!written.ok) return written;
  }
  const nano = lines.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  return ok({ entries: due.length, nano, known: due.length - missing.length });
}

/** Under what their rows of idempotency stand, where others have an account. */
const TRANSFERRED = "transferred";

/** Ascending by payee id, so that the same statement has the same parts in whatever order it is sent. */
function partsOf(lines: readonly TransferDraftLine[]): Result<TransferDraftLine[][]> {
  const sorted = lines.toSorted((a, b) => compareBytes(a.payee, b.payee));
  for (const [i, { payee, amount }] of sorted.entries()) {
    if (!Number.isSafeInteger(amount) || amount <= 0)
      return refuse("invalid_request", "a balance is whole nano above 0", { field: "lines" });
    if (i > 0 && compareBytes(payee, sorted[i - 1]!.payee) === 0)
      return refuse("invalid_request", `payee ${toHex(payee)} stands in it twice`, { field: "lines" });
  }
  if (sorted.length === 0) return refuse("invalid_request", "there is no balance to transfer", { field: "lines" });
  const parts: TransferDraftLine[][] = [];
  for (const line of sorted) {
    const last = parts.at(-1);
    const isFull = last === undefined || last.length === TRANSFER_LINES_MAX || !fits(last, line);
    if (isFull) parts.push([line]);
    else last.push(line);
  }
  return ok(parts);
}

/** An entry moves less than 2^53 nano. */
function fits(part: readonly TransferDraftLine[], { amount }: TransferDraftLine): boolean {
  return Number.isSafeInteger(part.reduce((sum, line) => sum + line.amount, amount));
}

function hashOf(account: string, part: readonly TransferDraftLine[]): Uint8Array {
  return sha256(utf8(`${account}\n`), concat(...part.flatMap(({ payee, amount }) => [payee, utf8(`${amount}\n`)])));
}

/** All of it or nothing is begun: a statement that cannot be paid to its end is refused at its beginning. */
function canBring(purses: Purses, account: string, total: bigint): Result<void> {
  if (total > BigInt(Number.MAX_SAFE_INTEGER))
    return refuse("invalid_request", "a statement moves less than 2^53 nano; divide it", { field: "lines" });
  const paid = purses.setAside(account, Number(total), false);
  if (paid.ok) purses.giveBack(account, Number(total));
  return paid;
}

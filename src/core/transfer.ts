import { concat } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import type { PackedReader, PackedWriter } from "./packed.ts";
import { assert } from "./result.ts";

/**
 * Balances that come from elsewhere: what another ledger owed its payees is owed by this one from here on, and charged to whoever brings it. Nothing was executed,
 * so there is no fee and no route: each line is what the statement that it comes from says, to the nano. A statement too long for one entry is a row of them.
 */
export interface Transfer {
  /** sha256 of the statement: 32 bytes. */
  readonly source: Uint8Array;
  /** Which entry of that statement this is, from 0. A source and index stand in a journal once. */
  readonly index: number;
  /** Whose debit it is (32 bytes), and the account's pseudonym (16 bytes). */
  readonly payer: Uint8Array;
  readonly account: Uint8Array;
  /** Ascending by payee, each payee once, amounts above 0. */
  readonly lines: readonly TransferLine[];
}

export interface TransferLine {
  readonly payee: number;
  /** Nano. */
  readonly amount: number;
}

export const TRANSFER_LINES_MAX = 1_024;

/** 16 bytes: the same part of the same statement is the same transfer. */
export function transferId({ source, index }: Pick<Transfer, "source" | "index">): Uint8Array {
  return sha256(concat(source, Uint8Array.of(index >>> 24, index >>> 16, index >>> 8, index))).slice(0, 16);
}

export function transferAmount({ lines }: Pick<Transfer, "lines">): number {
  return lines.reduce((sum, { amount }) => sum + amount, 0);
}

/** What is wrong with a transfer by itself; undefined where nothing is. */
export function transferFault({ lines }: Transfer): string | undefined {
  if (lines.length === 0) return "it moves nothing";
  if (lines.some(({ amount }) => amount <= 0)) return "a line of it moves nothing";
  if (lines.some(({ payee }, i) => i > 0 && payee <= lines[i - 1]!.payee)) return "its payees do not ascend";
  return Number.isSafeInteger(transferAmount({ lines })) ? undefined : "it moves 2^53 nano or more";
}

export function transferBytes({ lines }: Transfer): number {
  return 32 + 4 + 32 + 16 + 2 + 12 * lines.length;
}

export function writeTransfer(to: PackedWriter, { source, index, payer, account, lines }: Transfer): void {
  assert(lines.length <= TRANSFER_LINES_MAX, `at most ${TRANSFER_LINES_MAX} lines`);
  to.raw(source, 32).u32(index).raw(payer, 32).raw(account, 16).u16(lines.length);
  for (const { payee, amount } of lines) to.u32(payee).u64(amount);
}

export function readTransfer(from: PackedReader): Transfer {
  const [source, index, payer, account, count] = [from.raw(32), from.u32(), from.raw(32), from.raw(16), from.u16()];
  if (count > TRANSFER_LINES_MAX) from.fail();
  const lines: TransferLine[] = [];
  for (let i = 0; i < count && !from.hasFailed; i++) lines.push({ payee: from.u32(), amount: from.u64() });
  return { source, index, payer, account, lines };
}

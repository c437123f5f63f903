import { equalBytes } from "../core/bytes.ts";
import { ReceiptView } from "../core/receiptView.ts";
import { assert } from "../core/result.ts";
import type { Reported, ReportedName } from "./execution.ts";
import type { IdempotencyRow, LedgerStore } from "./ports.ts";

/** Under what rows of reported executions stand, where others have an account. */
export const REPORTED = "reported";

/** What stands beside a row of a reported execution. */
interface RowNote {
  /** The first word of it that arrived was a later one: the one that it amends says nothing new. */
  readonly isLater?: boolean;
  /** The key of what caused it, where the receipts do not nest. */
  readonly cause?: string;
  /** It is another name of an execution that has its own row. */
  readonly isAlias?: boolean;
}

const [LATER, CAUSED, ALIAS] = ["later word", "caused by ", "alias"];

/** Source and id as one text. */
export function reportedKey(source: string, id: string): string {
  return JSON.stringify([source, id]);
}

export function noteText({ isLater, cause, isAlias }: RowNote): string | undefined {
  if (isAlias === true) return ALIAS;
  if (cause !== undefined) return `${CAUSED}${cause}${isLater === true ? LATER : ""}`;
  return isLater === true ? LATER : undefined;
}

export function isLaterWord({ response }: IdempotencyRow): boolean {
  return response?.endsWith(LATER) === true;
}

/**
 * What a receipt was reported as, and what belongs to it: later words on it, and what caused it or was caused by it and came in another batch.
 * Receipts nest only within a batch, for a receipt that is journalled cannot take in more children; across batches they are linked here, whichever came first.
 */
export async function reportedOf(
  store: LedgerStore,
  ledger: Uint8Array,
  receipt: Uint8Array,
): Promise<Reported | undefined> {
  const rows = await store.reported(ledger, receipt);
  const first = rows.find(({ key, response }) => nameIn(key).length === 2 && response !== ALIAS);
  if (first === undefined) return undefined;
  const own = namedBy(first.key);
  const cause = causeIn(first);
  const [causer] = cause === undefined ? [] : await store.idempotencies(ledger, REPORTED, [cause]);
  const names = rows.filter(({ key, response }) => key === first.key || response === ALIAS).map(({ key }) => key);
  const caused = await store.caused(
    ledger,
    names.flatMap((name) => [CAUSED + name, CAUSED + name + LATER]),
  );
  return {
    ...own,
    ...(cause === undefined
      ? {}
      : { causedBy: { ...namedBy(cause), ...(causer === undefined ? {} : { receipt: causer.receipt }) } }),
    caused: await ofSamePayer(store, ledger, receipt, caused),
    laterWords: rows
      .filter(({ key }) => nameIn(key).length === 3)
      .map(({ response }) => Number(response))
      .sort((a, b) => a - b),
  };
}

/** The receipt of an execution by any of its names. */
export async function findReported(
  store: LedgerStore,
  ledger: Uint8Array,
  { source, id }: ReportedName,
): Promise<Uint8Array | undefined> {
  const [row] = await store.idempotencies(ledger, REPORTED, [reportedKey(source, id)]);
  return row?.receipt;
}

/** Anybody can name anything as a cause: rows of other payers are left out, for what they call their executions is theirs. */
async function ofSamePayer(
  store: LedgerStore,
  ledger: Uint8Array,
  receipt: Uint8Array,
  rows: readonly IdempotencyRow[],
): Promise<Reported["caused"]> {
  const accountOf = async (id: Uint8Array) => {
    const stored = await store.receipt(ledger, id);
    return stored === undefined ? undefined : new ReceiptView(stored.bytes).account;
  };
  const own = rows.length === 0 ? undefined : await accountOf(receipt);
  const found: Reported["caused"][number][] = [];
  for (const row of rows) {
    const account = await accountOf(row.receipt);
    if (own !== undefined && account !== undefined && equalBytes(own, account))
      found.push({ ...namedBy(row.key), receipt: row.receipt });
  }
  return found;
}

function causeIn({ response = "" }: IdempotencyRow): string | undefined {
  if (!response.startsWith(CAUSED)) return undefined;
  return response.slice(CAUSED.length, response.endsWith(LATER) ? -LATER.length : undefined);
}

/** Source and id; a third part is the hash of a later word. */
function nameIn(key: string): readonly string[] {
  const parts: unknown = JSON.parse(key);
  assert(Array.isArray(parts) && parts.every((part) => typeof part === "string"), "a key is a list of texts");
  return parts;
}

function namedBy(key: string): ReportedName {
  const [source = "", id = ""] = nameIn(key);
  return { source, id };
}

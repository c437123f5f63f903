import { answerNumber, type Derivation } from "../attribution/lineage.ts";
import { fromHex } from "../core/bytes.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { PayeeShare } from "../ledger/execution.ts";
import type { Books } from "../ledger/ledger.ts";

/** Which records repeat earlier answers, and whom those answers credit. */
export interface Upstream {
  readonly derivations: ReadonlyMap<number, readonly Derivation[]>;
  /** By {@link answerNumber}. */
  readonly answers: ReadonlyMap<number, CreditedAnswer>;
}

export interface CreditedAnswer {
  readonly receipt: Uint8Array;
  readonly shares: readonly PayeeShare[];
}

export const noUpstream: Upstream = { derivations: new Map(), answers: new Map() };

/**
 * From what stands on contributions and in the journal. Answers that this ledger does not know, or that credit nobody, pass nothing on: their part stays with whoever
 * contributed the record.
 */
export async function loadUpstream(
  store: DatanetStore,
  books: Pick<Books, "receipt" | "payee">,
  datanets: readonly string[],
  records: readonly DatanetRecord[],
): Promise<Upstream> {
  const numbers = new Map(records.map(({ id, contributionId }, number) => [id + contributionId, number]));
  const answers = new Map<number, CreditedAnswer>();
  const derivations = new Map<number, Derivation[]>();
  for (const datanet of datanets)
    for (const { id, lineage = [] } of await store.contributions(datanet, "approved"))
      for (const { record, receipt: name, partPpm } of lineage) {
        const number = numbers.get(record + id);
        if (number === undefined) continue;
        const receipt = fromHex(name);
        const answer = answers.get(answerNumber(receipt)) ?? (await creditedBy(books, receipt));
        const attributedPpm = answer.shares.reduce((sum, { weight }) => sum + weight, 0);
        if (attributedPpm === 0) continue;
        answers.set(answerNumber(receipt), answer);
        derivations.set(number, [...(derivations.get(number) ?? []), { receipt, partPpm, attributedPpm }]);
      }
  return { derivations, answers };
}

async function creditedBy(books: Pick<Books, "receipt" | "payee">, receipt: Uint8Array): Promise<CreditedAnswer> {
  const found = await books.receipt(receipt);
  const shares = (found?.receipt.legs ?? []).flatMap(({ role, payee: number, weight }): PayeeShare[] => {
    const payee = role === "contributor" ? books.payee(number) : undefined;
    return payee === undefined ? [] : [{ payee: payee.id, type: payee.type, weight }];
  });
  return { receipt, shares };
}

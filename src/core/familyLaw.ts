import { equalBytes, toHex } from "./bytes.ts";
import { amountOf, type Receipt } from "./receipt.ts";

interface Family {
  readonly total: number;
  readonly last: Uint8Array;
}

/** Children are journalled before their parent, each with the running total so far. */
export class FamilyLaw {
  readonly #families = new Map<string, Family>();

  /** What is wrong with the next receipt among its relatives; undefined where nothing is. `isKnown`: whether a receipt was journalled before. */
  take(receipt: Receipt, isKnown: (id: Uint8Array) => boolean): string | undefined {
    const { nesting, id } = receipt;
    const children = this.#families.get(toHex(id))?.total ?? 0;
    if (nesting.childrenTotal !== children)
      return `its children's total is ${nesting.childrenTotal}, the journal has ${children}`;
    this.#families.delete(toHex(id));
    if (nesting.depth === 0) {
      const alone = isZero(nesting.parent) && isZero(nesting.sibling) && equalBytes(nesting.root, id);
      return alone && nesting.runningTotal === amountOf(receipt) ? undefined : "a root names a parent or a sibling";
    }
    const family = this.#families.get(toHex(nesting.parent)) ?? { total: 0, last: new Uint8Array(16) };
    const total = family.total + amountOf(receipt);
    if (isKnown(nesting.parent)) return "it is journalled after its parent";
    if (!equalBytes(nesting.sibling, family.last)) return "it does not name the sibling before it";
    if (nesting.runningTotal !== total) return `its running total is ${nesting.runningTotal}, the sum is ${total}`;
    this.#families.set(toHex(nesting.parent), { total, last: id });
    return undefined;
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

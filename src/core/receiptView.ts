import { ENTRY_HEAD_BYTES, entryKinds } from "./entry.ts";
import type { Nano } from "./money.ts";
import { LEG_BYTES, RECEIPT_HEAD_BYTES } from "./receipt.ts";
import { assert } from "./result.ts";

/** Where fields stand in a receipt's entry: `docs/journal.md` lists them. */
const at = {
  ...{ payer: 132, account: 164, payerPayee: 180, earned: 184, model: 196, nanoPerUsd: 261, cost: 345, royalty: 353 },
  legs: ENTRY_HEAD_BYTES + RECEIPT_HEAD_BYTES,
} as const;
const RECEIPT_KIND = entryKinds.indexOf("receipt") + 1;

/**
 * What a receipt's entry says about money, read where it stands: for sums over millions of them, which have no use for an object each.
 * The entry is known to be well formed; byte fields are views into it.
 */
export class ReceiptView {
  readonly #entry: Uint8Array;
  readonly #view: DataView;

  constructor(entry: Uint8Array) {
    this.#entry = entry;
    this.#view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
    const legs = this.#view.getUint8(at.legs - 1);
    assert(
      isReceipt(entry) && entry.length === at.legs + legs * LEG_BYTES,
      "a receipt's legs are the rest of its entry",
    );
  }

  /** 32 bytes. */
  get payer(): Uint8Array {
    return this.#entry.subarray(at.payer, at.payer + 32);
  }

  /** 16 bytes. */
  get account(): Uint8Array {
    return this.#entry.subarray(at.account, at.account + 16);
  }

  /** 32 bytes. */
  get model(): Uint8Array {
    return this.#entry.subarray(at.model, at.model + 32);
  }

  get nanoPerUsd(): number {
    return this.#u64(at.nanoPerUsd);
  }

  get payerPayee(): number {
    return this.#view.getUint32(at.payerPayee);
  }

  get earned(): Nano {
    return this.#u64(at.earned);
  }

  /** As {@link ./receipt.ts} `ownOf`. */
  get own(): Nano {
    return this.#u64(at.cost) + this.#u64(at.royalty);
  }

  get legCount(): number {
    return this.#view.getUint8(at.legs - 1);
  }

  /** Role codes are places in `legRoles`. */
  eachLeg(visit: (payee: number, amount: Nano, index: number, role: number) => void): void {
    const view = this.#view;
    for (let leg = at.legs, index = 0; leg < this.#entry.length; leg += LEG_BYTES, index++) {
      const amount = view.getInt32(leg + 9) * 2 ** 32 + view.getUint32(leg + 13);
      visit(view.getUint32(leg + 1), amount, index, view.getUint8(leg));
    }
  }

  #u64(offset: number): number {
    return this.#view.getUint32(offset) * 2 ** 32 + this.#view.getUint32(offset + 4);
  }
}

export function isReceipt(entry: Uint8Array): boolean {
  return entry[1] === RECEIPT_KIND;
}

import { equalBytes } from "./bytes.ts";
import type { Entry } from "./entry.ts";
import { type Move, moveAmount, moveFault, type Place } from "./move.ts";

export interface Moved {
  readonly place: Place;
  /** The seq of the move's first entry: whatever is signed from there on is signed for the place. */
  readonly seq: number;
  /** The epoch that is the move and nothing else: the first on the chain. */
  readonly epoch: number;
  /** Nano that the epochs on credit came to, and what of it is still owed. */
  readonly credited: bigint;
  readonly owed: bigint;
}

/** The strict reading of a move: it happens once, it is whole, and it says of everybody what the epochs before it say. */
export class MoveReplay {
  readonly #node: Uint8Array | undefined;
  #moved: Moved | undefined;
  #last: Move | undefined;
  #payees = 0;
  #isClosed = false;

  /** `node`: whose debit what is owed becomes; undefined for a ledger that did not begin on credit. */
  constructor(node: Uint8Array | undefined) {
    this.#node = node;
  }

  get moved(): Moved | undefined {
    return this.#moved;
  }

  /** What is wrong with this entry where a move has begun; undefined where nothing is. */
  dueAt(entry: Entry): string | undefined {
    const last = this.#last;
    if (last === undefined || this.#isClosed) return undefined;
    if (last.index + 1 < last.count)
      return entry.kind === "move" ? undefined : `a ${entry.kind} entry stands in the middle of a move`;
    if (entry.kind !== "epoch" || entry.epoch.end !== entry.seq)
      return "behind a move comes the entry that closes its epoch, and nothing before that";
    this.#isClosed = true;
    return undefined;
  }

  /** What is wrong with the next part; undefined where nothing is. `settled`: lifetime nano in the epochs on credit. */
  take(seq: number, move: Move, settled: ReadonlyMap<number, bigint>, epoch: number): string | undefined {
    if (this.#node === undefined) return "only a ledger that began on credit moves to a chain";
    if (this.#isClosed) return "the ledger has moved before";
    if (!equalBytes(move.payer, this.#node)) return "what is owed is charged to somebody other than the node";
    const fault = moveFault(move, this.#last);
    if (fault !== undefined) return fault;
    for (const { payee, credited } of move.lines)
      if ((settled.get(payee) ?? 0n) !== credited)
        return `it says that payee ${payee} was credited ${credited} nano, the epochs say ${settled.get(payee) ?? 0n}`;
    this.#last = move;
    this.#payees += move.lines.length;
    const before = this.#moved ?? { place: move.place, seq, epoch, credited: 0n, owed: 0n };
    this.#moved = {
      ...before,
      credited: before.credited + move.lines.reduce((sum, { credited }) => sum + credited, 0n),
      owed: before.owed + BigInt(moveAmount(move)),
    };
    if (move.index + 1 < move.count) return undefined;
    const credited = [...settled.values()].filter((nano) => nano !== 0n).length;
    return credited === this.#payees
      ? undefined
      : `it says of ${this.#payees} payees what they were credited, the epochs credited ${credited}`;
  }
}

import { padAddress, toHex } from "../core/bytes.ts";
import type { ChainPart } from "./chainPart.ts";
import type { FactoryPart } from "./factoryPart.ts";
import type { ModelShelf } from "./modelShelf.ts";
import type { ReportedShelf } from "./reportedShelf.ts";

/** What knows names, as far as it is made already. */
interface Labelled {
  readonly shelf?: ModelShelf;
  readonly factory?: FactoryPart;
  readonly reported?: ReportedShelf;
}

/** A name for a payee, where the node knows one. */
export function labelOf(
  payee: Uint8Array,
  operator: Uint8Array,
  part: ChainPart,
  { shelf, factory, reported }: Labelled,
): string | undefined {
  const key = toHex(payee);
  // Mostly one and the same: it runs the models, owns them and holds the treasury.
  if (key === toHex(padAddress(part.chain.node))) return "this node";
  if (key === toHex(operator)) return "operator: embedded engine";
  if (key === toHex(part.policy.reservePayee)) return "reserve: validation, disputes, refunds";
  if (key === toHex(part.policy.datanetReservePayee)) return "treasury: reserved for datanets";
  return (
    shelf?.labelOf(payee) ?? factory?.shelf.labelOf(payee) ?? factory?.books.labelOf(payee) ?? reported?.labelOf(payee)
  );
}

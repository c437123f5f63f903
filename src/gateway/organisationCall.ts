import { ok, type Result, refuse } from "../core/result.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import type { Actor, Organisation, Organisations } from "../ledger/organisations.ts";

type AnyCall = { readonly key: ApiKey | undefined; readonly exchange: { readonly requestId: string } };

export function actorOf({ key, exchange }: AnyCall): Actor {
  if (key === undefined) throw new Error("the door let in a call without a key");
  return { key, request: exchange.requestId };
}

/** Runs the rest for the organisation that the path names, if the key has to do with it. */
export async function on<R>(
  book: Organisations,
  call: AnyCall & { readonly params: { readonly id: string } },
  rest: (id: string) => Promise<R>,
): Promise<R | ReturnType<typeof refuse>> {
  const found = own(book, call.key, call.params.id);
  return found.ok ? rest(found.value.id) : found;
}

/** Whether another organisation exists is not said either. */
export function own(book: Organisations, key: ApiKey | undefined, id: string): Result<Organisation> {
  const wanted = id === "me" ? (key?.scope?.organisation ?? "") : id;
  if (!sees(key, wanted)) return refuse("forbidden", "this is not the key's own organisation");
  if (wanted === "")
    return refuse("not_found", "this key acts in no organisation", { hint: "name one by its id", field: "id" });
  const found = book.get(wanted);
  return found === undefined ? refuse("not_found", `there is no organisation ${wanted}`, { field: "id" }) : ok(found);
}

export function sees(key: ApiKey | undefined, id: string): boolean {
  return key?.admin === true || key?.scope?.organisation === id;
}

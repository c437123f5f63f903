import { ok, type Result } from "../core/result.ts";
import { openDatanetStore } from "../store/datanetStore.ts";
import { openFactoryStore } from "../store/factoryStore.ts";
import { openLedgerStore } from "../store/ledgerStore.ts";
import { openOutputStore } from "../store/outputStore.ts";
import { openPayoutStore } from "../store/payoutStore.ts";
import type { Children } from "./children.ts";

/** Every table that a node keeps: opening a store makes its tables, and a restore makes them all before it reads a row. */
export async function openDatabase(url: string, children: Pick<Children, "add">) {
  const add = <T extends { close(): Promise<void> }>(name: string, opened: Result<T>): Result<T> => {
    if (opened.ok) children.add({ name, stop: () => opened.value.close() });
    return opened;
  };
  const ledger = add("ledger store", await openLedgerStore({ url }));
  if (!ledger.ok) return ledger;
  const datanets = add("datanet store", await openDatanetStore({ url }));
  if (!datanets.ok) return datanets;
  const payouts = add("payout store", await openPayoutStore({ url }));
  if (!payouts.ok) return payouts;
  const outputs = add("output store", await openOutputStore({ url }));
  if (!outputs.ok) return outputs;
  const factory = add("factory store", await openFactoryStore({ url }));
  if (!factory.ok) return factory;
  return ok({
    ...{ ledger: ledger.value, datanets: datanets.value, payouts: payouts.value },
    ...{ outputs: outputs.value, factory: factory.value },
  });
}

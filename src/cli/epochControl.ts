import { ok } from "../core/result.ts";
import type { EpochControl } from "../gateway/ports.ts";
import { CreditSettlement } from "./creditSettlement.ts";
import type { Settlement } from "./settlement.ts";

/** What may be done with epochs from outside: on credit they are also funded and settled by hand. */
export function epochControl(settlement: Settlement | CreditSettlement): EpochControl {
  return {
    close: async () => {
      const closed = await settlement.close();
      return closed.ok ? ok({ epoch: closed.value.record.epoch, journalSize: closed.value.journalSize }) : closed;
    },
    ...(settlement instanceof CreditSettlement
      ? {
          fund: (epoch, reference) => settlement.fund(epoch, reference),
          settle: (epoch, reference) => settlement.settle(epoch, reference),
        }
      : {}),
  };
}

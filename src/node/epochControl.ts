import { ok } from "../core/result.ts";
import type { EpochControl } from "../gateway/ports.ts";
import type { ContextDesk } from "./contextDesk.ts";
import { CreditSettlement } from "./creditSettlement.ts";
import type { Settlement } from "./settlement.ts";

/** What may be done with epochs from outside: on credit they are also funded and settled by hand. */
export function epochControl(
  settlement: Pick<Settlement | CreditSettlement, "close">,
  contexts?: Pick<ContextDesk, "weighAll">,
  say: (text: string) => void = () => undefined,
): EpochControl {
  return {
    close: async () => {
      const closed = await settlement.close();
      if (!closed.ok) return closed;
      // As at the close by time. The epoch is closed whatever comes of it: contexts that cannot be weighed now stay as they were.
      const weighed = await contexts?.weighAll();
      if (weighed?.ok === false) say(`contexts are paid as before: ${weighed.error.message}`);
      return ok({ epoch: closed.value.record.epoch, journalSize: closed.value.journalSize });
    },
    ...(settlement instanceof CreditSettlement
      ? {
          fund: (epoch, reference) => settlement.fund(epoch, reference),
          settle: (epoch, reference) => settlement.settle(epoch, reference),
        }
      : {}),
  };
}

import type { Result } from "../core/result.ts";
import type { AttachOperator } from "../protocol/operators.ts";
import type { OperatorView } from "../protocol/service.ts";

/** Servers elsewhere that run models of this node. The composition root implements it, and keeps them over a restart. */
export interface OperatorDesk {
  /** The same name again is another server from the next request on. Refuses `upstream_failed` where nothing answers there. */
  attach(operator: AttachOperator): Promise<Result<OperatorView>>;
  /** Requests that run at it end there. Refuses `not_found`. */
  detach(name: string): Promise<Result<void>>;
}

import { ok, type Result } from "../core/result.ts";
import type { EpochSummary, Ledger } from "../ledger/ledger.ts";
import type { ChainView } from "./ports.ts";

/** What was credited, by how far it got: earned, backed by money, released, paid. Together they are all of it. */
export interface Stages {
  readonly accrued: bigint;
  readonly funded: bigint;
  readonly settled: bigint;
  readonly claimed: bigint;
}

export function stagesView({ accrued, funded, settled, claimed }: Stages): Record<keyof Stages, string> {
  return { accrued: String(accrued), funded: String(funded), settled: String(settled), claimed: String(claimed) };
}

/** Of everybody together; undefined where what was claimed in all is not known. */
export async function stagesOfAll(ledger: Ledger, chain: ChainView | undefined): Promise<Result<Stages> | undefined> {
  const claimed = await chain?.claimedTotal?.();
  if (claimed?.ok !== true) return claimed;
  const { final, backed } = reached(ledger);
  const lifetime = ledger.books.totals().credited;
  return ok(stages(lifetime, backed?.record.credits ?? 0n, final?.record.credits ?? 0n, claimed.value));
}

/** Of one payee; what is claimed counts as nothing where that cannot be asked. */
export async function stagesOf(ledger: Ledger, payee: Uint8Array, claimed: bigint): Promise<Stages> {
  const { lifetime } = ledger.books.accrued(payee);
  const { final, backed } = reached(ledger);
  const until = async (epoch: EpochSummary | undefined): Promise<bigint> => {
    const proof = epoch && (await ledger.epochs.payout(epoch.record.epoch, payee));
    return proof?.ok ? proof.value.cumulative : 0n;
  };
  return stages(lifetime, await until(backed), await until(final), claimed);
}

function stages(lifetime: bigint, backed: bigint, final: bigint, claimed: bigint): Stages {
  return { accrued: lifetime - backed, funded: backed - final, settled: final - claimed, claimed };
}

/** The last epochs that are final, and backed by money. */
function reached({ epochs }: Ledger) {
  const list = epochs.list().filter(({ isPast }) => !isPast);
  return {
    final: list.findLast(({ status }) => status === "final"),
    backed: list.findLast(({ status }) => status === "final" || status === "proposed"),
  };
}

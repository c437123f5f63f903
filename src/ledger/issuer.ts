/** Who issues this node's statements, as it is written on them from then on; in no journal. */
export interface Issuer {
  readonly name: string;
  /** In one line, or empty. */
  readonly address: string;
  /** A tax number or VAT id, or empty. */
  readonly taxId: string;
  /** Days from its issue to when a statement that charges an account is due; without them none is. */
  readonly dueDays?: number;
}

const DAY_MS = 86_400_000;

/** The last day for paying what was charged on this one, as `2027-02-14`, in UTC. */
export function dueDay(issuedMs: number, dueDays: number): string {
  return new Date(issuedMs + dueDays * DAY_MS).toISOString().slice(0, 10);
}

import { answerNumber, type Derivation } from "../attribution/lineage.ts";
import { PPM } from "../attribution/policy.ts";
import { toHex } from "../core/bytes.ts";
import type { PayeeType } from "../core/entry.ts";
import { identityPayeeId, isAddressIdentity } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import { splitHeldOut } from "../factory/examples.ts";
import type { PayeeShare } from "../ledger/execution.ts";
import type { citedParts } from "./citedRecords.ts";
import type { DeclaredVersion } from "./declared.ts";
import type { Upstream } from "./upstream.ts";

/** What all weights are brought to, and one more for each of the people. */
const SHARES_TOTAL = 1_000_000_000;

/** The records of some versions that a training learns from: what is held out is not learnt, and what several hold counts for the first of them. */
export function learntRecords(
  versions: readonly DeclaredVersion[],
  heldOutShare: number,
): readonly { readonly version: DeclaredVersion; readonly record: DatanetRecord }[] {
  const seen = new Set<string>();
  return versions.flatMap((version) => {
    const fresh = version.records.filter(({ id }) => !seen.has(id) && seen.add(id));
    const kept = splitHeldOut(
      fresh.map(({ id }) => ({ record: id, text: "" })),
      heldOutShare,
    );
    const learnt = new Set(kept.train.map(({ record }) => record));
    return fresh.filter(({ id }) => learnt.has(id)).map((record) => ({ version, record }));
  });
}

/**
 * Who wrote what a training learns, by bytes of text: authors in equal parts, and of a record that repeats an earlier answer a part for those whom that answer
 * credits, or for the authors of what it cites, as everywhere. Whole weights that sum to less than 2^32. `upstream` numbers the records as {@link learntRecords}
 * has them.
 */
export function learntShares(
  learnt: ReturnType<typeof learntRecords>,
  upstream: Upstream,
  keepPpm: number,
  cited: Awaited<ReturnType<typeof citedParts>> = undefined,
): readonly PayeeShare[] {
  const versionOf = new Map(learnt.map(({ record, version }) => [record.id, version]));
  const people = new Map<string, { readonly payee: Uint8Array; readonly type: PayeeType; weight: number }>();
  const add = (payee: Uint8Array, type: PayeeType, weight: number): void => {
    const known = people.get(toHex(payee));
    if (known === undefined) people.set(toHex(payee), { payee, type, weight });
    else known.weight += weight;
  };
  for (const [number, { version, record }] of learnt.entries()) {
    const bytes = Buffer.byteLength(record.text);
    let kept = 1;
    for (const derivation of upstream.derivations.get(number) ?? []) {
      const passed = passedPart(derivation, keepPpm);
      kept -= passed;
      const shares = upstream.answers.get(answerNumber(derivation.receipt))?.shares ?? [];
      const total = shares.reduce((sum, { weight }) => sum + weight, 0);
      for (const { payee, type, weight } of shares) add(payee, type, (bytes * passed * weight) / total);
    }
    for (const { record: own, part } of cited?.(record) ?? [{ record, part: 1 }])
      for (const { identity } of own.authors) {
        const type = isAddressIdentity(identity) ? "party" : "identity";
        const { scope } = versionOf.get(own.id) ?? version;
        add(identityPayeeId(scope, identity), type, (bytes * kept * part) / own.authors.length);
      }
  }
  const present = [...people.values()].filter(({ weight }) => weight > 0);
  const total = present.reduce((sum, { weight }) => sum + weight, 0);
  return present.map(({ payee, type, weight }) => ({
    ...{ payee, type, weight: Math.max(1, Math.floor((SHARES_TOTAL * weight) / total)) },
  }));
}

function passedPart({ partPpm, attributedPpm }: Derivation, keepPpm: number): number {
  return (partPpm / PPM) * (1 - keepPpm / PPM) * (attributedPpm / PPM);
}

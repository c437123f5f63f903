import { toHex } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { ed25519PublicKey } from "../core/note.ts";
import { ok, type Result } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import type { LedgerTrustView } from "../protocol/workshop.ts";
import type { ChainPart } from "./chainPart.ts";
import { adminKeyPath, type Secrets } from "./secrets.ts";

const OWNER_CREDIT_NANO = 100_000_000_000;

/** What a verifier of this node's journal needs to know. */
export function trustOf(ledger: OpenLedger, part: ChainPart, secrets: Secrets): LedgerTrustView {
  const { chain, rpcUrl, isDevelopment } = part;
  const movedAt = ledger.moved()?.seq;
  const contracts = Object.fromEntries(
    Object.entries(chain.contracts).map(([name, address]) => [name, toHex(address)]),
  );
  return {
    ...{ ledger: toHex(ledger.id), chainId: chain.chainId, settlement: toHex(chain.settlement), contracts },
    ...{ signer: toHex(addressOf(secrets.signer)), logKey: toHex(ed25519PublicKey(secrets.log)) },
    ...(isDevelopment ? { rpcUrl } : {}),
    ...(movedAt === undefined ? {} : { movedAt }),
  };
}

/** The key that the command line uses: made once, and made again when the ledger does not know it. */
export async function keepAdminKey(data: string, ledger: OpenLedger): Promise<Result<string>> {
  const kept = (await readIfThere(adminKeyPath(data)))?.trim();
  const known = kept === undefined ? undefined : ledger.accounts.findKey(kept);
  if (kept !== undefined && known !== undefined && known.revokedMs === undefined) return ok(kept);
  const account = await ledger.accounts.open({ name: "node owner" });
  if (!account.ok) return account;
  // Spends the node's own deposit, so that the command line can ask at once.
  const credit = { account: account.value.id, amount: OWNER_CREDIT_NANO, key: "first", note: "the node's own" };
  const credited = await ledger.accounts.credit(credit);
  if (!credited.ok) return credited;
  const key = await ledger.accounts.createKey({ account: account.value.id, name: "command line", admin: true });
  if (!key.ok) return key;
  await writeAtomically(adminKeyPath(data), `${key.value.secret}\n`, { mode: 0o600 });
  return ok(key.value.secret);
}

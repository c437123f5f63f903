import { join } from "node:path";
import { DEVELOPMENT_CHAIN_ID } from "../chain/anvil.ts";
import { equalBytes, parseHex } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { CREDIT_CHAIN_ID, creditLedgerId } from "../core/move.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere } from "../host/files.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import { parseInput, parseJson } from "../protocol/parse.ts";
import { type LedgerTrustView, ledgerTrustSchema } from "../protocol/workshop.ts";
import { type ChainPart, type ChainPartOptions, openChainPart, openCreditPart } from "./chainPart.ts";
import type { Secrets } from "./secrets.ts";

/** What the data folder says of its ledger; undefined where it holds none yet. */
export async function keptTrust(data: string): Promise<Result<LedgerTrustView | undefined>> {
  const text = await readIfThere(join(data, "ledger.json"));
  if (text === undefined) return ok(undefined);
  const json = parseJson(text);
  return json.ok ? parseInput(ledgerTrustSchema, json.value) : json;
}

/** Whether a ledger began on credit: its id follows from the key that signs it. */
export function beganOnCredit({ ledger }: LedgerTrustView, secrets: Secrets): boolean {
  const id = parseHex(ledger);
  return id !== undefined && equalBytes(id, creditLedgerId(addressOf(secrets.signer)));
}

/**
 * Opens the chain of the ledger in a data folder, or none on credit: as it is, or as `isCredit` says for a new one. A ledger stays where it is: what was promised on one
 * chain is not what is owed on another, or on credit, and a folder has room for one journal.
 */
export async function openPlace(
  options: Omit<ChainPartOptions, "moved" | "kept">,
  isCredit: boolean,
): Promise<Result<ChainPart>> {
  const { data, secrets } = options;
  const kept = await keptTrust(data);
  if (!kept.ok) return kept;
  if (kept.value === undefined) return isCredit ? ok(openCreditPart(secrets)) : openChainPart(options);
  const { chainId } = kept.value;
  if (chainId === CREDIT_CHAIN_ID) return ok(openCreditPart(secrets));
  if (isCredit)
    return refuse("conflict", `the ledger in ${data} is on chain ${chainId}, not on credit`, {
      hint: "start a ledger on credit in a folder of its own: --data DIR",
      field: "credit",
    });
  if (chainId !== DEVELOPMENT_CHAIN_ID && options.external === undefined)
    return refuse("conflict", `the ledger in ${data} is on chain ${chainId}`, {
      hint: "say where that is, with CHAIN_RPC_URL; without it the node runs a development chain",
    });
  if (beganOnCredit(kept.value, secrets)) return openChainPart({ ...options, moved: { chainId } });
  return openChainPart({ ...options, kept: { chainId, ledger: kept.value.ledger } });
}

/** Refuses where the journal says that the ledger is elsewhere: a move that was begun is finished before the node starts. */
export function checkPlace(ledger: Pick<OpenLedger, "moved">, { chain, isMoved }: ChainPart): Result<void> {
  const moved = ledger.moved();
  if (moved === undefined && !isMoved) return ok(undefined);
  if (moved === undefined)
    return refuse("data_folder_damaged", "ledger.json names a chain, and the journal has not moved there");
  const { chainId, verifyingContract } = moved.domain;
  if (isMoved && chainId === chain.chainId && equalBytes(verifyingContract, chain.settlement)) return ok(undefined);
  return refuse("conflict", `the ledger has moved to chain ${chainId}`, {
    hint: "finish it with: openledger ledger move --to-chain",
  });
}

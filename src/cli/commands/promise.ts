import { equalBytes, parseHex, toHex } from "../../core/bytes.ts";
import { type CheckpointTrust, openCheckpoint } from "../../core/checkpoint.ts";
import { batchDigest, recoverSigner } from "../../core/eip712.ts";
import { decodeEntry } from "../../core/entry.ts";
import { leafHash, verifyInclusion } from "../../core/merkle.ts";
import { creditDomain } from "../../core/move.ts";
import { amountOf } from "../../core/receipt.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import type { WirePromise } from "../../protocol/completions.ts";
import { inclusionSchema } from "../../protocol/epochs.ts";
import type { Client } from "../client.ts";

/** After the deadline a node gets this long to answer that it kept its promise. */
const GRACE_MS = 2_000;
const POLL_MS = 250;

/** Is the promise the ledger's own, and of the receipt that came with the answer, with its amount? */
export function checkPromise(
  promise: WirePromise,
  answered: { readonly receipt: string; readonly fee: { readonly amount: number } },
  trust: CheckpointTrust,
): Result<Uint8Array> {
  const [entry, root, signature] = [promise.entry, promise.root, promise.signature].map(parseHex);
  const path = promise.path.map(parseHex);
  if (entry === undefined || root === undefined || signature === undefined || path.includes(undefined))
    return broken("the promise is not well formed");
  const decoded = decodeEntry(entry);
  if (!decoded.ok || decoded.value.kind !== "receipt") return broken("what is promised is not a receipt");
  const { ledger, seq, receipt } = decoded.value;
  const isMeant = toHex(receipt.id) === answered.receipt && amountOf(receipt) === answered.fee.amount;
  if (!isMeant || seq !== promise.seq || !equalBytes(ledger, trust.ledger))
    return broken("the promise is of another receipt than the answer's");
  const { first, count, deadlineMs } = promise;
  const whole = path.filter((hash) => hash !== undefined);
  if (!verifyInclusion(root, count, seq - first, leafHash(entry), whole))
    return broken("the receipt is not in the batch");
  const isFromCredit = trust.movedAt !== undefined && first + count <= trust.movedAt;
  const domain = isFromCredit ? creditDomain : trust.domain;
  const signer = recoverSigner(batchDigest(domain, { ledger, first, count, root, deadlineMs }), signature);
  if (signer === undefined || !equalBytes(signer, trust.signer)) return broken("the ledger did not sign the promise");
  return ok(entry);
}

/** Waits for a signed checkpoint whose tree holds the promised entry at its place, until the deadline. */
export async function waitUntilJournalled(
  client: Client,
  promise: WirePromise,
  trust: CheckpointTrust,
  clock: { nowMs(): number; sleep(ms: number): Promise<void> },
): Promise<Result<number>> {
  const entry = parseHex(promise.entry);
  const until = promise.deadlineMs + GRACE_MS;
  for (;;) {
    const found =
      entry === undefined ? broken("the promise is not well formed") : await lookUp(client, promise.seq, entry, trust);
    if (found.ok || clock.nowMs() >= until) return found;
    await clock.sleep(POLL_MS);
  }
}

async function lookUp(client: Client, seq: number, entry: Uint8Array, trust: CheckpointTrust): Promise<Result<number>> {
  const note = await client.bytes("/journal/checkpoint");
  if (!note.ok) return note;
  const checkpoint = openCheckpoint(note.value, trust);
  if (!checkpoint.ok) return checkpoint;
  const { size, root } = checkpoint.value;
  if (seq >= size) return broken(`the journal has ${size} entries, entry ${seq} was promised`);
  const proof = await client.get(`/api/proofs/inclusion/${seq}`, inclusionSchema, { size });
  if (!proof.ok) return proof;
  const path = proof.value.path.map(parseHex).filter((hash) => hash !== undefined);
  return verifyInclusion(root, size, seq, leafHash(entry), path)
    ? ok(size)
    : broken(`entry ${seq} of the journal is not the one that was promised`);
}

function broken(message: string): Result<never> {
  return refuse("verification_failed", message);
}

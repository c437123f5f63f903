import { join } from "node:path";
import { fromHex, toHex } from "../core/bytes.ts";
import { keepSecret } from "../host/files.ts";

/** What the node keeps to itself, each in a file of its own under `<data>/secrets`, readable by its user alone. */
export interface Secrets {
  /** secp256k1: signs batches and checkpoints. */
  readonly signer: Uint8Array;
  /** Ed25519 seed: signs checkpoints for witnesses. */
  readonly log: Uint8Array;
  /** Keys the hashes of API keys and the pseudonyms of accounts. */
  readonly accounts: Uint8Array;
}

export async function keepSecrets(data: string, randomBytes: (size: number) => Uint8Array): Promise<Secrets> {
  const keep = async (name: string): Promise<Uint8Array> =>
    fromHex(await keepSecret(join(data, "secrets", name), () => toHex(randomBytes(32))));
  return { signer: await keep("signer"), log: await keep("log"), accounts: await keep("accounts") };
}

export function adminKeyPath(data: string): string {
  return join(data, "secrets", "admin-key");
}

/** The address of the database that the running node uses, password included. */
export function databaseUrlPath(data: string): string {
  return join(data, "secrets", "database");
}

/** What the test world of a node keeps on disk. */
export function testWorldFolder(data: string): string {
  return join(data, "test-world");
}

import type { RecoverableSigning } from "../core/signer.ts";

/** libsecp256k1 in WebAssembly; undefined where this machine cannot load it. */
export async function loadSecp256k1(): Promise<RecoverableSigning | undefined> {
  try {
    return await import("tiny-secp256k1");
  } catch {
    return undefined;
  }
}

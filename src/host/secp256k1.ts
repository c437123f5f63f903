import type { RecoverableSigning } from "../core/signer.ts";

/** libsecp256k1 in WebAssembly. A name in a variable: where the package is not installed, nothing but speed is lost. */
const PACKAGE: string = "tiny-secp256k1";

/** The fast signing library; undefined where it is not installed or does not load. */
export async function loadSecp256k1(): Promise<RecoverableSigning | undefined> {
  try {
    const loaded: unknown = await import(PACKAGE);
    return isSigning(loaded) ? loaded : undefined;
  } catch {
    return undefined;
  }
}

function isSigning(loaded: unknown): loaded is RecoverableSigning {
  return typeof loaded === "object" && loaded !== null && typeof Reflect.get(loaded, "signRecoverable") === "function";
}

import { concat, equalBytes } from "./bytes.ts";
import { signDigest } from "./eip712.ts";
import { keccak256 } from "./hash.ts";

/** Signs 32-byte digests with one key: 65 bytes as {@link signDigest} makes them. */
interface DigestSigner {
  sign(digest: Uint8Array): Uint8Array;
}

/** libsecp256k1, as `tiny-secp256k1` offers it. */
export interface RecoverableSigning {
  signRecoverable(
    digest: Uint8Array,
    privateKey: Uint8Array,
  ): { readonly signature: Uint8Array; readonly recoveryId: number };
}

/**
 * A signer on `library` where that makes exactly our signatures (RFC 6979, s in the lower half), which is tried on a digest; on the general code otherwise.
 * In WebAssembly libsecp256k1 signs several times as fast.
 */
export function openSigner(privateKey: Uint8Array, library?: RecoverableSigning): DigestSigner {
  const own: DigestSigner = { sign: (digest) => signDigest(privateKey, digest) };
  if (library === undefined) return own;
  const fast: DigestSigner = {
    sign: (digest) => {
      const { signature, recoveryId } = library.signRecoverable(digest, privateKey);
      return concat(signature, Uint8Array.of(27 + recoveryId));
    },
  };
  return agree(own, fast) ? fast : own;
}

function agree(own: DigestSigner, fast: DigestSigner): boolean {
  const digest = keccak256(Uint8Array.of(1));
  try {
    return equalBytes(own.sign(digest), fast.sign(digest));
  } catch {
    return false;
  }
}

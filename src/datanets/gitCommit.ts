import { createHash } from "node:crypto";
import { type Hex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { emailIdentity } from "./identity.ts";
import { parseSshSignature, verifySshSignature } from "./sshSignature.ts";

/** A git commit object, as `git cat-file commit` prints it: headers, an empty line, the message. */
export interface GitCommit {
  /** SHA-1 object name, 40 hex digits. */
  readonly id: string;
  /** `git:…` of the author. */
  readonly author: string;
  readonly message: string;
  /** Armoured signature of the `gpgsig` header; undefined when unsigned. */
  readonly signature: string | undefined;
  /** What the signature is over: the object without that header. */
  readonly payload: Uint8Array;
}

const GIT_NAMESPACE = "git";

export function parseCommit(object: Uint8Array): Result<GitCommit> {
  const raw = Buffer.from(object).toString("latin1");
  const end = raw.indexOf("\n\n");
  if (end < 0 || !/^tree [0-9a-f]{40}\n/.test(raw)) return refuse("proof_invalid", "this is not a git commit");
  const headers = raw.slice(0, end + 1).match(/^[^ \n][^\n]*\n(?: [^\n]*\n)*/gm) ?? [];
  const authors = headers.filter((header) => header.startsWith("author "));
  const signatures = headers.filter((header) => header.startsWith("gpgsig "));
  if (headers.join("").length !== end + 1 || authors.length !== 1 || signatures.length > 1) {
    return refuse("proof_invalid", "this commit's headers are not well formed");
  }
  const email = /<([^<>\n]*)> -?\d+ [+-]\d{4}\n$/.exec(authors[0]!)?.[1];
  const author = emailIdentity(latin1ToUtf8(email ?? ""));
  if (author === undefined) return refuse("proof_invalid", "this commit's author has no e-mail address");
  const kept = headers.filter((header) => !header.startsWith("gpgsig ")).join("");
  return ok({
    id: createHash("sha1").update(`commit ${object.length}\0`).update(object).digest("hex"),
    author,
    message: latin1ToUtf8(raw.slice(end + 2)),
    signature: signatures[0]?.slice("gpgsig ".length).replace(/\n /g, "\n"),
    payload: Buffer.from(kept + raw.slice(end + 1), "latin1"),
  });
}

/** The Ed25519 key that signed this commit; refuses an unsigned one and one whose signature does not hold. */
export function commitSigner(commit: GitCommit): Result<Hex> {
  if (commit.signature === undefined) return refuse("proof_invalid", `commit ${commit.id} is not signed`);
  const parsed = parseSshSignature(commit.signature);
  if (!parsed.ok) return parsed;
  if (!verifySshSignature(parsed.value, GIT_NAMESPACE, commit.payload)) {
    return refuse("proof_invalid", `the signature of commit ${commit.id} does not hold`);
  }
  return ok(toHex(parsed.value.publicKey));
}

/** For each author identity, the keys that signed commits by it: what a later proof is compared with. Commits without a good signature teach nothing. */
export function signersOf(objects: Iterable<Uint8Array>): Map<string, Set<Hex>> {
  const signers = new Map<string, Set<Hex>>();
  for (const object of objects) {
    const commit = parseCommit(object);
    const key = commit.ok ? commitSigner(commit.value) : commit;
    if (!commit.ok || !key.ok) continue;
    const known = signers.get(commit.value.author) ?? new Set<Hex>();
    signers.set(commit.value.author, known.add(key.value));
  }
  return signers;
}

function latin1ToUtf8(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

import { fromHex, padAddress, u64, utf8 } from "../core/bytes.ts";
import { hmacSha256, keccak256 } from "../core/hash.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";

/**
 * External identities: who is owed, before anybody has asked them. One spelling each, so that one author is one payee.
 *
 *     repo:github.com/owner/name         whoever can write to a repository's default branch (the default)
 *     npm:name                           whoever can publish a package that names no repository
 *     git:someone@example.org            whoever signs commits as this author
 *     address:0x…                        a party that has an address already: its payee id is the address, and nothing needs binding
 *     author:github.com/owner/name#name  somebody whom a source knows by name only; no proof binds it yet, so it stays reserved
 */
export const identityKinds = ["repo", "npm", "git", "address", "author"] as const;
export type IdentityKind = (typeof identityKinds)[number];

export interface ExternalIdentity {
  readonly kind: IdentityKind;
  /** Without the kind's prefix. */
  readonly value: string;
  /** The one spelling, prefix included: this is what is hashed and compared. */
  readonly text: string;
}

/** What an identity's payee id is keyed with; the secret never leaves the node that keeps the datanet. */
export interface IdentityScope {
  readonly chainId: number | bigint;
  /** 20-byte address of the asset registry. */
  readonly registry: Uint8Array;
  /** 32-byte datanet id. */
  readonly datanet: Uint8Array;
  /** At least 32 random bytes. */
  readonly secret: Uint8Array;
}

/**
 * keccak256(u64 chainId ‖ address registry ‖ bytes32 datanet ‖ HMAC-SHA-256(secret, identity)): no dictionary of names unmasks it.
 * An `address:` identity is a party already, and its payee id is the padded address.
 */
export function identityPayeeId(scope: IdentityScope, identity: string): Uint8Array {
  if (isAddressIdentity(identity)) return padAddress(fromHex(identity.slice(ADDRESS_PREFIX.length)));
  assert(scope.registry.length === 20, "the registry is a 20-byte address");
  assert(scope.datanet.length === 32, "a datanet id has 32 bytes");
  assert(scope.secret.length >= 32, "a datanet secret has at least 32 bytes");
  return keccak256(u64(scope.chainId), scope.registry, scope.datanet, hmacSha256(scope.secret, utf8(identity)));
}

/** Whether an identity, in its one spelling, is a party with an address. */
export function isAddressIdentity(identity: string): boolean {
  return /^address:0x[0-9a-f]{40}$/.test(identity);
}

const ADDRESS_PREFIX = "address:";

/** An identity in its one spelling, from text in any. */
export function parseIdentity(text: string): Result<ExternalIdentity> {
  const at = text.indexOf(":");
  const kind = identityKinds.find((name) => name === text.slice(0, at));
  const rest = text.slice(at + 1);
  if (kind === undefined)
    return wrong(text, `it must start with ${identityKinds.map((name) => `${name}:`).join(", ")}`);
  switch (kind) {
    case "repo": {
      const path = normaliseRepository(/^[a-z+]+:\/\//i.test(rest) ? rest : `https://${rest}`);
      return path === undefined ? wrong(text, "a repository is host/owner/name") : ok(identity("repo", path));
    }
    case "npm":
      return packageName.test(rest) && rest.length <= 214
        ? ok(identity("npm", rest))
        : wrong(text, "this is not an npm package name");
    case "git":
      return gitIdentity(rest) ?? wrong(text, "a git identity is an e-mail address");
    case "address":
      return /^0x[0-9a-fA-F]{40}$/.test(rest)
        ? ok(identity("address", rest.toLowerCase()))
        : wrong(text, "an address is 0x and 40 hex digits");
    case "author":
      return namedIdentity(rest) ?? wrong(text, "a named author is host/owner/name#name");
  }
}

/** `repo:host/owner/name` of anything that package.json or a git remote may call a repository; undefined where there is none to be found. */
export function repositoryIdentity(location: string): string | undefined {
  const path = normaliseRepository(location);
  return path === undefined ? undefined : `repo:${path}`;
}

/** `author:…` of a name in a source: letters lower-cased, compatibility forms and runs of spaces folded. */
export function authorIdentity(repository: string | undefined, name: string): string {
  return `author:${repository ?? ""}#${foldName(name)}`;
}

/** `git:…` of an e-mail address; undefined when it is none. */
export function emailIdentity(email: string): string | undefined {
  const parsed = gitIdentity(email);
  return parsed?.ok ? parsed.value.text : undefined;
}

const packageName = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-zA-Z0-9~-][a-zA-Z0-9._~-]*$/;
const shorthands: Readonly<Record<string, string>> = {
  github: "github.com",
  gitlab: "gitlab.com",
  bitbucket: "bitbucket.org",
};
/** These forges take owner and name in any case and mean the same repository. */
const caseBlind = new Set(Object.values(shorthands));

/** `host/owner/name` (GitLab groups may nest), or undefined. */
function normaliseRepository(location: string): string | undefined {
  const text = location.trim();
  if (text.length > 512) return undefined;
  const short = /^(?:(github|gitlab|bitbucket):)?([\w.-]+\/[\w.-]+?)(?:\.git)?(?:#.*)?$/.exec(text);
  if (short !== null) return hostPath(shorthands[short[1] ?? "github"]!, short[2]!);
  const scp = /^(?:[\w.-]+@)?([a-z0-9.-]+\.[a-z]+):(?!\/\/)(?!\d+\/)([^\s]+)$/i.exec(text);
  if (scp !== null) return hostPath(scp[1]!, scp[2]!);
  const url =
    /^(?:git\+)?(?:https?|ssh|git|git\+ssh):\/\/(?:[^\s/@]*@)?([a-z0-9.-]+)(?::\d+)?[/:]([^\s?]+?)(?:\?.*)?$/i.exec(
      text,
    );
  return url === null ? undefined : hostPath(url[1]!, url[2]!);
}

function hostPath(hostName: string, path: string): string | undefined {
  const host = hostName.toLowerCase().replace(/^www\./, "");
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(host) || host === "gist.github.com") return undefined;
  const bare = path.replace(/#.*$/, "").replace(/^\/+|\/+$/g, "");
  let segments = bare.split("/");
  const tree = segments.findIndex((segment, i) => i >= 2 && ["tree", "blob", "-", "src"].includes(segment));
  if (tree > 0) segments = segments.slice(0, tree);
  if (host === "github.com" || host === "bitbucket.org") segments = segments.slice(0, 2);
  const last = segments.length - 1;
  if (last < 1) return undefined;
  segments[last] = segments[last]!.replace(/\.git$/, "");
  if (!segments.every((segment) => /^[\w~-][\w.~-]*$/.test(segment))) return undefined;
  const joined = segments.join("/");
  return `${host}/${caseBlind.has(host) ? joined.toLowerCase() : joined}`;
}

function gitIdentity(email: string): Result<ExternalIdentity> | undefined {
  const folded = email.trim().toLowerCase();
  return folded.length <= 254 && /^[^\s@<>\p{Cc}]+@[^\s@<>\p{Cc}]+$/u.test(folded)
    ? ok(identity("git", folded))
    : undefined;
}

function namedIdentity(rest: string): Result<ExternalIdentity> | undefined {
  const at = rest.indexOf("#");
  if (at < 0) return undefined;
  const repository = at === 0 ? "" : normaliseRepository(`https://${rest.slice(0, at)}`);
  const name = foldName(rest.slice(at + 1));
  return repository === undefined || name === "" ? undefined : ok(identity("author", `${repository}#${name}`));
}

function foldName(name: string): string {
  return name
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 200);
}

function identity(kind: IdentityKind, value: string): ExternalIdentity {
  return { kind, value, text: `${kind}:${value}` };
}

function wrong(text: string, why: string): Result<never> {
  return refuse("invalid_request", `"${text.slice(0, 120)}" is not an identity: ${why}`, { field: "identity" });
}

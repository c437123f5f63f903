import { ok, type Result, refuse } from "../core/result.ts";
import { repositoryIdentity } from "./identity.ts";
import { electLicence } from "./licence.ts";
import { isObject } from "./record.ts";

/** What a package says about itself in `package.json`, in every form that npm has accepted over the years. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
  /** SPDX expression under which its texts are taken. */
  readonly licence: string;
  /** `repo:…` if it names a repository that can be made out, else `npm:name`. */
  readonly identity: string;
  /** People named: author, contributors, maintainers, without e-mail addresses. */
  readonly people: readonly string[];
  /** It is built for one platform only, as the binary half of another package. */
  readonly isPlatform: boolean;
}

export function packageFacts(manifest: unknown, allowed?: readonly string[]): Result<PackageFacts> {
  if (!isObject(manifest)) return refuse("invalid_request", "package.json does not hold an object");
  const { name, version } = manifest;
  if (typeof name !== "string" || !/^[^\s\p{Cc}]{1,214}$/u.test(name)) {
    return refuse("invalid_request", "package.json gives no name");
  }
  const licence = electLicence(statedLicence(manifest), allowed);
  if (!licence.ok) return licence;
  return ok({
    name,
    version: typeof version === "string" ? version.slice(0, 64) : "0.0.0",
    licence: licence.value,
    identity: repositoryOf(manifest["repository"]) ?? `npm:${name}`,
    people: peopleOf(manifest),
    isPlatform: manifest["os"] !== undefined || manifest["cpu"] !== undefined,
  });
}

/** `license: "MIT"`, `license: { type: "MIT" }`, `licenses: ["MIT", …]` and `licenses: [{ type: "MIT" }, …]` (any of them). */
export function statedLicence(manifest: Readonly<Record<string, unknown>>): string {
  const one = manifest["license"] ?? manifest["licence"];
  const many = manifest["licenses"];
  if (Array.isArray(one)) return one.map(licenceText).join(" OR ");
  if (one !== undefined) return licenceText(one);
  return Array.isArray(many) ? many.map(licenceText).join(" OR ") : licenceText(many);
}

function licenceText(value: unknown): string {
  if (typeof value === "string") return value;
  if (!isObject(value)) return "";
  const named = value["type"] ?? value["name"];
  return typeof named === "string" ? named : "";
}

function repositoryOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return repositoryOf(value[0]);
  if (isObject(value)) return repositoryOf(value["url"]);
  return typeof value === "string" ? repositoryIdentity(value) : undefined;
}

function peopleOf(manifest: Readonly<Record<string, unknown>>): string[] {
  const named = ["author", "authors", "contributors", "maintainers"].flatMap((key) => {
    const value = manifest[key];
    return Array.isArray(value) ? value : [value];
  });
  return [...new Set(named.map(personName).filter((name) => name !== ""))].slice(0, 32);
}

/** The name of `{ name, email }` or of `Name <email> (url)`. An e-mail address is never a name. */
function personName(person: unknown): string {
  const text = isObject(person) ? person["name"] : person;
  if (typeof text !== "string") return "";
  const name = text
    .replace(/<[^>]*>?/g, "")
    .replace(/\([^)]*\)?/g, "")
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .replace(/\s+/g, " ")
    .trim();
  return /@.+\./.test(name) ? "" : name.slice(0, 100);
}

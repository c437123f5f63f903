import { readdir } from "node:fs/promises";
import path from "node:path";
import { documentRecords } from "./document.ts";
import { ByteBudget, isLeftOut, listFiles, openFolder, readText, resolveInside } from "./importFiles.ts";
import { type Import, type ImportLimits, importLimits } from "./importing.ts";
import { type PackageFacts, packageFacts } from "./packageJson.ts";
import type { Author, RecordContent } from "./record.ts";

/**
 * The documentation of installed npm packages: `README*` and `docs/**` of every package under a `node_modules` folder, nested ones included.
 * One group a package, with the licence that its `package.json` states; a package without a usable licence is left out, with the reason.
 * Packages for one platform come last, so that a README they share with the package they belong to counts as that package's.
 */
export interface NpmImport {
  /** The `node_modules` folder. */
  readonly folder: string;
  readonly limits?: ImportLimits;
  /** SPDX ids; undefined: the permissive list. */
  readonly licences?: readonly string[];
  /** Only packages whose name passes. */
  readonly accept?: (name: string) => boolean;
}

export async function* importNpm(options: NpmImport): Import {
  const limits = options.limits ?? importLimits;
  const root = await openFolder(options.folder);
  if (!root.ok) return yield { kind: "refused", refusal: root.error };
  const budget = new ByteBudget(limits.totalBytesMax);
  const packages: { readonly at: string; readonly facts: PackageFacts }[] = [];
  const seen = new Set<string>();
  for (const at of await packageFolders(root.value)) {
    const manifest = await readText(at, "package.json", limits, budget);
    const what = path.relative(root.value, at);
    if (isLeftOut(manifest)) continue;
    const facts = packageFacts(parseJson(manifest.text), options.licences);
    if (!facts.ok) {
      yield { kind: "leftOut", what, reason: facts.error.message };
      continue;
    }
    const { name, version } = facts.value;
    if (seen.has(`${name}@${version}`) || !(options.accept ?? (() => true))(name)) continue;
    seen.add(`${name}@${version}`);
    packages.push({ at, facts: facts.value });
  }
  packages.sort((a, b) => compareFacts(a.facts, b.facts));
  let files = 0;
  for (const [done, { at, facts }] of packages.entries()) {
    const label = `${facts.name}@${facts.version}`;
    yield { kind: "progress", done, total: packages.length, label };
    const { paths, isCut } = await listFiles(at, isDocumentation, Math.max(0, limits.filesMax - files), skipsFolder);
    if (isCut) yield { kind: "leftOut", what: label, reason: `the import is limited to ${limits.filesMax} files` };
    files += paths.length;
    const records: RecordContent[] = [];
    for (const relative of paths) {
      const found = await readText(at, relative, limits, budget);
      if (isLeftOut(found)) yield { kind: "leftOut", what: `${label} ${relative}`, reason: found.reason };
      else records.push(...packageRecords(facts, relative, found.text));
    }
    if (records.length > 0) yield { kind: "group", group: { label, licence: facts.licence, records } };
  }
  yield { kind: "progress", done: packages.length, total: packages.length, label: "" };
}

/** A README is called after its package, a page of docs after the package and its own name. */
function packageRecords(facts: PackageFacts, relative: string, text: string): RecordContent[] {
  const page = relative.replace(/\.[a-z]+$/i, "");
  return documentRecords({
    path: /\.[a-z]+$/i.test(relative) ? relative : `${relative}.md`,
    text,
    title: relative.includes("/") ? `${facts.name} ${page}` : facts.name,
    source: `npm:${facts.name}@${facts.version} ${relative}`,
    licence: facts.licence,
    date: null,
    authors: [packageAuthor(facts)],
  });
}

/** One payee: whoever proves to be behind the package's repository. The people are named, so that a reader sees whose work it is. */
function packageAuthor(facts: PackageFacts): Author {
  const { people } = facts;
  const named = people.slice(0, 4).join(", ");
  return {
    identity: facts.identity,
    name: people.length === 0 ? facts.name : people.length > 4 ? `${named} and ${people.length - 4} more` : named,
  };
}

function isDocumentation(relative: string): boolean {
  if (/^readme[^/]*$/i.test(relative)) return !/\.[a-z]+$/i.test(relative) || /\.(?:md|markdown|txt)$/i.test(relative);
  return /^docs\/.*\.(?:md|markdown)$/i.test(relative);
}

function skipsFolder(name: string): boolean {
  return name.startsWith(".") || name === "node_modules";
}

function compareFacts(a: PackageFacts, b: PackageFacts): number {
  if (a.isPlatform !== b.isPlatform) return a.isPlatform ? 1 : -1;
  return compareText(a.name, b.name) || compareText(a.version, b.version);
}

/** By code unit: the same order on every machine, whatever its locale. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Folders that hold a package: `x`, `@scope/x`, and the same under each one's own `node_modules`. Links that leave the root are not followed. */
async function packageFolders(root: string): Promise<string[]> {
  const folders = new Set<string>();
  const open = [{ folder: root, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const entry of await names(next.folder)) {
      const inner = entry.startsWith("@")
        ? (await names(path.join(next.folder, entry))).map((name) => `${entry}/${name}`)
        : [entry];
      for (const name of inner) {
        const real = await resolveInside(root, path.relative(root, path.join(next.folder, name)));
        if (real === undefined || folders.has(real)) continue;
        folders.add(real);
        if (next.depth < 8) open.push({ folder: path.join(real, "node_modules"), depth: next.depth + 1 });
      }
    }
  }
  return [...folders].sort(compareText);
}

async function names(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(() => []);
  return entries.filter((name) => !name.startsWith(".")).sort(compareText);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    return undefined;
  }
}

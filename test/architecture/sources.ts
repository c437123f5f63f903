import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "oxc-parser";

/** One source file as the rules see it. Paths are relative to the repository, with forward slashes. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** What it imports: repository paths for relative imports, else the specifier itself (`node:fs`, `viem/accounts`). */
  readonly imports: readonly string[];
  /** The names of its exports; `default` for a default export. */
  readonly exports: readonly string[];
  /** Where its re-exports come from; a file of nothing else is a barrel. */
  readonly reExports: readonly string[];
  /** Members and calls that reach for a global: `Date.now`, `process.env`, `new Date()`, `console`. */
  readonly globals: readonly string[];
  readonly functions: readonly { readonly name: string; readonly lines: number }[];
}

export const repository = fileURLToPath(new URL("../../", import.meta.url));

/** Every TypeScript file below the folders, parsed. A folder that is not there has none. */
export function readSources(folders: readonly string[]): Source[] {
  return folders.flatMap((folder) => listFiles(folder, /\.tsx?$/)).map((path) => parseSource(path, readText(path)));
}

export function readText(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

/** Repository paths of the files whose names match, without what is installed, built or generated. */
export function listFiles(folder: string, name: RegExp): string[] {
  const skipped = new Set(["node_modules", "dist", "artifacts", "out", "cache", ".git", ".openledger"]);
  const entries = readdirSync(join(repository, folder), { withFileTypes: true, recursive: false });
  return entries.flatMap((entry) => {
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : listFiles(path, name);
    return name.test(entry.name) ? [path] : [];
  });
}

/** Parses one file; a syntax error is thrown, so that no rule passes on a file that it could not read. */
export function parseSource(path: string, text: string): Source {
  const { program, module, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const entries = module.staticExports.flatMap((statement) => statement.entries);
  const reExports = entries.flatMap((entry) => (entry.moduleRequest === null ? [] : [entry.moduleRequest.value]));
  const dynamic = module.dynamicImports.flatMap(({ moduleRequest }) => {
    const specifier = text.slice(moduleRequest.start, moduleRequest.end);
    return /^["'`][^$]*["'`]$/.test(specifier) ? [specifier.slice(1, -1)] : [];
  });
  const specifiers = [
    ...module.staticImports.map((statement) => statement.moduleRequest.value),
    ...reExports,
    ...dynamic,
  ];
  const found: Found = { globals: [], functions: [] };
  walk(program, text, "", found);
  return {
    path,
    text,
    imports: [...new Set(specifiers)].map((specifier) => resolveImport(path, specifier)),
    exports: entries.flatMap(({ exportName }) =>
      exportName.kind === "Default" ? ["default"] : (exportName.name ?? []),
    ),
    reExports,
    ...found,
  };
}

interface Found {
  readonly globals: string[];
  readonly functions: { readonly name: string; readonly lines: number }[];
}

type Syntax = Readonly<Record<string, unknown>>;

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

function walk(value: unknown, text: string, name: string, found: Found): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, text, name, found);
    return;
  }
  if (!isSyntax(value)) return;
  const type = value["type"];
  const ownName = nameOf(value["id"]) ?? nameOf(value["key"]) ?? name;
  if (typeof type === "string" && FUNCTIONS.has(type)) {
    const body = text.slice(Number(value["start"]), Number(value["end"]));
    found.functions.push({ name: ownName, lines: body.split("\n").length });
  }
  const global = globalOf(value);
  if (global !== undefined) found.globals.push(global);
  for (const key of Object.keys(value)) walk(value[key], text, ownName, found);
}

function globalOf(node: Syntax): string | undefined {
  if (node["type"] === "MemberExpression" && node["computed"] === false) {
    const object = nameOf(node["object"]);
    if (object === "console") return "console";
    return object === undefined ? undefined : `${object}.${nameOf(node["property"])}`;
  }
  const bare = node["type"] === "NewExpression" && Array.isArray(node["arguments"]) && node["arguments"].length === 0;
  return bare && nameOf(node["callee"]) === "Date" ? "new Date()" : undefined;
}

function nameOf(value: unknown): string | undefined {
  return isSyntax(value) && typeof value["name"] === "string" ? value["name"] : undefined;
}

function isSyntax(value: unknown): value is Syntax {
  return typeof value === "object" && value !== null;
}

function resolveImport(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return relative("", normalize(join(dirname(from), specifier)))
    .split(sep)
    .join("/");
}

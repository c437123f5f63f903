import { basename } from "node:path";
import type { Source } from "./sources.ts";

// Each rule takes sources and answers with what breaks it, one line each; none is no fault.

/** Which folders each folder of `src` may import, apart from itself. What is not named here is not allowed. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: ["core"],
  ingest: ["core"],
  models: ["core"],
  host: ["core"],
  attribution: ["core", "models"],
  ledger: ["core"],
  datanets: ["core", "attribution"],
  factory: ["core", "models", "attribution", "datanets"],
  store: ["core", "host", "ledger", "datanets", "factory"],
  chain: ["core", "host", "ledger"],
  upstream: ["core", "host", "models", "factory"],
  gateway: ["core", "ledger", "attribution", "datanets", "factory", "ingest", "protocol"],
  node: [
    ...["core", "protocol", "ingest", "models", "host", "attribution", "ledger", "datanets", "factory"],
    ...["store", "chain", "upstream", "gateway"],
  ],
  cli: [
    ...["core", "protocol", "ingest", "models", "host", "attribution", "ledger", "datanets", "factory"],
    ...["store", "chain", "upstream", "gateway", "node"],
  ],
};

const adapters = ["store", "chain", "upstream"];
const doors = ["gateway"];
const compositionRoots = ["node", "cli"];
const purelyComputing = ["core", "protocol", "ingest", "models", "attribution", "ledger", "datanets", "factory"];
const machine =
  /^(node:)?(fs|net|http|https|http2|tls|dgram|dns|child_process|cluster|os|worker_threads|readline)(\/|$)/;
const ambient =
  /^(Date\.now|new Date\(\)|process\.(env|hrtime)|Math\.random|crypto\.(randomUUID|getRandomValues)|console)$/;

/** Imports flow down the table of layers; nothing outside the composition root imports it. */
export function breaksLayers(sources: readonly Source[]): string[] {
  return production(sources).flatMap(({ path, imports }) => {
    const folder = layerOf(path);
    if (folder === undefined) return [];
    const allowed = layers[folder];
    if (allowed === undefined) return [`${path}: src/${folder} is in no layer`];
    return imports.flatMap((imported) => {
      if (/^(bench|test|examples)\//.test(imported) || isTest(imported)) return [`${path} imports ${imported}`];
      const other = layerOf(imported);
      return other === undefined || other === folder || allowed.includes(other) ? [] : [`${path} imports ${imported}`];
    });
  });
}

/** No door reaches an adapter, by however many steps. */
export function doorsSeeAdapters(sources: readonly Source[]): string[] {
  const graph = new Map(production(sources).map((source) => [source.path, source.imports]));
  return [...graph.keys()]
    .filter((path) => doors.includes(layerOf(path) ?? ""))
    .flatMap((door) => {
      const seen = new Set<string>([door]);
      for (const path of seen) for (const next of graph.get(path) ?? []) seen.add(next);
      return [...seen]
        .filter((path) => adapters.includes(layerOf(path) ?? ""))
        .map((path) => `${door} reaches ${path}`);
    });
}

/** Each cycle of imports, once, beginning with its first file by name. */
export function cycles(sources: readonly Source[]): string[] {
  const graph = new Map(sources.map((source) => [source.path, source.imports]));
  const done = new Set<string>();
  const found = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.add(rotate(trail.slice(at)).join(" → "));
    if (at >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return [...found];
}

/** Clock, chance, environment and console are handed in by the composition root. */
export function reachesForGlobals(sources: readonly Source[]): string[] {
  return production(sources).flatMap(({ path, globals, imports, text }) => {
    const folder = layerOf(path);
    if (folder === undefined || compositionRoots.includes(folder)) return [];
    const chance =
      imports.includes("node:crypto") && /\brandom(Bytes|UUID|Int|FillSync)\s*\(/.test(withoutMembers(text));
    const used = globals.filter((name) => ambient.test(name));
    return [...new Set(chance ? [...used, "node:crypto randomness"] : used)].map((name) => `${path} uses ${name}`);
  });
}

/**
 * Layers that only compute touch no disk, network or process. Datanets read folders in `import*` files alone,
 * models keep theirs in `*File` and run in `*Worker` and `*Child`.
 */
export function touchesMachine(sources: readonly Source[]): string[] {
  return production(sources).flatMap(({ path, imports }) => {
    const folder = layerOf(path);
    const free =
      (folder === "datanets" && basename(path).startsWith("import")) ||
      (folder === "models" && /(File|Worker|Child)\.ts$/.test(path));
    const pure = folder !== undefined && purelyComputing.includes(folder) && !free;
    return pure ? imports.filter((name) => machine.test(name)).map((name) => `${path} imports ${name}`) : [];
  });
}

/** Every name is imported from the file that makes it, under that name. */
export function hidesOrigins(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, exports, reExports }) => [
    ...(exports.includes("default") ? [`${path} has a default export`] : []),
    ...(reExports.length > 0 ? [`${path} re-exports from ${reExports.join(", ")}`] : []),
  ]);
}

/** A file is read in one sitting, a function on one screen. */
export function tooLong(
  sources: readonly Source[],
  linesMax: { readonly file: number; readonly function: number },
): string[] {
  return sources.flatMap(({ path, text, functions }) => {
    const lines = text.trimEnd().split("\n").length;
    // A table of routes is data, however long; tests are as long as what they test.
    const logic = functions.filter((one) => !/Routes$/.test(one.name));
    const long = isTest(path) ? [] : logic.filter((one) => one.lines > linesMax.function);
    return [
      ...(lines > linesMax.file && !isTest(path) && !path.includes("/testing/") ? [`${path} has ${lines} lines`] : []),
      ...long.map((one) => `${path}: ${one.name || "a function"} has ${one.lines} lines`),
    ];
  });
}

/** One word for one thing: what must not be called by another name, and the name that it has. */
const synonyms: Readonly<Record<string, string>> = {
  dataset: "datanet",
  provider: "operator",
  vendor: "operator",
  supplier: "contributor",
  customer: "payer",
  reward: "credit",
  invoice: "statement",
};

export function usesSynonyms(sources: readonly Source[]): string[] {
  return production(sources).flatMap(({ path, exports }) =>
    exports.flatMap((name) => {
      const words = name.split(/(?<=[a-z\d])(?=[A-Z])|_/).map((word) => word.toLowerCase().replace(/s$/, ""));
      return words.flatMap((word) =>
        Object.hasOwn(synonyms, word) ? [`${path}: ${name} says ${word} for ${synonyms[word]}`] : [],
      );
    }),
  );
}

/** A bench is found by its name and started through `run`. */
export function benchesWithoutRun(sources: readonly Source[]): string[] {
  const benches = sources.filter(
    ({ path }) => /^bench\/[^/]+\.ts$/.test(path) && !isTest(path) && path !== "bench/main.ts",
  );
  return benches.filter(({ exports }) => !exports.includes("run")).map(({ path }) => `${path} exports no run`);
}

/** Files that name a place of one machine, or data beside the repository where only tests and benches may look. */
export function namesPlaces(files: readonly { readonly path: string; readonly text: string }[]): string[] {
  const local = new RegExp(["/wo" + "rk/", "/home/[a-z]", "/Us" + "ers/[A-Za-z]"].join("|"));
  const beside = "../" + "shared/";
  return files.flatMap(({ path, text }) => {
    const mayLook = isTest(path) || /^(bench|test)\//.test(path);
    const other = text
      .split(beside)
      .slice(1)
      .some((rest) => !mayLook || !rest.startsWith("data"));
    return [
      ...(local.test(text) ? [`${path} names a folder of one machine: ${local.exec(text)?.[0]}`] : []),
      ...(other ? [`${path} looks beside the repository`] : []),
    ];
  });
}

/** What documents tell people to run, and package.json does not have. */
export function missingScripts(
  files: readonly { readonly path: string; readonly text: string }[],
  scripts: ReadonlySet<string>,
): string[] {
  return files.flatMap(({ path, text }) => {
    const named = [...text.matchAll(/\bnpm (?:run (?:-s )?([a-z][\w:-]*)|(start|test)\b)/g)].map(
      (match) => match[1] ?? match[2] ?? "",
    );
    return [...new Set(named)].filter((name) => !scripts.has(name)).map((name) => `${path} names npm run ${name}`);
  });
}

/** Links between documents that lead nowhere, and documents that are named but not there. */
export function brokenLinks(
  files: readonly { readonly path: string; readonly text: string }[],
  exists: (path: string) => boolean,
): string[] {
  return files.flatMap(({ path, text }) => {
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
    const links = [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)].map(
      (match) => match[1] ?? "",
    );
    return links.filter((link) => !exists(folder + link)).map((link) => `${path} links to ${link}`);
  });
}

export function layerOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

/** Tests, and what a folder keeps in `testing` for them. */
export function isTest(path: string): boolean {
  return /\.test\.tsx?$|^src\/[^/]+\/testing\//.test(path);
}

function production(sources: readonly Source[]): readonly Source[] {
  return sources.filter(({ path }) => !isTest(path));
}

function rotate(trail: readonly string[]): string[] {
  const first = trail.indexOf([...trail].sort()[0] ?? "");
  return [...trail.slice(first), ...trail.slice(0, first)];
}

/** Calls of handed-in members, such as `options.randomBytes(16)`, are what the rule wants. */
function withoutMembers(text: string): string {
  return text.replace(/\.\s*random\w+\s*\(/g, "").replace(/random\w+\s*\([^)]*\)\s*:/g, "");
}

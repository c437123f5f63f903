import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  benchesWithoutRun,
  breaksLayers,
  brokenLinks,
  cycles,
  doorsSeeAdapters,
  hidesOrigins,
  isTest,
  layerOf,
  layers,
  missingScripts,
  namesPlaces,
  reachesForGlobals,
  tooLong,
  touchesMachine,
  usesSynonyms,
} from "./rules.ts";
import { listFiles, readSources, readText, repository } from "./sources.ts";

const LINES_MAX = { file: 350, function: 70 } as const;

const sources = readSources(["src", "bench", "test", "examples"]);
const texts = listFiles(".", /\.(ts|tsx|mjs|sol|md|json|toml|sh)$|^(run|LICENSE)$/)
  .filter((path) => path !== "package-lock.json")
  .map((path) => ({ path, text: readText(path) }));
const documents = texts.filter(({ path }) => path.endsWith(".md"));

describe("the house", () => {
  test.each(Object.keys(layers))("src/%s has modules that the rules have seen", (folder) => {
    expect(sources.filter(({ path }) => layerOf(path) === folder && !isTest(path)).length).toBeGreaterThan(0);
  });

  test("imports were seen", () => {
    expect(sources.flatMap(({ imports }) => imports).filter((path) => path.startsWith("src/")).length).toBeGreaterThan(
      100,
    );
  });

  test("imports flow down", () => expect(breaksLayers(sources)).toEqual([]));
  test("doors never see an adapter", () => expect(doorsSeeAdapters(sources)).toEqual([]));
  test("no file imports itself through others", () => expect(cycles(sources)).toEqual([]));
  test("clock, chance, environment and console are handed in", () => expect(reachesForGlobals(sources)).toEqual([]));
  test("what only computes touches no machine", () => expect(touchesMachine(sources)).toEqual([]));
  test("no default exports, no barrels", () => expect(hidesOrigins(sources)).toEqual([]));
  test("files and functions stay short", () => expect(tooLong(sources, LINES_MAX)).toEqual([]));
  test("one word for one thing", () => expect(usesSynonyms(sources)).toEqual([]));
  test("every bench can be run", () => expect(benchesWithoutRun(sources)).toEqual([]));

  test("project references say the same as the layers", () => {
    const references = Object.keys(layers).map((folder) => {
      const config: unknown = JSON.parse(readText(`src/${folder}/tsconfig.json`));
      const list = typeof config === "object" && config !== null && "references" in config ? config.references : [];
      return [folder, Array.isArray(list) ? list.map(({ path }) => String(path).replace("../", "")).sort() : []];
    });
    expect(Object.fromEntries(references)).toEqual(
      Object.fromEntries(Object.entries(layers).map(([folder, allowed]) => [folder, [...allowed].sort()])),
    );
  });
});

describe("what is written", () => {
  test("no file names a place of one machine", () => expect(namesPlaces(texts)).toEqual([]));

  test("every npm script that a document names is there", () => {
    const manifest: unknown = JSON.parse(readText("package.json"));
    const scripts = typeof manifest === "object" && manifest !== null && "scripts" in manifest ? manifest.scripts : {};
    expect(missingScripts(documents, new Set(Object.keys(scripts ?? {})))).toEqual([]);
    expect(documents.length).toBeGreaterThan(4);
  });

  test("every link in a document leads somewhere", () => {
    expect(brokenLinks(documents, (path) => existsSync(join(repository, path)))).toEqual([]);
  });
});

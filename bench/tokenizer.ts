import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { decode, encode } from "../src/models/bpe.ts";
import { writeTokenizerJson } from "../src/models/bpeFile.ts";
import { trainTokenizer } from "../src/models/bpeTrain.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";

/**
 * Trains the house tokenizer from the READMEs of the installed packages and, where present, from manual pages and standards, and measures it.
 * With OPENLEDGER_WRITE_TOKENIZER set to a path, writes it there: that is how `src/models/tokenizer.json` was made.
 */
export async function run(): Promise<void> {
  const texts = [...readmes("node_modules"), ...lines("tldr"), ...lines("eips")];
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  const startedAt = performance.now();
  const trained = trainTokenizer(texts);
  const trainSeconds = (performance.now() - startedAt) / 1_000;
  const target = process.env["OPENLEDGER_WRITE_TOKENIZER"];
  if (target !== undefined) writeFileSync(target, writeTokenizerJson(trained));
  const house = target === undefined ? houseTokenizer() : trained;
  const encodeStartedAt = performance.now();
  let tokens = 0;
  let isLossless = true;
  for (const text of texts) {
    const encoded = encode(house, text);
    tokens += encoded.length;
    isLossless &&= decode(house, encoded) === text;
  }
  const encodeSeconds = (performance.now() - encodeStartedAt) / 1_000;
  const figures = {
    texts: texts.length,
    characters,
    tokensInVocabulary: house.bytes.length,
    trainSeconds: round(trainSeconds),
    encodeTokensPerSecond: Math.round(tokens / encodeSeconds),
    charactersPerToken: round(characters / tokens),
    isLossless,
  };
  console.table(figures);
  console.log(JSON.stringify(figures));
}

function readmes(root: string): string[] {
  const folders = readdirSync(root).flatMap((name) =>
    name.startsWith("@") ? readdirSync(`${root}/${name}`).map((scoped) => `${name}/${scoped}`) : [name],
  );
  const paths = folders.map((name) => `${root}/${name}/README.md`).filter((path) => existsSync(path));
  return paths.toSorted().map((path) => readFileSync(path, "utf8"));
}

function lines(name: string): string[] {
  const path = `../shared/data/${name}.jsonl.gz`;
  if (!existsSync(path)) {
    console.log(`${path} is absent: left out`);
    return [];
  }
  const text = gunzipSync(readFileSync(path)).toString("utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => String(Reflect.get(JSON.parse(line), "text")));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

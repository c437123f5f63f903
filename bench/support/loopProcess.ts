import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { assert, unwrap } from "../../src/core/result.ts";
import { type DatanetRecord, sealRecord } from "../../src/datanets/record.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { buildIndex } from "../../src/models/corpusIndex.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";
import { groundModel } from "../../src/node/grounding.ts";
import { People } from "../../src/node/people.ts";
import { embeddedInfinigram } from "../../src/upstream/infinigramHost.ts";
import { benchKey, benchModel, benchWorld, openBenchLedger } from "./benchLedger.ts";
import { treeCpuMicros } from "./benchProcess.ts";

/** A whole node for the loop: tldr pages as its datanet, their ∞-gram model in a worker, attribution, and a ledger on PostgreSQL. */
const [path] = process.argv.slice(2);
assert(path !== undefined, "the datanet's file is the first argument");
const records = readRecords(path);
const index = buildIndex(houseTokenizer(), records);
const scope = {
  ...{ chainId: 31_337, registry: benchWorld.randomBytes(20) },
  ...{ datanet: benchWorld.randomBytes(32), secret: benchWorld.randomBytes(32) },
};
const people = new People({ scope, records });
const bench = await openBenchLedger();
const { ledger } = bench;
const admission = { waitingMax: 256, waitingPerAccountMax: 64, queueTimeoutMs: 2_000 };
const gateway = new Gateway({ world: benchWorld, ledger }, { admission });
const model = await benchModel(ledger, groundModel({ datanets: ["tldr"], records, index, people }));
const engine = embeddedInfinigram(new Map([[model.name, index]]));
assert(await engine.start(), "the embedded engine starts");
gateway.catalog.put(model);
gateway.operators.put({
  ...{ name: "embedded", payee: benchWorld.randomBytes(32), engine, models: { [model.name]: model.name } },
  ...{ unit: "nano", cost: model.royalty, concurrency: 16 },
});
const secrets = await Promise.all(["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => benchKey(ledger, name)));
const { url } = unwrap(await gateway.listen(0));
process.on("message", () => {
  const { receipts, debited, credited, held } = ledger.books.totals();
  const { user, system } = process.cpuUsage();
  const storeMicros = bench.storePid === undefined ? 0 : treeCpuMicros(bench.storePid);
  process.send?.({ receipts, balanced: debited === credited && held === 0n, cpuMicros: user + system + storeMicros });
});
process.on("disconnect", () => {
  void engine
    .close()
    .then(() => bench.stop())
    .finally(() => process.exit(0));
});
const questions = records.map((record) => `How do I use ${record.title}?`);
process.send?.({ url, secrets, questions, records: records.length, tokens: index.tokens.length });

interface Line {
  readonly title: string;
  readonly text: string;
  readonly source: string;
  readonly license: string;
  readonly date: string;
  readonly authors: readonly string[];
}

function readRecords(file: string): DatanetRecord[] {
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const { title, text, source, license, date, authors }: Line = JSON.parse(line);
    const named = authors.map((name) => ({ identity: `git:${name}`, name }));
    const content = { title, headingPath: [], text, source, licence: license, date, authors: named };
    return sealRecord(content, `0x${"00".repeat(32)}`);
  });
}

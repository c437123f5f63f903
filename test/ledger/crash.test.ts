import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../../src/core/result.ts";
import { type OpenLedgerStore, openLedgerStore } from "../../src/store/ledgerStore.ts";
import { testDatabase } from "../support/testDatabase.ts";
import { Witness } from "./crashChecks.ts";

/** Writers killed: each process writes two ledgers, and dies with both at some point of their posting. */
const POINTS = 200;
const LEDGERS = 2;
const KILLS = POINTS / LEDGERS;
const LANES = 2;
const SEED = 20_261_121;
const steps = ["appending", "sending", "appended", "begin", "commit", "committing", "committed"] as const;

test(`a writer killed at ${POINTS} seeded points loses nothing that it acknowledged`, {
  timeout: 420_000,
}, async () => {
  const database = await testDatabase();
  const store = unwrap(await openLedgerStore(database));
  onTestFinished(async () => {
    await store.close();
    await database.drop();
  });
  const tally = new Map<string, number>();
  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    const random = mulberry32(SEED + lane);
    const witnesses = new Map(
      Array.from({ length: LEDGERS }, (_, i) => [`${lane}-${i}`, new Witness(`${lane}-${i}`)] as const),
    );
    for (let run = 0; run < KILLS / LANES; run++) {
      const point = pointOf(random, run);
      await killAt(point, { url: database.url, run, witnesses, store });
      tally.set(point.step, (tally.get(point.step) ?? 0) + 1);
    }
    return [...witnesses.values()];
  });
  const witnesses = (await Promise.all(lanes)).flat();
  expect([...tally.values()].reduce((sum, count) => sum + count, 0) * LEDGERS).toBe(POINTS);
  // Were the processes killed before they posted anything, there would be nothing to lose.
  for (const witness of witnesses) expect(witness.acknowledgedCount).toBeGreaterThan(KILLS);
  expect(witnesses.reduce((sum, witness) => sum + witness.epochCount, 0)).toBeGreaterThan(0);
  for (const step of steps) expect(tally.get(step)).toBeGreaterThan(0);
});

interface Point {
  /** A step of the writer's append, or a time after it starts or begins to post. */
  readonly step: (typeof steps)[number] | "starting" | "posting";
  /** Which append, or milliseconds. */
  readonly nth: number;
}

/** Of eight points five are in the middle of an append, two while it posts, one while it starts. The first runs get going. */
function pointOf(random: () => number, run: number): Point {
  const kind = Math.floor(random() * 8);
  const [step, nth] = [steps[Math.floor(random() * steps.length)]!, 1 + Math.floor(random() * 12)];
  if (kind < 5) return { step, nth };
  if (kind < 7 || run < 2) return { step: "posting", nth: Math.floor(random() * 80) };
  return { step: "starting", nth: Math.floor(random() * 60) };
}

interface Run {
  readonly url: string;
  readonly run: number;
  readonly witnesses: ReadonlyMap<string, Witness>;
  readonly store: OpenLedgerStore;
}

/** Runs a writer until it is killed, hears what it said, and checks the ledgers that it left. */
async function killAt(point: Point, { url, run, witnesses, store }: Run): Promise<void> {
  const path = fileURLToPath(new URL("crashWriter.ts", import.meta.url));
  const args = [url, [...witnesses.keys()].join(","), String(run), point.step, String(point.nth)];
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  onTestFinished(() => void kill());
  const late = setTimeout(kill, 10_000);
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, name, key, receipt] = line.split(" ");
    const witness = witnesses.get(name ?? "");
    if (word === "try") witness!.try(key!);
    if (word === "ack") witness!.acknowledge(key!, receipt!);
  }
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once("exit", resolve));
  clearTimeout(late);
  expect({ signal: child.signalCode, complaints }, JSON.stringify(point)).toEqual({
    signal: "SIGKILL",
    complaints: "",
  });
  for (const witness of witnesses.values()) await witness.check(store);
}

/** A small seeded generator (Tommy Ettinger's mulberry32): the same points in every run. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

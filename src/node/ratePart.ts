import { join } from "node:path";
import { z } from "zod";
import type { Rate } from "../core/quote.ts";
import { ok, type Result } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import {
  fixedRates,
  type KnownRate,
  nanoPerUsdOf,
  openBounds,
  type RateBounds,
  RateDesk,
  type Rates,
} from "../ledger/rates.ts";
import { RateFetcher } from "../upstream/rateFetcher.ts";
import { rateSourceOf } from "./rateSource.ts";

/** What a node's owner says of the dollar. Prices are dollars for one OPEN, as decimal texts. */
export interface RateOptions {
  /** `fixed:PRICE`, `file:PATH#/pointer` or `https://…#/pointer`. */
  readonly source: string;
  readonly min?: string;
  readonly max?: string;
  readonly stepBps?: number;
  readonly staleMs?: number;
  /** A JSON pointer to when the source said it. */
  readonly time?: string;
}

export interface RateParts {
  readonly data: string;
  readonly nowMs: () => number;
  readonly allowsInside: boolean;
  readonly say: (text: string) => void;
}

export interface RatePart {
  readonly rates: Rates;
  /** Absent where the rate is fixed. */
  readonly desk: RateDesk | undefined;
  /** The last rate that was known: what a statement values at where an entry carries no rate. */
  lastNanoPerUsd(): number;
  stop(): Promise<void>;
}

const play: Rate = { nanoPerUsd: 1_000_000_000, source: "play" };
const STEP_BPS = 2_000;
const STALE_MS = 3_600_000;
const ROUND_MS = 60_000;
const keptSchema = z.object({ nanoPerUsd: z.number().int().min(1), source: z.string(), atMs: z.number() });

/** The rates of a node: play money at one for one where nothing is said. What was last believed outlives a restart, so that a jump is seen across one. */
export async function openRates(options: RateOptions | undefined, parts: RateParts): Promise<Result<RatePart>> {
  if (options === undefined) return ok(fixed(play));
  if (options.source.startsWith("fixed:")) {
    const nanoPerUsd = nanoPerUsdOf(options.source.slice("fixed:".length));
    return nanoPerUsd.ok ? ok(fixed({ nanoPerUsd: nanoPerUsd.value, source: "fixed" })) : nanoPerUsd;
  }
  const { data, nowMs, allowsInside, say } = parts;
  const fetcher = new RateFetcher({ allowsInside });
  const source = rateSourceOf(options.source, options.time, fetcher);
  if (!source.ok) return source;
  const bounds = boundsOf(options);
  if (!bounds.ok) return bounds;
  const path = join(data, "rate.json");
  const keep = (rate: KnownRate): Promise<void> => writeAtomically(path, `${JSON.stringify(rate)}\n`);
  const desk = new RateDesk(source.value, bounds.value, nowMs, await keptRate(path), keep);
  let said = "";
  const round = async (): Promise<void> => {
    const asked = await desk.refresh();
    const now = asked.ok ? "" : asked.error.message;
    if (now !== said && now !== "") say(`the dollar rate: ${now}`);
    said = now;
  };
  await round();
  const timer = setInterval(() => void round(), Math.max(1_000, Math.min(ROUND_MS, bounds.value.staleMs / 4)));
  timer.unref();
  const stop = async (): Promise<void> => {
    clearInterval(timer);
    await fetcher.close();
  };
  return ok({ rates: desk, desk, lastNanoPerUsd: () => desk.state.known?.nanoPerUsd ?? 0, stop });
}

function fixed(rate: Rate): RatePart {
  return {
    rates: fixedRates(rate),
    desk: undefined,
    lastNanoPerUsd: () => rate.nanoPerUsd,
    stop: async () => undefined,
  };
}

/** The dearer an OPEN, the fewer of its nano are a dollar. */
function boundsOf({ min, max, stepBps, staleMs }: RateOptions): Result<RateBounds> {
  const [most, least] = [min, max].map((price) => (price === undefined ? undefined : nanoPerUsdOf(price)));
  if (most?.ok === false) return most;
  if (least?.ok === false) return least;
  return ok({
    nanoPerUsdMin: least?.value ?? openBounds.nanoPerUsdMin,
    nanoPerUsdMax: most?.value ?? openBounds.nanoPerUsdMax,
    stepBpsMax: stepBps ?? STEP_BPS,
    staleMs: staleMs ?? STALE_MS,
  });
}

async function keptRate(path: string): Promise<KnownRate | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return keptSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

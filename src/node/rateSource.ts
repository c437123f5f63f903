import { readFile, stat } from "node:fs/promises";
import { ok, type Result, refuse } from "../core/result.ts";
import { nanoPerUsdOf, type Quotation, type RateSource } from "../ledger/rates.ts";
import { parseJson } from "../protocol/parse.ts";

/** Asks an address for a text, and says beforehand which it would not ask. */
export interface RateAsker {
  check(address: string): Result<unknown>;
  get(address: string): Promise<Result<string>>;
}

const FILE_BYTES_MAX = 65_536;

/** A source as its owner writes it: `file:PATH#/pointer` or `https://…#/pointer`, where a JSON text has the price of one OPEN in dollars. */
export function rateSourceOf(text: string, timePointer: string | undefined, asker: RateAsker): Result<RateSource> {
  const cut = text.indexOf("#");
  const [address, pointer] = cut < 0 ? [text, ""] : [text.slice(0, cut), decodeURIComponent(text.slice(cut + 1))];
  if (pointer !== "" && !pointer.startsWith("/"))
    return refuse("invalid_request", `"${pointer}" is not a JSON pointer`, {
      hint: "as in #/data/price",
      field: "rate",
    });
  const read = (body: string): Result<Quotation> => quotationIn(body, pointer, timePointer);
  if (address.startsWith("file:")) {
    const path = address.slice("file:".length);
    if (path === "") return refuse("invalid_request", "file: is followed by a path", { field: "rate" });
    return ok({ name: "file", read: () => readFileRate(path, read) });
  }
  const checked = asker.check(address);
  if (!checked.ok) return checked;
  const name = new URL(address).host
    .replace(/^(?:www|api)\./, "")
    .replaceAll(/[^\x21-\x7e]/g, "-")
    .slice(0, 16);
  return ok({
    name,
    read: async () => {
      const body = await asker.get(address);
      return body.ok ? read(body.value) : body;
    },
  });
}

/** A file says when it was written; what the JSON says of its time counts more. */
async function readFileRate(path: string, read: (body: string) => Result<Quotation>): Promise<Result<Quotation>> {
  try {
    const { size, mtimeMs } = await stat(path);
    if (size > FILE_BYTES_MAX) return refuse("payload_too_large", `${path} is larger than a rate needs`);
    const quotation = read(await readFile(path, "utf8"));
    return quotation.ok ? ok({ atMs: Math.floor(mtimeMs), ...quotation.value }) : quotation;
  } catch (error) {
    return refuse("not_found", `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function quotationIn(body: string, pointer: string, timePointer: string | undefined): Result<Quotation> {
  const parsed = parseJson(body);
  if (!parsed.ok) return parsed;
  const said = at(parsed.value, pointer);
  if (typeof said !== "number" && typeof said !== "string")
    return refuse("invalid_request", `there is no price at "${pointer}"`);
  const nanoPerUsd = nanoPerUsdOf(String(said));
  if (!nanoPerUsd.ok || timePointer === undefined)
    return nanoPerUsd.ok ? ok({ nanoPerUsd: nanoPerUsd.value }) : nanoPerUsd;
  const atMs = timeOf(at(parsed.value, timePointer));
  if (atMs === undefined) return refuse("invalid_request", `there is no time at "${timePointer}"`);
  return ok({ nanoPerUsd: nanoPerUsd.value, atMs });
}

/** RFC 6901. */
function at(value: unknown, pointer: string): unknown {
  let found = value;
  for (const part of pointer.split("/").slice(1)) {
    if (typeof found !== "object" || found === null) return undefined;
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    found = Object.hasOwn(found, name) ? Reflect.get(found, name) : undefined;
  }
  return found;
}

/** ISO 8601, seconds or milliseconds since 1970. */
function timeOf(said: unknown): number | undefined {
  const ms = typeof said === "string" && !/^\d+$/.test(said) ? Date.parse(said) : Number(said ?? Number.NaN);
  if (!Number.isFinite(ms) || ms <= 0) return undefined;
  return Math.floor(ms < 100_000_000_000 ? ms * 1_000 : ms);
}

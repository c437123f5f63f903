import { readFile } from "node:fs/promises";
import { type Hex, parseHex, toHex } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";

/** The private key that a file holds in hex. It is used here, and goes nowhere. */
export async function readPrivateKey(path: string): Promise<Result<Hex>> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return refuse("not_found", `there is no file ${path}`, { field: "keyFile" });
  const key = parseHex(text.trim().replace(/^(?!0x)/, "0x"));
  if (key?.length === 32) return ok(toHex(key));
  return refuse("invalid_request", `${path} does not hold a private key, 32 bytes of hex`, { field: "keyFile" });
}

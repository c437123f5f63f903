import type { Token } from "node-llama-cpp";
import { assert } from "../core/result.ts";

/** A token's number as node-llama-cpp brands it. */
export function tokenOf(id: number): Token {
  assert(isToken(id), "a token is a whole number");
  return id;
}

function isToken(id: number): id is Token {
  return Number.isInteger(id) && id >= 0;
}

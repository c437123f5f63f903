import { ok, type Result, refuse } from "../core/result.ts";

/**
 * SPDX licence expressions (SPDX 2.3, annex D), as far as needed to say whether a text may be used: ids, `OR`, `AND` and brackets.
 * A `WITH` exception and the `+` suffix change what a licence says, so an expression that holds one is not taken.
 */
export const permissiveLicences: readonly string[] = [
  "MIT",
  "ISC",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "Apache-2.0",
  "0BSD",
  "CC0-1.0",
  "CC-BY-4.0",
  "Unlicense",
  "BlueOak-1.0.0",
  "Python-2.0",
];

/**
 * The licence under which a text with this expression is taken: of `A OR B` the first alternative that is allowed, of `A AND B` both or none.
 * Ids match whatever their case and come back as `allowed` spells them. Refuses with the reason.
 */
export function electLicence(expression: string, allowed: readonly string[] = permissiveLicences): Result<string> {
  const tokens = expression.match(/\(|\)|[^\s()]+/g) ?? [];
  if (tokens.length === 0) return refuse("licence_refused", "no licence is stated");
  if (tokens.length > 64) return refuse("licence_refused", "the licence expression has more than 64 parts");
  const parser = { tokens, at: 0, allowed };
  const elected = parseOr(parser);
  if (elected === malformed || parser.at !== tokens.length) {
    return refuse("licence_refused", `"${expression.slice(0, 80)}" is not an SPDX licence expression`, {
      hint: "use an identifier from https://spdx.org/licenses",
    });
  }
  if (elected === undefined) {
    return refuse("licence_refused", `the licence ${expression.slice(0, 80)} is not among those allowed here`);
  }
  return ok(elected);
}

/** The SPDX id of a well-known licence text, from words that only it has; undefined when unsure. */
export function recogniseLicence(text: string): string | undefined {
  const words = text.slice(0, 20_000).replace(/\s+/g, " ").toLowerCase();
  return known.find(([, phrases]) => phrases.every((phrase) => words.includes(phrase)))?.[0];
}

const known: readonly (readonly [string, readonly string[]])[] = [
  ["Apache-2.0", ["apache license", "version 2.0, january 2004"]],
  ["MIT", ["permission is hereby granted, free of charge", "the above copyright notice and this permission notice"]],
  ["ISC", ["permission to use, copy, modify, and", "provided that the above copyright notice"]],
  ["0BSD", ["permission to use, copy, modify, and", "with or without fee is hereby granted."]],
  ["BSD-3-Clause", ["redistribution and use in source and binary forms", "neither the name of"]],
  ["BSD-2-Clause", ["redistribution and use in source and binary forms", "this list of conditions"]],
  ["Unlicense", ["this is free and unencumbered software released into the public domain"]],
  ["CC0-1.0", ["cc0 1.0 universal"]],
  ["CC-BY-4.0", ["creative commons attribution 4.0 international"]],
];

/** Undefined: well formed, but not allowed. */
type Elected = string | undefined | typeof malformed;
const malformed = Symbol("malformed");

interface Parser {
  readonly tokens: readonly string[];
  readonly allowed: readonly string[];
  at: number;
}

function parseOr(parser: Parser): Elected {
  let elected = parseAnd(parser);
  while (parser.tokens[parser.at]?.toUpperCase() === "OR") {
    parser.at++;
    const other = parseAnd(parser);
    if (elected === malformed || other === malformed) return malformed;
    elected ??= other;
  }
  return elected;
}

function parseAnd(parser: Parser): Elected {
  let elected = parseOne(parser);
  while (parser.tokens[parser.at]?.toUpperCase() === "AND") {
    parser.at++;
    const other = parseOne(parser);
    if (elected === malformed || other === malformed) return malformed;
    elected = elected === undefined || other === undefined ? undefined : `${elected} AND ${other}`;
  }
  return elected;
}

function parseOne(parser: Parser): Elected {
  const token = parser.tokens[parser.at++];
  if (token === "(") {
    const inner = parseOr(parser);
    return parser.tokens[parser.at++] === ")" ? inner : malformed;
  }
  if (token === undefined || !/^[A-Za-z0-9][A-Za-z0-9.+-]*$/.test(token) || /^(AND|OR|WITH)$/i.test(token)) {
    return malformed;
  }
  if (parser.tokens[parser.at]?.toUpperCase() === "WITH") {
    parser.at += 2;
    return parser.at <= parser.tokens.length ? undefined : malformed;
  }
  return parser.allowed.find((id) => id.toLowerCase() === token.toLowerCase());
}

import { SaxesParser, type SaxesTagNS } from "saxes";
import type { Terms } from "../core/asset.ts";
import { noPrices, type Prices } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/**
 * Terms as Really Simple Licensing 1.0 documents (https://rslstandard.org/rsl): what a publisher allows machines to do, and what it asks for. RSL knows a price for each use; prices by the token,
 * the part that flows to parents and prices in OPEN stand in an element of our own namespace inside `payment`, which other readers pass over, so that what we write comes back exactly.
 */
export const RSL_NAMESPACE = "https://rslstandard.org/rsl";
const OURS = "urn:openledger:terms:1";
export const RSL_BYTES_MAX = 1_048_576;
/** What a model does with a datanet: it learns from it, has it in its context, and is searched in it. */
const USES = ["ai-train", "ai-input", "ai-index", "search"] as const;
/** Payments that ask for nothing in money, and those that ask for each use (`inference` was the draft's word). */
const FREE = new Set(["free", "attribution"]);
const PER_USE = new Set(["use", "inference"]);
const MICROS = 1_000_000;

export interface RslTerms {
  /** The content that the licence is of, as the document names it. */
  readonly url: string;
  readonly terms: Terms;
  readonly permits: readonly string[];
  readonly prohibits: readonly string[];
}

/** One document for one asset. `url` names it. */
export function writeRsl(url: string, { unit, royalty, parentsBps, licence }: Terms): string {
  const isFree = royalty.inPerMillion === 0 && royalty.outPerMillion === 0 && royalty.perCall === 0;
  const amount =
    unit === "microUsd" && royalty.perCall > 0
      ? `\n        <amount currency="USD">${decimal(royalty.perCall)}</amount>`
      : "";
  const own = { unit, "in-per-million": royalty.inPerMillion, "out-per-million": royalty.outPerMillion };
  const all = { ...own, "per-call": royalty.perCall, "parents-bps": parentsBps, licence };
  const attributes = Object.entries(all).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<rsl xmlns="${RSL_NAMESPACE}" xmlns:openledger="${OURS}">
  <content url="${escaped(url)}">
    <license>
      <permits type="usage">${USES.join(",")}</permits>
      <payment type="${isFree ? "attribution" : "use"}">${amount}
        <standard>https://spdx.org/licenses/${escaped(licence)}</standard>
        <openledger:terms ${attributes.join(" ")}/>
      </payment>
    </license>
  </content>
</rsl>
`;
}

/** The licences of a document, in its order. Refuses what is no RSL, and what cannot be said as terms: each refusal says what would have to be agreed apart. */
export function readRsl(text: string): Result<readonly RslTerms[]> {
  if (Buffer.byteLength(text) > RSL_BYTES_MAX) return wrong(`it is larger than ${RSL_BYTES_MAX} bytes`);
  const parsed = licencesIn(text);
  if (!parsed.ok) return parsed;
  if (parsed.value.length === 0) return wrong("it holds no licence");
  const found: RslTerms[] = [];
  for (const licence of parsed.value) {
    const terms = termsOf(licence);
    if (!terms.ok) return terms;
    found.push({ url: licence.url, terms: terms.value, permits: licence.permits, prohibits: licence.prohibits });
  }
  return ok(found);
}

interface Licence {
  readonly url: string;
  readonly permits: string[];
  readonly prohibits: string[];
  payment: string;
  amount: { currency: string; value: string } | undefined;
  standard: string;
  own: Readonly<Record<string, string>> | undefined;
}

function licencesIn(text: string): Result<readonly Licence[]> {
  const licences: Licence[] = [];
  let [url, open, words]: [string, Licence | undefined, string] = ["", undefined, ""];
  let fault = "";
  const parser = new SaxesParser({ xmlns: true });
  // Entities of its own would make a document mean what it does not say.
  parser.on("doctype", () => {
    fault ||= "it declares a document type";
  });
  parser.on("error", (error) => {
    fault ||= error.message.replace(/^undefined:/, "line ");
  });
  parser.on("opentag", (tag) => {
    words = "";
    if (tag.uri === OURS && tag.local === "terms" && open !== undefined) open.own = attributesOf(tag);
    if (tag.uri !== RSL_NAMESPACE) return;
    if (tag.local === "content") url = attributesOf(tag)["url"] ?? "";
    if (tag.local === "license") {
      open = {
        ...{ url, permits: [], prohibits: [], payment: "free", amount: undefined, standard: "", own: undefined },
      };
      licences.push(open);
    }
    if (tag.local === "payment" && open !== undefined) open.payment = attributesOf(tag)["type"] ?? "free";
    if (tag.local === "amount" && open !== undefined)
      open.amount = { currency: attributesOf(tag)["currency"] ?? "", value: "" };
    const isOther = (tag.local === "permits" || tag.local === "prohibits") && attributesOf(tag)["type"] !== "usage";
    if (isOther) words = SKIPPED;
  });
  parser.on("text", (more) => {
    if (words !== SKIPPED) words += more;
  });
  parser.on("closetag", (tag) => {
    if (tag.uri !== RSL_NAMESPACE || open === undefined || words === SKIPPED) return;
    const said = words.trim();
    if (tag.local === "permits" || tag.local === "prohibits")
      open[tag.local].push(...said.split(/[\s,]+/).filter(Boolean));
    if (tag.local === "amount" && open.amount !== undefined) open.amount.value = said;
    if (tag.local === "standard") open.standard = said;
    if (tag.local === "license") open = undefined;
  });
  parser.write(text).close();
  return fault === "" ? ok(licences) : wrong(fault);
}

/** Words of an element that is not about use. */
const SKIPPED = "\0";

function termsOf(licence: Licence): Result<Terms> {
  const against = licence.prohibits.find((use) => ["all", "ai-all", "ai-train", "ai-input", "ai-use"].includes(use));
  if (against !== undefined)
    return refuse("rule_violated", `${licence.url || "the content"} prohibits ${against}: it cannot be in a datanet`);
  if (licence.own !== undefined) return ownTerms(licence.own);
  const base = { unit: "microUsd", parentsBps: 0, licence: spdxOf(licence.standard) } as const;
  if (FREE.has(licence.payment)) return ok({ ...base, royalty: noPrices });
  if (!PER_USE.has(licence.payment))
    return refuse("rule_violated", `a payment by ${licence.payment.slice(0, 40)} is no price for a use`, {
      hint: "agree on it apart, and state a price for each use",
    });
  const { currency = "", value = "" } = licence.amount ?? {};
  if (currency !== "USD") return refuse("rule_violated", `the price is in ${currency || "no currency"}, not in USD`);
  const micros = /^\d{1,9}(\.\d{1,12})?$/.test(value) ? Math.ceil(round(Number(value) * MICROS)) : undefined;
  if (micros === undefined) return wrong(`"${value.slice(0, 40)}" is no amount`);
  return ok({ ...base, royalty: { ...noPrices, perCall: micros } });
}

function ownTerms(own: Readonly<Record<string, string>>): Result<Terms> {
  const count = (name: string, most: number): number | undefined => {
    const value = /^\d{1,16}$/.test(own[name] ?? "") ? Number(own[name]) : undefined;
    return value !== undefined && value <= most ? value : undefined;
  };
  const price = (name: string) => count(name, Number.MAX_SAFE_INTEGER);
  const [inPerMillion, outPerMillion, perCall] = [price("in-per-million"), price("out-per-million"), price("per-call")];
  const parentsBps = count("parents-bps", 10_000);
  const { unit, licence = "" } = own;
  if (inPerMillion === undefined || outPerMillion === undefined || perCall === undefined || parentsBps === undefined)
    return wrong("the terms in it are no whole numbers");
  if ((unit !== "nano" && unit !== "microUsd") || !/^[\x21-\x7e]{1,32}$/.test(licence))
    return wrong("the terms in it name no unit or licence");
  const royalty: Prices = { inPerMillion, outPerMillion, perCall };
  return ok({ unit, royalty, parentsBps, licence });
}

/** Of the licence's address: SPDX's own pages, and Creative Commons'. */
function spdxOf(standard: string): string {
  const spdx = /^https?:\/\/spdx\.org\/licenses\/([A-Za-z0-9.+-]{1,32}?)(?:\.html)?$/.exec(standard)?.[1];
  if (spdx !== undefined) return spdx;
  const commons = /^https?:\/\/creativecommons\.org\/(licenses|publicdomain)\/([a-z-]+)\/(\d\.\d)(?:\/|$)/.exec(
    standard,
  );
  if (commons !== null) {
    const [, kind, name = "", version = ""] = commons;
    return kind === "publicdomain" ? `CC0-${version}` : `CC-${name.toUpperCase()}-${version}`;
  }
  return "NOASSERTION";
}

function attributesOf(tag: SaxesTagNS): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.values(tag.attributes).map(({ local, value }) => [local, value]));
}

function decimal(micros: number): string {
  return `${Math.floor(micros / MICROS)}.${String(micros % MICROS).padStart(6, "0")}`;
}

/** To the picodollar: what a decimal meant before it was binary. */
function round(micros: number): number {
  return Math.round(micros * MICROS) / MICROS;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function wrong(why: string): Result<never> {
  return refuse("invalid_request", `this is no RSL document that can be read: ${why}`, { field: "file" });
}

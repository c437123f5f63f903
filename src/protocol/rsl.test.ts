import fc from "fast-check";
import { expect, test } from "vitest";
import type { Terms } from "../core/asset.ts";
import { unwrap } from "../core/result.ts";
import { RSL_NAMESPACE, readRsl, writeRsl } from "./rsl.ts";

const price = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const terms: fc.Arbitrary<Terms> = fc.record({
  unit: fc.constantFrom("nano", "microUsd"),
  royalty: fc.record({ inPerMillion: price, outPerMillion: price, perCall: price }),
  parentsBps: fc.integer({ min: 0, max: 10_000 }),
  licence: fc.string({ unit: fc.constantFrom(...'AZaz09.+-&<"'), minLength: 1, maxLength: 32 }),
});

test("terms come back as they were written, and the address of their asset with them", () => {
  fc.assert(
    fc.property(terms, fc.webUrl({ withQueryParameters: true }), (one, url) => {
      expect(unwrap(readRsl(writeRsl(url, one)))).toMatchObject([{ url, terms: one, prohibits: [] }]);
    }),
  );
});

const document = (licence: string, head = "") =>
  `${head}<rsl xmlns="${RSL_NAMESPACE}"><content url="/a"><license>${licence}</license></content></rsl>`;
const uses = '<permits type="usage">ai-train, ai-input</permits><permits type="geo">EU</permits>';
const use = (amount: string) => `${uses}<payment type="use"><amount currency="USD">${amount}</amount></payment>`;

test.each([
  ["a price for a use", use("0.0002"), 200, "NOASSERTION"],
  ["a part of a micro-dollar is rounded up", use("0.0000001"), 1, "NOASSERTION"],
  ["the draft's word", use("0.07").replace('"use"', '"inference"'), 70_000, "NOASSERTION"],
  [
    "attribution",
    '<payment type="attribution"><standard>https://creativecommons.org/licenses/by/4.0/</standard></payment>',
    0,
    "CC-BY-4.0",
  ],
  [
    "public domain",
    '<payment type="free"><standard>https://creativecommons.org/publicdomain/zero/1.0/</standard></payment>',
    0,
    "CC0-1.0",
  ],
  ["SPDX", '<payment type="free"><standard>https://spdx.org/licenses/MIT.html</standard></payment>', 0, "MIT"],
  ["nothing said", "", 0, "NOASSERTION"],
])("%s", (_name, licence, perCall, spdx) => {
  const [found] = unwrap(readRsl(document(licence)));
  expect(found?.terms).toEqual({
    ...{ unit: "microUsd", parentsBps: 0, licence: spdx, royalty: { inPerMillion: 0, outPerMillion: 0, perCall } },
  });
});

test("permits of places and people are no permits of use", () => {
  expect(unwrap(readRsl(document(uses)))[0]?.permits).toEqual(["ai-train", "ai-input"]);
});

test.each([
  ["ai-train is prohibited", document('<prohibits type="usage">ai-train</prohibits>'), "prohibits ai-train"],
  ["a subscription", document('<payment type="subscription"/>'), "no price for a use"],
  ["euros", document(use("1").replace("USD", "EUR")), "not in USD"],
  ["no amount", document(use("much")), "no amount"],
  ["a negative amount", document(use("-1")), "no amount"],
  ["not XML", "hello", "no RSL"],
  ["cut short", document(uses).slice(0, -8), "no RSL"],
  ["another namespace", document("").replace(RSL_NAMESPACE, "urn:x"), "holds no licence"],
  ["a document type with entities", document(uses, '<!DOCTYPE rsl [<!ENTITY a "b">]>'), "document type"],
  [
    "own terms that are no numbers",
    writeRsl("u", unwrap(readRsl(document("")))[0]!.terms).replace('per-call="0"', 'per-call="-1"'),
    "no whole numbers",
  ],
  ["too large", " ".repeat(1_048_577), "larger than"],
])("%s is refused", (_name, text, words) => {
  const read = readRsl(text);
  expect(read.ok ? "" : read.error.message).toContain(words);
});
